"""Messages and queues in AMQP's own form."""

from datetime import UTC, datetime

from contracts.topology import Queue, Topology
from plugin_runtime.transport.amqp_messages import (
    arguments_of,
    milliseconds,
    plain_headers,
    plain_message,
    properties_of,
)
from plugin_runtime.transport.base import Message
from plugin_runtime.transport.connection import LAST_DELAY_SECONDS, backoff


def test_seconds_become_whole_milliseconds_rounded_up() -> None:
    assert [milliseconds(seconds) for seconds in (0, 0.0001, 1.5, 600.0)] == [0, 1, 1500, 600_000]


def test_plain_queue_names_its_type_and_nothing_else() -> None:
    assert arguments_of(Queue(name="q")) == {"x-queue-type": "classic"}


def test_event_queue_dead_letters_at_least_once() -> None:
    assert arguments_of(Topology().event_queue("plugin-a", "welcome")) == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-dead-letter-exchange": "plexica.dead",
        "x-dead-letter-routing-key": "plugin-a.welcome",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def test_call_queue_rejects_when_full_and_goes_when_idle() -> None:
    assert arguments_of(Topology().call_queue("crm.contacts", "1.0.0")) == {
        "x-queue-type": "classic",
        "x-expires": 600_000,
        "x-max-length": 10_000,
        "x-overflow": "reject-publish",
    }


def test_headers_that_are_not_plain_are_left_out() -> None:
    headers = {
        "a": "x",
        "b": 1,
        "c": 0.5,
        "d": True,
        "e": None,
        "x-death": [{}],
        "t": datetime.now(UTC),
        "raw": b"\xff",
    }

    assert plain_headers(headers) == {"a": "x", "b": 1, "c": 0.5, "d": True, "e": None}


def test_messages_are_persistent_json_with_expiration_in_milliseconds() -> None:
    properties = properties_of(Message(body=b"", type="call", message_id="m", expiration_seconds=1.5, timestamp=0))

    assert (properties.delivery_mode, properties.content_type) == (2, "application/json")
    assert (properties.expiration, properties.timestamp) == ("1500", datetime.fromtimestamp(0, tz=UTC))


def test_messages_that_nobody_misses_after_a_restart_are_not_written_to_disk() -> None:
    properties = properties_of(Message(body=b"", type="call", message_id="m", persistent=False))

    assert properties.delivery_mode == 1
    assert not plain_message(properties, b"").persistent


def test_spent_expiration_is_never_negative() -> None:
    assert properties_of(Message(body=b"", type="call", message_id="m", expiration_seconds=-1.0)).expiration == "0"


def test_backoff_doubles_up_to_its_longest() -> None:
    waits = [backoff(attempt) for attempt in range(1, 200)]

    assert 0.05 <= waits[0] <= 0.1
    assert all(LAST_DELAY_SECONDS / 2 <= wait <= LAST_DELAY_SECONDS for wait in waits[6:])
