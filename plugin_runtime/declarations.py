"""What a plugin may call: its own services, the broker's, and what it declares as dependencies. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from contracts.errors import UndeclaredDependencyError, did_you_mean
from contracts.manifest import Dependency
from contracts.names import SYSTEM_PLUGIN, owner_of
from contracts.versions import highest


@dataclass(frozen=True, slots=True)
class Allowance:
    """At which versions a plugin may call a service; both are npm ranges.

    Attributes:
        range_: For the service's version.
        plugin_range: For the version of the plugin that offers it; None when any will do.
    """

    range_: str = "*"
    plugin_range: str | None = None


ANY_VERSION = Allowance()


class Declarations:
    """The dependencies that a plugin declares now: its manifest's, until it declares others."""

    def __init__(self, plugin: str, dependencies: Iterable[Dependency]) -> None:
        self._plugin = plugin
        self.replace(dependencies)

    def replace(self, dependencies: Iterable[Dependency]) -> None:
        """These and no others."""
        self._plugins: dict[str, str] = {}
        self._services: dict[str, str] = {}
        self._allowed: dict[str, Allowance] = {}
        for dependency in dependencies:
            if dependency.service_name is None:
                self._plugins[dependency.plugin_id] = dependency.version
            else:
                self._services[dependency.service_name] = dependency.version

    def of(self, service: str) -> Allowance | None:
        """At which versions the plugin may call a service; None when it declares no dependency that covers it.

        A dependency on the service comes before one on its plugin as a whole, which covers all the plugin's services
        at any version of theirs.
        """
        if service not in self._allowed:
            allowed = self._looked_up(service)
            if allowed is None:
                return None  # whatever else a program may ask for is not remembered
            self._allowed[service] = allowed
        return self._allowed[service]

    def _looked_up(self, service: str) -> Allowance | None:
        declared = self._services.get(service)
        if declared is not None:
            return Allowance(declared)
        owner = owner_of(service)
        if owner in (self._plugin, SYSTEM_PLUGIN):
            return ANY_VERSION
        plugin_range = self._plugins.get(owner)
        return None if plugin_range is None else Allowance(plugin_range=plugin_range)

    def refusal(self, service: str, versions: Iterable[str] = ()) -> UndeclaredDependencyError:
        """The error for a service that is not declared, with the line that would declare it.

        Args:
            service: The service's name.
            versions: Those that are known; the line asks for what is compatible with the highest.
        """
        found = highest(versions)
        asked = {"pluginId": owner_of(service), "serviceName": service, "version": f"^{found}" if found else "*"}
        line = json.dumps(asked)
        meant = did_you_mean(service, self._services)
        advice = f"{meant} If not, add" if meant else ": add"
        return UndeclaredDependencyError(
            f"{self._plugin} calls {service}, which it does not declare{advice} {line} to api.dependencies in its "
            "plugin.json",
            caller=self._plugin,
            service=service,
            line=line,
        )
