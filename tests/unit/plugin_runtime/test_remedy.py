"""Which failed calls may be made again: never one that may have run and may not run twice."""

import pytest

from contracts.calls import METHODS, REPEATABLE_METHODS
from contracts.errors import CODES, CodedError, OutcomeUnknownError, ServiceNotFoundError, ServiceUnavailableError
from plugin_runtime.calls.remedy import MOST_REMEDIES, Remedy, remedy

NOBODY, GONE = ServiceNotFoundError("nobody is bound"), ServiceUnavailableError("the last instance went")


def after(error: CodedError, method: str = "GET", *applied: Remedy, callee: str = "plugin-crm") -> Remedy | None:
    return remedy(error, callee=callee, method=method, applied=applied)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_call_that_found_nobody_goes_again_whatever_its_method(method: str) -> None:
    assert after(NOBODY, method) is Remedy.ASK


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_call_whose_callee_went_goes_elsewhere_only_if_it_may_run_twice(method: str) -> None:
    assert after(GONE, method) is (Remedy.ELSEWHERE if method in REPEATABLE_METHODS else None)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_an_unknown_outcome_is_final(method: str) -> None:
    assert after(OutcomeUnknownError("it may have run"), method) is None


@pytest.mark.parametrize("code", sorted(CODES.keys() - {"SERVICE_NOT_FOUND", "SERVICE_UNAVAILABLE"}))
def test_every_other_error_is_the_answer(code: str) -> None:
    assert after(CODES[code]("said")) is None


def test_the_brokers_codes_are_answers() -> None:
    assert after(NOBODY, callee="plugin-system") is None
    assert after(GONE, callee="plugin-system") is None


def test_a_call_goes_again_at_most_twice_and_elsewhere_once() -> None:
    assert MOST_REMEDIES == 2
    assert after(NOBODY, "POST", Remedy.ASK) is Remedy.ASK
    assert after(NOBODY, "POST", Remedy.ASK, Remedy.ASK) is None
    assert after(GONE, "GET", Remedy.ELSEWHERE) is None
    assert after(NOBODY, "GET", Remedy.ELSEWHERE) is Remedy.ASK
    assert after(GONE, "GET", Remedy.ASK) is Remedy.ELSEWHERE
    assert after(GONE, "GET", Remedy.ASK, Remedy.ASK) is None
