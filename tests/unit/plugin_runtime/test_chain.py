"""The loop guard: calls in one another are told from a circle."""

import re

import pytest

from contracts.errors import InvalidRequestError
from plugin_runtime.calls.chain import LONGEST_CHAIN, MOST_VISITS, chain_header, read_chain

SERVICES = tuple(f"plugin{number}.work" for number in range(LONGEST_CHAIN))


def test_chain_names_the_services_called_so_far() -> None:
    assert chain_header(("crm.contacts",), "analytics.reports") == "crm.contacts,analytics.reports"
    assert read_chain("crm.contacts,analytics.reports") == ("crm.contacts", "analytics.reports")


@pytest.mark.parametrize("header", [None, "", ",", 7])
def test_header_that_names_nothing_is_an_empty_chain(header: object) -> None:
    assert read_chain(header) == ()


def test_chain_may_be_so_long_and_no_longer() -> None:
    assert chain_header(SERVICES[:-1], SERVICES[-1]).count(",") == LONGEST_CHAIN - 1

    with pytest.raises(InvalidRequestError, match=rf"has {LONGEST_CHAIN + 1} calls in one another, at most"):
        chain_header(SERVICES, "crm.contacts")


def test_service_may_call_itself_so_often_and_no_more() -> None:
    circle = ("crm.contacts", "crm.deals") * (MOST_VISITS - 1)

    assert chain_header(circle, "crm.contacts").count("crm.contacts") == MOST_VISITS
    with pytest.raises(InvalidRequestError, match=r"crm\.contacts stands in it 4 times, at most 3 are allowed"):
        chain_header((*circle, "crm.contacts", "crm.deals"), "crm.contacts")


def test_refusal_shows_the_chain_and_what_to_do() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        chain_header(("crm.contacts",) * 3, "crm.contacts")

    assert "the call chain crm.contacts -> crm.contacts -> crm.contacts -> crm.contacts is a loop" in str(caught.value)
    assert "emit an event instead of calling back" in str(caught.value)
    assert caught.value.details["chain"] == ["crm.contacts"] * 4


def test_callee_judges_what_another_runtime_let_pass() -> None:
    with pytest.raises(InvalidRequestError, match="is a loop"):
        read_chain(",".join(("crm.contacts",) * 4))


def test_endless_header_is_shown_in_part() -> None:
    with pytest.raises(InvalidRequestError, match="has 10000 calls in one another") as caught:
        read_chain(",".join(["crm.contacts"] * 10_000))

    assert len(re.findall(r"crm\.contacts", caught.value.message)) == LONGEST_CHAIN + 1
