"""A sweep does for every plugin what it can: what fails for one stops no other."""

import pytest
from structlog.testing import capture_logs

from broker.registry.service import RETIRE_AFTER_SECONDS
from contracts.dependencies import InstallRequest
from contracts.errors import TransportError
from contracts.registry import DeregisterRequest
from contracts.topology import Binding
from tests.unit.broker.control_plane import CRM, Plane, control_plane, manifest

BILLING = manifest("billing", services={"invoices": "1.0.0"})
ALARM = "RabbitMQ says no"


def refuse(plane: Plane, monkeypatch: pytest.MonkeyPatch, operation: str, word: str) -> None:
    """Let RabbitMQ refuse an operation on queues whose name holds the word."""
    really = getattr(plane.transport, operation)

    async def refusing(target: Binding | str) -> None:
        if word in (target if isinstance(target, str) else target.queue):
            raise TransportError(ALARM)
        await really(target)

    monkeypatch.setattr(plane.transport, operation, refusing)


async def both_running(plane: Plane) -> None:
    await plane.register(BILLING, "b", tenants=["acme-corp"])
    await plane.register(CRM, "c", tenants=["acme-corp"])
    await plane.announced()


async def test_silence_is_noticed_though_it_cannot_be_acted_on_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_plane(auto_install=True) as plane:
        await both_running(plane)
        refuse(plane, monkeypatch, "unbind", "billing")
        plane.time.seconds += 16
        with capture_logs() as logs:
            await plane.control.sweeper.sweep()

        assert "_.presence.crm.contacts" in await plane.announced_keys()
        failed = [(one["plugin"], one["error"]) for one in logs if one["event"] == "sweep.plugin_failed"]
        assert failed == [("plugin-billing", ALARM)]


async def test_what_failed_is_done_by_the_next_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_plane(auto_install=True) as plane:
        await both_running(plane)
        refuse(plane, monkeypatch, "unbind", "billing")
        plane.time.seconds += 16
        await plane.control.sweeper.sweep()
        monkeypatch.undo()
        await plane.announced()
        await plane.control.sweeper.sweep()

        assert "_.presence.billing.invoices" in await plane.announced_keys()
        assert plane.bindings("calls") == set()


async def test_the_topology_of_others_is_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_plane() as plane:
        await plane.tenants.create("acme-corp")
        for item, instance in ((BILLING, "b"), (CRM, "c")):
            await plane.register(item, instance)
            refuse(plane, monkeypatch, "bind", f"calls.{item.id.removeprefix('plugin-')}")
            with pytest.raises(TransportError):
                await plane.control.lifecycle.install("acme-corp", InstallRequest(plugin_id=item.id))
            monkeypatch.undo()
        for service in ("billing.invoices", "crm.contacts"):
            await plane.transport.bind(plane.topology.call_binding("acme-corp", service, "1.0.0"))
        refuse(plane, monkeypatch, "unbind", "billing")
        await plane.control.sweeper.sweep()

        assert {queue for queue, _ in plane.bindings("calls")} == {"calls.billing.invoices.1.0.0"}


async def test_queues_of_others_who_left_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_plane(auto_install=True) as plane:
        await both_running(plane)
        for plugin, instance in (("plugin-billing", "b"), ("plugin-crm", "c")):
            await plane.control.registry.deregister(plugin, DeregisterRequest(instance_id=instance))
        refuse(plane, monkeypatch, "delete_queue", "plugin-billing")
        plane.time.seconds += RETIRE_AFTER_SECONDS
        await plane.control.sweeper.sweep()

        left = {queue for queue in plane.queues() if queue.startswith("replies.")}
        assert left == {"replies.plugin-billing.b"}
