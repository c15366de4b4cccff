"""The resolver's law: OPERATIONS, section 5."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.dependencies.causes import MOST_STEPS
from broker.dependencies.graph import MOST_CYCLES, cycles
from broker.dependencies.resolver import MOST_EXISTING, PluginFacts, resolve
from contracts.dependencies import Resolution
from contracts.errors import PluginNotFoundError
from contracts.explanations import explained
from contracts.manifest import Dependency


def needs(target: str, range_: str = "*", *, service: str | None = None, required: bool = True) -> Dependency:
    return Dependency(plugin_id=f"plugin-{target}", version=range_, service_name=service, required=required)


def may(target: str, range_: str = "*") -> Dependency:
    return needs(target, range_, required=False)


def plugin(name: str, *asked: Dependency, version: str = "1.0.0", **services: str) -> PluginFacts:
    offered = {f"{name}.{resource}": offered for resource, offered in services.items()}
    return PluginFacts(id=f"plugin-{name}", version=version, dependencies=asked, services=offered)


def of(root: PluginFacts, *installed: PluginFacts, known: tuple[PluginFacts, ...] = ()) -> Resolution:
    return resolve(root.id, known=[root, *known, *installed], installed=installed, version=root.version)


def test_a_plugin_without_dependencies_is_valid_and_stands_alone() -> None:
    found = of(plugin("crm"))

    assert found == Resolution(plugin_id="plugin-crm", valid=True, install_order=("plugin-crm",))


def test_dependencies_come_first_and_the_plugin_itself_last() -> None:
    found = of(
        plugin("analytics", needs("zeta"), needs("crm")), plugin("crm", needs("base")), plugin("base"), plugin("zeta")
    )

    assert found.valid
    assert found.install_order == ("plugin-base", "plugin-crm", "plugin-zeta", "plugin-analytics")


def test_a_missing_dependency_is_named_with_its_asker_and_chain() -> None:
    found = of(plugin("analytics", needs("crm")))

    assert not found.valid
    assert found.errors == ("Missing dependency: plugin-crm (required by plugin-analytics)",)
    assert found.causes[0].chain == ("plugin-analytics", "plugin-crm")


def test_a_known_plugin_that_is_not_installed_is_missing_yet_stands_in_the_order() -> None:
    crm = plugin("crm", needs("base"))

    found = of(plugin("analytics", needs("crm")), known=(crm, plugin("base")))

    assert found.errors == (
        "Missing dependency: plugin-crm (required by plugin-analytics)",
        "Missing dependency: plugin-base (required by plugin-crm)",
    )
    assert found.causes[1].chain == ("plugin-analytics", "plugin-crm", "plugin-base")
    assert found.install_order == ("plugin-base", "plugin-crm", "plugin-analytics")


def test_a_version_outside_the_range_is_a_mismatch() -> None:
    found = of(plugin("analytics", needs("crm", "^2.0.0")), plugin("crm", version="1.5.0"))

    assert found.errors == ("Version mismatch: plugin-crm@1.5.0 does not satisfy ^2.0.0",)


def test_a_range_is_held_against_the_highest_installed_version_that_satisfies() -> None:
    found = of(
        plugin("analytics", needs("crm", "^1.0.0")), plugin("crm", version="1.5.0"), plugin("crm", version="2.0.0")
    )

    assert found.valid
    assert found.install_order == ("plugin-crm", "plugin-analytics")


def test_a_range_with_a_service_is_held_against_the_service_version() -> None:
    asks = needs("crm", "^2.0.0", service="crm.contacts")

    assert of(plugin("analytics", asks), plugin("crm", version="1.0.0", contacts="2.1.0")).valid
    assert of(plugin("analytics", asks), plugin("crm", version="2.0.0", contacts="1.0.0")).errors == (
        "Version mismatch: crm.contacts@1.0.0 does not satisfy ^2.0.0",
    )


def test_a_service_nobody_offers_is_an_error_that_names_service_and_plugin() -> None:
    found = of(plugin("analytics", needs("crm", "^1.0.0", service="crm.deals")), plugin("crm", contacts="1.0.0"))

    assert len(found.errors) == 1
    assert "crm.deals" in found.errors[0]
    assert "plugin-crm" in found.errors[0]


def test_equal_lines_are_said_once() -> None:
    old = plugin("crm", version="1.5.0")

    found = of(plugin("a", needs("b"), needs("crm", "^2.0.0")), plugin("b", needs("crm", "^2.0.0")), old)

    assert found.errors == ("Version mismatch: plugin-crm@1.5.0 does not satisfy ^2.0.0",)


@pytest.mark.parametrize("root", ["a", "b"])
def test_a_circle_is_told_from_its_smallest_id(root: str) -> None:
    ring = {"a": plugin("a", needs("b")), "b": plugin("b", needs("a"))}

    found = of(ring[root], *ring.values())

    assert found.errors == ("Circular dependency detected: plugin-a → plugin-b → plugin-a",)
    assert found.install_order[-1] == f"plugin-{root}"


def test_a_circle_is_told_alone_without_the_way_to_it() -> None:
    found = of(plugin("x", needs("c")), plugin("c", needs("b")), plugin("b", needs("c")))

    assert found.errors == ("Circular dependency detected: plugin-b → plugin-c → plugin-b",)
    assert found.causes[0].chain == ("plugin-x", "plugin-c", "plugin-b", "plugin-c", "plugin-b")


def test_every_circle_is_told_once() -> None:
    found = of(plugin("a", needs("b"), needs("c")), plugin("b", needs("a")), plugin("c", needs("a"), needs("b")))

    assert sorted(found.errors) == [
        "Circular dependency detected: plugin-a → plugin-b → plugin-a",
        "Circular dependency detected: plugin-a → plugin-c → plugin-a",
        "Circular dependency detected: plugin-a → plugin-c → plugin-b → plugin-a",
    ]


def test_a_circle_is_told_even_when_nothing_of_it_is_installed() -> None:
    found = of(plugin("a", needs("b")), known=(plugin("b", needs("a")),))

    assert "Circular dependency detected: plugin-a → plugin-b → plugin-a" in found.errors


def test_a_missing_optional_dependency_is_a_warning() -> None:
    found = of(plugin("a", may("b")), known=(plugin("b"),))

    assert found.valid
    assert found.warnings == ("Missing dependency: plugin-b (optional for plugin-a)",)
    assert found.install_order == ("plugin-a",)


def test_a_mismatched_optional_dependency_is_a_warning() -> None:
    found = of(plugin("a", may("crm", "^2.0.0")), plugin("crm", version="1.5.0"))

    assert found.valid
    assert found.warnings == ("Version mismatch: plugin-crm@1.5.0 does not satisfy ^2.0.0",)


def test_an_installed_optional_dependency_stands_before_its_asker() -> None:
    assert of(plugin("a", may("b")), plugin("b")).install_order == ("plugin-b", "plugin-a")


def test_what_only_an_optional_branch_needs_cannot_fail_the_plugin() -> None:
    found = of(plugin("a", may("b")), plugin("b", needs("c"), needs("d")), plugin("d", needs("b")))

    assert found.valid
    assert found.warnings == (
        "Missing dependency: plugin-c (required by plugin-b)",
        "Circular dependency detected: plugin-b → plugin-d → plugin-b",
    )


def test_what_both_branches_need_fails_the_plugin_and_is_no_warning() -> None:
    found = of(plugin("a", may("b"), needs("d")), plugin("b", needs("d")), plugin("d", needs("gone")))

    assert found.errors == ("Missing dependency: plugin-gone (required by plugin-d)",)
    assert found.warnings == ()


def test_an_optional_edge_in_a_circle_is_left_out_with_a_warning() -> None:
    found = of(plugin("a", may("b")), plugin("b", needs("a")))

    assert found.valid
    assert found.install_order == ("plugin-a",)
    assert found.warnings == ("Circular dependency avoided: plugin-a → plugin-b is optional and left out of the order",)


def test_only_the_optional_edge_of_a_circle_is_left_out() -> None:
    found = of(plugin("a", needs("b")), plugin("b", needs("c")), plugin("c", may("a")))

    assert found.valid
    assert found.install_order == ("plugin-c", "plugin-b", "plugin-a")


def test_a_cause_tells_every_step_every_constraint_and_what_exists() -> None:
    old, new = plugin("crm", version="1.5.0"), plugin("crm", version="2.0.0")

    found = of(plugin("a", needs("b"), may("crm")), plugin("b", needs("crm", "^2.0.0")), old, known=(new,))

    assert explained(found.causes[0]) == [
        "Version mismatch: plugin-crm@1.5.0 does not satisfy ^2.0.0",
        "  plugin-a@1.0.0 requires plugin-b *",
        "  plugin-b@1.0.0 requires plugin-crm ^2.0.0",
        "  also plugin-a@1.0.0 can use plugin-crm *",
        "  there is plugin-crm@1.5.0 (installed), plugin-crm@2.0.0 (known)",
    ]


def test_a_cause_tells_the_versions_of_the_service_that_is_asked_for() -> None:
    found = of(plugin("a", needs("crm", "^2.0.0", service="crm.deals")), plugin("crm", deals="1.4.0", contacts="2.0.0"))

    assert explained(found.causes[0])[1:] == [
        "  plugin-a@1.0.0 requires crm.deals ^2.0.0 of plugin-crm",
        "  there is plugin-crm@1.0.0 (installed), crm.deals@1.4.0 (of plugin-crm@1.0.0)",
    ]


def test_a_cause_tells_which_services_there_are_instead_of_the_one_asked_for() -> None:
    found = of(plugin("a", needs("crm", service="crm.dels")), plugin("crm", deals="1.4.0", contacts="2.0.0"))

    assert found.causes[0].exists == (
        "plugin-crm@1.0.0 (installed)",
        "crm.contacts@2.0.0 (of plugin-crm@1.0.0)",
        "crm.deals@1.4.0 (of plugin-crm@1.0.0)",
    )


def test_a_cause_says_when_nothing_is_known() -> None:
    found = of(plugin("a", needs("gone", "^1.0.0")))

    assert explained(found.causes[0])[1:] == [
        "  plugin-a@1.0.0 requires plugin-gone ^1.0.0",
        "  nothing is known of plugin-gone",
    ]


def test_a_cause_of_a_circle_tells_its_steps_and_no_more() -> None:
    found = of(plugin("x", needs("c")), plugin("c", needs("b", "^1.0.0")), plugin("b", needs("c")))

    assert explained(found.causes[0])[1:] == [
        "  plugin-x@1.0.0 requires plugin-c *",
        "  plugin-c@1.0.0 requires plugin-b ^1.0.0",
        "  plugin-b@1.0.0 requires plugin-c *",
        "  plugin-c@1.0.0 requires plugin-b ^1.0.0",
    ]


def test_a_cause_lists_a_limited_number_of_versions_and_those_installed_always() -> None:
    versions = [plugin("crm", version=f"1.{minor}.0") for minor in range(100)]

    found = of(plugin("a", needs("crm", "^2.0.0")), versions[0], known=tuple(versions))

    assert len(found.causes[0].exists) == 1 + MOST_EXISTING
    assert found.causes[0].exists[0] == "plugin-crm@1.0.0 (installed)"
    assert found.causes[0].exists[-1] == "plugin-crm@1.99.0 (known)"


def test_two_majors_side_by_side_are_no_circle() -> None:
    old, new = plugin("b"), plugin("b", needs("a"), version="2.0.0")

    found = of(plugin("a", needs("b", "^1.0.0"), needs("c")), plugin("c", needs("b", "^2.0.0")), old, new)

    assert found.errors == ("Circular dependency detected: plugin-a → plugin-c → plugin-b → plugin-a",)
    assert of(plugin("a", needs("b", "^1.0.0")), old, new).valid


def test_another_major_that_only_an_optional_branch_needs_closes_no_circle() -> None:
    old, new = plugin("b"), plugin("b", needs("a"), version="2.0.0")

    found = of(plugin("a", needs("b", "^1.0.0"), may("c")), plugin("c", needs("b", "^2.0.0")), old, new)

    assert found.valid


def test_a_service_range_leads_to_the_highest_version_of_the_service() -> None:
    one, two = plugin("crm", contacts="1.9.0"), plugin("crm", needs("gone"), version="2.0.0", contacts="1.2.0")

    assert of(plugin("a", needs("crm", "^1.0.0", service="crm.contacts")), one, two).valid


def test_a_lone_prerelease_meets_a_star_as_it_does_in_discovery() -> None:
    assert of(plugin("a", needs("crm")), plugin("crm", version="1.0.0-beta")).valid
    assert not of(plugin("a", needs("crm", "^1.0.0")), plugin("crm", version="1.0.0-beta")).valid


def test_plugins_that_may_use_each_other_stand_in_an_order_that_has_both() -> None:
    found = of(plugin("a", may("b")), plugin("b", may("c")), plugin("c", may("a")))

    assert found.install_order == ("plugin-c", "plugin-b", "plugin-a")
    assert found.warnings == ("Circular dependency avoided: plugin-c → plugin-a is optional and left out of the order",)


def test_very_many_errors_tell_a_limited_number_of_steps() -> None:
    chain = [plugin(f"p{i}", *([needs(f"p{i + 1}")] if i < 999 else [])) for i in range(1_000)]

    found = of(chain[0], known=tuple(chain))

    assert len(found.errors) == len(found.causes) == 999
    assert sum(len(cause.steps) + len(cause.constraints) for cause in found.causes) <= MOST_STEPS + 2 * 999
    assert found.causes[-1].chain == ("plugin-p998", "plugin-p999")


def test_an_unknown_plugin_is_an_error_that_says_what_may_be_meant() -> None:
    with pytest.raises(PluginNotFoundError, match="did you mean 'plugin-crm'"):
        resolve("plugin-cmr", known=[plugin("crm")], installed=[])


def test_an_unknown_version_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(PluginNotFoundError, match=r"known are 1\.0\.0"):
        resolve("plugin-crm", known=[plugin("crm")], installed=[], version="9.0.0")


def test_the_plugin_is_resolved_at_its_installed_version_unless_told_otherwise() -> None:
    one, two = plugin("crm"), plugin("crm", needs("base"), version="2.0.0")

    assert resolve("plugin-crm", known=[one, two], installed=[one]).valid
    assert not resolve("plugin-crm", known=[one, two], installed=[]).valid


def test_a_chain_of_ten_thousand_plugins_is_resolved() -> None:
    chain = [plugin(f"p{i}", *([needs(f"p{i + 1}")] if i < 9_999 else [])) for i in range(10_000)]

    found = resolve("plugin-p0", known=chain, installed=chain)

    assert found.valid
    assert found.install_order[0] == "plugin-p9999"


def test_a_ring_of_five_thousand_plugins_is_one_circle() -> None:
    ring = [plugin(f"p{i}", needs(f"p{(i + 1) % 5_000}")) for i in range(5_000)]

    assert len(resolve("plugin-p0", known=ring, installed=ring).errors) == 1


def test_a_dense_graph_tells_a_limited_number_of_circles() -> None:
    names = [f"n{i:02}" for i in range(30)]

    found = list(cycles({name: [other for other in names if other != name] for name in names}))

    assert len(found) == MOST_CYCLES
    assert len({tuple(cycle) for cycle in found}) == MOST_CYCLES


names = st.sampled_from("abcdef")
graphs = st.dictionaries(names, st.dictionaries(names, st.booleans(), max_size=5), max_size=6)


@given(graphs, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(graph: dict[str, dict[str, bool]], dice: random.Random) -> None:
    facts = [
        plugin(name, *(needs(target, required=required) for target, required in asked.items() if target != name))
        for name, asked in {"a": {}, **graph}.items()
    ]
    shuffled = [
        PluginFacts(id=item.id, version=item.version, dependencies=tuple(dice.sample(asked, len(asked))))
        for item in dice.sample(facts, len(facts))
        for asked in [item.dependencies]
    ]

    found = resolve("plugin-a", known=facts, installed=facts)

    assert resolve("plugin-a", known=shuffled, installed=shuffled) == found
    assert found.install_order[-1] == "plugin-a"
    assert len(set(found.install_order)) == len(found.install_order)
    assert {cause.message for cause in found.causes} == set(found.errors)


@given(graphs)
def test_in_a_valid_order_every_required_dependency_stands_first(graph: dict[str, dict[str, bool]]) -> None:
    facts = [
        plugin(name, *(needs(target, required=required) for target, required in asked.items() if target != name))
        for name, asked in {"a": {}, **graph}.items()
    ]

    found = resolve("plugin-a", known=facts, installed=facts)

    place = {name: index for index, name in enumerate(found.install_order)}
    for item in facts:
        for dependency in item.dependencies:
            if found.valid and not found.warnings and item.id in place:
                assert place[dependency.plugin_id] < place[item.id]
