"""The CRM as analytics sees it: whole lists, read page by page."""

from typing import TypeVar

from examples.analytics.models import Contact, Deal
from plugin_runtime import Call

PAGE_SIZE = 500

Item = TypeVar("Item")


async def fetch_contacts(call: Call) -> list[Contact]:
    """Every contact of the call's tenant."""
    return await _fetch_all(call, "crm.contacts", "/contacts", list[Contact])


async def fetch_deals(call: Call) -> list[Deal]:
    """Every deal of the call's tenant."""
    return await _fetch_all(call, "crm.deals", "/deals", list[Deal])


async def _fetch_all(call: Call, service: str, path: str, reply: type[list[Item]]) -> list[Item]:
    crm = call.tenant.service(service)
    found: list[Item] = []
    while True:
        page = await crm.get(path, query={"limit": PAGE_SIZE, "offset": len(found)}, reply=reply)
        found += page
        if len(page) < PAGE_SIZE:
            return found
