"""Listing services asks for every page."""

from typing import Any

import pytest

from contracts.calls import CallRequest, CallResult
from plugin_runtime.calls.caller import Caller
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Context, Deadline
from plugin_runtime.registry_client import PAGE_SIZE, services_of


class Pages:
    """A broker in whose tenant so many services are registered; it is its own discovery."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[str] = []

    async def find(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> Target:
        del tenant, range_, deadline
        return Target("plugin-system", service, "1.0.0")

    async def call(
        self, tenant: str, target: Target, request: CallRequest, *, deadline: Deadline, context: Context
    ) -> CallResult:
        del tenant, target, deadline, context
        self.asked.append(request.query["page"])
        start = (int(request.query["page"]) - 1) * int(request.query["limit"])
        indexes = range(self.count)[start : start + int(request.query["limit"])]
        data: Any = {"services": [record(index) for index in indexes], "count": self.count}
        return CallResult(status=200, headers={}, data=data, metadata=None)  # type: ignore[arg-type]


def record(index: int) -> dict[str, Any]:
    name = f"crm.service-{index}"
    fields = {"pluginId": "plugin-crm", "serviceName": name, "version": "1.0.0", "status": "HEALTHY"}
    return {"id": f"{name}@1.0.0", **fields}


@pytest.mark.parametrize(
    ("count", "pages"), [(0, 1), (1, 1), (PAGE_SIZE - 1, 1), (PAGE_SIZE + 1, 2), (2 * PAGE_SIZE, 3)]
)
async def test_every_page_is_asked_for(count: int, pages: int) -> None:
    broker = Pages(count)

    found = await services_of(Caller(broker, broker), "acme-corp")

    assert [item.service_name for item in found] == [f"crm.service-{index}" for index in range(count)]
    assert broker.asked == [str(page + 1) for page in range(pages)]
