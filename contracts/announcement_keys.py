"""Keys of announcements on ``plexica.registry``."""

from typing import Literal

from contracts.names import NO_TENANT


def service_announcement(change: Literal["registered", "deregistered", "status"], service: str) -> str:
    """``_.service.registered.crm.contacts``."""
    return f"{NO_TENANT}.service.{change}.{service}"


def presence_announcement(service: str) -> str:
    """``_.presence.crm.contacts``: the last instance of a version went."""
    return f"{NO_TENANT}.presence.{service}"


def dependency_announcement(plugin: str) -> str:
    """``_.dependency.declared.plugin-analytics``."""
    return f"{NO_TENANT}.dependency.declared.{plugin}"


def plugin_announcement(tenant: str, change: Literal["installed", "uninstalled", "upgraded"], plugin: str) -> str:
    """``acme-corp.plugin.installed.plugin-crm``."""
    return f"{tenant}.plugin.{change}.{plugin}"


def tenant_announcement(tenant: str, change: Literal["created", "removed"]) -> str:
    """``acme-corp.tenant.removed``."""
    return f"{tenant}.tenant.{change}"


def keys_announcement() -> str:
    """``_.grants.keys``: the keys by which grants are checked."""
    return f"{NO_TENANT}.grants.keys"
