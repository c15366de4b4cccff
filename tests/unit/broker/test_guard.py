"""What stands before every endpoint of the broker, and which of them RabbitMQ may hand out twice."""

from types import SimpleNamespace
from typing import Any

import pytest

from broker.guard import guard
from broker.lock import always
from broker.registry import endpoints
from broker.system import system_plugin
from contracts.calls import REPEATABLE_METHODS, Query
from contracts.errors import InvalidRequestError, NameTakenError, NotConnectedError, ServiceUnavailableError
from contracts.registry import REGISTRY_SERVICE, HeartbeatAnswer
from plugin_runtime import Plugin

NOT_REPEATABLE = {"POST /deregister", "POST /uninstall"}
"""The second time they find nothing to take away, and say so."""


HEARD = HeartbeatAnswer(known=True, lease_seconds=15.0, revision=7)


class Registry:
    """Answers one heartbeat in whatever way it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.beats = 0
        self._error = error

    async def heartbeat(self, caller: str, beat: object) -> HeartbeatAnswer:
        del caller, beat
        self.beats += 1
        if self._error is not None:
            raise self._error
        return HEARD


def guarded(registry: Registry, check: Any = always) -> Plugin:
    plugin = system_plugin()
    endpoints.mount(plugin, registry)  # type: ignore[arg-type] - as much of a registry as a heartbeat needs
    guard(plugin, check)
    return plugin


async def beat(plugin: Plugin, query: dict[str, Any] | None = None) -> Any:
    handlers = {mark.path: mark.handler for mark in plugin.service(REGISTRY_SERVICE).endpoints}
    call = SimpleNamespace(
        caller="plugin-crm", query=Query.of(query), body={"instanceId": "one"}, method="PUT", path="/heartbeat"
    )
    return await handlers["/heartbeat"](call)


def test_whatever_may_happen_twice_is_a_method_that_rabbitmq_may_repeat() -> None:
    """A broker that is killed before it acknowledged leaves the call to the next one: it must not be refused there."""
    once = {
        f"{endpoint.method} {endpoint.path}"
        for service in system_plugin().manifest.api.services
        for endpoint in service.endpoints
        if endpoint.method not in REPEATABLE_METHODS
    }

    assert once == NOT_REPEATABLE


async def test_a_guarded_endpoint_answers_as_before() -> None:
    assert await beat(guarded(Registry())) == HEARD.to_json()


async def test_what_an_endpoint_would_ignore_is_refused_before_anything_is_run() -> None:
    registry = Registry()
    with pytest.raises(InvalidRequestError, match=r"^query: unknown key text 'load'; none is expected$"):
        await beat(guarded(registry), {"load": "5"})

    assert registry.beats == 0


async def test_nothing_is_run_while_it_may_not() -> None:
    async def refuse() -> None:
        raise ServiceUnavailableError("not now")

    registry = Registry()
    with pytest.raises(ServiceUnavailableError, match="not now"):
        await beat(guarded(registry, refuse))

    assert registry.beats == 0


async def test_what_rabbitmq_did_not_do_may_be_tried_again() -> None:
    with pytest.raises(ServiceUnavailableError, match=r"PUT /heartbeat could not be done in RabbitMQ: lost") as caught:
        await beat(guarded(Registry(NotConnectedError("lost"))))

    assert caught.value.details["retryAfter"] > 0


async def test_what_the_broker_refuses_is_told_as_it_is() -> None:
    with pytest.raises(NameTakenError):
        await beat(guarded(Registry(NameTakenError("taken"))))
