"""Answers that are kept: which questions are equal, for how long, how many, and what ends them."""

from typing import Any

import pytest

from contracts.calls import CallMetadata, CallRequest, CallResult, Query
from contracts.registry import ServiceRecord
from plugin_runtime.calls.kept_answers import LARGEST_BYTES, KeptAnswers, question_of
from plugin_runtime.calls.target import CacheRules
from tests.factories import Json, endpoint_json

PLACE = ("acme-corp", "crm.contacts")
METADATA = CallMetadata(
    plugin="plugin-crm", service="crm.contacts", version="1.0.0", instance="i", duration_seconds=0.2
)


class Clock:
    """Seconds in the test's hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def result(data: Any = "served", *, status: int = 200) -> CallResult:
    return CallResult(status=status, headers={"etag": "7"}, data=data, metadata=METADATA)


def question(path: str = "/contacts", version: str = "1.0.0", **fields: Any) -> Any:
    return question_of(version, CallRequest(method="GET", path=path, **fields))


def keep(kept: KeptAnswers, path: str = "/contacts", data: Any = "served", *, place: tuple[str, str] = PLACE) -> None:
    kept.keep(place, kept.shelf(place, "plugin-crm"), question(path), result(data), 60.0)


def data_of(kept: KeptAnswers, path: str = "/contacts", place: tuple[str, str] = PLACE) -> Any:
    found = kept.find(place, question(path))
    return found and found.data


def test_a_kept_answer_is_given_again_until_its_time_is_over() -> None:
    clock = Clock()
    kept = KeptAnswers(clock)
    keep(kept)
    clock.now += 59.5

    found = kept.find(PLACE, question())
    clock.now += 0.5

    assert found is not None
    assert (found.status, found.headers, found.data) == (200, {"etag": "7"}, "served")
    assert (found.metadata.cached, found.metadata.age_seconds) == (True, 59.5)
    assert (found.metadata.instance, found.metadata.duration_seconds) == ("i", 0.0)
    assert kept.find(PLACE, question()) is None
    assert len(kept) == 0


def test_what_is_returned_can_be_changed_without_harm() -> None:
    kept, given = KeptAnswers(Clock()), {"tags": ["vip"]}
    keep(kept, data=given)
    given["tags"].append("lost")

    first = data_of(kept)
    first["tags"].clear()

    assert data_of(kept) == {"tags": ["vip"]}


@pytest.mark.parametrize(
    "other",
    [
        question("/contacts/1"),
        question(version="1.1.0"),
        question(query=Query.of({"limit": 1})),
        question(headers={"accept-language": "de"}),
    ],
)
def test_another_path_version_query_or_header_is_another_question(other: Any) -> None:
    assert other != question()


def test_the_order_of_keys_and_the_case_of_header_names_make_no_other_question() -> None:
    one = question(query=Query.of({"a": 1, "b": [2, 3]}), headers={"X": "1", "y": "2"})
    same = question(query=Query.of({"b": [2, 3], "a": 1}), headers={"Y": "2", "x": "1"})
    other = question(query=Query.of({"a": 1, "b": [3, 2]}), headers={"X": "1", "y": "2"})

    assert one == same
    assert one != other


@pytest.mark.parametrize("status", [201, 204, 302, 404, 500])
def test_only_answers_with_status_200_are_kept(status: int) -> None:
    kept = KeptAnswers(Clock())
    kept.keep(PLACE, kept.shelf(PLACE, "plugin-crm"), question(), result(status=status), 60.0)

    assert len(kept) == 0


def test_the_least_recently_used_go_first() -> None:
    kept = KeptAnswers(Clock(), most_answers=2)
    keep(kept, "/a")
    keep(kept, "/b")
    data_of(kept, "/a")
    keep(kept, "/c")

    assert [data_of(kept, path) for path in ("/a", "/b", "/c")] == ["served", None, "served"]


def test_they_have_no_more_bytes_than_they_may() -> None:
    kept = KeptAnswers(Clock(), most_bytes=100)
    for path in ("/a", "/b", "/c"):
        keep(kept, path, "x" * 40)
    keep(kept, "/c", "y" * 40)  # in place of the one before

    assert [data_of(kept, path) is not None for path in ("/a", "/b", "/c")] == [False, True, True]


def test_an_answer_too_large_is_not_kept() -> None:
    kept = KeptAnswers(Clock())
    keep(kept, "/small")
    keep(kept, "/large", "x" * LARGEST_BYTES)

    assert data_of(kept, "/large") is None
    assert data_of(kept, "/small") == "served"


def test_an_answer_that_was_asked_for_before_something_changed_is_not_kept() -> None:
    kept = KeptAnswers(Clock())
    shelf = kept.shelf(PLACE, "plugin-crm")
    kept.forget(PLACE)
    kept.keep(PLACE, shelf, question(), result(), 60.0)

    assert len(kept) == 0


def test_forgetting_ends_what_it_names_and_nothing_else() -> None:
    kept = KeptAnswers(Clock())
    places = [("acme-corp", "crm.contacts"), ("acme-corp", "crm.deals"), ("globex", "crm.contacts")]

    def left() -> list[bool]:
        return [data_of(kept, place=place) is not None for place in places]

    def filled() -> KeptAnswers:
        kept.clear()
        for place in places:
            keep(kept, place=place)
        return kept

    filled().forget(places[0])
    assert left() == [False, True, True]
    filled().forget_plugin("acme-corp", "plugin-crm")
    assert left() == [False, False, True]
    filled().forget_plugin("acme-corp", "plugin-billing")
    assert left() == [True, True, True]
    filled().forget_tenant("globex")
    assert left() == [True, True, False]
    filled().clear()
    assert left() == [False, False, False]


def rules(*endpoints: Json, **metadata: Any) -> CacheRules | None:
    return CacheRules.of(
        ServiceRecord.parse(
            {
                "id": "crm.contacts@1.0.0",
                "pluginId": "plugin-crm",
                "serviceName": "crm.contacts",
                "version": "1.0.0",
                "status": "HEALTHY",
                "endpoints": list(endpoints),
                "metadata": metadata,
            }
        )
    )


def test_the_endpoints_own_time_wins_over_the_services() -> None:
    found = rules(
        endpoint_json(path="/contacts"),
        endpoint_json(path="/contacts/:id", metadata={"cacheTTL": 5}),
        endpoint_json(path="/contacts/live", metadata={"cacheTTL": 0}),
        cacheTTL=60,
    )

    assert found is not None
    paths = ("/contacts", "/contacts/42", "/contacts/live", "/elsewhere", "/contacts/../x", "no path")
    assert [found.seconds(path) for path in paths] == [60, 5, 0, 0, 0, 0]


def test_a_service_without_a_time_for_any_get_has_no_rules() -> None:
    assert rules(endpoint_json()) is None
    assert rules(endpoint_json(metadata={"cacheTTL": 0})) is None
    assert rules(endpoint_json(method="POST"), cacheTTL=60) is None
