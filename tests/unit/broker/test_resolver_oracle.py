"""Random platforms are resolved by the resolver and by the slowest reading of OPERATIONS, section 5: both agree.

``PLEXICA_TEST_PLATFORMS=20000`` tries so many other ones, at random.
"""

import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from broker.dependencies.resolver import PluginFacts, resolve
from contracts import satisfies
from contracts.dependencies import Cause, Demand, Resolution
from contracts.manifest import Dependency

USUAL_PLATFORMS = 250
ASKED_PLATFORMS = int(os.environ.get("PLEXICA_TEST_PLATFORMS", "0"))

PROFILE = settings(
    max_examples=ASKED_PLATFORMS or USUAL_PLATFORMS,
    derandomize=not ASKED_PLATFORMS,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)

IDS = [f"plugin-{letter}" for letter in "abcdef"]
VERSIONS = ["1.0.0", "1.4.0", "2.0.0", "10.0.0"]
RANGES = ["*", "*", "^1.0.0", "^1.2.0", "^2.0.0", ">=1.4.0", "<2.0.0", "^10.0.0", "^3.0.0"]


@dataclass(frozen=True)
class Platform:
    """What is known and what is installed; the plugin asked about is `root`."""

    known: tuple[PluginFacts, ...]
    installed: tuple[PluginFacts, ...]
    root: PluginFacts

    def resolved(self) -> Resolution:
        return resolve(self.root.id, known=self.known, installed=self.installed, version=self.root.version)

    def shuffled(self, dice: random.Random) -> "Platform":
        mixed = {
            (facts.id, facts.version): replace(facts, dependencies=tuple(dice.sample(asked, len(asked))))
            for facts in self.known
            for asked in [facts.dependencies]
        }
        known = [mixed[facts.id, facts.version] for facts in dice.sample(self.known, len(self.known))]
        installed = [mixed[facts.id, facts.version] for facts in dice.sample(self.installed, len(self.installed))]
        return Platform(tuple(known), tuple(installed), self.root)


letters = st.integers(0, len(IDS) - 1)
asked = st.tuples(letters, st.sampled_from([None, None, "main", "side"]), st.sampled_from(RANGES), st.integers(0, 2))
offers = st.tuples(*[st.sampled_from([None, *VERSIONS])] * 2)
published = st.tuples(letters, st.sampled_from(VERSIONS), st.integers(0, 3), offers, st.lists(asked, max_size=3))


@st.composite
def platforms(draw: st.DrawFn) -> Platform:
    """Plain tuples, made into plugins here: Hypothesis is ten times quicker than with strategies for each plugin."""
    known: list[PluginFacts] = []
    installed: dict[tuple[str, str], PluginFacts] = {}
    rows = draw(st.lists(published, min_size=1, max_size=12, unique_by=lambda row: row[:2]))
    for letter, version, chance, (main, side), wanted in rows:
        short = IDS[letter].removeprefix("plugin-")
        services = {f"{short}.{name}": found for name, found in (("main", main), ("side", side)) if found}
        dependencies = tuple(dependency(*row) for row in {row[:2]: row for row in wanted if row[0] != letter}.values())
        known.append(PluginFacts(id=IDS[letter], version=version, dependencies=dependencies, services=services))
        if chance:
            installed.setdefault((IDS[letter], version.split(".")[0]), known[-1])
    return Platform(tuple(known), tuple(installed.values()), known[0])


def dependency(letter: int, service: str | None, range_: str, chance: int) -> Dependency:
    name = service and f"{IDS[letter].removeprefix('plugin-')}.{service}"
    return Dependency(plugin_id=IDS[letter], service_name=name, version=range_, required=chance > 0)


class Oracle:
    """OPERATIONS, section 5, sentence by sentence, with no thought of time."""

    def __init__(self, platform: Platform) -> None:
        root = platform.root
        others = [
            facts
            for facts in platform.installed
            if facts.id != root.id or facts.version.split(".")[0] != root.version.split(".")[0]
        ]
        self.platform = platform
        self.installed = [*others, root]
        self.hard = self._closure(lambda dependency: dependency.required)
        self.soft = self._closure(lambda _: True)

    def _closure(self, is_followed) -> list[PluginFacts]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        found = [self.platform.root]
        for facts in found:
            for dependency in facts.dependencies:
                target = self.leads_to(dependency) if is_followed(dependency) else None
                if target is not None and target not in found:
                    found.append(target)
        return found

    def leads_to(self, dependency: Dependency) -> PluginFacts | None:
        there = [facts for facts in self.installed if facts.id == dependency.plugin_id]
        if there:
            return self.best(dependency, there) or max(there, key=lambda facts: number(facts.version))
        known = [facts for facts in self.platform.known if facts.id == dependency.plugin_id]
        return self.best(dependency, known) if dependency.required else None

    @staticmethod
    def best(dependency: Dependency, candidates: list[PluginFacts]) -> PluginFacts | None:
        """A range with ``serviceName`` is held against the service's version, without it against the plugin's."""
        found = []
        for facts in candidates:
            held = facts.version if dependency.service_name is None else facts.services.get(dependency.service_name)
            if held is not None and satisfies(held, dependency.version):
                found.append((number(held), number(facts.version), facts))
        return max(found, key=lambda item: item[:2])[2] if found else None

    def problem(self, asker: str, dependency: Dependency) -> str | None:
        there = [facts for facts in self.installed if facts.id == dependency.plugin_id]
        if not there:
            verb = "required by" if dependency.required else "optional for"
            return f"Missing dependency: {dependency.plugin_id} ({verb} {asker})"
        if self.best(dependency, there):
            return None
        there.sort(key=lambda facts: number(facts.version))
        last, service = there[-1], dependency.service_name
        if service is None:
            return f"Version mismatch: {last.id}@{last.version} does not satisfy {dependency.version}"
        offered = [facts.services[service] for facts in there if service in facts.services]
        if not offered:
            return f"Missing service: {service} is not offered by {last.id}@{last.version} (asked by {asker})"
        return f"Version mismatch: {service}@{offered[-1]} does not satisfy {dependency.version}"

    def circles(self, nodes: list[PluginFacts]) -> set[str]:
        """Every circle of required dependencies, from its smallest id."""
        lines = set()
        for start in nodes:
            for circle in self._circles_from(start, [start]):
                if min((facts.id, facts.version) for facts in circle) == (start.id, start.version):
                    lines.add(" → ".join(facts.id for facts in [*circle, start]))
        return {f"Circular dependency detected: {line}" for line in lines}

    def _circles_from(self, start: PluginFacts, path: list[PluginFacts]) -> Iterator[list[PluginFacts]]:
        for target in distinct(self.leads_to(item) for item in path[-1].dependencies if item.required):
            if target == start:
                yield path
            elif target not in path:
                yield from self._circles_from(start, [*path, target])

    def errors(self) -> set[str]:
        lines = {self.problem(facts.id, item) for facts in self.hard for item in facts.dependencies if item.required}
        return {line for line in lines if line} | self.circles(self.hard)

    def warnings(self) -> set[str]:
        lines = {self.problem(facts.id, item) for facts in self.soft for item in facts.dependencies}
        return ({line for line in lines if line} | self.circles(self.soft)) - self.errors()

    def pairs(self, *, required: bool) -> set[tuple[str, str]]:
        return {
            (facts.id, item.plugin_id)
            for facts in self.soft
            for item in facts.dependencies
            if item.required == required and self.leads_to(item)
        }


def number(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def distinct(found: Iterable[PluginFacts | None]) -> list[PluginFacts]:
    unique: list[PluginFacts] = []
    for item in found:
        if item is not None and item not in unique:
            unique.append(item)
    return unique


def within_reach(edges: set[tuple[str, str]], start: str) -> set[str]:
    found: set[str] = set()
    pending = [start]
    while pending:
        following = {target for asker, target in edges if asker == pending[-1]} - found
        pending.pop()
        found |= following
        pending += following
    return found


def avoided(resolution: Resolution) -> set[tuple[str, str]]:
    lines = [line for line in resolution.warnings if line.startswith("Circular dependency avoided: ")]
    return {(words[3], words[5]) for words in (line.split(" ") for line in lines)}


def errors_and_warnings_are_those_of_the_rules(found: Resolution, oracle: Oracle) -> None:

    assert set(found.errors) == oracle.errors()
    assert {line for line in found.warnings if "avoided" not in line} == oracle.warnings()
    assert found.valid == (not found.errors)
    assert len(set(found.errors + found.warnings)) == len(found.errors + found.warnings)


def the_install_order_is_that_of_the_rules(platform: Platform, found: Resolution, oracle: Oracle) -> None:
    optional = oracle.pairs(required=False) - oracle.pairs(required=True)
    kept = oracle.pairs(required=True) | (optional - avoided(found))
    place = {name: index for index, name in enumerate(found.install_order)}

    assert found.install_order[-1] == platform.root.id
    assert len(place) == len(found.install_order)
    assert set(place) == within_reach(kept, platform.root.id) | {platform.root.id}
    for asker, target in kept:
        if asker in place and asker not in within_reach(kept, target):
            assert place[target] < place[asker], "dependencies first, installed optional ones too"


def an_optional_edge_is_left_out_only_where_it_would_close_a_circle(found: Resolution, oracle: Oracle) -> None:
    optional = oracle.pairs(required=False) - oracle.pairs(required=True)
    kept = oracle.pairs(required=True) | (optional - avoided(found))

    assert avoided(found) <= optional
    assert all(asker in within_reach(kept, target) for asker, target in avoided(found))
    assert not any(asker in within_reach(kept, target) for asker, target in optional - avoided(found))


def causes_are_real_ways_through_the_platform(found: Resolution, oracle: Oracle) -> None:

    assert tuple(cause.message for cause in found.causes) == found.errors
    for cause in found.causes:
        assert_is_a_way(cause, oracle)
        if "Circular" not in cause.message:
            assert_tells_the_culprit(cause, oracle)


def assert_is_a_way(cause: Cause, oracle: Oracle) -> None:
    at: PluginFacts | None = oracle.platform.root
    for step in cause.steps:
        assert at is not None
        assert (step.plugin_id, step.version) == (at.id, at.version)
        asked = [item for item in at.dependencies if as_demand(at, item) == step]
        assert asked
        assert step.required
        at = oracle.leads_to(asked[0])
    assert cause.chain == (*(step.plugin_id for step in cause.steps), cause.steps[-1].target)


def assert_tells_the_culprit(cause: Cause, oracle: Oracle) -> None:
    last = cause.steps[-1]
    asked = [as_demand(facts, item) for facts in oracle.soft for item in facts.dependencies]
    key = str
    assert sorted(cause.constraints, key=key) == sorted((item for item in asked if item.target == last.target), key=key)
    there = {(facts.version, "installed") for facts in oracle.installed if facts.id == last.target}
    known = {facts.version for facts in oracle.platform.known if facts.id == last.target} - {v for v, _ in there}
    there |= {(version, "known") for version in known}
    plugins = [line for line in cause.exists if line.startswith("plugin-")]
    assert plugins == [
        f"{last.target}@{version} ({state})" for version, state in sorted(there, key=lambda item: number(item[0]))
    ]


def as_demand(facts: PluginFacts, item: Dependency) -> Demand:
    return Demand(
        plugin_id=facts.id,
        version=facts.version,
        target=item.plugin_id,
        service_name=item.service_name,
        range=item.version,
        required=item.required,
    )


@pytest.mark.timeout(120 + ASKED_PLATFORMS // 10)
@PROFILE
@given(platforms(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_known_does_not_matter(platform: Platform, dice: random.Random) -> None:
    assert platform.shuffled(dice).resolved() == platform.resolved()


@pytest.mark.timeout(120 + ASKED_PLATFORMS // 10)
@PROFILE
@given(platforms())
def test_random_platforms_are_resolved_as_the_rules_say(platform: Platform) -> None:
    found, oracle = platform.resolved(), Oracle(platform)

    errors_and_warnings_are_those_of_the_rules(found, oracle)
    the_install_order_is_that_of_the_rules(platform, found, oracle)
    an_optional_edge_is_left_out_only_where_it_would_close_a_circle(found, oracle)
    causes_are_real_ways_through_the_platform(found, oracle)
