"""Calls of somebody who may not make them: each is answered with a refusal, and no handler runs."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import aio_pika
import jwt
import pytest

from contracts.codec import encode
from contracts.errors import PermissionDeniedError
from contracts.ids import new_id
from contracts.topology import Binding
from tests.acceptance.world import ACME, CONSOLE, GLOBEX, World, call_bytes, reply_of, world_on
from tests.security.victims import KEY, READ, WRITE, Crm, ask, asking, refusal
from tests.unit.plugin_runtime.tokens import Key, make_grant
from tests.waiting import eventually

ME = "plugin-analytics"
REGISTRY_KEY = "_.system.registry.1.0.0"


def key_id(world: World) -> str:
    return world.broker.subjects.grants.signing.id


def valid() -> Any:
    return make_grant(sub=ME, exp=int(time.time()) + 300)


def tampered(world: World) -> str:
    head, body, signature = world.token(ME, GLOBEX).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    changed = base64.urlsafe_b64encode(json.dumps({**claims, "ten": ACME}).encode()).rstrip(b"=").decode()
    return f"{head}.{changed}.{signature}"


def unsigned(world: World) -> str:
    return jwt.encode(valid().model_dump(mode="json"), None, algorithm="none", headers={"kid": key_id(world)})


def confused(world: World) -> str:
    """Signed by HMAC, with the public key that everybody knows as the secret."""
    secret = world.broker.subjects.grants.signing.public_bytes
    return jwt.encode(valid().model_dump(mode="json"), secret, algorithm="HS256", headers={"kid": key_id(world)})


ATTACKS: dict[str, tuple[Callable[[World], Any], str, str]] = {
    "none": (lambda _: None, "UNAUTHENTICATED", "carries no grant"),
    "empty": (lambda _: "", "UNAUTHENTICATED", "carries no grant"),
    "a number": (lambda _: 7, "UNAUTHENTICATED", "carries no grant"),
    "nonsense": (lambda _: "nonsense", "UNAUTHENTICATED", "is not the broker's"),
    "stolen": (lambda world: world.token("plugin-crm"), "UNAUTHENTICATED", "is 'plugin-crm's, but 'plugin-analytics'"),
    "other tenant": (lambda world: world.token(ME, GLOBEX), "PERMISSION_DENIED", "for tenant 'globex', not for 'acme"),
    "other key": (lambda _: Key("forged").sign(valid()), "UNAUTHENTICATED", "key 'forged', which is not known"),
    "known name": (lambda world: Key(key_id(world)).sign(valid()), "UNAUTHENTICATED", "is not the broker's"),
    "tampered": (tampered, "UNAUTHENTICATED", "is not the broker's"),
    "expired": (lambda world: world.token(ME, ended_seconds_ago=60), "UNAUTHENTICATED", "ended 6"),
    "alg none": (unsigned, "UNAUTHENTICATED", "is not the broker's"),
    "HS256": (confused, "UNAUTHENTICATED", "is not the broker's"),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_call_without_a_right_grant_is_refused(world: World, attack: str) -> None:
    crm = Crm()
    await world.connect(crm.plugin, tenants=(ACME, GLOBEX))
    make, code, said = ATTACKS[attack]

    found_code, found_said = refusal(await ask(world, make(world)))

    assert found_code == code
    assert said in found_said
    assert crm.served == []


@pytest.mark.parametrize("attack", ["none", "stolen", "other tenant", "known name", "alg none"])
async def test_the_broker_judges_by_the_same_rules(world: World, attack: str) -> None:
    await world.tenant()
    make, code, said = ATTACKS[attack]
    headers = {"x-tenant-id": ACME, "x-grant": make(world)}
    body, key = call_bytes("GET", "/installations"), f"{ACME}.system.dependencies.1.0.0"

    found_code, found_said = refusal(reply_of(await world.ask_raw(body, key=key, headers=headers)))

    assert found_code == code
    assert said in found_said


async def test_call_with_its_own_grant_is_answered(world: World) -> None:
    crm = Crm()
    await world.connect(crm.plugin)

    assert (await ask(world, world.token(ME))).data == "read"
    assert crm.served == [ME]


async def test_a_plugin_gets_no_grant_for_a_tenant_in_which_it_is_not_installed(world: World) -> None:
    await world.connect(Crm().plugin, tenants=(ACME, GLOBEX))
    await world.tenant()
    body = call_bytes("PUT", "/grants", body={"tenants": [ACME, GLOBEX]})

    answer = reply_of(await world.ask_raw(body, key=REGISTRY_KEY, headers={"x-tenant-id": "_"}))

    assert refusal(answer) == (
        "PERMISSION_DENIED",
        f"Plugin {ME} is not installed in tenant {GLOBEX}: plexica install {ME} -t {GLOBEX}",
    )


async def test_a_plugin_gets_no_grant_in_anothers_name(world: World) -> None:
    """Nothing in the request says whose grant it is: RabbitMQ does."""
    await world.connect(Crm().plugin)
    headers = {"x-tenant-id": "_", "x-caller-plugin-id": "plugin-crm"}
    body = call_bytes("PUT", "/grants", body={"tenants": [ACME]})

    answer = reply_of(await world.ask_raw(body, key=REGISTRY_KEY, identity="plugin-mallory", headers=headers))

    assert refusal(answer)[0] == "UNAUTHENTICATED"


async def test_call_over_the_exchange_of_events_is_refused(world: World) -> None:
    """Somebody bound the call queue to another exchange, where other rules hold for publishers."""
    crm = Crm()
    await world.connect(crm.plugin)
    raw = await world.raw(ME)
    await raw.bind(Binding(world.topology.call_queue("crm.contacts", "1.0.0").name, world.topology.events, "#"))

    answer = await ask(world, world.token(ME), exchange=world.topology.events)

    assert refusal(answer) == ("PERMISSION_DENIED", "a 'call' came over 'plexica.events', expected 'plexica.calls'")
    assert crm.served == []


@pytest.mark.parametrize(
    "key", [f"{ACME}.crm.deals.1.0.0", f"{ACME}.crm.contacts.2.0.0", f"{ACME}.crm.contacts.1.0.0.more"]
)
async def test_call_under_a_key_that_its_queue_is_not_bound_for_is_refused(world: World, key: str) -> None:
    crm = Crm()
    await world.connect(crm.plugin)
    raw = await world.raw(ME)
    await raw.bind(Binding(world.topology.call_queue("crm.contacts", "1.0.0").name, world.topology.calls, key))

    code, said = refusal(await ask(world, world.token(ME), key=key))

    assert code == "PERMISSION_DENIED"
    assert f"'{key}' is no key that this queue is bound for" in said
    assert crm.served == []


@pytest.mark.rabbitmq
async def test_call_that_a_cc_header_brought_is_refused(vhost_url: str) -> None:
    """RabbitMQ holds a CC against no permission: the message's own key is allowed, the other one is used."""
    async with world_on(vhost_url) as world:
        crm = Crm()
        await world.connect(crm.plugin)
        answer = await call_with_cc(world, vhost_url, key=f"{ACME}.nobody.here.1.0.0", cc=KEY)

        assert "is no key that this queue is bound for" in refusal(answer)[1]
        assert crm.served == []


async def test_call_for_no_tenant_reaches_no_plugin(world: World) -> None:
    crm, key = Crm(), "_.crm.contacts.1.0.0"
    await world.connect(crm.plugin)
    raw = await world.raw(ME)
    await raw.bind(Binding(world.topology.call_queue("crm.contacts", "1.0.0").name, world.topology.calls, key))

    code, said = refusal(await ask(world, None, key=key))

    assert code == "PERMISSION_DENIED"
    assert "cannot be called for no tenant" in said
    assert crm.served == []


async def test_a_key_that_a_plugin_announced_counts_nothing(world: World) -> None:
    crm, forger = Crm(), Key("forged")
    await world.connect(crm.plugin)
    body = encode({"revision": 10_000, "keys": [forger.verification.to_json()]})
    registry = world.topology.registry
    await world.emit_raw(body, identity="plugin-mallory", exchange=registry, key="_.grants.keys", type="keys")

    answer = await ask(world, forger.sign(valid()))

    assert refusal(answer) == ("UNAUTHENTICATED", "the grant is signed by key 'forged', which is not known")
    assert crm.served == []


# Permissions


async def test_endpoint_is_served_to_those_who_were_granted_all_that_it_asks_for(world: World) -> None:
    await world.connect(Crm().plugin)
    acme = await world.tenant(asking(READ, WRITE))

    assert await acme.service("crm.contacts").post("/contacts") == "written"


async def test_endpoint_names_the_permissions_that_its_caller_lacks(world: World) -> None:
    crm = Crm()
    await world.connect(crm.plugin)
    reply = await ask(world, world.token(ME, perms=(READ,)), method="POST")

    assert refusal(reply)[1] == f"{ME} lacks {WRITE} in tenant {ACME}, which POST /contacts asks for"
    assert reply.error is not None
    assert reply.error["details"]["missing"] == [WRITE]
    assert crm.served == []


async def test_an_operator_holds_what_its_installation_was_granted_and_no_more(world: World) -> None:
    await world.connect(Crm().plugin)
    acme = await world.tenant(asking(READ, name=CONSOLE.removeprefix("plugin-")))

    with pytest.raises(PermissionDeniedError, match=f"{CONSOLE} lacks {WRITE}"):
        await acme.service("crm.contacts").post("/contacts")


async def test_an_administrator_calls_every_endpoint(world: World) -> None:
    await world.connect(Crm().plugin)

    assert (await ask(world, world.token(ME, admin=True), method="POST")).data == "written"


async def call_with_cc(world: World, url: str, *, key: str, cc: str) -> Any:
    """Call with a CC header, which our own transport cannot write: its headers are plain values."""
    found: list[Any] = []
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        replies = await channel.declare_queue(exclusive=True)
        await replies.bind(await channel.get_exchange(world.topology.replies), "plugin-mallory.1")
        headers = {"x-tenant-id": ACME, "x-grant": world.token("plugin-mallory"), "CC": [cc]}
        addresses = {"app_id": "plugin-mallory", "correlation_id": new_id(), "reply_to": "plugin-mallory.1"}
        call = aio_pika.Message(call_bytes(), type="call", headers=headers, **addresses)  # type: ignore[arg-type]
        await (await channel.get_exchange(world.topology.calls)).publish(call, routing_key=key)

        async def answered() -> bool:
            answer = await replies.get(fail=False)
            found.extend([answer] if answer else [])
            return bool(found)

        await eventually(answered)
    return reply_of(found[0])
