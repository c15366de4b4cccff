"""The table of receiver rules: each row with what it admits and what it refuses."""

import pytest

from contracts.errors import InvalidRequestError, PermissionDeniedError, UnauthenticatedError
from contracts.topology import Topology
from plugin_runtime.identity import Origin, judge_announcement, judge_call, judge_event
from tests.unit.plugin_runtime.deliveries import FakeDelivery, make_delivery

PLAIN = Topology()
ORIGINALS = {
    "x-original-exchange": "plexica.events",
    "x-original-routing-key": "acme-corp.crm.events.contact.created",
    "x-original-publisher": "plugin-crm",
    "x-original-type": "event",
}


def call(**changes: object) -> FakeDelivery:
    valid: dict[str, object] = {
        "exchange": "plexica.calls",
        "routing_key": "acme-corp.crm.contacts.1.0.0",
        "publisher": "plugin-analytics",
        "type_": "call",
    }
    return make_delivery(**{**valid, **changes})  # type: ignore[arg-type]


def test_a_call_tells_its_tenant_and_caller() -> None:
    assert judge_call(call(), PLAIN) == Origin("acme-corp", "plugin-analytics", "crm.contacts.1.0.0", "call")


def test_a_call_of_no_tenant_is_admitted_under_its_own_key() -> None:
    delivery = call(routing_key="_.system.registry.1.0.0", headers={"x-tenant-id": "_"})

    assert judge_call(delivery, PLAIN).tenant == "_"


def test_the_prefix_of_a_bus_is_no_part_of_its_rules() -> None:
    assert judge_call(call(exchange="demo.plexica.calls"), Topology("demo.")).tenant == "acme-corp"


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"headers": {}}, InvalidRequestError, "^Tenant ID required$"),
        ({"headers": {"x-tenant-id": ""}}, InvalidRequestError, "^Tenant ID required$"),
        ({"headers": {"x-tenant-id": 5}}, InvalidRequestError, "^Tenant ID required$"),
        ({"headers": {"x-tenant-id": "globex"}}, PermissionDeniedError, "is 'globex', but the routing key speaks for"),
        ({"type_": "event"}, InvalidRequestError, "unknown message type 'event' on 'plexica.calls', expected 'call'"),
        ({"publisher": None}, UnauthenticatedError, "nobody vouches for the publisher"),
        ({"exchange": "plexica.events"}, PermissionDeniedError, "came over 'plexica.events', expected 'plexica.calls'"),
        ({"exchange": ""}, PermissionDeniedError, "came over ''"),
        (
            {"headers": {"x-tenant-id": "acme-corp", "x-caller-plugin-id": "plugin-crm"}},
            UnauthenticatedError,
            "is 'plugin-crm', but 'plugin-analytics' published the message",
        ),
        (
            {"routing_key": "ACME.crm.contacts.1.0.0", "headers": {"x-tenant-id": "ACME"}},
            InvalidRequestError,
            "tenant 'ACME' is not valid",
        ),
    ],
)
def test_a_call_is_refused(changes: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        judge_call(call(**changes), PLAIN)


def test_an_event_of_its_owner_is_admitted() -> None:
    origin = judge_event(make_delivery(), PLAIN, myself="plugin-marketing")

    assert origin == Origin("acme-corp", "plugin-crm", "crm.events.contact.created", "event")


def test_a_change_of_the_broker_is_admitted() -> None:
    delivery = make_delivery(
        exchange="plexica.data", routing_key="acme-corp.crm.cache.n", publisher="plugin-system", type_="data.set"
    )

    assert judge_event(delivery, PLAIN, myself="plugin-marketing").key == "crm.cache.n"


@pytest.mark.parametrize(
    ("delivery", "error"),
    [
        (make_delivery(publisher="plugin-analytics"), PermissionDeniedError),
        (make_delivery(publisher="plugin-system"), PermissionDeniedError),
        (make_delivery(type_="data.set"), InvalidRequestError),
        (make_delivery(headers={}), InvalidRequestError),
        (make_delivery(exchange="plexica.calls"), PermissionDeniedError),
        (make_delivery(exchange="plexica.data", type_="data.set"), PermissionDeniedError),
        (make_delivery(exchange="plexica.data", publisher="plugin-system"), InvalidRequestError),
    ],
)
def test_an_event_of_somebody_else_or_somewhere_else_is_refused(delivery: FakeDelivery, error: type[Exception]) -> None:
    with pytest.raises(error):
        judge_event(delivery, PLAIN, myself="plugin-marketing")


def redelivered(publisher: str, **changes: str) -> FakeDelivery:
    return make_delivery(
        exchange="plexica.redelivery",
        routing_key="plugin-marketing.welcome",
        publisher=publisher,
        headers={"x-tenant-id": "acme-corp", **ORIGINALS, **changes},
    )


@pytest.mark.parametrize("publisher", ["plugin-marketing", "plugin-system"])
def test_a_redelivery_by_myself_or_the_broker_is_judged_by_its_original(publisher: str) -> None:
    origin = judge_event(redelivered(publisher), PLAIN, myself="plugin-marketing")

    assert origin == Origin("acme-corp", "plugin-crm", "crm.events.contact.created", "event")


def test_a_redelivery_by_anybody_else_is_refused() -> None:
    with pytest.raises(PermissionDeniedError, match=r"only 'plugin-marketing' or 'plugin-system' may"):
        judge_event(redelivered("plugin-crm"), PLAIN, myself="plugin-marketing")


def test_a_redelivery_whose_original_broke_a_rule_is_refused() -> None:
    forged = redelivered("plugin-marketing", **{"x-original-publisher": "plugin-analytics"})

    with pytest.raises(PermissionDeniedError, match="may not publish"):
        judge_event(forged, PLAIN, myself="plugin-marketing")


def test_a_redelivery_without_its_original_is_refused() -> None:
    delivery = make_delivery(exchange="plexica.redelivery", publisher="plugin-marketing")

    with pytest.raises(InvalidRequestError, match="lacks x-original-exchange, x-original-routing-key"):
        judge_event(delivery, PLAIN, myself="plugin-marketing")


def test_originals_that_came_over_another_exchange_are_not_believed() -> None:
    smuggled = make_delivery(publisher="plugin-analytics", headers={"x-tenant-id": "acme-corp", **ORIGINALS})

    with pytest.raises(PermissionDeniedError):
        judge_event(smuggled, PLAIN, myself="plugin-marketing")


def test_only_the_broker_announces() -> None:
    judge_announcement(make_delivery(exchange="plexica.registry", publisher="plugin-system"), PLAIN)
    with pytest.raises(PermissionDeniedError):
        judge_announcement(make_delivery(exchange="plexica.registry", publisher="plugin-crm"), PLAIN)
    with pytest.raises(PermissionDeniedError):
        judge_announcement(make_delivery(exchange="plexica.events", publisher="plugin-system"), PLAIN)
