"""What an error leaves open and one more question to the broker answers: which tenant, and which plugin to install.

A question that the broker refuses, or does not answer, leaves the error as it was.
"""

from collections.abc import Sequence
from contextlib import suppress

from contracts.errors import CodedError, PlexicaError, ServiceNotFoundError, TenantNotFoundError
from contracts.names import owner_of
from plugin_runtime.platform_client import PlatformClient

MOST_TENANTS = 5
"""So many tenants are named, and the rest counted."""


async def without_tenant(platform: PlatformClient, error: TenantNotFoundError) -> CodedError:
    """The error of a command that was given no tenant, where the default one does not exist."""
    there = ""
    with suppress(PlexicaError):
        there = f"; {listed(await platform.tenants())}"
    text = f"no tenant given: add -t TENANT or set PLEXICA_TENANT{there}"
    return TenantNotFoundError(text, tenant=error.details.get("tenant"))


async def not_installed(platform: PlatformClient, error: ServiceNotFoundError, tenant: str) -> CodedError:
    """The error about a service that a known plugin offers and that is not installed in the tenant, with the remedy."""
    service, available = error.details.get("service"), error.details.get("available")
    if not isinstance(service, str) or not isinstance(available, list) or error.details.get("versions"):
        return error
    plugin = owner_of(service)
    # Another service of the plugin is there, so the plugin is, in a version without this one.
    if any(isinstance(name, str) and owner_of(name) == plugin for name in available):
        return error
    with suppress(PlexicaError):
        if (await platform.manifest(plugin)).service(service) is not None:
            hint = f"{plugin} is not installed in {tenant}: plexica install {plugin} -t {tenant}"
            return ServiceNotFoundError(str(error), **{**error.details, "hint": hint})
    return error


def listed(tenants: Sequence[str]) -> str:
    """The tenants that there are, in words."""
    if not tenants:
        return "there is none yet: plexica tenant create TENANT"
    rest = len(tenants) - MOST_TENANTS
    more = f" and {rest} more" if rest > 0 else ""
    return f"there {'is' if len(tenants) == 1 else 'are'} {', '.join(tenants[:MOST_TENANTS])}{more}"
