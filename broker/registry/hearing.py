"""What a plugin's major hears, given what its registered instances do. Pure.

It is what all of them hear together, and what they do not hear any more as long as nobody dropped it::

    nobody is registered                                           everything stays: that is what durable means
    an instance hears it, though it be late                        it stays
    one of them hears its pattern by another name, or its name     it goes: it was renamed, or its pattern changed
      with another pattern
    one of them lists its pattern in api.events.subscribes         it stays: another process of the plugin hears it
    all of them without any handler, of calls or events: scripts   it stays: they say nothing
    otherwise                                                      it goes: its author dropped it

No order of registrations matters, so that a reconnect of all at once changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.names import covers
from contracts.registry import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What one registered instance says of events.

    Attributes:
        subscriptions: What it has handlers for.
        listed: The patterns in its manifest's ``api.events.subscribes``.
        is_serving: Whether its manifest lists services.
    """

    subscriptions: frozenset[Subscription] = frozenset()
    listed: tuple[str, ...] = ()
    is_serving: bool = False

    @property
    def has_handlers(self) -> bool:
        """Whether it handles anything; otherwise it is a script, which only calls and publishes."""
        return self.is_serving or bool(self.subscriptions)

    def lists(self, subscription: Subscription) -> bool:
        """Whether its manifest says that the plugin hears all of this."""
        return subscription.source == "events" and any(covers(item, subscription.pattern) for item in self.listed)


def heard_now(before: frozenset[Subscription], instances: Sequence[Hearing]) -> frozenset[Subscription]:
    """What a major hears.

    Args:
        before: What it heard until now.
        instances: All that are registered, late ones too.
    """
    current = frozenset(subscription for instance in instances for subscription in instance.subscriptions)
    decide = [instance for instance in instances if instance.has_handlers]
    if not decide:
        return before | current
    kept = (
        subscription
        for subscription in before - current
        if not _is_replaced(subscription, current) and any(instance.lists(subscription) for instance in decide)
    )
    return current.union(kept)


def _is_replaced(old: Subscription, current: Iterable[Subscription]) -> bool:
    return any(old.name == new.name or (old.source, old.pattern) == (new.source, new.pattern) for new in current)
