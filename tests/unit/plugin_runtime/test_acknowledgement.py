"""The table by which an event is settled."""

import pytest
from pydantic import BaseModel, ValidationError

from contracts.errors import CallTimeoutError, InvalidRequestError, MalformedMessageError
from contracts.topology import RETRY_DELAYS_SECONDS, Topology
from plugin_runtime import Reject
from plugin_runtime.dead_letters import headers_again
from plugin_runtime.events.acknowledgement import ATTEMPTS, Bury, Done, Retry, decide
from tests.unit.plugin_runtime.deliveries import make_delivery


class Model(BaseModel):
    """Something with a field."""

    id: int


def test_what_was_handled_is_done() -> None:
    assert decide(None, attempt=1) == Done()
    assert decide(None, attempt=99) == Done()


@pytest.mark.parametrize(("attempt", "delay"), list(enumerate(RETRY_DELAYS_SECONDS, start=1)))
def test_a_failure_waits_longer_each_time(attempt: int, delay: float) -> None:
    assert decide(RuntimeError(), attempt=attempt, chance=0.5) == Retry(step=attempt, delay_seconds=delay)


def test_delays_are_spread_by_a_fifth_either_way() -> None:
    shortest, longest = (decide(RuntimeError(), attempt=1, chance=chance) for chance in (0.0, 0.999999))

    assert isinstance(shortest, Retry)
    assert isinstance(longest, Retry)
    assert shortest.delay_seconds == pytest.approx(0.8)
    assert longest.delay_seconds == pytest.approx(1.2, abs=0.001)


@pytest.mark.parametrize("attempt", [ATTEMPTS, ATTEMPTS + 1, 40])
def test_after_the_last_attempt_it_is_buried(attempt: int) -> None:
    assert decide(RuntimeError(), attempt=attempt) == Bury()


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"id": "x"})
    return caught.value


@pytest.mark.parametrize("error", [Reject(), InvalidRequestError("x"), MalformedMessageError("x"), invalid()])
def test_what_another_attempt_cannot_mend_is_buried_at_once(error: Exception) -> None:
    assert decide(error, attempt=1) == Bury()


def test_a_call_that_timed_out_within_a_handler_is_tried_again() -> None:
    assert isinstance(decide(CallTimeoutError("x"), attempt=1), Retry)


def test_a_first_failure_notes_where_the_message_came_from() -> None:
    delivery = make_delivery(headers={"x-tenant-id": "acme-corp", "x-event-id": "7", "x-delivery-count": 1})

    assert headers_again(delivery, Topology()) == {
        "x-tenant-id": "acme-corp",
        "x-event-id": "7",
        "x-original-exchange": "plexica.events",
        "x-original-routing-key": "acme-corp.crm.events.contact.created",
        "x-original-publisher": "plugin-crm",
        "x-original-type": "event",
    }


def test_origins_that_a_publisher_smuggles_in_are_overwritten() -> None:
    delivery = make_delivery(publisher="plugin-evil", headers={"x-original-publisher": "plugin-crm"})

    assert headers_again(delivery, Topology())["x-original-publisher"] == "plugin-evil"


def test_origins_are_kept_from_attempt_to_attempt() -> None:
    headers = {"x-original-publisher": "plugin-crm", "x-first-death-queue": "delay"}
    delivery = make_delivery(exchange="plexica.redelivery", publisher="plugin-marketing", headers=headers)  # type: ignore[arg-type]

    assert headers_again(delivery, Topology()) == {"x-original-publisher": "plugin-crm"}
