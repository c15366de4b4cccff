"""Where everything that arrives is judged: the receiver rules, with this instance's keys, clock and pulse."""

import time
from collections.abc import Awaitable, Callable

from contracts.codec import GRANT_HEADER
from contracts.errors import ServiceUnavailableError, UnauthenticatedError
from contracts.topology import Topology
from plugin_runtime.identity import Origin, Patterns, judge_call, judge_event
from plugin_runtime.keys import KeyRing
from plugin_runtime.transport.base import Delivery

RETRY_AFTER_SECONDS = 5.0


class Gate:
    """Admits calls and events.

    Args:
        topology: The names of the bus.
        myself: The plugin that receives.
        keys: By which grants are checked.
        refresh_keys: Asks for the keys; true where the broker told them because of this very question.
        is_broker_silent: Whether the broker was not heard for so long that grants cannot be renewed.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        myself: str,
        keys: KeyRing,
        refresh_keys: Callable[[], Awaitable[bool]],
        is_broker_silent: Callable[[], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._topology = topology
        self._myself = myself
        self._keys = keys
        self._refresh_keys = refresh_keys
        self._is_broker_silent = is_broker_silent
        self._now = now

    async def call(self, delivery: Delivery, service: str, version: str) -> Origin:
        """Admit a call that came by the queue of this service version; errors as of `judge_call`.

        A grant signed by a key that is not known here is looked at again once the broker has told the keys. It is
        refused for good only where the broker was asked after the call came: a key may be newer than an older answer.

        Raises:
            ServiceUnavailableError: The key is not known, and the broker cannot be asked, or was a moment ago. Nothing
                was run. Details: ``header``, since another grant may mend it.
        """
        return await self._judged(lambda: self._judge_call(delivery, service, version))

    def call_now(self, delivery: Delivery, service: str, version: str) -> Origin | None:
        """Admit a call by what is known here; None where the broker must be asked for a key, and `call` decides."""
        try:
            return self._judge_call(delivery, service, version)
        except UnauthenticatedError as error:
            if "keyId" not in error.details:
                raise
        return None

    async def event(self, delivery: Delivery, patterns: Patterns) -> Origin:
        """Admit an event or a change that came by a queue bound for these patterns; errors as of `judge_event`.

        Raises:
            ServiceUnavailableError: As in `call`; another attempt may mend it.
        """
        return await self._judged(
            lambda: judge_event(delivery, self._topology, self._keys, myself=self._myself, patterns=patterns)
        )

    def _judge_call(self, delivery: Delivery, service: str, version: str) -> Origin:
        return judge_call(
            delivery,
            self._topology,
            self._keys,
            service=service,
            version=version,
            now=self._now(),
            is_broker_silent=self._is_broker_silent(),
        )

    async def _judged(self, judge: Callable[[], Origin]) -> Origin:
        try:
            return judge()
        except UnauthenticatedError as error:
            if "keyId" not in error.details:
                raise
        is_final = await self._refresh_keys()
        try:
            return judge()
        except UnauthenticatedError as error:
            if is_final or "keyId" not in error.details:
                raise
        text = "the key of the grant is not known here, and the broker cannot be asked for it now"
        raise ServiceUnavailableError(text, retryAfter=RETRY_AFTER_SECONDS, header=GRANT_HEADER)
