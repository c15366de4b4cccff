"""`Plugin`: what an author writes a plugin with, and how it is run."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Self

from contracts.errors import NotRunningError, PlexicaError
from contracts.manifest import PluginManifest
from contracts.names import check_tenant
from contracts.topology import Topology
from plugin_runtime.context import new_instance
from plugin_runtime.definition import Definition, default_name
from plugin_runtime.logs import configure_logs
from plugin_runtime.loops import run
from plugin_runtime.marks import Function, ServiceDefinition, SubscriptionMark
from plugin_runtime.platform_client import PlatformClient
from plugin_runtime.registration import RemoteRegistrar
from plugin_runtime.runner import Runner
from plugin_runtime.settings import RuntimeSettings
from plugin_runtime.signals import run_until_signalled
from plugin_runtime.signatures import check_listener
from plugin_runtime.tenant import TenantClient
from plugin_runtime.transport.base import Transport
from plugin_runtime.transport.factory import make_transport


class Plugin:
    """A plugin: its manifest, its handlers, and, while it is connected, its way to all others.

    A module's ``crm = Plugin.from_manifest("plugin.json")`` is a definition: nothing connects before `run` or
    `connected`.
    """

    def __init__(self, manifest: PluginManifest) -> None:
        self.definition = Definition(manifest)
        self._runner: Runner | None = None

    @classmethod
    def from_manifest(cls, source: str | Path | Mapping[str, Any]) -> Self:
        """A plugin as its manifest declares it.

        Args:
            source: The path of a ``plugin.json``, or its decoded content.

        Raises:
            InvalidManifestError: It breaks rules; ``.errors`` lists every one with its dotted path.
        """
        return cls(PluginManifest.load(source))

    @property
    def manifest(self) -> PluginManifest:
        """The manifest."""
        return self.definition.manifest

    @property
    def id(self) -> str:
        """The plugin's id, e.g. ``plugin-crm``."""
        return self.manifest.id

    def __repr__(self) -> str:
        return f"<plugin {self.id} {self.manifest.version}>"

    def service(self, name: str) -> ServiceDefinition:
        """A service of the manifest, to put handlers on: ``@contacts.get("/contacts/:id")``.

        Raises:
            InvalidEndpointError: The manifest lists no such service.
        """
        return self.definition.service(name)

    def on(self, pattern: str, *, name: str | None = None, broadcast: bool = False) -> Callable[[Function], Function]:
        """Hear events whose key the pattern admits, e.g. ``crm.events.contact.created`` or ``crm.events.#``.

        The subscription is durable: it collects events while no instance runs, and all instances share it. The handler
        runs at least once for each event; when it raises, the event comes again after about 1 s, 5 s, 30 s and 5 min,
        then goes to the dead letters. No order is promised.

        Args:
            pattern: An event key; ``*`` stands for one word, ``#`` for any number.
            name: The subscription's name; the handler's own, with hyphens, when None. Renaming makes a new one.
            broadcast: Every running instance gets its own copy, once, and none while it is away.

        Raises:
            InvalidSubscriptionError: Pattern, name or handler break a rule.
        """
        return self._subscribe("events", pattern, name, broadcast)

    def on_data(
        self, pattern: str, *, name: str | None = None, broadcast: bool = False
    ) -> Callable[[Function], Function]:
        """Hear changes of shared data whose ``{namespace}.{key}`` the pattern admits; otherwise like `on`."""
        return self._subscribe("data", pattern, name, broadcast)

    def tenant(self, tenant: str | None = None) -> TenantClient:
        """Everything the plugin can do for a tenant, while it is connected. A handler uses ``call.tenant`` instead.

        Raises:
            NotRunningError: It is not connected.
        """
        runner = self._connected()
        return runner.tenant(check_tenant(tenant or RuntimeSettings.read().tenant))

    @property
    def platform(self) -> PlatformClient:
        """Tenants and known plugins, while the plugin is connected."""
        return self._connected().platform

    def run(self, url: str | None = None) -> None:
        """Run until SIGTERM or SIGINT, then stop in order. Settings come from the environment (``PLEXICA_URL``, ...).

        Raises:
            SystemExit: With status 1 and one line on stderr if it cannot start as it is configured or defined.
        """
        try:
            configure_logs(RuntimeSettings.read().log_format)
            run(self._run_until_signalled(url))
        except PlexicaError as error:
            said = str(error)
            raise SystemExit(said if said.startswith(self.id) else f"{self.id}: {said}") from error

    @asynccontextmanager
    async def connected(
        self,
        url: str | None = None,
        *,
        tenants: Iterable[str] = (),
        prefix: str | None = None,
        transport: Transport | None = None,
    ) -> AsyncIterator[Runner]:
        """Bring the plugin up for the length of the context: connected, registered, serving.

        Args:
            url: Where RabbitMQ is; ``PLEXICA_URL`` when None.
            tenants: Where it would like to be installed; only a broker with ``PLEXICA_AUTO_INSTALL`` acts on it.
            prefix: Stands before every exchange and queue; ``PLEXICA_PREFIX`` when None.
            transport: Another way than RabbitMQ, for tests.

        Raises:
            StartError: The settings cannot work.
            CodedError: The broker refuses the plugin.
        """
        settings = RuntimeSettings.read(url=url, prefix=prefix)
        wanted = tuple(check_tenant(tenant) for tenant in tenants) or (settings.tenant,)
        instance = new_instance()
        if transport is None:
            transport = make_transport(
                settings.transport,
                settings.url,
                identity=self.id,
                instance=instance,
                insecure=settings.insecure,
            )
        registrar = RemoteRegistrar(
            transport,
            Topology(settings.prefix),
            self.definition,
            instance=instance,
            tenants=wanted,
            strict=settings.strict,
        )
        async with Runner(self.definition, transport, registrar, settings, instance=instance) as runner:
            before, self._runner = self._runner, runner
            try:
                yield runner
            finally:
                self._runner = before

    def _subscribe(
        self, source: Literal["events", "data"], pattern: str, name: str | None, broadcast: bool
    ) -> Callable[[Function], Function]:
        def store(function: Function) -> Function:
            check_listener(function, plugin=self.id, pattern=pattern)
            chosen = default_name(getattr(function, "__name__", "handler"), name)
            self.definition.subscribe(SubscriptionMark(chosen, source, pattern, broadcast, function))
            return function

        return store

    def _connected(self) -> Runner:
        if self._runner is None:
            raise NotRunningError(f"{self.id} is not connected: use 'async with plugin.connected(...)' or plugin.run()")
        return self._runner

    async def _run_until_signalled(self, url: str | None) -> None:
        async def serve(serving: asyncio.Event, stopped: asyncio.Event) -> None:
            async with self.connected(url):
                serving.set()
                await stopped.wait()

        await run_until_signalled(serve)
