"""Calls whose answers may be kept: a GET within its ``cacheTTL`` is answered here, a write ends what is kept.

::

    GET     kept? ── yes ──► decoded anew, no message
              └─ no ──► equal one under way? ── yes ──► wait for it, at most until the own deadline, and look again
                                └─ no ──► call; status 200: keep
    write   forget the service's answers in the tenant, call, and forget them again: a GET that was answered meanwhile
            may show either state

What else ends what is kept is told by `CachedCalls.heed`. What other plugins write is not noticed: within its
``cacheTTL`` an answer may be older than that.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from contracts.calls import CallRequest, CallResult
from contracts.registry import Announcement, PluginAnnouncement, TenantAnnouncement
from plugin_runtime.calls.client import timed_out
from plugin_runtime.calls.kept_answers import KeptAnswers, Place, Question, question_of
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Context, Deadline


class Calls(Protocol):
    """Brings a call to a known service version and its answer back: `CallClient`, or the command line's own."""

    async def call(
        self, tenant: str, target: Target, request: CallRequest, *, deadline: Deadline, context: Context
    ) -> CallResult:
        """Call and wait for the reply; see `CallClient.call` for the errors."""


class CachedCalls:
    """Calls by way of what is kept.

    Args:
        calls: Makes the calls that are not answered from what is kept.
        myself: This plugin's id: when it is installed anew its permissions may have changed.
        clock: Monotonic seconds.
    """

    def __init__(self, calls: Calls, *, myself: str, clock: Callable[[], float]) -> None:
        self._calls = calls
        self._myself = myself
        self._kept = KeptAnswers(clock)
        self._asking: dict[tuple[Place, Question], asyncio.Event] = {}

    async def call(
        self, tenant: str, target: Target, request: CallRequest, *, deadline: Deadline, context: Context, fresh: bool
    ) -> CallResult:
        """Call, or give the kept answer again; errors as of `CallClient.call`.

        Args:
            tenant: For whom.
            target: Where the call goes.
            request: What is asked.
            deadline: Until when an equal call that is under way is waited for too.
            context: What the call inherits.
            fresh: Do not use what is kept; what comes is kept in its place.
        """
        place = tenant, target.service
        if request.method != "GET":
            self._kept.forget(place)
            try:
                return await self._calls.call(tenant, target, request, deadline=deadline, context=context)
            finally:
                self._kept.forget(place)
        seconds = target.caching.seconds(request.path) if target.caching and request.body is None else 0.0
        if seconds <= 0:
            return await self._calls.call(tenant, target, request, deadline=deadline, context=context)
        question = question_of(target.version, request)
        # In a circle of calls the one that is under way would wait for this one.
        if not fresh and target.service not in context.chain:
            await self._equal_one(tenant, target, request, (place, question), deadline)
        kept = None if fresh else self._kept.find(place, question)
        if kept is not None:
            return kept
        shelf = self._kept.shelf(place, target.plugin)
        with self._under_way((place, question)):
            result = await self._calls.call(tenant, target, request, deadline=deadline, context=context)
            self._kept.keep(place, shelf, question, result, seconds)
            return result

    def heed(self, announcement: Announcement) -> None:
        """Forget what an announcement may have changed: installed versions, this plugin's permissions, a tenant."""
        if isinstance(announcement, PluginAnnouncement):
            if announcement.plugin_id == self._myself:
                self._kept.forget_tenant(announcement.tenant)
            else:
                self._kept.forget_plugin(announcement.tenant, announcement.plugin_id)
        elif isinstance(announcement, TenantAnnouncement):
            self._kept.forget_tenant(announcement.tenant)

    def clear(self) -> None:
        """Forget everything: announcements may have been missed."""
        self._kept.clear()

    async def _equal_one(
        self, tenant: str, target: Target, request: CallRequest, key: tuple[Place, Question], deadline: Deadline
    ) -> None:
        """Wait until an equal call that is under way has ended, however it did."""
        asking = self._asking.get(key)
        if asking is None:
            return
        began = time.monotonic()
        try:
            async with asyncio.timeout(deadline.remaining_seconds):
                await asking.wait()
        except TimeoutError as error:
            raise timed_out(tenant, target.service, request, time.monotonic() - began) from error

    @contextmanager
    def _under_way(self, key: tuple[Place, Question]) -> Iterator[None]:
        """Equal calls that begin within wait for this one; of several that began together, for one of them."""
        mine = asyncio.Event()
        if self._asking.setdefault(key, mine) is not mine:
            yield
            return
        try:
            yield
        finally:
            del self._asking[key]
            mine.set()
