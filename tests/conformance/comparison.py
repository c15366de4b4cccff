"""Runs one program on the memory transport and on RabbitMQ, and finds the first step after which they differ."""

import asyncio
import itertools

from contracts.topology import Queue
from plugin_runtime.transport.base import Transport
from plugin_runtime.transport.clock import VirtualClock, settled
from plugin_runtime.transport.factory import DEFAULT_TRANSPORT, make_transport
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.conformance.programs import SHORT_SECONDS, WAIT_SECONDS, Act, Declare, Program, Publish, Settle, Step, Wait
from tests.conformance.worlds import Seen, World
from tests.rabbitmq_settings import DEAD_LETTER_RETRY_SECONDS

STEP_SECONDS = 0.002
"""What a step takes on the virtual clock, so that two messages do not expire at one moment."""

PATIENCE_SECONDS = 1.0
"""How long RabbitMQ may take until it shows what memory shows."""

QUIET_SECONDS = 0.006
"""How long it must then go on showing it."""

IN_TIME_SECONDS = 0.8 * SHORT_SECONDS
"""How old something short may get while it is taken to live; later nobody knows whether RabbitMQ expired it."""


SHRINKING_SECONDS = 45.0
"""How long simpler programs are looked for after the first that differs; Hypothesis alone would take many minutes."""


class TooSlowError(Exception):
    """The steps took so long that something short may be over already: nothing is learnt from this run."""


class Comparison:
    """Both transports, and programs run on both.

    Args:
        url: RabbitMQ's vhost.

    Attributes:
        compared: How many programs were run to their end, or to a difference.
        too_slow: How many runs told nothing, since something short may have expired on the way.
        given_up: How many programs were too slow again and again.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(1)
        self._publisher: Transport | None = None
        self._known: dict[Program, str | None] = {}
        self._shrinks_until: float | None = None
        self.compared = 0
        self.too_slow = 0
        self.given_up = 0

    async def open(self) -> None:
        """Connect to RabbitMQ."""
        self._publisher = await self._rabbitmq_client("publisher")

    async def close(self) -> None:
        """Disconnect."""
        if self._publisher is not None:
            await self._publisher.close()

    async def difference(self, program: Program) -> str | None:
        """Run a program, unless its result is known, and tell the first difference.

        When the time for shrinking is over, programs that were not run yet pass.
        """
        now = asyncio.get_running_loop().time()
        if program not in self._known and (self._shrinks_until is None or now < self._shrinks_until):
            self._known[program] = await self._confirmed(program)
            if self._known[program] is not None and self._shrinks_until is None:
                self._shrinks_until = now + SHRINKING_SECONDS
        return self._known.get(program)

    async def _confirmed(self, program: Program) -> str | None:
        """A difference that shows twice in a row; a run that was too slow is repeated, a few times."""
        told = None
        for _ in range(4):
            try:
                before, told = told, await self._run(program)
            except TooSlowError:
                self.too_slow += 1
                continue
            if told is None or before is not None:
                self.compared += 1
                return told
        self.given_up += 1
        return None

    async def _run(self, program: Program) -> str | None:
        prefix = f"p{next(self._numbers)}."
        clock = VirtualClock()
        vhost = MemoryVhost(clock)
        memory = World(
            prefix, await _memory_client(vhost, "publisher"), lambda name: _memory_client(vhost, name), clock.advance
        )
        assert self._publisher is not None
        rabbitmq = World(prefix, self._publisher, self._rabbitmq_client, asyncio.sleep)
        await memory.begin()
        await rabbitmq.begin()
        try:
            return await _compare(program, memory, rabbitmq, clock)
        finally:
            await rabbitmq.end()
            await memory.end()

    async def _rabbitmq_client(self, name: str) -> Transport:
        transport = make_transport(DEFAULT_TRANSPORT, self._url, identity=name, instance="1", insecure=True)
        await transport.open()
        return transport


async def _memory_client(vhost: MemoryVhost, name: str) -> Transport:
    transport = MemoryTransport(vhost, identity=name)
    await transport.open()
    return transport


async def _compare(program: Program, memory: World, rabbitmq: World, clock: VirtualClock) -> str | None:
    short_since: float | None = None
    now = asyncio.get_running_loop().time
    for number, step in enumerate(program.steps, 1):
        await clock.advance(STEP_SECONDS)
        if isinstance(step, Wait):
            _refuse_late(short_since)
            short_since = None
        elif short_since is None and _is_short(step, program):
            short_since = now()
        outcome = await memory.perform(step)
        await settled()
        expected = await memory.see(outcome)
        outcome = await rabbitmq.perform(step)
        if isinstance(step, Wait):
            short_since = now() - (WAIT_SECONDS - SHORT_SECONDS) if _begins_anew(program) else None
        found = await _shown(rabbitmq, outcome, expected, short_since)
        if found != expected:
            return f"after step {number}, {step}:\n  memory:   {expected}\n  RabbitMQ: {found}"
    return None


async def _shown(world: World, outcome: str, expected: Seen, short_since: float | None) -> Seen:
    """What RabbitMQ shows, once it shows what is expected and goes on so, or when patience ends."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    quiet_since: float | None = None
    while True:
        found = await world.see(outcome)
        if found == expected:
            quiet_since = quiet_since or loop.time()
            if loop.time() - quiet_since >= QUIET_SECONDS:
                _refuse_late(short_since)
                return found
        else:
            quiet_since = None
            if outcome != expected.outcome or loop.time() - start > _patience(short_since, start):
                return found
        await asyncio.sleep(QUIET_SECONDS / 4)


def _patience(short_since: float | None, start: float) -> float:
    if short_since is None:
        return PATIENCE_SECONDS
    left = short_since + IN_TIME_SECONDS - start
    if left < 1.5 * DEAD_LETTER_RETRY_SECONDS:
        raise TooSlowError  # RabbitMQ may need one more try to deliver a dead letter
    return min(left, PATIENCE_SECONDS)


def _refuse_late(short_since: float | None) -> None:
    if short_since is not None and asyncio.get_running_loop().time() - short_since > IN_TIME_SECONDS:
        raise TooSlowError


def _is_short(step: Step, program: Program) -> bool:
    """Whether something may begin to live for a short time: a message with an expiration, or one in a TTL queue."""
    if isinstance(step, Publish) and step.expires:
        return True
    return isinstance(step, Publish | Settle | Act) and any(queue.message_ttl_seconds for queue in _queues(program))


def _begins_anew(program: Program) -> bool:
    """Whether what expired may live on in another queue: it did from the moment when it expired, before the end."""
    queues = _queues(program)
    return any(queue.message_ttl_seconds for queue in queues) and any(queue.dead_letter_exchange for queue in queues)


def _queues(program: Program) -> list[Queue]:
    return [step.queue for step in program.steps if isinstance(step, Declare)]
