"""The heartbeats of an instance: most want no answer, since an answer costs the broker more than the heartbeat."""

import time

from contracts.codec import CALLER_HEADER, TENANT_HEADER, encode
from contracts.ids import new_id
from contracts.names import NO_TENANT
from contracts.registry import HEARTBEAT_SERVICE, HEARTBEAT_TYPE, Heartbeat, HeartbeatAnswer
from contracts.topology import HEARTBEAT_KEY, Topology
from plugin_runtime.calls.caller import Caller
from plugin_runtime.transport.base import Message, Transport

ANSWER_SECONDS = 5.0
ANSWERED_EVERY_SECONDS = 10.0
"""At least so often the broker is asked to answer, or with every heartbeat if they are rarer."""

MOST_UNANSWERED = 2
"""So many heartbeats at most want no answer before one does."""


def unanswered_between(heartbeat_seconds: float) -> int:
    """How many heartbeats want no answer before one does.

    >>> [unanswered_between(seconds) for seconds in (0.5, 5.0, 10.1)]
    [2, 1, 0]
    """
    return max(0, min(MOST_UNANSWERED, int(ANSWERED_EVERY_SECONDS / heartbeat_seconds) - 1))


class Heartbeats:
    """Renews the lease of one instance."""

    def __init__(self, transport: Transport, topology: Topology, *, instance: str) -> None:
        self._transport = transport
        self._topology = topology
        self._instance = instance
        self._unanswered = 0
        self._unanswered_left = 0

    def expect(self, heartbeat_seconds: float) -> float:
        """Learn how often the broker wants a heartbeat; return how often it will be asked to answer, in seconds."""
        self._unanswered = unanswered_between(heartbeat_seconds)
        return heartbeat_seconds * (self._unanswered + 1)

    async def beat(self, caller: Caller, load: int) -> HeartbeatAnswer | None:
        """Renew the lease. The broker is asked to answer now and then, and after a miss; else the answer is None.

        Raises:
            CallTimeoutError: The broker is away.
            TransportError: RabbitMQ is.
        """
        body = Heartbeat(instance_id=self._instance, load=load)
        if self._unanswered_left:
            await self._report(body)
            return None
        answer = await caller.ask(NO_TENANT, HEARTBEAT_SERVICE, "PUT", "/heartbeat", body=body, timeout=ANSWER_SECONDS)
        self._unanswered_left = self._unanswered
        return HeartbeatAnswer.parse(answer)

    async def _report(self, beat: Heartbeat) -> None:
        left, self._unanswered_left = self._unanswered_left - 1, 0  # one that fails is followed by one that is answered
        message = Message(
            body=encode(beat.to_json()),
            type=HEARTBEAT_TYPE,
            message_id=new_id(),
            headers={TENANT_HEADER: NO_TENANT, CALLER_HEADER: self._transport.identity},
            timestamp=int(time.time()),
        )
        await self._transport.publish(
            message, exchange=self._topology.calls, routing_key=HEARTBEAT_KEY, timeout=ANSWER_SECONDS
        )
        self._unanswered_left = left
