"""What an uninstallation takes, and who stands in its way. Pure."""

from collections.abc import Collection, Sequence

from broker.dependencies.resolver import PluginFacts, judge
from contracts.dependencies import Blocker, Installation, UninstallRequest
from contracts.errors import InvalidRequestError, StillRequiredError
from contracts.manifest import Dependency
from contracts.versions import satisfies


def chosen(there: Sequence[Installation], request: UninstallRequest) -> tuple[Installation, ...]:
    """The versions that a request takes; `InvalidRequestError` if data shall go from under those that stay."""
    range_ = request.version
    taken = tuple(item for item in there if range_ is None or satisfies(item.version, range_))
    left = ", ".join(item.version for item in there if item not in taken)
    if request.remove_data and left:
        raise InvalidRequestError(
            f"removeData: the data of {request.plugin_id} belongs to all its versions, and {left} would stay"
        )
    return taken


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
