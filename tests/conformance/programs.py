"""Random programs as data: what a few clients may do to a few queues, step after step.

The names are few, so that steps often meet. The topology keeps a program deterministic on RabbitMQ: what two queues
dead letter at one moment never arrives in one third queue, where the order would be chance::

    x ──► q0, q1, q2        q0 ── dead letters ──► d ──► q1, q2
                            q1 ── dead letters ──► e ──► q0
"""

from dataclasses import dataclass, fields
from typing import Any, Literal

from hypothesis import strategies as st

from contracts.topology import Binding, Queue

SHORT_SECONDS = 0.5
"""The one TTL, expiration and `expires_seconds`: longer than some steps take, and still bearable to wait for."""

NAMES = ("q0", "q1", "q2")
What = Literal["cancel", "crash", "purge", "delete"]
WAIT_SECONDS = 1.25 * SHORT_SECONDS

EXCHANGES = ("x", "d", "e")
KEYS = ("a", "b")
INCIDENTS: tuple[What, ...] = ("crash", "crash", "cancel", "cancel", "purge", "delete")


@dataclass(frozen=True)
class Declare:
    queue: Queue

    def __str__(self) -> str:
        given = {one.name: getattr(self.queue, one.name) for one in fields(Queue)}
        told = [f"{name}={value!r}" for name, value in given.items() if value != getattr(Queue(name=""), name)]
        return f"declare {', '.join(told)}"


@dataclass(frozen=True)
class Bind:
    binding: Binding

    def __str__(self) -> str:
        return f"bind {self.binding.queue} to {self.binding.exchange}, key {self.binding.routing_key}"


@dataclass(frozen=True)
class Unbind:
    binding: Binding

    def __str__(self) -> str:
        return f"unbind {self.binding.queue} from {self.binding.exchange}, key {self.binding.routing_key}"


@dataclass(frozen=True)
class Publish:
    """``count`` messages, one after the other."""

    exchange: str
    key: str
    count: int = 1
    mandatory: bool = True
    expires: bool = False

    def __str__(self) -> str:
        words = f"publish {self.count} to {self.exchange}, key {self.key}"
        return words + ("" if self.mandatory else ", not mandatory") + (", short expiration" if self.expires else "")


@dataclass(frozen=True)
class Consume:
    """Each queue has one seat: one client that consumes it, one consumer at a time."""

    queue: str
    prefetch: int
    no_ack: bool = False
    exclusive: bool = False

    def __str__(self) -> str:
        words = f"consume {self.queue}, prefetch {self.prefetch}"
        return words + (", no ack" if self.no_ack else "") + (", exclusive" if self.exclusive else "")


@dataclass(frozen=True)
class Settle:
    """The ``nth`` of all that nobody has settled, counted round."""

    nth: int
    how: Literal["acknowledge", "requeue", "reject"]

    def __str__(self) -> str:
        return f"{self.how} unsettled delivery {self.nth}"


@dataclass(frozen=True)
class Act:
    """``cancel`` the consumer of a queue, ``crash`` its client, ``purge`` or ``delete`` the queue."""

    what: What
    queue: str

    def __str__(self) -> str:
        return f"{self.what} {self.queue}"


@dataclass(frozen=True)
class Wait:
    """Until everything short is over."""

    def __str__(self) -> str:
        return "wait until what is short is over"


Step = Declare | Bind | Unbind | Publish | Consume | Settle | Act | Wait


@dataclass(frozen=True)
class Program:
    """Steps, shown one in a line."""

    steps: tuple[Step, ...]

    def __repr__(self) -> str:
        return "Program:\n" + "\n".join(f"  {number:2}. {step}" for number, step in enumerate(self.steps, 1))

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        # Hypothesis would print every field of every queue.
        printer.text(repr(self))


# Strategies


@st.composite
def queues(draw: st.DrawFn, name: str) -> Queue:
    """A queue that RabbitMQ accepts."""
    # Without a delivery limit, 3.10 and 4 differ; the bus declares one on every quorum queue.
    kind = draw(st.sampled_from(("classic", "quorum")))
    exchange = {"q0": "d", "q1": "e", "q2": None}[name] if draw(st.sampled_from((True, True, False))) else None
    maybe_short = st.sampled_from((None, None, SHORT_SECONDS))
    return Queue(
        name=name,
        kind=kind,
        message_ttl_seconds=draw(maybe_short),
        # A quorum queue looks every five seconds whether it is used: too long to wait for here.
        expires_seconds=draw(maybe_short) if kind == "classic" else None,
        max_length=draw(st.sampled_from((None, None, None, 1, 2, 3))),
        overflow=draw(st.sampled_from((None, "drop-head", "reject-publish"))),
        delivery_limit=draw(st.sampled_from((0, 1, 2, 3, 4))) if kind == "quorum" else None,
        dead_letter_exchange=exchange,
        dead_letter_routing_key=draw(st.sampled_from((None, *KEYS))) if exchange else None,
        dead_letter_at_least_once=kind == "quorum"
        and exchange is not None
        and draw(st.sampled_from((True, True, False))),
    )


def _bindings(name: str) -> st.SearchStrategy[Binding]:
    exchanges = {"q0": ("x", "x", "e"), "q1": ("x", "d", "d"), "q2": ("x", "d", "d")}[name]
    patterns = st.sampled_from(("#", "#", "*", *KEYS))
    return st.builds(Binding, queue=st.just(name), exchange=st.sampled_from(exchanges), routing_key=patterns)


PUBLISH = st.builds(
    Publish,
    exchange=st.sampled_from(("x",) * 8 + ("d", "e")),
    key=st.sampled_from(KEYS),
    count=st.sampled_from((1, 2, 3)),
    mandatory=st.sampled_from((True, True, False)),
    expires=st.sampled_from((False, True)),
)
SETTLE = st.builds(
    Settle, nth=st.integers(0, 3), how=st.sampled_from(("acknowledge", "requeue", "requeue", "reject", "reject"))
)


def _consume(name: str) -> st.SearchStrategy[Consume]:
    return st.builds(
        Consume,
        queue=st.just(name),
        prefetch=st.sampled_from((1, 1, 2, 2, 3, 0)),
        no_ack=st.sampled_from((False,) * 7 + (True,)),
        exclusive=st.booleans(),
    )


def _act(what: What, name: str) -> st.SearchStrategy[Act]:
    return st.just(Act(what, name))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A topology, and some rounds on it: publish, consume if nobody does, settle, and then something happens.

    Rounds rather than single steps at random: with those, a message rarely meets a consumer.
    """
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    steps: list[Step] = [Declare(draw(queues(name))) for name in names]
    steps.append(Bind(Binding("q0", "x", "#")))
    steps += [Bind(draw(_bindings(name))) for name in names[1:]]
    consumed: set[str] = set()
    for _ in range(draw(st.integers(2, 5))):
        steps += draw(_round(names, consumed))
        for step in steps:
            consumed = _consumed_after(step, consumed)
    return Program(tuple(steps))


@st.composite
def _round(draw: st.DrawFn, names: tuple[str, ...], consumed: set[str]) -> list[Step]:
    free = [name for name in names if name not in consumed]
    steps: list[Step] = [draw(PUBLISH)]
    if free and draw(st.sampled_from((True, True, False))):
        # Before or after the publish: what is ready is handed out otherwise than what comes.
        steps.insert(draw(st.integers(0, 1)), draw(_consume(draw(st.sampled_from(free)))))
    steps += draw(st.lists(SETTLE, min_size=1, max_size=4))
    if draw(st.booleans()):
        steps.append(draw(_incident(draw(st.sampled_from(names)))))
    return steps


def _incident(name: str) -> st.SearchStrategy[Step]:
    acts = [_act(what, name) for what in INCIDENTS]
    changes = (_bindings(name).map(Bind), _bindings(name).map(Unbind), queues(name).map(Declare))
    return st.sampled_from((st.just(Wait()),) * 6 + (*acts, *changes)).flatmap(lambda strategy: strategy)


def _consumed_after(step: Step, consumed: set[str]) -> set[str]:
    match step:
        case Consume(queue):
            return consumed | {queue}
        case Act("cancel" | "crash" | "delete", queue):
            return consumed - {queue}
        case _:
            return consumed
