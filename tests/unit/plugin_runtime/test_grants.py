"""An instance's own grants: asked for once, renewed before they end, dropped when they are over."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from contracts.errors import (
    CallTimeoutError,
    PermissionDeniedError,
    ServiceUnavailableError,
    TenantNotFoundError,
    UnauthenticatedError,
)
from contracts.grants import GRANT_SECONDS, MOST_TENANTS, GrantList, GrantToken
from contracts.registry import RegisterAnswer
from plugin_runtime.context import Deadline
from plugin_runtime.grants import PAUSE_SECONDS, Grants
from plugin_runtime.heartbeats import unanswered_between
from plugin_runtime.keys import KeyRing
from plugin_runtime.pulse import Pulse
from tests.unit.plugin_runtime.tokens import KEY, OTHER_KEY, make_grant
from tests.waiting import eventually


class FakeBroker:
    """Answers with tokens that name their tenant and how often it was asked for."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.asked: list[list[str]] = []
        self.fails: dict[str, Exception] = {}
        self.is_away = self.gives_nothing = False
        self.answers = asyncio.Event()
        self.answers.set()

    def clock(self) -> float:
        return self.seconds

    async def ask(self, tenants: Sequence[str]) -> GrantList:
        self.asked.append(list(tenants))
        await self.answers.wait()
        if self.is_away:
            raise ServiceUnavailableError("no broker answers")
        for tenant in tenants:
            if tenant in self.fails:
                raise self.fails[tenant]
        grants = tuple(
            GrantToken(tenant=tenant, token=f"{tenant} {len(self.asked)}", expires_in=GRANT_SECONDS)
            for tenant in tenants
            if not self.gives_nothing
        )
        return GrantList(grants=grants, keys=(KEY.verification,))


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing()


@pytest.fixture
def grants(broker: FakeBroker, keys: KeyRing) -> Grants:
    return Grants(broker.ask, keys, clock=broker.clock)


async def use(grants: Grants, tenant: str = "acme-corp", timeout: float = 5.0) -> str:
    return await grants.token(tenant, Deadline.after(timeout))


async def test_a_grant_is_asked_for_at_first_use_and_then_held(grants: Grants, broker: FakeBroker) -> None:
    assert [await use(grants) for _ in range(3)] == ["acme-corp 1"] * 3
    assert broker.asked == [["acme-corp"]]


async def test_many_who_need_it_at_once_ask_once(grants: Grants, broker: FakeBroker) -> None:
    assert await asyncio.gather(*[use(grants) for _ in range(50)]) == ["acme-corp 1"] * 50
    assert broker.asked == [["acme-corp"]]


async def test_one_that_stops_waiting_leaves_the_others_their_answer(grants: Grants, broker: FakeBroker) -> None:
    broker.answers.clear()
    first, second = asyncio.create_task(use(grants)), asyncio.create_task(use(grants))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    broker.answers.set()

    assert await second == "acme-corp 1"


async def test_what_a_registration_brings_is_not_asked_for(grants: Grants, broker: FakeBroker, keys: KeyRing) -> None:
    grants.begin(registered("acme-corp"))

    assert await use(grants) == "acme-corp registered"
    assert broker.asked == []
    assert len(keys) == 1


async def test_a_registration_ends_what_it_does_not_name_and_keeps_the_rest(grants: Grants, broker: FakeBroker) -> None:
    for tenant in ("acme-corp", "globex"):
        await use(grants, tenant)
    grants.begin(registered(heard=("globex",)))

    assert await use(grants, "globex") == "globex 2"
    assert await use(grants) == "acme-corp 3"
    assert len(broker.asked) == 3


@pytest.mark.parametrize("error", [TenantNotFoundError("no such"), PermissionDeniedError("not installed")])
async def test_a_refusal_is_raised_and_asked_about_again(
    grants: Grants, broker: FakeBroker, error: TenantNotFoundError
) -> None:
    broker.fails["acme-corp"] = error

    with pytest.raises(type(error)):
        await use(grants)
    broker.fails.clear()
    assert await use(grants) == "acme-corp 2"


async def test_an_answer_without_the_grant_is_a_refusal(grants: Grants, broker: FakeBroker) -> None:
    broker.gives_nothing = True

    with pytest.raises(PermissionDeniedError, match="no grant for tenant acme-corp"):
        await use(grants)


async def test_whoever_holds_none_waits_for_the_broker_to_come_back(grants: Grants, broker: FakeBroker) -> None:
    broker.is_away = True
    waiting = asyncio.create_task(use(grants))
    await eventually(lambda: len(broker.asked) > 1)
    broker.is_away = False

    assert (await waiting).startswith("acme-corp ")


async def test_it_waits_no_longer_than_its_deadline(grants: Grants, broker: FakeBroker) -> None:
    broker.is_away = True

    with pytest.raises(CallTimeoutError, match="no grant for tenant acme-corp in time"):
        await use(grants, timeout=0.05)


# Renewal


async def test_a_grant_is_renewed_at_half_life_with_the_heartbeat(grants: Grants, broker: FakeBroker) -> None:
    await use(grants)
    broker.seconds = GRANT_SECONDS / 2 - 1
    await grants.renew()
    assert len(broker.asked) == 1

    broker.seconds = GRANT_SECONDS / 2
    await grants.renew()
    assert await use(grants) == "acme-corp 2"


async def test_one_question_renews_all_tenants(grants: Grants, broker: FakeBroker) -> None:
    for tenant in ("acme-corp", "globex"):
        await use(grants, tenant)
    broker.seconds = GRANT_SECONDS / 2
    await grants.renew()

    assert broker.asked[2:] == [["acme-corp", "globex"]]


async def test_very_many_tenants_are_renewed_in_pieces(grants: Grants, broker: FakeBroker) -> None:
    for number in range(MOST_TENANTS + 1):
        await use(grants, f"tenant-{number}")
    broker.asked.clear()
    broker.seconds = GRANT_SECONDS / 2
    await grants.renew()

    assert [len(asked) for asked in broker.asked] == [MOST_TENANTS, 1]


async def test_what_was_never_used_or_long_ago_is_not_renewed(grants: Grants, broker: FakeBroker) -> None:
    grants.begin(registered("globex"))
    await use(grants)
    broker.seconds = 3600.0
    await grants.renew()

    assert broker.asked == [["acme-corp"]]


async def test_an_uninstalled_plugins_grant_is_not_renewed_and_the_others_are(
    grants: Grants, broker: FakeBroker
) -> None:
    for tenant in ("acme-corp", "globex"):
        await use(grants, tenant)
    broker.fails["acme-corp"] = PermissionDeniedError("not installed", tenant="acme-corp")
    broker.seconds = GRANT_SECONDS / 2
    await grants.renew()

    assert broker.asked[2:] == [["acme-corp", "globex"], ["globex"]]
    assert await use(grants, "globex") == "globex 4"
    with pytest.raises(PermissionDeniedError):
        await use(grants)


async def test_a_renewal_in_vain_harms_nothing(grants: Grants, broker: FakeBroker) -> None:
    await use(grants)
    broker.seconds, broker.is_away = GRANT_SECONDS / 2, True
    await grants.renew()

    assert await use(grants) == "acme-corp 1"


async def test_a_dropped_grant_is_asked_for_anew(grants: Grants) -> None:
    await use(grants)
    grants.drop("acme-corp")

    assert await use(grants) == "acme-corp 2"


async def test_what_was_asked_before_a_drop_is_not_held_after_it(grants: Grants, broker: FakeBroker) -> None:
    broker.answers.clear()
    waiting = asyncio.create_task(use(grants))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    grants.drop("acme-corp")
    broker.answers.set()

    assert await waiting == "acme-corp 2"


# The broker is away


async def test_a_grant_that_is_nearly_over_is_renewed_before_it_is_used(grants: Grants, broker: FakeBroker) -> None:
    await use(grants)
    broker.seconds = GRANT_SECONDS * 0.9

    assert await use(grants) == "acme-corp 2"


async def test_a_grant_that_is_over_still_goes_while_the_broker_is_away(grants: Grants, broker: FakeBroker) -> None:
    await use(grants)
    broker.seconds, broker.is_away = GRANT_SECONDS + 100, True

    assert await use(grants) == "acme-corp 1"


async def test_while_it_is_away_only_the_first_use_waits_for_it(grants: Grants, broker: FakeBroker) -> None:
    await use(grants)
    broker.seconds, broker.is_away = GRANT_SECONDS + 100, True
    for _ in range(10):
        await use(grants)
    assert len(broker.asked) == 2

    broker.is_away = False
    await grants.renew()  # as after a heartbeat that was answered
    assert await use(grants) == "acme-corp 3"
    broker.seconds += GRANT_SECONDS
    assert await use(grants) == "acme-corp 4"


async def test_a_refused_grant_is_replaced_if_the_broker_is_there(grants: Grants, broker: FakeBroker) -> None:
    await use(grants)

    assert await grants.renewed("acme-corp", Deadline.after(5))
    assert await use(grants) == "acme-corp 2"

    broker.is_away = True
    assert not await grants.renewed("acme-corp", Deadline.after(5))
    assert await use(grants) == "acme-corp 2"


async def test_what_is_asked_is_given_up_at_the_end(grants: Grants, broker: FakeBroker) -> None:
    broker.answers.clear()
    waiting = asyncio.create_task(use(grants))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await grants.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


# Keys


async def test_an_unknown_key_is_asked_for_once_however_many_want_it(
    grants: Grants, broker: FakeBroker, keys: KeyRing
) -> None:
    assert await asyncio.gather(*[grants.refresh_keys() for _ in range(20)]) == [True] + [False] * 19
    assert broker.asked == [[]]
    assert keys.verify(KEY.sign(make_grant()))


async def test_keys_are_asked_for_again_only_after_a_pause(grants: Grants, broker: FakeBroker, keys: KeyRing) -> None:
    await grants.refresh_keys()
    keys.replace([OTHER_KEY.verification])
    assert not await grants.refresh_keys()
    with pytest.raises(UnauthenticatedError):
        keys.verify(KEY.sign(make_grant()))

    broker.seconds += PAUSE_SECONDS
    assert await grants.refresh_keys()
    assert keys.verify(KEY.sign(make_grant()))


async def test_a_broker_that_is_away_cannot_be_asked_for_keys(grants: Grants, broker: FakeBroker) -> None:
    broker.is_away = True

    assert await asyncio.gather(*[grants.refresh_keys() for _ in range(20)]) == [False] * 20
    assert broker.asked == [[]]


# The pulse


def test_a_broker_that_answers_is_not_silent() -> None:
    pulse = Pulse()
    assert pulse.is_silent(0.0)
    pulse.beat(0.0)

    assert not pulse.is_silent(29.9)
    assert pulse.is_silent(30.0)


def test_after_a_silence_everybody_has_a_while_to_renew() -> None:
    pulse = Pulse()
    pulse.beat(0.0)
    pulse.beat(100.0)

    assert pulse.is_silent(129.0)
    for moment in (105.0, 110.0, 130.0):
        pulse.beat(moment)
    assert not pulse.is_silent(131.0)


@pytest.mark.parametrize("heartbeat_seconds", [0.1, 1.0, 5.0, 5.1, 7.4, 10.1, 14.9, 60.0])
def test_a_broker_whose_answers_are_on_their_way_is_not_silent(heartbeat_seconds: float) -> None:
    """Whatever heartbeat an operator sets, and though every second answer is lost and they come by 5 s late."""
    pulse, unanswered = Pulse(), unanswered_between(heartbeat_seconds)
    every = heartbeat_seconds * (unanswered + 1)
    pulse.expect(every)
    answers = [2 * every * number for number in range(20)]

    for moment, following in pairwise(answers):
        pulse.beat(moment)
        assert not pulse.is_silent(following + 5.0 - 0.001)
    assert pulse.is_silent(answers[-2] + max(30.0, 3 * every) + 0.001)


@pytest.mark.parametrize("heartbeat_seconds", [0.1, 1.0, 3.3, 5.0, 5.1, 7.4, 10.0, 10.1, 60.0])
def test_the_broker_is_asked_to_answer_every_ten_seconds_or_with_every_heartbeat(heartbeat_seconds: float) -> None:
    unanswered = unanswered_between(heartbeat_seconds)

    assert 0 <= unanswered <= 2
    assert unanswered == 0 or heartbeat_seconds * (unanswered + 1) <= 10.0


def registered(*tenants: str, heard: tuple[str, ...] = ()) -> RegisterAnswer:
    return RegisterAnswer(
        instance_id="one",
        lease_seconds=15.0,
        heartbeat_seconds=5.0,
        reply_queue="replies",
        instance_queue="instance",
        call_queues={},
        subscription_queues={},
        tenants=(),
        heard_tenants=(*tenants, *heard),
        views=(),
        revision=0,
        keys=(KEY.verification,),
        grants=tuple(
            GrantToken(tenant=tenant, token=f"{tenant} registered", expires_in=GRANT_SECONDS) for tenant in tenants
        ),
    )
