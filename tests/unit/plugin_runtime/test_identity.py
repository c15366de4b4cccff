"""The table of receiver rules: each row with what it admits and what it refuses."""

from typing import Any

import pytest

from contracts.errors import InvalidRequestError, PermissionDeniedError, UnauthenticatedError
from contracts.grants import CLOCK_LEEWAY_SECONDS, OUTAGE_GRACE_SECONDS
from contracts.topology import Topology
from plugin_runtime.calls.permissions import judge_permissions
from plugin_runtime.identity import (
    Origin,
    UnheardKeyError,
    judge_announcement,
    judge_call,
    judge_cancel,
    judge_change,
    judge_direct_reply,
    judge_event,
    judge_reply,
)
from plugin_runtime.keys import KeyRing
from tests.unit.plugin_runtime.deliveries import FakeDelivery, make_delivery
from tests.unit.plugin_runtime.tokens import KEY, NOW, OTHER_KEY, make_grant

PLAIN = Topology()
KEYS = KeyRing([KEY.verification])
READ, WRITE = "plugin.crm.contacts.read", "plugin.crm.contacts.write"


def headers(plugin: str, **changes: object) -> dict[str, object]:
    valid = {"x-tenant-id": "acme-corp", "x-grant": KEY.sign(make_grant(sub=plugin))}
    return {**valid, **{name.replace("_", "-"): value for name, value in changes.items()}}


def call(**changes: object) -> FakeDelivery:
    valid: dict[str, object] = {
        "exchange": "plexica.calls",
        "routing_key": "acme-corp.crm.contacts.1.0.0",
        "publisher": "plugin-analytics",
        "type_": "call",
        "headers": headers("plugin-analytics"),
    }
    return make_delivery(**{**valid, **changes})  # type: ignore[arg-type]


def judged(
    delivery: FakeDelivery,
    topology: Topology = PLAIN,
    *,
    service: str = "crm.contacts",
    now: float = NOW,
    is_broker_silent: bool = False,
) -> Origin:
    return judge_call(
        delivery, topology, KEYS, service=service, version="1.0.0", now=now, is_broker_silent=is_broker_silent
    )


def event(**changes: object) -> FakeDelivery:
    return make_delivery(**{"headers": headers("plugin-crm"), **changes})  # type: ignore[arg-type]


def heard(delivery: FakeDelivery) -> Origin:
    patterns = {"events": ["crm.events.#", "analytics.events.#"], "data": ["crm.cache.*"]}
    return judge_event(delivery, PLAIN, KEYS, myself="plugin-marketing", patterns=patterns)  # type: ignore[arg-type]


# Calls


def test_a_call_tells_its_tenant_and_caller() -> None:
    origin = judged(call())

    assert (origin.tenant, origin.publisher, origin.key) == ("acme-corp", "plugin-analytics", "crm.contacts.1.0.0")
    assert origin.grant == make_grant(sub="plugin-analytics")


def test_a_call_of_no_tenant_to_the_broker_needs_no_grant() -> None:
    delivery = call(routing_key="_.system.registry.1.0.0", headers={"x-tenant-id": "_"})

    assert judged(delivery, service="system.registry").tenant == "_"


def test_a_call_of_no_tenant_to_anybody_else_is_refused() -> None:
    delivery = call(routing_key="_.crm.contacts.1.0.0", headers=headers("plugin-analytics", x_tenant_id="_"))

    with pytest.raises(PermissionDeniedError, match="cannot be called for no tenant"):
        judged(delivery)


def test_the_prefix_of_a_bus_is_no_part_of_its_rules() -> None:
    assert judged(call(exchange="demo.plexica.calls"), Topology("demo.")).tenant == "acme-corp"


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
            {"headers": headers("plugin-analytics", x_caller_plugin_id="plugin-crm")},
            UnauthenticatedError,
            "is 'plugin-crm', but 'plugin-analytics' published the message",
        ),
        (
            {"routing_key": "ACME.crm.contacts.1.0.0", "headers": {"x-tenant-id": "ACME"}},
            InvalidRequestError,
            "tenant 'ACME' is not valid",
        ),
        ({"routing_key": "acme-corp.crm.deals.1.0.0"}, PermissionDeniedError, "is no key that this queue is bound for"),
        ({"routing_key": "acme-corp.crm.contacts.1.0.1"}, PermissionDeniedError, "is no key that this queue"),
        ({"headers": headers("plugin-analytics", x_grant=None)}, UnauthenticatedError, "carries no grant for tenant"),
        ({"headers": headers("plugin-analytics", x_grant=7)}, UnauthenticatedError, "carries no grant for tenant"),
        ({"headers": headers("plugin-crm")}, UnauthenticatedError, "the grant is 'plugin-crm's, but 'plugin-analytics"),
        ({"headers": headers("plugin-analytics", x_grant="a.b.c")}, UnauthenticatedError, "is not the broker's"),
        (
            {"headers": headers("plugin-analytics", x_grant=OTHER_KEY.sign(make_grant()))},
            UnauthenticatedError,
            "is signed by key 'other', which is not known",
        ),
        (
            {"headers": headers("plugin-analytics", x_grant=KEY.sign(make_grant(ten="globex")))},
            PermissionDeniedError,
            "the grant is for tenant 'globex', not for 'acme-corp'",
        ),
    ],
)
def test_a_call_is_refused(changes: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        judged(call(**changes))


def test_a_grant_that_is_over_is_taken_as_long_as_clocks_may_differ() -> None:
    ends = float(make_grant().exp)

    assert judged(call(), now=ends + CLOCK_LEEWAY_SECONDS)
    with pytest.raises(UnauthenticatedError, match="ended 31 s ago"):
        judged(call(), now=ends + CLOCK_LEEWAY_SECONDS + 1)


def test_a_grant_that_is_over_is_taken_for_the_outage_grace_while_the_broker_is_silent() -> None:
    ends = float(make_grant().exp)

    assert judged(call(), now=ends + OUTAGE_GRACE_SECONDS, is_broker_silent=True)
    with pytest.raises(UnauthenticatedError, match="ended 3601 s ago"):
        judged(call(), now=ends + OUTAGE_GRACE_SECONDS + 1, is_broker_silent=True)


def test_a_caller_must_hold_every_permission_that_an_endpoint_asks_for() -> None:
    origin = judged(call(headers=headers("plugin-analytics", x_grant=KEY.sign(make_grant(perms=(READ,))))))

    judge_permissions(origin, (), myself="plugin-crm", endpoint="GET /contacts")
    judge_permissions(origin, (READ,), myself="plugin-crm", endpoint="GET /contacts")
    with pytest.raises(PermissionDeniedError, match=f"^plugin-analytics lacks {WRITE} in tenant acme-corp") as caught:
        judge_permissions(origin, (READ, WRITE), myself="plugin-crm", endpoint="POST /contacts")

    assert caught.value.details["missing"] == [WRITE]


def test_the_plugin_itself_and_an_administrator_need_no_permission() -> None:
    own = judged(call())
    admin = judged(call(headers=headers("plugin-analytics", x_grant=KEY.sign(make_grant(admin=True)))))

    judge_permissions(own, (WRITE,), myself="plugin-analytics", endpoint="POST /contacts")
    judge_permissions(admin, (WRITE,), myself="plugin-crm", endpoint="POST /contacts")


# Events


def test_an_event_of_its_owner_is_admitted() -> None:
    origin = heard(event())

    assert (origin.tenant, origin.publisher, origin.key) == ("acme-corp", "plugin-crm", "crm.events.contact.created")


def test_an_event_is_admitted_long_after_its_grant_ended() -> None:
    old = KEY.sign(make_grant(sub="plugin-crm", iat=0, exp=300))

    assert heard(event(headers=headers("plugin-crm", x_grant=old))).publisher == "plugin-crm"


def test_a_change_of_the_broker_needs_no_grant() -> None:
    delivery = make_delivery(
        exchange="plexica.data", routing_key="acme-corp.crm.cache.n", publisher="plugin-system", type_="data.set"
    )

    assert heard(delivery).key == "crm.cache.n"
    assert judge_change(delivery, PLAIN).key == "crm.cache.n"


@pytest.mark.parametrize(
    ("delivery", "error"),
    [
        (event(publisher="plugin-analytics"), PermissionDeniedError),
        (event(publisher="plugin-system"), PermissionDeniedError),
        (event(type_="data.set"), InvalidRequestError),
        (event(headers={}), InvalidRequestError),
        (event(headers=headers("plugin-crm", x_grant=None)), UnauthenticatedError),
        (event(headers=headers("plugin-analytics")), UnauthenticatedError),
        (event(headers=headers("plugin-crm", x_grant=OTHER_KEY.sign(make_grant()))), UnauthenticatedError),
        (event(headers=headers("plugin-crm", x_grant=KEY.sign(make_grant(ten="globex")))), UnauthenticatedError),
        (event(routing_key="acme-corp.crm.secrets.made"), UnheardKeyError),
        (event(exchange="plexica.calls"), PermissionDeniedError),
        (event(exchange="plexica.data", type_="data.set"), PermissionDeniedError),
        (event(exchange="plexica.data", publisher="plugin-system"), InvalidRequestError),
        (
            event(exchange="plexica.data", publisher="plugin-system", type_="data.set", routing_key="acme-corp.x.y"),
            UnheardKeyError,
        ),
    ],
)
def test_an_event_of_somebody_else_or_somewhere_else_is_refused(delivery: FakeDelivery, error: type[Exception]) -> None:
    with pytest.raises(error):
        heard(delivery)


@pytest.mark.parametrize(
    "changes", [{"publisher": "plugin-crm"}, {"publisher": None}, {"exchange": "plexica.events"}, {"type_": "event"}]
)
def test_a_watched_change_comes_from_the_broker_only(changes: dict[str, str]) -> None:
    valid = {"exchange": "plexica.data", "publisher": "plugin-system", "type_": "data.set"}

    with pytest.raises((InvalidRequestError, PermissionDeniedError, UnauthenticatedError)):
        judge_change(make_delivery(**{**valid, **changes}), PLAIN)  # type: ignore[arg-type]


# Redelivery


def redelivered(publisher: str, **changes: object) -> FakeDelivery:
    original = {
        "x_original_exchange": "plexica.events",
        "x_original_routing_key": "acme-corp.crm.events.contact.created",
        "x_original_publisher": "plugin-crm",
        "x_original_type": "event",
    }
    return make_delivery(
        exchange="plexica.redelivery",
        routing_key="plugin-marketing.welcome",
        publisher=publisher,
        headers=headers("plugin-crm", **{**original, **changes}),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("publisher", ["plugin-marketing", "plugin-system"])
def test_a_redelivery_by_myself_or_the_broker_is_judged_by_its_original(publisher: str) -> None:
    origin = heard(redelivered(publisher))

    assert (origin.tenant, origin.publisher, origin.key) == ("acme-corp", "plugin-crm", "crm.events.contact.created")


def test_a_redelivery_by_anybody_else_is_refused() -> None:
    with pytest.raises(PermissionDeniedError, match=r"only 'plugin-marketing' or 'plugin-system' may"):
        heard(redelivered("plugin-crm"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"x_original_publisher": "plugin-analytics"}, PermissionDeniedError),
        ({"x_original_routing_key": "globex.crm.events.contact.created"}, PermissionDeniedError),
        ({"x_original_routing_key": "acme-corp.crm.secrets.made"}, UnheardKeyError),
        ({"x_original_exchange": "plexica.calls"}, PermissionDeniedError),
        ({"x_original_exchange": "plexica.data", "x_original_type": "data.set"}, PermissionDeniedError),
        ({"x_grant": None}, UnauthenticatedError),
        ({"x_grant": KEY.sign(make_grant(sub="plugin-marketing"))}, UnauthenticatedError),
    ],
)
def test_a_redelivery_whose_original_broke_a_rule_is_refused(changes: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        heard(redelivered("plugin-marketing", **changes))


def test_a_redelivery_without_its_original_is_refused() -> None:
    delivery = make_delivery(exchange="plexica.redelivery", publisher="plugin-marketing")

    with pytest.raises(InvalidRequestError, match="lacks x-original-exchange, x-original-routing-key"):
        heard(delivery)


def test_originals_that_came_over_another_exchange_are_not_believed() -> None:
    smuggled = redelivered("plugin-analytics")
    smuggled.exchange, smuggled.routing_key = "plexica.events", "acme-corp.crm.events.contact.created"

    with pytest.raises(PermissionDeniedError):
        heard(smuggled)


# Replies and announcements


def reply(**changes: object) -> FakeDelivery:
    valid = {"exchange": "plexica.replies", "routing_key": "plugin-analytics.7f3a", "type_": "reply"}
    return make_delivery(**{**valid, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"publisher": "plugin-mallory"}, PermissionDeniedError),
        ({"publisher": "plugin-system"}, PermissionDeniedError),
        ({"publisher": None}, UnauthenticatedError),
        ({"exchange": "plexica.events"}, PermissionDeniedError),
        ({"exchange": ""}, PermissionDeniedError),
        ({"routing_key": "plugin-analytics.other"}, PermissionDeniedError),
    ],
)
def test_only_the_callee_replies_and_only_to_the_callers_own_key(
    changes: dict[str, object], error: type[Exception]
) -> None:
    judge_reply(reply(), PLAIN, key="plugin-analytics.7f3a", callee="plugin-crm")

    with pytest.raises(error):
        judge_reply(reply(**changes), PLAIN, key="plugin-analytics.7f3a", callee="plugin-crm")


def test_only_the_broker_answers_a_registration() -> None:
    judge_direct_reply(reply(exchange="", publisher="plugin-system"))

    with pytest.raises(PermissionDeniedError):
        judge_direct_reply(reply(exchange="", publisher="plugin-mallory"))
    with pytest.raises(PermissionDeniedError):
        judge_direct_reply(reply(publisher="plugin-system"))


def test_only_the_broker_announces() -> None:
    judge_announcement(make_delivery(exchange="plexica.registry", publisher="plugin-system"), PLAIN)

    with pytest.raises(PermissionDeniedError):
        judge_announcement(make_delivery(exchange="plexica.registry", publisher="plugin-crm"), PLAIN)
    with pytest.raises(PermissionDeniedError):
        judge_announcement(make_delivery(exchange="plexica.events", publisher="plugin-system"), PLAIN)


def make_cancel(**fields: Any) -> FakeDelivery:
    """The cancel of a call to the CRM, as its caller publishes it."""
    valid = {"exchange": "plexica.cancel", "routing_key": "plugin-crm", "publisher": "plugin-analytics"}
    return make_delivery(**{**valid, "type_": "cancel", **fields})


def test_cancel_tells_whose_calls_it_may_take_back() -> None:
    assert judge_cancel(make_cancel(), PLAIN, myself="plugin-crm") == "plugin-analytics"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"publisher": None}, UnauthenticatedError),
        ({"exchange": "plexica.events"}, PermissionDeniedError),
        ({"routing_key": "plugin-marketing"}, PermissionDeniedError),
        ({"type_": "call"}, InvalidRequestError),
    ],
    ids=["nobody", "elsewhere", "another plugin's key", "another type"],
)
def test_cancel_that_breaks_its_rule_is_refused(fields: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        judge_cancel(make_cancel(**fields), PLAIN, myself="plugin-crm")
