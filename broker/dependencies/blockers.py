"""Who stands in the way of an uninstallation. Pure."""

from collections.abc import Collection, Sequence

from broker.dependencies.resolver import PluginFacts, judge
from contracts.dependencies import Blocker
from contracts.errors import StillRequiredError
from contracts.manifest import Dependency


def blockers(there: Sequence[PluginFacts], plugin_id: str, gone: Collection[str]) -> tuple[Blocker, ...]:
    """The installed plugins that require what would go, ascending.

    While versions of the plugin stay, only a requirement that they do not meet, and that is met now, is in the way.

    Args:
        there: What is installed in the tenant.
        plugin_id: Whose versions would go.
        gone: Which ones; without any, nobody stands in the way.
    """
    before = [facts for facts in there if facts.id == plugin_id]
    after = [facts for facts in before if facts.version not in gone]
    if len(after) == len(before):
        return ()

    def is_lost(asker: str, dependency: Dependency) -> bool:
        is_met = judge(dependency, asker, before).problem is None
        return not after or (is_met and judge(dependency, asker, after).problem is not None)

    askers = {
        facts.id
        for facts in there
        for dependency in facts.dependencies
        if dependency.required and dependency.plugin_id == plugin_id and facts.id != plugin_id
        if is_lost(facts.id, dependency)
    }
    return tuple(Blocker(plugin_id=asker, reason="Required dependency") for asker in sorted(askers))


def refuse_required(name: str, found: Sequence[Blocker]) -> None:
    """Raise `StillRequiredError` if anybody stands in the way of what bears this name."""
    if found:
        names = ", ".join(blocker.plugin_id for blocker in found)
        raise StillRequiredError(
            f"Plugin {name} cannot be uninstalled: required by {names}",
            blockedBy=[blocker.to_json() for blocker in found],
        )
