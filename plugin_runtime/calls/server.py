"""Calls in: judged as they come, run in their turn, answered, and only then acknowledged.

::

    delivery ─► was it taken back, may it run twice, is there room for its tenant   nothing is read for that
             ─► admission: where it comes from, what it asks, whether it may        `calls.admission`
             ─► its limit per minute                                                `calls.endpoints`
             ─► a place, or the fair queue                                          `calls.fair_queue`
             ─► a task: the handler, the reply's confirm, the acknowledgement       `calls.handling`, `calls.answers`
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping

import structlog

from contracts.calls import CallReply
from contracts.errors import CodedError, MalformedMessageError, OverloadedError, ServiceUnavailableError
from contracts.manifest import Service
from contracts.names import SYSTEM_PLUGIN
from contracts.registry import ServiceRecord
from plugin_runtime.calls.admission import Admission, Received, refuse_second_run
from plugin_runtime.calls.answers import Answers, refusal, too_late
from plugin_runtime.calls.fair_queue import FairQueue, Lane
from plugin_runtime.calls.handling import handle
from plugin_runtime.calls.taken_back import CallKey, TakenBack
from plugin_runtime.deadlines import AlarmClock
from plugin_runtime.incoming import Tenants
from plugin_runtime.tasks import TaskSet
from plugin_runtime.transport.base import Delivery

log = structlog.get_logger()

ROOM_PER_WORKER = 32
"""How many calls may wait for each that runs. A burst of a thousand finds room by default; more than that would mostly
wait past their deadlines, and RabbitMQ would hold them for an instance that is busy while another may be idle."""

MOST_WAITING = 32_768
REFUSED_AT_ONCE = 1000
"""How many refusals may be on their way, besides what runs and waits: behind them RabbitMQ holds back the next call of
the queue, whoever made it. A refusal's confirm may take a tenth of a second where its caller is slow."""

LARGEST_PREFETCH = 65_535
"""AMQP 0-9-1 counts it in 16 bits."""

RETRY_AFTER_SECONDS = 1.0
OVERLOAD_TOLD_SECONDS = 10.0
"""How often the log tells of an overload, which may refuse thousands of calls a second."""

LAST_WORD_SECONDS = 1.0
"""How long a stop waits for the last refusals, once its grace is over."""


class CallServer:
    """Answers the calls to one plugin's services.

    Args:
        admission: Judges what comes.
        answers: Publishes what is answered.
        tenants: Where handlers get their tenant's clients.
        myself: The plugin.
        services: The versions of its services by name.
        concurrency: How many calls run at once.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        answers: Answers,
        tenants: Tenants,
        myself: str,
        services: Mapping[str, str],
        concurrency: int,
    ) -> None:
        self._admission = admission
        self._answers = answers
        self._tenants = tenants
        self._versions = services
        self._instances = dict.fromkeys(services, 1)
        self._concurrency = concurrency
        self._room = min(MOST_WAITING, ROOM_PER_WORKER * concurrency)
        self._queue: FairQueue[Received] = FairQueue(concurrency=concurrency, room=self._room)
        self._work = TaskSet("calls.serve")
        self._calls: dict[CallKey, Received] = {}
        self._open: dict[int, Received] = {}
        self._received = 0
        self._clock = AlarmClock(self._open, self._expire)
        self._taken_back = TakenBack()
        self._overload_told_at = -math.inf
        self._handlers_speak_codes = myself == SYSTEM_PLUGIN

    @property
    def prefetch(self) -> int:
        """How many calls of one queue RabbitMQ may hand out: what runs, what waits, and refusals on their way."""
        return min(LARGEST_PREFETCH, self._concurrency + self._room + REFUSED_AT_ONCE)

    @property
    def load(self) -> int:
        """How many calls were received and are not answered yet."""
        return len(self._work) + len(self._queue)

    def for_service(self, service: Service) -> Callable[[Delivery], None]:
        """What the consumer of one service's queue calls for each delivery."""
        return lambda delivery: self._receive(service, delivery)

    def on_service(self, record: ServiceRecord) -> None:
        """Hear how a service is: a limit per minute is shared by all instances that serve it."""
        if self._versions.get(record.service_name) == record.version:
            self._instances[record.service_name] = max(1, record.instances)

    def take_back(self, caller: str, correlation_id: str) -> None:
        """A plugin takes its call back: it is not run, or its handler is cancelled, and no reply is published.

        A handler that goes on nevertheless is left to finish. What comes only now is remembered for some seconds.
        """
        key = (caller, correlation_id)
        self._taken_back.add(key, now=time.monotonic())
        call = self._calls.get(key)
        if call is None or call.is_taken_back or call.number not in self._open:
            return
        call.is_taken_back = True
        log.info("call.taken_back", service=call.service, caller=caller, correlation_id=correlation_id)
        if self._queue.drop(call):
            self._forget(call)
            self._work.start(call.delivery.acknowledge())
            self._run_next()
        elif call.task is not None:
            call.task.cancel()

    async def drain(self, grace_seconds: float) -> None:
        """Run every call already received to its reply.

        After the grace those that wait are refused, since nothing was run of them, and those that run are given back
        to RabbitMQ.
        """
        await self._work.until_idle(grace_seconds)
        waiting = self._queue.clear()
        cancelled = await self._work.drain(0.0)
        for call in waiting:
            text = f"the instance stopped before {call.endpoint.name} was run"
            self._refuse(call, ServiceUnavailableError(text, retryAfter=RETRY_AFTER_SECONDS))
        self._clock.stop()
        if cancelled or waiting:
            log.warning("call.interrupted", calls=cancelled, refused=len(waiting), grace_seconds=grace_seconds)
            await self._work.drain(LAST_WORD_SECONDS)

    def _receive(self, service: Service, delivery: Delivery) -> None:
        if not self._answers.may_answer(delivery):
            self._work.start(delivery.reject(requeue=False))
            return
        if self._was_taken_back(delivery):
            self._work.start(delivery.acknowledge())
            return
        try:
            if delivery.redelivered:
                if self._is_here(delivery):
                    return
                refuse_second_run(delivery.message)
            # Before anything is read: a refusal must cost little, or a flood hides other tenants' calls behind it.
            self._refuse_beyond_room(delivery.routing_key.partition(".")[0])
            call = self._admission.judge(service, delivery)
            if call is None:
                self._work.start(self._receive_later(service, delivery))
            else:
                self._take(call)
        except (CodedError, MalformedMessageError) as error:
            self._work.start(self._answers.give(delivery, refusal(service.name, error)))
        except Exception:
            log.exception("call.not_judged", service=service.name)
            self._work.start(delivery.reject(requeue=False))

    async def _receive_later(self, service: Service, delivery: Delivery) -> None:
        try:
            call = await self._admission.judge_later(service, delivery)
            if self._was_taken_back(delivery):
                await delivery.acknowledge()
            else:
                self._take(call)
        except (CodedError, MalformedMessageError) as error:
            await self._answers.give(delivery, refusal(service.name, error))
        except Exception:
            await delivery.reject(requeue=False)
            raise

    def _take(self, call: Received) -> None:
        """Run a call, or let it wait.

        Raises:
            OverloadedError: There is no room for it.
            RateLimitedError: Its caller used up its calls per minute.
        """
        self._refuse_beyond_room(call.tenant, call.lane)
        call.endpoint.count(call.origin, now=time.monotonic(), instances=self._instances[call.service])
        if call.delivery.message.correlation_id is not None:
            self._calls[call.origin.publisher, call.delivery.message.correlation_id] = call
        call.number = self._received = self._received + 1
        self._open[call.number] = call
        self._clock.add(call.deadline.at, call.number)
        if self._queue.begin(call):
            self._run(call)
            return
        pushed_out = self._queue.add(call)
        if pushed_out is not None:
            self._refuse(pushed_out, self._overloaded(pushed_out.tenant))

    def _refuse_beyond_room(self, tenant: str, lane: Lane | None = None) -> None:
        if self._queue.refuses(tenant, lane):
            raise self._overloaded(tenant)

    def _overloaded(self, tenant: str) -> OverloadedError:
        now = time.monotonic()
        if now - self._overload_told_at >= OVERLOAD_TOLD_SECONDS:
            self._overload_told_at = now
            log.warning("call.overloaded", tenant=tenant, waiting=len(self._queue))
        text = f"tenant {tenant} has its share of the room for {self._room} waiting calls here; call fewer at once"
        return OverloadedError(f"{text}; nothing was run", retryAfter=RETRY_AFTER_SECONDS, waiting=len(self._queue))

    def _expire(self, number: int) -> None:
        """A call's deadline has come: it is not run any more, or its handler is cancelled."""
        call = self._open[number]
        if self._queue.drop(call):
            self._refuse(call, too_late(call.endpoint.name))
            self._run_next()
        elif call.task is not None and not call.is_taken_back:
            call.is_late = True
            call.task.cancel()

    def _run_next(self) -> None:
        while (call := self._queue.next()) is not None:
            self._run(call)

    def _run(self, call: Received) -> None:
        self._work.start(self._serve(call))

    async def _serve(self, call: Received) -> None:
        try:
            try:
                reply = await self._answered(call)
            except Exception:
                # Ours to mend; unsettled it would hold its place in the prefetch for ever.
                await call.delivery.reject(requeue=False)
                raise
            finally:
                self._open.pop(call.number, None)
                self._queue.finish(call)
                self._run_next()
            delivery = call.delivery
            if reply is None:
                await delivery.acknowledge()
            else:
                await self._answers.give(delivery, reply, call.deadline)
            if call.delivery is not delivery:
                await call.delivery.acknowledge()
        finally:
            self._forget(call)

    async def _answered(self, call: Received) -> CallReply | None:
        """The answer to a call whose turn has come; None for one that was taken back, however its handler ended."""
        if call.is_taken_back:
            return None
        if call.deadline.is_spent:
            return refusal(call.service, too_late(call.endpoint.name))
        return await self._handled(call)

    async def _handled(self, call: Received) -> CallReply | None:
        call.task = task = self._work.current()
        try:
            reply = await handle(call, self._tenants, handlers_speak_codes=self._handlers_speak_codes)
        except (Exception, asyncio.CancelledError) as error:
            if call.is_taken_back:
                if task is not None:
                    task.uncancel()  # what is left to do, its acknowledgement, is not cancelled
                return None
            if not isinstance(error, CodedError | MalformedMessageError):
                raise
            return refusal(call.service, error)
        return None if call.is_taken_back else reply

    def _refuse(self, call: Received, error: CodedError) -> None:
        """Answer a call that waited and is not run."""
        self._forget(call)
        self._work.start(self._answers.give(call.delivery, refusal(call.service, error)))

    def _forget(self, call: Received) -> None:
        self._open.pop(call.number, None)
        key = (call.origin.publisher, call.delivery.message.correlation_id or "")
        if self._calls.get(key) is call:
            del self._calls[key]

    def _is_here(self, delivery: Delivery) -> bool:
        """Whether a call that comes again, since the connection was lost, still waits, runs or is answered here."""
        call = self._calls.get((delivery.publisher or "", delivery.message.correlation_id or ""))
        if call is not None:
            self._work.start(call.delivery.acknowledge())
            call.delivery = delivery
        return call is not None

    def _was_taken_back(self, delivery: Delivery) -> bool:
        key = (delivery.publisher or "", delivery.message.correlation_id or "")
        return len(self._taken_back) > 0 and self._taken_back.has(key, now=time.monotonic())
