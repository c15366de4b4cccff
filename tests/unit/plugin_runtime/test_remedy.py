"""Which failed calls may be made again: never one that may have run and may not run twice."""

import math

import pytest

from contracts.calls import METHODS, REPEATABLE_METHODS
from contracts.errors import (
    CODES,
    CodedError,
    OutcomeUnknownError,
    OverloadedError,
    RateLimitedError,
    ServiceNotFoundError,
    ServiceUnavailableError,
)
from plugin_runtime.calls.remedy import (
    DEFAULT_RETRIES,
    LONGEST_BACKOFF_SECONDS,
    MOST_MOVES,
    SHORT_WAIT_SECONDS,
    Remedy,
    pause_seconds,
    remedy,
)

NOBODY = ServiceNotFoundError("nobody is bound")
GONE = ServiceUnavailableError("the last instance went", retryAfter=1.0, mayHaveRun=True)
BUSY = OverloadedError("the queue is full", retryAfter=1.0)
NOT_NOW = ServiceUnavailableError("the key of the grant is not known", retryAfter=1.0)
TOO_OFTEN = RateLimitedError("61 calls in a minute", retryAfter=SHORT_WAIT_SECONDS)
NOT_TAKEN = [BUSY, NOT_NOW, TOO_OFTEN]
AGAIN = {"SERVICE_NOT_FOUND", "SERVICE_UNAVAILABLE", "OVERLOADED", "RATE_LIMITED"}


def after(
    error: CodedError,
    method: str = "GET",
    *applied: Remedy,
    callee: str = "plugin-crm",
    retries: int = DEFAULT_RETRIES,
) -> Remedy | None:
    return remedy(error, callee=callee, method=method, applied=applied, retries=retries)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_call_that_found_nobody_goes_again_whatever_its_method(method: str) -> None:
    assert after(NOBODY, method) is Remedy.ASK


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_call_whose_callee_went_goes_elsewhere_only_if_it_may_run_twice(method: str) -> None:
    assert after(GONE, method) is (Remedy.ELSEWHERE if method in REPEATABLE_METHODS else None)


@pytest.mark.parametrize("error", NOT_TAKEN, ids=lambda error: error.code)
@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_call_that_was_not_taken_is_made_later_whatever_its_method(error: CodedError, method: str) -> None:
    assert after(error, method) is Remedy.LATER


@pytest.mark.parametrize("error", NOT_TAKEN, ids=lambda error: error.code)
def test_a_call_is_made_later_as_often_as_it_may(error: CodedError) -> None:
    assert after(error, "POST", Remedy.LATER, Remedy.ASK, retries=2) is Remedy.LATER
    assert after(error, "POST", Remedy.LATER, Remedy.LATER, retries=2) is None
    assert after(error, retries=0) is None


@pytest.mark.parametrize("wait", [SHORT_WAIT_SECONDS + 0.1, math.inf, None, "soon", True, -1])
def test_a_caller_over_its_rate_waits_only_for_what_is_said_to_be_soon(wait: object) -> None:
    assert after(RateLimitedError("too often", retryAfter=wait)) is None


def test_retries_switched_off_leave_the_other_remedies() -> None:
    assert after(NOBODY, retries=0) is Remedy.ASK
    assert after(GONE, retries=0) is Remedy.ELSEWHERE


@pytest.mark.parametrize("method", sorted(METHODS))
def test_an_unknown_outcome_is_final(method: str) -> None:
    assert after(OutcomeUnknownError("it may have run"), method) is None


@pytest.mark.parametrize("code", sorted(CODES.keys() - AGAIN))
def test_every_other_error_is_the_answer(code: str) -> None:
    assert after(CODES[code]("said", retryAfter=0)) is None


@pytest.mark.parametrize("error", [NOBODY, GONE, *NOT_TAKEN], ids=lambda error: error.code)
def test_the_brokers_codes_are_answers(error: CodedError) -> None:
    assert after(error, callee="plugin-system") is None


def test_a_call_moves_at_most_twice_and_elsewhere_once() -> None:
    assert MOST_MOVES == 2
    assert after(NOBODY, "POST", Remedy.ASK) is Remedy.ASK
    assert after(NOBODY, "POST", Remedy.ASK, Remedy.ASK) is None
    assert after(GONE, "GET", Remedy.ELSEWHERE) is None
    assert after(NOBODY, "GET", Remedy.ELSEWHERE) is Remedy.ASK
    assert after(GONE, "GET", Remedy.ASK) is Remedy.ELSEWHERE
    assert after(GONE, "GET", Remedy.ASK, Remedy.ASK) is None
    assert after(NOBODY, "GET", Remedy.LATER, Remedy.LATER, Remedy.ASK) is Remedy.ASK


def pause(error: CodedError, *, retried: int = 0, remaining: float = 30.0, jitter: float = 1.0) -> float | None:
    return pause_seconds(error, retried=retried, remaining_seconds=remaining, jitter=jitter)


def test_at_least_what_the_callee_asks_for_is_waited() -> None:
    assert pause(BUSY, jitter=0.0) == 1.0
    assert pause(BUSY, jitter=1.0) == pytest.approx(1.1)
    assert pause(BUSY, jitter=0.5) == pytest.approx(1.05)


def test_the_back_off_doubles_up_to_its_longest() -> None:
    unasked = OverloadedError("no word of when")

    waits = [pause(unasked, retried=retried, remaining=1000.0) for retried in range(8)]

    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[LONGEST_BACKOFF_SECONDS] * 2])


def test_who_would_have_to_wait_beyond_its_deadline_fails_at_once() -> None:
    assert pause(BUSY, remaining=1.0) is None
    assert pause(OverloadedError("for ever", retryAfter=math.inf)) is None


def test_half_of_what_is_left_after_the_wait_is_for_the_call() -> None:
    assert pause(BUSY, remaining=1.1) == pytest.approx(1.05)


@pytest.mark.parametrize("nonsense", [-1, math.nan, "1", True, None, [1]])
def test_a_retry_after_that_is_no_time_counts_as_not_said(nonsense: object) -> None:
    assert pause(OverloadedError("busy", retryAfter=nonsense), jitter=0.0) == 0.0
