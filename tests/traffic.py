"""Calls at a steady rate, a third of them POSTs with an id of their own, and what became of each."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from contracts.errors import PlexicaError
from plugin_runtime import TenantClient

CALLS_PER_SECOND = 200
MOST_IN_FLIGHT = 200
"""Beyond that no call goes out: a machine that cannot keep up is not buried."""

SERVICE = "crm.contacts"


@dataclass
class Traffic:
    """What callers saw.

    Attributes:
        answers: The version that answered each call that came back, in the order of the answers.
        failures: Code and message of each call that did not.
        posted: The ids of the POSTs that were answered.
    """

    answers: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    posted: set[str] = field(default_factory=set)

    @property
    def ended(self) -> int:
        """How many calls have ended so far."""
        return len(self.answers) + self.failures.total()

    async def call(self, tenant: TenantClient, number: int) -> None:
        """One call; every third is a POST."""
        contacts = tenant.service(SERVICE)
        try:
            if number % 3:
                result = await contacts.request("GET", "/contacts")
            else:
                result = await contacts.request("POST", "/contacts", body={"id": str(number)})
                self.posted.add(str(number))
        except PlexicaError as error:
            self.failures[f"{type(error).__name__}: {error}"] += 1
        else:
            self.answers.append(str(result.data))

    @asynccontextmanager
    async def flowing(self, callers: Sequence[TenantClient]) -> AsyncIterator[None]:
        """Calls go out by turns while the context lasts; when it is left all of them have ended."""
        stop = asyncio.Event()
        pouring = asyncio.create_task(self._pour(callers, stop))
        try:
            yield
        finally:
            stop.set()
            await pouring

    async def _pour(self, callers: Sequence[TenantClient], stop: asyncio.Event) -> None:
        loop, number = asyncio.get_running_loop(), 0
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                # What is due by now goes out together: a machine that was busy does not lower the rate.
                while number < (loop.time() - began) * CALLS_PER_SECOND and number - self.ended < MOST_IN_FLIGHT:
                    group.create_task(self.call(callers[number % len(callers)], number))
                    number += 1
                await asyncio.sleep(1 / CALLS_PER_SECOND)
