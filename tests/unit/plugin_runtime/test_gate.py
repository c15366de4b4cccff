"""What becomes of a message whose grant is signed by a key that is not known here."""

import pytest

from contracts.errors import ServiceUnavailableError, UnauthenticatedError
from contracts.topology import Topology
from plugin_runtime.gate import Gate
from plugin_runtime.identity import Patterns
from plugin_runtime.keys import KeyRing
from tests.unit.plugin_runtime.deliveries import FakeDelivery, make_delivery
from tests.unit.plugin_runtime.tokens import KEY, NOW, OTHER_KEY, make_grant

HEARD: Patterns = {"events": ["crm.events.#"]}


def gate(keys: KeyRing, *, learns: bool = False, asks: bool) -> Gate:
    """A gate that learns the key or not, by a question of its own or by somebody else's."""

    async def refresh_keys() -> bool:
        if learns:
            keys.replace([KEY.verification])
        return asks

    return Gate(
        Topology(),
        myself="plugin-marketing",
        keys=keys,
        refresh_keys=refresh_keys,
        is_broker_silent=lambda: False,
        now=lambda: NOW,
    )


def event(granted_to: str = "plugin-crm") -> FakeDelivery:
    token = KEY.sign(make_grant(sub=granted_to))
    return make_delivery(headers={"x-tenant-id": "acme-corp", "x-grant": token})


@pytest.mark.parametrize("asks", [True, False])
async def test_key_that_was_learned_meanwhile_is_good_whoever_asked(*, asks: bool) -> None:
    admitted = await gate(KeyRing(), learns=True, asks=asks).event(event(), HEARD)

    assert admitted.publisher == "plugin-crm"


async def test_key_that_the_broker_was_just_asked_for_is_nobodys() -> None:
    with pytest.raises(UnauthenticatedError, match="key 'own', which is not known"):
        await gate(KeyRing([OTHER_KEY.verification]), asks=True).event(event(), HEARD)


async def test_key_that_could_not_be_asked_for_may_be_good() -> None:
    with pytest.raises(ServiceUnavailableError) as refused:
        await gate(KeyRing([OTHER_KEY.verification]), asks=False).event(event(), HEARD)

    assert refused.value.details == {"retryAfter": 5.0, "header": "x-grant"}


async def test_what_a_key_learned_meanwhile_shows_to_be_wrong_is_refused_for_good() -> None:
    with pytest.raises(UnauthenticatedError, match="is 'plugin-mallory's"):
        await gate(KeyRing(), learns=True, asks=False).event(event("plugin-mallory"), HEARD)
