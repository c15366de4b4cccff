"""Bodies of dependencies and lifecycle: resolve, install, uninstall, tenants and known plugins."""

from typing import Annotated

from pydantic import Field

from contracts.limits import MOST_DEPENDENCIES
from contracts.manifest import Dependency, PluginManifest
from contracts.wire import Many, PluginId, ServiceName, TenantId, Version, VersionRange, WireModel


class Demand(WireModel):
    """One plugin asks for another: a step of a chain.

    Attributes:
        plugin_id: Who asks, at ``version``.
        target: The plugin asked for; with ``service_name``, ``range`` is held against that service's version.
    """

    plugin_id: PluginId
    version: Version
    target: PluginId
    service_name: ServiceName | None = None
    range: VersionRange
    required: bool = True


class Cause(WireModel):
    """One error of a resolution: who asks for what, from the plugin resolved to the culprit, and what exists.

    Attributes:
        chain: The plugin ids of ``steps``: each asker and at last the target. Of a resolution with very many errors
            the later ones tell their last step only.
        steps: Who asks whom for which range; those of a circle end where the circle began.
        constraints: Everything that is asked of the last target by whatever the resolution met, steps included.
        exists: What there is of the last target, lowest first, e.g. ``plugin-crm@1.5.0 (installed)``,
            ``plugin-crm@2.0.0 (known)``; where a service is asked for also ``crm.contacts@1.4.0 (of
            plugin-crm@1.5.0)``. Empty for a circle, and when nobody knows the plugin.
    """

    message: str
    chain: Many[str]
    steps: Many[Demand] = ()
    constraints: Many[Demand] = ()
    exists: Many[str] = ()


class Resolution(WireModel):
    """Whether a plugin's dependencies are met in a tenant, and in which order to install.

    Attributes:
        errors: One sentence for each unmet requirement; equal ones are said once.
        warnings: Likewise for optional requirements.
        install_order: Plugin ids, dependencies first, the plugin itself last.
        causes: For each error, the chain of who asks for what and what exists.
    """

    plugin_id: PluginId
    valid: bool
    errors: Many[str] = ()
    warnings: Many[str] = ()
    install_order: Many[PluginId] = ()
    causes: Many[Cause] = ()


class DeclareRequest(WireModel):
    """The whole set of a plugin's dependencies; replaces what was declared, an empty list clears it.

    Attributes:
        version: The plugin version that declares it; without one, the highest that runs, else the highest known.
    """

    version: Version | None = None
    dependencies: Annotated[Many[Dependency], Field(max_length=MOST_DEPENDENCIES)]


class DependencyEdge(WireModel):
    """One declared dependency and who declares it."""

    plugin_id: PluginId
    version: Version
    dependency: Dependency


class DependencyList(WireModel):
    """Edges sorted by asker, target and service."""

    edges: Many[DependencyEdge]


class Blocker(WireModel):
    """An installed plugin that requires another one."""

    plugin_id: PluginId
    reason: str


class CanUninstall(WireModel):
    """Whether a plugin may go, and who stands in the way."""

    can_uninstall: bool
    blocked_by: Many[Blocker] = ()


class InstallRequest(WireModel):
    """Install a plugin in the call's tenant; without ``version`` the highest known one."""

    plugin_id: PluginId
    version: VersionRange = "*"
    force: bool = False


class UninstallRequest(WireModel):
    """Take a plugin out of the call's tenant: its versions in the range, or all of them."""

    plugin_id: PluginId
    version: VersionRange | None = None
    force: bool = False
    remove_data: bool = False


class UpgradeRequest(WireModel):
    """Move a plugin of the call's tenant to another version; without ``version`` to the highest known one."""

    plugin_id: PluginId
    version: VersionRange = "*"
    force: bool = False


class Installation(WireModel):
    """A plugin at a version in a tenant.

    Attributes:
        superseded: Another version took its place; it lingers until nobody needs it.
        overridden: The reasons for which it was refused before ``force`` put it.
    """

    tenant: TenantId
    plugin_id: PluginId
    version: Version
    superseded: bool = False
    overridden: Many[str] = ()


class InstallationList(WireModel):
    """Installations sorted by tenant, plugin and version."""

    installations: Many[Installation]


class Upgrade(WireModel):
    """What an upgrade did.

    Attributes:
        replaced: The versions it supersedes, lowest first.
        lingering: Those of them that stay bound: a range needs them, or nobody serves the new version yet. They go
            by themselves once neither is so.
        broken: With ``force``: the requirements of others that the new version does not meet, in resolve's words.
    """

    installation: Installation
    replaced: Many[Version] = ()
    lingering: Many[Version] = ()
    broken: Many[str] = ()


class TenantOutlook(WireModel):
    """What an upgrade would do in one tenant.

    Attributes:
        installed: The versions there now, lowest first.
        valid: Whether the upgrade would be let through without ``force``.
        errors: The requirements of the new version that are unmet, and those of others that it would break.
        warnings: Likewise for optional requirements.
        breaks: The plugins that would lose a required dependency, ascending.
    """

    tenant: TenantId
    installed: Many[Version]
    valid: bool
    errors: Many[str] = ()
    warnings: Many[str] = ()
    breaks: Many[PluginId] = ()


class WhatIf(WireModel):
    """The dry run of an upgrade over every tenant in which the plugin is installed, in ascending order."""

    plugin_id: PluginId
    version: Version
    valid: bool
    tenants: Many[TenantOutlook] = ()


class RemovedPlugin(WireModel):
    """The versions of a plugin that the broker knows no more, lowest first."""

    plugin_id: PluginId
    versions: Many[Version]


class CreateTenantRequest(WireModel):
    """Create a tenant; one that exists is no error."""

    id: TenantId


class TenantList(WireModel):
    """Tenants in ascending order."""

    tenants: Many[TenantId]


class PublishManifestRequest(WireModel):
    """Make a plugin known before any instance of it runs."""

    manifest: PluginManifest


class KnownPlugin(WireModel):
    """A plugin version that the broker knows."""

    id: PluginId
    version: Version
    name: str = Field(max_length=100)


class PluginList(WireModel):
    """Known plugins sorted by id, then version."""

    plugins: Many[KnownPlugin]
