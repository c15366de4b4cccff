"""Which superseded versions of a tenant's plugins are still needed. Pure.

An upgrade puts the new version beside the old one, which is superseded from then on and lingers: bound, discoverable,
its events heard. It goes once nobody needs it, so that a rolling upgrade loses no call::

    upgrade 1.4 -> 1.5      first instance of 1.5 registers        nobody's range needs 1.4 any more
    1.4 current ──► 1.4 lingers: 1.5 is served by nobody ──► 1.4 lingers: plugin-shop asks for ~1.4.0 ──► gone

A superseded version is needed while

- a successor does not do yet what it does: it serves a service that a successor offers and nobody serves there, or it
  hears events and no instance of a successor has ever said what that one hears;
- it shares a call queue with a successor, and an instance of it takes calls from there;
- a dependency, required or optional, is met by it and by no current version. What only lingers itself may ask too, but
  must itself be needed by something else: two old versions do not keep each other.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from broker.dependencies.causes import Node
from broker.dependencies.resolver import PluginFacts, judge, major
from contracts.manifest import Dependency
from contracts.versions import ordered


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What the instances of a plugin version do.

    Attributes:
        serving: The services that an instance within its lease serves.
        registered: Those that any registered instance serves: one that is late may come back.
        has_come: Whether its subscriptions are known: an instance is registered, or its major subscribes to something.
        is_hearing: Whether it has subscriptions that outlive instances.
    """

    serving: frozenset[str] = frozenset()
    registered: frozenset[str] = frozenset()
    has_come: bool = False
    is_hearing: bool = False


UNKNOWN = Life()


def still_needed(
    installed: Sequence[PluginFacts], superseded: Collection[Node], life: Mapping[Node, Life]
) -> frozenset[Node]:
    """The superseded versions that must stay.

    Args:
        installed: Every plugin version installed in one tenant, superseded ones too.
        superseded: Which of them are superseded.
        life: What instances do; a version that is not named has none.
    """
    current = [facts for facts in installed if facts.node not in superseded]
    waiting = [facts for facts in installed if facts.node in superseded]
    kept = {facts.node: facts for facts in waiting if _is_ahead(facts, _successors(facts, current), life)}
    pending = [*current, *kept.values()]
    while pending:
        asker = pending.pop()
        for dependency in asker.dependencies:
            for facts in _meant(dependency, asker.id, current, waiting, life):
                if facts.node not in kept:
                    kept[facts.node] = facts
                    pending.append(facts)
    return frozenset(kept)


def _successors(old: PluginFacts, current: Sequence[PluginFacts]) -> list[PluginFacts]:
    """Who takes over: the current version of the same major, otherwise every current version of the plugin."""
    others = [facts for facts in current if facts.id == old.id]
    return [facts for facts in others if major(facts.version) == major(old.version)] or others


def _is_ahead(old: PluginFacts, successors: Sequence[PluginFacts], life: Mapping[Node, Life]) -> bool:
    """Whether an old version does what its successors do not do yet, or still shares their work."""
    mine = life.get(old.node, UNKNOWN)
    theirs = [life.get(facts.node, UNKNOWN) for facts in successors]
    if mine.is_hearing and not any(other.has_come for other in theirs):
        return True
    return any(_is_awaited(name, old, successors, life) for name in mine.registered)


def _is_awaited(service: str, old: PluginFacts, successors: Sequence[PluginFacts], life: Mapping[Node, Life]) -> bool:
    offering = [facts for facts in successors if service in facts.services]
    if any(facts.services[service] == old.services.get(service) for facts in offering):
        return True
    return bool(offering) and not any(service in life.get(facts.node, UNKNOWN).serving for facts in offering)


def _meant(
    dependency: Dependency,
    asker: str,
    current: Sequence[PluginFacts],
    waiting: Sequence[PluginFacts],
    life: Mapping[Node, Life],
) -> Iterator[PluginFacts]:
    """The superseded versions that a dependency needs: from the highest down to the first one that is served."""
    if _meets(dependency, asker, [facts for facts in current if facts.id == dependency.plugin_id]):
        return
    fitting = {facts.version: facts for facts in waiting if facts.id == dependency.plugin_id}
    for version in reversed(ordered(fitting)):
        facts = fitting[version]
        if not _meets(dependency, asker, [facts]):
            continue
        yield facts
        serving = life.get(facts.node, UNKNOWN).serving
        if dependency.service_name is None or dependency.service_name in serving:
            return


def _meets(dependency: Dependency, asker: str, installed: Sequence[PluginFacts]) -> bool:
    return bool(installed) and judge(dependency, asker, installed).problem is None
