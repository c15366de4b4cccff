"""The heartbeats of an instance: most want no answer, since an answer costs the broker more than the heartbeat."""

import time

from contracts.codec import CALLER_HEADER, TENANT_HEADER, encode
from contracts.names import NO_TENANT
from contracts.registry import HEARTBEAT_SERVICE, HEARTBEAT_TYPE, Heartbeat, HeartbeatAnswer
from contracts.topology import HEARTBEAT_KEY, Topology
from plugin_runtime.calls.caller import Caller
from plugin_runtime.context import new_id
from plugin_runtime.transport.base import Message, Transport

ANSWER_SECONDS = 5.0
UNANSWERED_HEARTBEATS = 2
"""How many heartbeats want no answer before one does."""


class Heartbeats:
    """Renews the lease of one instance."""

    def __init__(self, transport: Transport, topology: Topology, *, instance: str) -> None:
        self._transport = transport
        self._topology = topology
        self._instance = instance
        self._unanswered_left = 0

    async def beat(self, caller: Caller, load: int) -> HeartbeatAnswer | None:
        """Renew the lease. Every third time the broker is asked to answer, as after a miss; else the answer is None.

        Raises:
            CallTimeoutError: The broker is away.
            TransportError: RabbitMQ is.
        """
        body = Heartbeat(instance_id=self._instance, load=load)
        if self._unanswered_left:
            await self._report(body)
            return None
        answer = await caller.ask(NO_TENANT, HEARTBEAT_SERVICE, "PUT", "/heartbeat", body=body, timeout=ANSWER_SECONDS)
        self._unanswered_left = UNANSWERED_HEARTBEATS
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
