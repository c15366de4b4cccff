"""Events: told to whoever subscribed, kept for who is away, tried again, and never lost in silence."""

import asyncio
import time
from typing import Any

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from contracts.codec import (
    ATTEMPT_HEADER,
    ERROR_HEADER,
    ERROR_TYPE_HEADER,
    ORIGINAL_EXCHANGE_HEADER,
    ORIGINAL_KEY_HEADER,
    ORIGINAL_PUBLISHER_HEADER,
    TENANT_HEADER,
)
from contracts.errors import InvalidRequestError, InvalidSubscriptionError, PermissionDeniedError, TenantNotFoundError
from plugin_runtime import Event, Plugin, Reject, Runner, TenantClient
from tests.acceptance.plugins import Ears, make_plugin
from tests.acceptance.world import ACME, GLOBEX, World
from tests.waiting import eventually

CREATED = "crm.events.contact.created"
MARKETING = "plugin-marketing"


class ContactCreated(BaseModel):
    contact_id: str


def listening(pattern: str = CREATED, **options: Any) -> tuple[Plugin, Ears]:
    """Marketing, and what it hears."""
    marketing = make_plugin("marketing")
    return marketing, Ears().on(marketing, pattern, **options)


def failing(*errors: Exception) -> tuple[Plugin, list[tuple[int, float]]]:
    """Marketing whose handler raises these one after the other, and when each attempt was."""
    marketing, attempts = make_plugin("marketing"), list[tuple[int, float]]()

    @marketing.on(CREATED, name="ears")
    async def handler(event: Event) -> None:
        attempts.append((event.attempt, time.monotonic()))
        if len(attempts) <= len(errors):
            raise errors[len(attempts) - 1]

    return marketing, attempts


async def emitting(world: World, *, tenant: str = ACME) -> TenantClient:
    """The CRM, which may emit."""
    return await world.tenant(make_plugin("crm"), tenant=tenant)


# Heard


async def test_emitted_event_reaches_its_subscriber(world: World) -> None:
    marketing, ears = listening()
    await world.connect(marketing)
    crm = await emitting(world)
    event_id = await crm.emit(CREATED, {"contactId": "42"})
    await eventually(lambda: ears.heard)
    (event,) = ears.heard

    assert (event.key, event.data, event.id) == (CREATED, {"contactId": "42"}, event_id)
    assert (event.publisher, event.tenant.id, event.attempt) == ("plugin-crm", ACME, 1)


async def test_data_of_any_json_value_arrives_as_it_was_sent(world: World) -> None:
    marketing, ears = listening()
    await world.connect(marketing)
    crm = await emitting(world)
    values: dict[str, Any] = {}
    for data in (None, 0, False, "", [], [1, None], {"a": {"b": "é"}}):
        values[await crm.emit(CREATED, data)] = data
    await eventually(lambda: len(ears.heard) == len(values))

    for event in ears.heard:
        assert (event.data, type(event.data)) == (values[event.id], type(values[event.id]))


async def test_undeclared_event_is_warned_of_once_and_heard(world: World) -> None:
    marketing, ears = listening("crm.events.#")
    await world.connect(marketing)
    events = {"publishes": ["crm.events.contact.updated"]}
    crm = Plugin.from_manifest({"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": {"events": events}})
    client = await world.tenant(crm)
    with capture_logs() as logs:
        await client.emit(CREATED, 1)
        await client.emit(CREATED, 2)
        await eventually(lambda: len(ears.heard) == 2)

    assert [entry["key"] for entry in logs if entry["event"] == "event.undeclared"] == [CREATED]


async def test_slips_are_warned_of_as_a_plugin_starts(world: World) -> None:
    slip = {"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "apis": {}}
    with capture_logs() as logs:
        await world.connect(Plugin.from_manifest(slip))

    assert [entry["key"] for entry in logs if entry["event"] == "manifest.probable_slip"] == ["apis"]


async def test_event_that_nobody_hears_is_no_error(world: World) -> None:
    crm = await emitting(world)

    assert await crm.emit(CREATED, {})


async def test_events_wait_while_no_instance_runs(world: World) -> None:
    marketing, ears = listening()
    runner = await world.connect(marketing)
    crm = await emitting(world)
    await world.stop(runner)
    for number in range(3):
        await crm.emit(CREATED, number)
    assert ears.heard == []
    await world.connect(marketing)
    await eventually(lambda: len(ears.heard) == 3)

    assert sorted(event.data for event in ears.heard) == [0, 1, 2]


async def test_script_beside_a_service_takes_no_events_from_it(world: World) -> None:
    """The same manifest without the handler: a job, a shell, a test."""
    marketing, ears = listening()
    await world.connect(marketing)
    crm = await emitting(world)
    script = await world.connect(make_plugin("marketing"))
    await crm.emit(CREATED, "beside it")
    await world.stop(script)
    await crm.emit(CREATED, "after it")
    await eventually(lambda: len(ears.heard) == 2)

    assert {event.data for event in ears.heard} == {"beside it", "after it"}


async def test_script_that_runs_while_the_service_is_away_drops_none_of_its_events(world: World) -> None:
    marketing, ears = listening()
    await world.stop(await world.connect(marketing))
    crm = await emitting(world)
    script = await world.connect(make_plugin("marketing"))
    await crm.emit(CREATED, "meanwhile")
    await world.stop(script)
    await world.connect(marketing)
    await eventually(lambda: ears.heard)

    assert [event.data for event in ears.heard] == ["meanwhile"]


async def test_event_in_hand_of_a_dying_instance_is_heard_by_the_next(world: World) -> None:
    marketing = make_plugin("marketing")
    attempts: list[Event] = []

    @marketing.on(CREATED, name="ears")
    async def handler(event: Event) -> None:
        attempts.append(event)
        if len(attempts) == 1:
            await asyncio.Event().wait()

    runner = await world.connect(marketing)
    crm = await emitting(world)
    event_id = await crm.emit(CREATED, {})
    await eventually(lambda: attempts)
    await world.crash(runner)
    await world.connect(marketing)
    await eventually(lambda: len(attempts) == 2)

    assert [event.id for event in attempts] == [event_id, event_id]
    assert [event.attempt for event in attempts] == [1, 2]


async def test_two_instances_share_one_subscription(world: World) -> None:
    (first, hers), (second, his) = listening(), listening()
    await world.connect(first)
    await world.connect(second)
    crm = await emitting(world)
    await asyncio.gather(*(crm.emit(CREATED, number) for number in range(40)))
    await eventually(lambda: len(hers.heard) + len(his.heard) >= 40)

    assert sorted(event.data for event in [*hers.heard, *his.heard]) == list(range(40))
    assert hers.heard
    assert his.heard


async def test_broadcast_reaches_every_instance(world: World) -> None:
    (first, hers), (second, his) = listening(broadcast=True), listening(broadcast=True)
    await world.connect(first)
    await world.connect(second)
    crm = await emitting(world)
    await crm.emit(CREATED, "everybody")
    await eventually(lambda: hers.heard and his.heard)

    assert [event.data for event in (*hers.heard, *his.heard)] == ["everybody", "everybody"]


async def test_broadcast_handler_that_fails_does_not_stop_the_next_event(world: World) -> None:
    marketing = make_plugin("marketing")
    heard: list[Any] = []

    @marketing.on(CREATED, broadcast=True)
    async def handler(event: Event) -> None:
        heard.append(event.data)
        raise RuntimeError("at every event")

    await world.connect(marketing)
    crm = await emitting(world)
    await crm.emit(CREATED, 1)
    await crm.emit(CREATED, 2)

    assert await eventually(lambda: sorted(heard) == [1, 2])


async def test_two_subscriptions_of_a_plugin_each_get_a_copy(world: World) -> None:
    marketing, exact = listening()
    everything = Ears().on(marketing, "crm.#", name="everything")
    await world.connect(marketing)
    crm = await emitting(world)
    await crm.emit(CREATED, {})

    assert await eventually(lambda: exact.keys == [CREATED] and everything.keys == [CREATED])


async def test_pattern_decides_what_is_heard(world: World) -> None:
    marketing = make_plugin("marketing")
    keys = ("crm.contact", "crm.events.contact.created", "crm.events.deal.won")
    expected = {
        "crm.events.#": list(keys[1:]),
        "crm.events.*.created": [keys[1]],
        "crm.events.contact": [],
        "*.events.deal.*": [keys[2]],
        "#": list(keys),
    }
    # A broadcast needs no queues of its own, and its one queue keeps the order.
    ears = {
        pattern: Ears().on(marketing, pattern, name=f"ears-{number}", broadcast=True)
        for number, pattern in enumerate(expected)
    }
    await world.connect(marketing)
    crm = await emitting(world)
    for key in keys:
        await crm.emit(key, {})

    assert await eventually(lambda: {pattern: sorted(one.keys) for pattern, one in ears.items()} == expected)


async def test_handler_may_call_emit_and_share_data_in_the_tenant_of_the_event(world: World) -> None:
    marketing, billing = make_plugin("marketing"), make_plugin("billing")

    @marketing.on(CREATED, name="ears")
    async def handler(event: Event) -> None:
        await event.tenant.data.set("marketing.cache", "last", event.data)
        await event.tenant.emit("marketing.events.contact.welcomed", event.data)

    welcomed = Ears().on(billing, "marketing.events.#")
    await world.connect(marketing)
    await world.connect(billing)
    crm = await emitting(world)
    await crm.emit(CREATED, "42")
    await eventually(lambda: welcomed.heard)

    assert (welcomed.heard[0].publisher, welcomed.heard[0].data) == (MARKETING, "42")
    assert await crm.data.get("marketing.cache", "last") == "42"


# Refused


async def test_event_under_the_name_of_another_plugin_is_refused(world: World) -> None:
    crm = await emitting(world)

    for key in ("billing.events.invoice.paid", "system.data.changed", "crm-x.events.a"):
        with pytest.raises(PermissionDeniedError, match=r"plugin-crm may only publish events that begin with 'crm\.'"):
            await crm.emit(key, {})


async def test_event_key_that_is_none_is_refused(world: World) -> None:
    crm = await emitting(world)

    for key in ("crm", "", "crm..created", "crm.events.*", "crm.#", "crm.events contact", "crm." + "x" * 250):
        with pytest.raises(InvalidRequestError, match="event key"):
            await crm.emit(key, {})


async def test_event_data_that_is_no_json_is_refused(world: World) -> None:
    crm = await emitting(world)

    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        await crm.emit(CREATED, {"when": object()})


@pytest.mark.parametrize("pattern", ["", "crm..x", "crm.ev*", "crm events"])
def test_pattern_that_is_none_is_refused_before_anything_connects(pattern: str) -> None:
    with pytest.raises(InvalidSubscriptionError, match="pattern"):
        listening(pattern)


async def test_event_in_an_unknown_tenant_is_told_to_its_publisher(world: World) -> None:
    """OPERATIONS 1a: an unknown tenant is TENANT_NOT_FOUND in calls, events, data and install alike."""
    runner = await world.connect(make_plugin("crm"))

    with pytest.raises(TenantNotFoundError, match="Tenant 'nowhere' not found"):
        await runner.tenant("nowhere").emit(CREATED, {})


# Tried again, and given up


async def test_handler_that_fails_is_tried_again_after_about_a_second(world: World) -> None:
    marketing, attempts = failing(RuntimeError("the first time"))
    await world.connect(marketing)
    crm = await emitting(world)
    await crm.emit(CREATED, {})
    await eventually(lambda: len(attempts) == 2)
    (first, began), (second, again) = attempts

    assert (first, second) == (1, 2)
    assert 0.7 < again - began < 3


async def test_event_that_is_tried_again_keeps_its_id_key_publisher_and_data(world: World) -> None:
    marketing, ears = make_plugin("marketing"), Ears()

    @marketing.on("crm.events.#", name="ears")
    async def handler(event: Event) -> None:
        await ears(event)
        if event.attempt == 1:
            raise ConnectionError("try again")

    await world.connect(marketing)
    crm = await emitting(world)
    await crm.emit(CREATED, {"contactId": "42"})
    await eventually(lambda: len(ears.heard) == 2)
    first, second = ears.heard

    assert (second.id, second.key, second.publisher) == (first.id, CREATED, "plugin-crm")
    assert (second.data, second.tenant.id) == ({"contactId": "42"}, ACME)
    assert (second.request_id, second.published_at) == (first.request_id, first.published_at)


async def test_other_events_are_heard_while_one_waits_for_its_next_attempt(world: World) -> None:
    marketing, heard = make_plugin("marketing"), list[Any]()

    @marketing.on(CREATED, name="ears")
    async def handler(event: Event) -> None:
        if event.data == "bad" and event.attempt == 1:
            raise RuntimeError("not now")
        heard.append(event.data)

    await world.connect(marketing)
    crm = await emitting(world)
    for data in ("bad", "good", "better"):
        await crm.emit(CREATED, data)

    assert await eventually(lambda: heard == ["good", "better", "bad"])


async def test_rejected_event_goes_to_the_dead_letters_at_once_with_the_reason(world: World) -> None:
    marketing, attempts = failing(Reject("no such campaign"))
    await world.connect(marketing)
    crm = await emitting(world)
    await crm.emit(CREATED, {"contactId": "42"})
    (letter,) = await world.dead_letters(MARKETING)
    headers = letter.message.headers

    assert letter.message.body == b'{"contactId":"42"}'
    assert letter.routing_key == "plugin-marketing.ears"
    assert (headers[ERROR_HEADER], headers[ERROR_TYPE_HEADER]) == ("no such campaign", "Reject")
    assert (headers[ATTEMPT_HEADER], headers[TENANT_HEADER]) == (1, ACME)
    assert (headers[ORIGINAL_KEY_HEADER], headers[ORIGINAL_PUBLISHER_HEADER]) == (f"{ACME}.{CREATED}", "plugin-crm")
    assert len(attempts) == 1


async def test_event_that_does_not_fit_the_handlers_model_is_not_tried_again(world: World) -> None:
    marketing, heard = make_plugin("marketing"), list[str]()

    @marketing.on(CREATED, name="ears")
    async def handler(event: Event) -> None:
        heard.append(ContactCreated.model_validate(event.data).contact_id)

    await world.connect(marketing)
    crm = await emitting(world)
    await crm.emit(CREATED, {"contact_id": 7})
    await crm.emit(CREATED, {"contact_id": "7"})
    (letter,) = await world.dead_letters(MARKETING)

    assert letter.message.headers[ERROR_TYPE_HEADER] == "ValidationError"
    await eventually(lambda: heard == ["7"])


async def test_event_rejected_at_its_second_attempt_is_buried_with_its_origin(world: World) -> None:
    marketing, attempts = failing(RuntimeError("not yet"), Reject("never"))
    await world.connect(marketing)
    crm = await emitting(world)
    await crm.emit(CREATED, {})
    (letter,) = await world.dead_letters(MARKETING)
    headers = letter.message.headers

    assert [attempt for attempt, _ in attempts] == [1, 2]
    assert (headers[ATTEMPT_HEADER], headers[ERROR_HEADER]) == (2, "never")
    assert (headers[ORIGINAL_EXCHANGE_HEADER], headers[ORIGINAL_KEY_HEADER]) == ("plexica.events", f"{ACME}.{CREATED}")


# Tenants


async def test_event_is_heard_in_its_own_tenant_only(world: World) -> None:
    marketing, ears = listening()
    await world.connect(marketing, tenants=[ACME])
    crm = await world.connect(make_plugin("crm"), tenants=[ACME, GLOBEX])
    await crm.tenant(GLOBEX).emit(CREATED, "theirs")
    await crm.tenant(ACME).emit(CREATED, "ours")
    await eventually(lambda: ears.heard)

    assert [(event.data, event.tenant.id) for event in ears.heard] == [("ours", ACME)]


async def test_handler_is_told_in_which_tenant_it_happened(world: World) -> None:
    marketing, ears = listening()
    await world.connect(marketing, tenants=[ACME, GLOBEX])
    crm = await world.connect(make_plugin("crm"), tenants=[ACME, GLOBEX])
    await crm.tenant(ACME).emit(CREATED, "a")
    await crm.tenant(GLOBEX).emit(CREATED, "g")
    await eventually(lambda: len(ears.heard) == 2)

    assert {event.data: event.tenant.id for event in ears.heard} == {"a": ACME, "g": GLOBEX}


@pytest.mark.parametrize("broadcast", [False, True])
async def test_uninstalled_tenant_hears_nothing_more(world: World, *, broadcast: bool) -> None:
    marketing, ears = listening(broadcast=broadcast)
    await world.connect(marketing, tenants=[ACME, GLOBEX])
    crm = await world.connect(make_plugin("crm"), tenants=[ACME, GLOBEX])
    await crm.tenant(ACME).dependencies.uninstall(MARKETING)
    await crm.tenant(ACME).emit(CREATED, "gone")
    await crm.tenant(GLOBEX).emit(CREATED, "here")
    await eventually(lambda: ears.heard)

    assert [event.data for event in ears.heard] == ["here"]


async def test_tenant_installed_while_the_plugin_runs_is_heard(world: World) -> None:
    marketing, ears = listening()
    await world.connect(marketing, tenants=[ACME])
    crm = await world.connect(make_plugin("crm"), tenants=[ACME, GLOBEX])
    await crm.tenant(GLOBEX).dependencies.install(MARKETING)
    await crm.tenant(GLOBEX).emit(CREATED, "new")

    assert await eventually(lambda: [event.data for event in ears.heard] == ["new"])


# Hostile events


async def last_one_is_heard(crm: Runner, ears: Ears) -> bool:
    """An honest event after the hostile ones is the only one that was heard."""
    await crm.tenant(ACME).emit(CREATED, "honest")
    await eventually(lambda: ears.heard)
    return [event.data for event in ears.heard] == ["honest"]


async def test_malformed_event_goes_to_the_dead_letters_and_later_ones_are_heard(world: World) -> None:
    marketing, ears = listening()
    await world.connect(marketing)
    crm = await world.connect(make_plugin("crm"))
    bodies = [b"{", b"", b"\xff", b"NaN", b"[" * 100_000]
    for body in bodies:
        await world.emit_raw(body)
    letters = await world.dead_letters(MARKETING, len(bodies))

    assert {letter.message.body for letter in letters} == set(bodies)
    assert {letter.message.headers[ERROR_TYPE_HEADER] for letter in letters} == {"MalformedMessageError"}
    assert await last_one_is_heard(crm, ears)


async def test_event_that_is_not_what_it_says_is_buried(world: World) -> None:
    marketing, ears = listening()
    await world.connect(marketing)
    crm = await world.connect(make_plugin("crm"))
    forged: list[tuple[dict[str, Any], str]] = [
        ({"identity": "plugin-mallory"}, "PermissionDeniedError"),
        ({"identity": "plugin-mallory", "x_caller_plugin_id": "plugin-crm"}, "UnauthenticatedError"),
        ({"x_tenant_id": GLOBEX}, "PermissionDeniedError"),
        ({"x_tenant_id": ""}, "InvalidRequestError"),
        ({"x_tenant_id": None}, "InvalidRequestError"),
        ({"type": "data.set"}, "InvalidRequestError"),
        ({"type": "call"}, "InvalidRequestError"),
    ]
    for number, (options, _) in enumerate(forged):
        await world.emit_raw(str(number).encode(), **options)
    letters = await world.dead_letters(MARKETING, len(forged))

    found = {int(letter.message.body): letter.message.headers[ERROR_TYPE_HEADER] for letter in letters}
    assert found == {number: error for number, (_, error) in enumerate(forged)}
    assert await last_one_is_heard(crm, ears)


async def test_forged_origin_on_the_events_exchange_changes_nothing(world: World) -> None:
    """What ``x-original-*`` says is believed only of what came over ``plexica.redelivery``."""
    marketing, ears = listening()
    await world.connect(marketing)
    crm = await world.connect(make_plugin("crm"))
    forged = {
        "x_original_publisher": "plugin-crm",
        "x_original_exchange": "plexica.events",
        "x_original_routing_key": f"{ACME}.{CREATED}",
        "x_original_type": "event",
    }
    await world.emit_raw(b'"forged"', identity="plugin-mallory", **forged)
    (letter,) = await world.dead_letters(MARKETING)

    assert letter.message.headers[ORIGINAL_PUBLISHER_HEADER] == "plugin-mallory"
    assert await last_one_is_heard(crm, ears)


async def test_forged_origin_of_an_honest_publisher_does_not_rename_its_event(world: World) -> None:
    marketing, attempts = make_plugin("marketing"), Ears()

    @marketing.on("crm.#", name="ears")
    async def handler(event: Event) -> None:
        await attempts(event)
        if event.attempt == 1:
            raise RuntimeError("look at it twice")

    await world.connect(marketing)
    await world.connect(make_plugin("crm"))
    await world.emit_raw(b"1", x_original_publisher="plugin-system", x_original_routing_key=f"{ACME}.billing.paid")
    await eventually(lambda: len(attempts.heard) == 2)

    assert [(event.key, event.publisher) for event in attempts.heard] == [(CREATED, "plugin-crm")] * 2


async def test_stranger_cannot_smuggle_an_event_in_by_redelivery(world: World) -> None:
    marketing, ears = listening()
    await world.connect(marketing)
    crm = await world.connect(make_plugin("crm"))
    await world.emit_raw(
        b'"forged"',
        identity="plugin-mallory",
        exchange=world.topology.redelivery,
        key="plugin-marketing.ears",
        x_original_publisher="plugin-crm",
        x_original_exchange="plexica.events",
        x_original_routing_key=f"{ACME}.{CREATED}",
        x_original_type="event",
    )
    (letter,) = await world.dead_letters(MARKETING)

    assert "'plugin-mallory' may not publish" in str(letter.message.headers[ERROR_HEADER])
    assert await last_one_is_heard(crm, ears)


async def test_forged_attempt_neither_buries_nor_multiplies_an_honest_event(world: World) -> None:
    """Only ``plexica.redelivery`` counts attempts; what a publisher says of them is nobody's business."""
    marketing, attempts = make_plugin("marketing"), list[tuple[Any, int]]()

    @marketing.on(CREATED, name="ears")
    async def handler(event: Event) -> None:
        attempts.append((event.data, event.attempt))
        if len([data for data, _ in attempts if data == event.data]) == 1:
            raise RuntimeError("each one once")

    await world.connect(marketing)
    await world.connect(make_plugin("crm"))
    forged: list[Any] = [-5, 0, 10**12, "many", True, None]
    for number, attempt in enumerate(forged):
        await world.emit_raw(str(number).encode(), x_attempt=attempt)
    await eventually(lambda: len(attempts) >= 2 * len(forged))

    assert sorted(attempts) == [(number, attempt) for number in range(len(forged)) for attempt in (1, 2)]


async def test_forged_broadcast_is_not_heard(world: World) -> None:
    marketing, ears = listening(broadcast=True)
    await world.connect(marketing)
    crm = await world.connect(make_plugin("crm"))
    await world.emit_raw(b'"forged"', identity="plugin-mallory")
    await world.emit_raw(b"{")

    assert await last_one_is_heard(crm, ears)
