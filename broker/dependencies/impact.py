"""Whom a change of plugins can affect, and what a change of versions would do in a tenant. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from broker.dependencies.causes import Node, demand
from broker.dependencies.resolver import PluginFacts, existing, judge, major, resolve
from contracts.dependencies import Cause, Resolution

Known = Mapping[Node, PluginFacts]
"""Every plugin version that the broker knows."""


def affected(known: Iterable[PluginFacts], changed: Collection[str]) -> set[str]:
    """The plugins whose resolution a change of these can alter: they, and all that reach them at any version."""
    askers: dict[str, set[str]] = {}
    for facts in known:
        for dependency in facts.dependencies:
            askers.setdefault(dependency.plugin_id, set()).add(facts.id)
    found = set(changed)
    pending = list(found)
    while pending:
        new = askers.get(pending.pop(), set()) - found
        found |= new
        pending.extend(new)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What putting a version into a tenant would come to.

    Attributes:
        resolution: The version's own, with what others would lose among its errors and warnings.
        broken: The required dependencies of others that would be lost.
    """

    resolution: Resolution
    broken: tuple[Cause, ...]

    @property
    def breaks(self) -> tuple[str, ...]:
        """The plugins that would lose a required dependency, ascending."""
        return tuple(sorted({cause.chain[0] for cause in self.broken}))


def look_ahead(
    new: PluginFacts, known: Known, installed: Sequence[PluginFacts], superseded: Collection[Node], *, alone: bool
) -> Outlook:
    """Judge a change before it is made.

    Args:
        new: The version to be put.
        known: Every plugin version.
        installed: Everything in the tenant.
        superseded: Which of that only lingers: it still meets the new version's requirements, but what others ask of
            the plugin itself must be met by versions that stay.
        alone: It supersedes every other version of its plugin (upgrade), otherwise those of its major (install).
    """
    before = [facts for facts in installed if facts.id == new.id and facts.node not in superseded]
    beside = [] if alone else [facts for facts in before if major(facts.version) != major(new.version)]
    others = [facts for facts in installed if facts.id != new.id]
    own = resolve(new.id, known=known.values(), installed=[*others, *beside], version=new.version)
    askers = [facts for facts in others if facts.node not in superseded]
    shelf = [facts for facts in known.values() if facts.id == new.id]
    broken = broken_by(shelf, askers, before, [*beside, new], required=True)
    spoiled = broken_by(shelf, askers, before, [*beside, new], required=False)
    causes = tuple({cause.message: cause for cause in (*broken, *own.causes)}.values())
    errors = tuple(dict.fromkeys((*own.errors, *(cause.message for cause in broken))))
    warnings = tuple(dict.fromkeys((*own.warnings, *(cause.message for cause in spoiled))))
    resolution = own.model_copy(update={"valid": not errors, "errors": errors, "warnings": warnings, "causes": causes})
    return Outlook(resolution=resolution, broken=tuple(broken))


def broken_by(
    shelf: Sequence[PluginFacts],
    askers: Sequence[PluginFacts],
    before: Sequence[PluginFacts],
    after: Sequence[PluginFacts],
    *,
    required: bool,
) -> list[Cause]:
    """The dependencies on a plugin that the versions ``before`` meet and those ``after`` do not.

    Args:
        shelf: Every known version of the plugin, at least one.
        askers: Whose dependencies count.
        before: Its versions that are installed now.
        after: Those that would be.
        required: Whether required dependencies are meant, or optional ones.
    """
    plugin = shelf[0].id
    asked = [(facts, item) for facts in askers for item in facts.dependencies if item.plugin_id == plugin]
    found: list[Cause] = []
    for facts, dependency in asked:
        problem = judge(dependency, facts.id, after).problem if dependency.required == required else None
        if problem is not None and judge(dependency, facts.id, before).problem is None:
            cause = Cause(
                message=problem,
                chain=(facts.id, plugin),
                steps=(demand(facts.node, dependency),),
                constraints=tuple(demand(asker.node, item) for asker, item in asked),
                exists=existing(after, shelf, dependency.service_name),
            )
            found.append(cause)
    return found
