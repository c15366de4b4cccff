"""The trace goes on from step to step, and what is no trace begins a new one."""

import pytest

from contracts.tracing import next_step, read_traceparent

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
REQUEST = "0af7651916cd43dd8448eb211c80319c"


def test_a_step_keeps_its_trace_and_flags() -> None:
    first, second = next_step(PARENT, REQUEST), next_step(PARENT, REQUEST)

    assert read_traceparent(first) == first
    assert (first[:36], first[52:]) == (PARENT[:36], "-00")
    assert len({PARENT, first, second}) == 3


def test_a_trace_that_begins_has_the_id_of_its_request() -> None:
    begun = next_step(None, REQUEST)

    assert read_traceparent(begun) == begun
    assert begun.startswith(f"00-{REQUEST}-")
    assert begun.endswith("-01")


@pytest.mark.parametrize("request_id", ["", "order 42", "0" * 32, REQUEST.upper(), REQUEST + "0"])
def test_a_request_id_that_is_no_trace_id_gets_one(request_id: str) -> None:
    begun = next_step(None, request_id)

    assert read_traceparent(begun) == begun


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "",
        PARENT.upper(),
        PARENT + "\n",
        PARENT + "-00",
        "01" + PARENT[2:],
        PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
    ],
)
def test_what_is_no_traceparent_is_not_believed(value: object) -> None:
    assert read_traceparent(value) is None
