"""The cached view of the registry, and what is asked of the broker."""

import asyncio

import pytest

from contracts.discovery import choose
from contracts.errors import (
    CallTimeoutError,
    InvalidRequestError,
    ServiceNotFoundError,
    TenantNotFoundError,
    UndeclaredDependencyError,
    VersionMismatchError,
)
from contracts.manifest import Dependency
from contracts.registry import (
    PluginAnnouncement,
    PresenceAnnouncement,
    ServiceAnnouncement,
    ServiceRecord,
    TenantAnnouncement,
    TenantView,
)
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Deadline
from plugin_runtime.discovery import ServiceDiscovery
from plugin_runtime.registry_view import RegistryView
from tests.factories import dependency_json, make_manifest

SERVICE = "crm.contacts"


def record(version: str = "1.0.0", status: str = "HEALTHY", plugins: tuple[str, ...] = ()) -> ServiceRecord:
    return ServiceRecord(
        id=f"{SERVICE}@{version}",
        plugin_id="plugin-crm",
        service_name=SERVICE,
        version=version,
        plugin_versions=plugins,
        status=status,  # type: ignore[arg-type]
        instances=1,
    )


def status(revision: int, changed: ServiceRecord) -> ServiceAnnouncement:
    return ServiceAnnouncement(change="status", revision=revision, service=changed)


class Broker:
    """Answers with what it was given, and counts."""

    def __init__(self, *answers: list[ServiceRecord] | Exception) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, tenant: str, service: str, deadline: Deadline) -> TenantView:
        del service, deadline
        self.asked += 1
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return TenantView(tenant=tenant, services=tuple(answer))


def discovery(broker: Broker, view: RegistryView | None = None, range_: str = "^1.0.0") -> ServiceDiscovery:
    needs = dependency_json(pluginId="plugin-crm", serviceName=SERVICE, version=range_)
    manifest = make_manifest(id="plugin-analytics", api={"dependencies": [needs]})
    return ServiceDiscovery(manifest, view or RegistryView(), broker)


async def found(subject: ServiceDiscovery, range_: str | None = None) -> str:
    return (await subject.find("acme-corp", SERVICE, range_, Deadline.after(5))).version


async def test_what_is_known_is_not_asked_for_again() -> None:
    broker = Broker([record("1.0.0"), record("1.4.0"), record("2.0.0")])
    subject = discovery(broker)

    assert [await found(subject) for _ in range(3)] == ["1.4.0"] * 3
    assert await found(subject, "<1.4") == "1.0.0"
    assert broker.asked == 1


async def test_what_a_registration_brought_is_never_asked_for() -> None:
    view = RegistryView()
    view.reset([TenantView(tenant="acme-corp", services=(record(),))], [SERVICE], revision=3)
    broker = Broker()

    assert await found(discovery(broker, view)) == "1.0.0"
    assert broker.asked == 0


async def test_a_change_of_status_is_applied_without_asking() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record("1.0.0"), record("1.4.0")], revision=0)

    view.apply(status(1, record("1.4.0", "UNAVAILABLE")))

    assert await found(discovery(Broker(), view)) == "1.0.0"


async def test_a_version_that_went_without_a_word_is_not_found() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record()], revision=0)

    view.apply(PresenceAnnouncement(revision=1, service_name=SERVICE, version="1.0.0"))

    with pytest.raises(ServiceNotFoundError):
        await found(discovery(Broker(), view))


async def test_an_unknown_version_makes_the_view_ask() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record("1.0.0")], revision=0)
    broker = Broker([record("1.0.0"), record("1.5.0")])

    view.apply(ServiceAnnouncement(change="registered", revision=1, service=record("1.5.0")))

    assert await found(discovery(broker, view)) == "1.5.0"
    assert broker.asked == 1


async def test_an_upgrade_that_was_heard_is_used_though_the_broker_does_not_answer() -> None:
    """Its version was announced as installed, then as served: nobody has to be asked to call it."""
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record("1.4.0", plugins=("1.4.0",))], revision=0)
    view.put("globex", SERVICE, [record("1.4.0", plugins=("1.4.0",))], revision=0)
    subject = discovery(Broker(CallTimeoutError("slow"), CallTimeoutError("slow")), view)

    view.apply(
        PluginAnnouncement(change="upgraded", revision=1, tenant="acme-corp", plugin_id="plugin-crm", version="1.5.0")
    )
    view.apply(ServiceAnnouncement(change="registered", revision=2, service=record("1.5.0", plugins=("1.5.0",))))

    assert await found(subject) == "1.5.0"
    assert (await subject.find("globex", SERVICE, None, Deadline.after(5))).version == "1.4.0"


async def test_an_installation_makes_the_view_ask_for_that_tenant_and_plugin_only() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record()], revision=0)
    view.put("globex", SERVICE, [record()], revision=0)

    view.apply(
        PluginAnnouncement(change="installed", revision=1, tenant="globex", plugin_id="plugin-crm", version="2.0.0")
    )

    acme, globex = view.get("acme-corp", SERVICE), view.get("globex", SERVICE)
    assert acme is not None
    assert globex is not None
    assert (acme.is_fresh, globex.is_fresh) == (True, False)


async def test_a_version_is_degraded_only_in_the_tenants_that_its_announcement_names() -> None:
    view = RegistryView()
    for tenant in ("acme-corp", "globex"):
        view.put(tenant, SERVICE, [record("1.4.0"), record("1.5.0")], revision=0)
    subject, told = discovery(Broker(), view), record("1.5.0")

    view.apply(status(1, told.model_copy(update={"degraded_in": ("globex",)})))

    assert await found(subject) == "1.5.0"
    assert (await subject.find("globex", SERVICE, None, Deadline.after(5))).version == "1.4.0"
    view.apply(status(2, told))
    assert (await subject.find("globex", SERVICE, None, Deadline.after(5))).version == "1.5.0"


@pytest.mark.parametrize(
    ("announced", "in_acme"), [("HEALTHY", "DEGRADED"), ("DEGRADED", "DEGRADED"), ("UNAVAILABLE", "UNAVAILABLE")]
)
def test_a_service_is_degraded_at_best_where_its_plugin_lacks_something(announced: str, in_acme: str) -> None:
    told = record("1.5.0", announced).model_copy(update={"degraded_in": ("acme-corp",)})
    acme, globex = told.in_tenant("acme-corp"), told.in_tenant("globex")

    assert (acme.status, acme.degraded_in) == (in_acme, ())
    assert (globex.status, globex.degraded_in) == (announced, ())


async def test_a_missed_announcement_makes_everything_stale() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record()], revision=0)
    view.apply(status(1, record()))

    view.apply(status(3, record()))

    entry = view.get("acme-corp", SERVICE)
    assert entry is not None
    assert not entry.is_fresh


async def test_an_announcement_from_before_is_ignored() -> None:
    view = RegistryView()
    view.reset([TenantView(tenant="acme-corp", services=(record(),))], [SERVICE], revision=5)

    view.apply(status(4, record("1.0.0", "UNAVAILABLE")))

    assert await found(discovery(Broker(), view)) == "1.0.0"


async def test_a_revision_that_a_heartbeat_promised_and_nobody_announced_makes_everything_stale() -> None:
    view = RegistryView()
    view.reset([TenantView(tenant="acme-corp", services=(record(),))], [SERVICE], revision=5)
    entry = view.get("acme-corp", SERVICE)
    assert entry is not None

    view.heard_revision(6)
    was_fresh = entry.is_fresh
    view.heard_revision(6)

    assert was_fresh
    assert not entry.is_fresh


async def test_while_the_broker_is_away_what_was_true_last_is_used_and_asked_for_seldom() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record()], revision=0)
    view.mark_stale()
    broker = Broker(CallTimeoutError("away"))
    subject = discovery(broker, view)

    assert [await found(subject) for _ in range(3)] == ["1.0.0"] * 3
    assert broker.asked == 1


async def test_an_unknown_tenant_is_told() -> None:
    with pytest.raises(TenantNotFoundError):
        await found(discovery(Broker(TenantNotFoundError("Tenant 'x' not found"))))


async def test_the_brokers_own_services_are_always_known() -> None:
    target = await discovery(Broker()).find("acme-corp", "system.data", None, Deadline.after(1))

    assert (target.plugin, target.version) == ("plugin-system", "1.0.0")


def test_healthy_comes_before_degraded_even_if_lower() -> None:
    assert choose(SERVICE, [record("1.5.0", "DEGRADED"), record("1.4.0")], "^1.0.0").version == "1.4.0"
    assert choose(SERVICE, [record("1.5.0", "DEGRADED")], "^1.0.0").version == "1.5.0"


def test_unavailable_is_never_chosen() -> None:
    with pytest.raises(ServiceNotFoundError, match=r"^Service crm.contacts not found or unavailable$"):
        choose(SERVICE, [record("1.0.0", "UNAVAILABLE")], "*")


def test_no_version_in_the_range_names_range_and_versions() -> None:
    with pytest.raises(VersionMismatchError, match=r"no version in \^2.0.0; installed: 1.0.0, 1.5.0") as caught:
        choose(SERVICE, [record("1.5.0"), record("1.0.0", "UNAVAILABLE")], "^2.0.0")

    assert caught.value.details["versions"] == ["1.0.0", "1.5.0"]


async def test_an_answer_that_announcements_overtook_is_asked_for_again() -> None:
    """Answer and announcements come by different queues; the older one must not pass for the truth."""
    view = RegistryView()
    view.apply(status(7, record("1.5.0")))

    overtaken = view.put("acme-corp", SERVICE, [record("1.0.0")], revision=6)
    current = view.put("acme-corp", SERVICE, [record("1.0.0"), record("1.5.0")], revision=7)

    assert (overtaken.is_fresh, current.is_fresh) == (False, True)


async def test_a_gap_is_told_so_that_the_instance_registers_again() -> None:
    view = RegistryView()

    assert view.apply(status(1, record()))
    assert view.apply(status(1, record()))
    assert not view.apply(status(3, record()))
    assert view.apply(status(4, record()))
    assert view.heard_revision(9)
    assert not view.heard_revision(9)


async def test_many_callers_share_one_question() -> None:
    broker = Broker([record()])
    subject = discovery(broker)

    versions = await asyncio.gather(*(found(subject) for _ in range(50)))

    assert versions == ["1.0.0"] * 50
    assert broker.asked == 1


async def test_a_removed_tenant_is_asked_for_again() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record()], revision=0)
    subject = discovery(Broker(TenantNotFoundError("Tenant 'acme-corp' not found")), view)

    view.apply(TenantAnnouncement(change="removed", revision=1, tenant="acme-corp"))

    with pytest.raises(TenantNotFoundError):
        await found(subject)


class Silent:
    """A broker that never answers."""

    async def __call__(self, tenant: str, service: str, deadline: Deadline) -> TenantView:
        del service, deadline
        await asyncio.Event().wait()
        return TenantView(tenant=tenant)


async def test_a_short_call_does_not_spend_its_deadline_on_a_broker_that_is_away() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record()], revision=0)
    view.mark_stale()
    subject = discovery(Silent(), view)  # type: ignore[arg-type]
    deadline = Deadline.after(0.2)

    target = await subject.find("acme-corp", SERVICE, None, deadline)

    assert target.version == "1.0.0"
    assert not deadline.is_spent
    await subject.close()


# Declared and undeclared


def undeclared(broker: Broker, view: RegistryView | None = None) -> ServiceDiscovery:
    return ServiceDiscovery(make_manifest(id="plugin-analytics", api={}), view or RegistryView(), broker)


async def refused(subject: ServiceDiscovery) -> str:
    with pytest.raises(UndeclaredDependencyError) as caught:
        await found(subject)
    return str(caught.value.details["line"]).partition('"version": ')[2]


async def test_an_undeclared_service_is_refused_with_the_range_of_what_is_known() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record("1.4.0"), record("2.1.0", "UNAVAILABLE")], revision=0)
    broker = Broker()

    assert await refused(undeclared(broker, view)) == '"^2.1.0"}'
    assert broker.asked == 0


async def test_the_broker_is_asked_once_for_the_range_of_a_refusal() -> None:
    broker = Broker([record("1.4.0")])
    subject = undeclared(broker)

    assert [await refused(subject) for _ in range(3)] == ['"^1.4.0"}'] * 3
    assert broker.asked == 1


@pytest.mark.parametrize("error", [CallTimeoutError("away"), TenantNotFoundError("Tenant 'x' not found")])
async def test_a_refusal_without_an_answer_takes_any_version(error: Exception) -> None:
    assert await refused(undeclared(Broker(error))) == '"*"}'


async def test_a_refusal_does_not_wait_for_a_broker_that_is_away() -> None:
    subject = ServiceDiscovery(make_manifest(id="plugin-analytics", api={}), RegistryView(), Silent())  # type: ignore[arg-type]
    await refused(subject)
    async with asyncio.timeout(0.1):
        assert [await refused(subject) for _ in range(10)] == ['"*"}'] * 10
    await subject.close()


async def test_anybody_may_look_at_what_he_may_not_call() -> None:
    shown = await undeclared(Broker([record("1.4.0")])).record("acme-corp", SERVICE, None, Deadline.after(5))

    assert shown.version == "1.4.0"


async def test_a_look_uses_the_declared_range_unless_it_is_given_another() -> None:
    subject = discovery(Broker([record("1.4.0"), record("2.0.0")]))
    shown = [await subject.record("acme-corp", SERVICE, range_, Deadline.after(5)) for range_ in (None, ">=2")]

    assert [one.version for one in shown] == ["1.4.0", "2.0.0"]


async def test_a_plugin_as_a_whole_is_held_against_the_plugins_version() -> None:
    needs = {"pluginId": "plugin-crm", "version": "^1.0.0"}
    manifest = make_manifest(id="plugin-analytics", api={"dependencies": [needs]})
    view = RegistryView()
    view.put(
        "acme-corp", SERVICE, [record("5.0.0", plugins=("1.2.0",)), record("6.0.0", plugins=("2.0.0",))], revision=0
    )
    subject = ServiceDiscovery(manifest, view, Broker())

    view.apply(status(1, record("6.0.0", plugins=("1.9.0", "2.0.0"))))  # 1.9.0 offers it too, but is not installed here

    assert await found(subject) == "5.0.0"


async def test_a_range_that_is_none_is_refused_where_it_enters() -> None:
    with pytest.raises(InvalidRequestError, match="range 'newest' is not an npm version range"):
        await found(discovery(Broker()), "newest")


async def test_what_is_declared_later_holds_at_once() -> None:
    subject = discovery(Broker([record("1.4.0"), record("2.0.0")]))
    subject.declare([Dependency.parse(dependency_json(pluginId="plugin-crm", serviceName=SERVICE, version="^2.0.0"))])
    chosen = await found(subject)
    subject.declare([])

    assert chosen == "2.0.0"
    assert await refused(subject) == '"^2.0.0"}'


# Catching up after a call that found nobody


async def caught_up(subject: ServiceDiscovery, version: str = "1.4.0") -> bool:
    return await subject.catch_up("acme-corp", Target("plugin-crm", SERVICE, version), Deadline.after(5))


async def test_a_view_that_was_behind_asks_and_knows_better() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record("1.4.0")], revision=0)
    subject = discovery(Broker([record("1.5.0")]), view)

    assert await caught_up(subject)
    assert await found(subject) == "1.5.0"


async def test_nothing_is_asked_once_an_announcement_has_told() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record("1.4.0"), record("1.5.0")], revision=0)
    view.apply(status(1, record("1.4.0", "UNAVAILABLE")))
    broker = Broker()

    assert await caught_up(discovery(broker, view))
    assert broker.asked == 0


async def test_nobody_catches_up_while_the_broker_is_away_and_only_the_first_waits() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record("1.4.0")], revision=0)
    broker = Broker(CallTimeoutError("away"))
    subject = discovery(broker, view)

    assert [await caught_up(subject) for _ in range(3)] == [False] * 3
    assert await found(subject) == "1.4.0", "what was true last is still used"
    assert broker.asked == 1


async def test_what_was_chosen_is_forgotten_with_the_record_it_was_chosen_from() -> None:
    view = RegistryView()
    view.put("acme-corp", SERVICE, [record("1.4.0"), record("1.5.0")], revision=0)
    subject = discovery(Broker(), view)
    before = await found(subject)

    view.apply(PresenceAnnouncement(revision=1, service_name=SERVICE, version="1.5.0"))

    assert (before, await found(subject)) == ("1.5.0", "1.4.0")
