"""Deadlines, waiting callers, tasks, watchers and settings."""

import asyncio
import contextvars

import pytest
from structlog.testing import capture_logs

from contracts.calls import CallReply
from contracts.errors import OutcomeUnknownError, StartError
from plugin_runtime import RuntimeSettings
from plugin_runtime.calls.pending import Answer, Pending, Waiting
from plugin_runtime.context import Deadline
from plugin_runtime.data.watch import LONGEST_BACKLOG, Watchers
from plugin_runtime.tasks import TaskSet

seen = contextvars.ContextVar("seen", default="nothing")


def test_a_deadline_ends() -> None:
    assert Deadline.after(-1).is_spent
    assert Deadline.after(-1).remaining_seconds == 0.0
    assert 9 < Deadline.after(10).remaining_seconds <= 10


def test_the_earlier_deadline_counts() -> None:
    soon, late = Deadline.after(1), Deadline.after(9)

    assert (soon.earlier(late), late.earlier(soon), late.earlier(None)) == (soon, soon, late)


def waiting(version: str = "1.0.0") -> Waiting:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    return Waiting(
        callee="plugin-crm",
        service="crm.contacts",
        version=version,
        method="POST",
        deadline=Deadline.after(30),
        key=f"acme-corp.crm.contacts.{version}",
        body=b"",
        headers={},
        future=future,
    )


async def test_each_caller_gets_its_own_reply() -> None:
    pending, first, second = Pending(), waiting(), waiting()
    pending.add("1", first)
    pending.add("2", second)

    assert pending.answer("2", Answer(CallReply(status=200, data="two"), "i"))
    assert not first.future.done()
    assert (await second.future).reply.data == "two"
    assert pending.callee_of("1") == "plugin-crm"


async def test_a_late_or_second_reply_finds_nobody() -> None:
    pending, caller = Pending(), waiting()
    pending.add("1", caller)
    answer = Answer(CallReply(status=200), "i")

    assert pending.answer("1", answer)
    assert not pending.answer("1", answer)
    pending.remove("1")
    assert not pending.answer("1", answer)
    assert pending.callee_of("1") is None
    assert pending.callee_of(None) is None


async def test_only_callers_of_the_version_that_went_are_told() -> None:
    pending, gone, alive = Pending(), waiting("1.0.0"), waiting("2.0.0")
    pending.add("1", gone)
    pending.add("2", alive)

    count = pending.fail_version("crm.contacts", "1.0.0", lambda item: OutcomeUnknownError(item.method))

    assert count == 1
    assert not alive.future.done()
    with pytest.raises(OutcomeUnknownError, match=r"^POST$"):
        await gone.future


async def test_a_task_that_fails_is_logged_and_ends_nothing_else() -> None:
    tasks = TaskSet("handlers")

    async def fail() -> None:
        raise RuntimeError("oh")

    with capture_logs() as logs:
        tasks.start(fail())
        await tasks.drain(1.0)

    assert [(entry["event"], entry["task"], str(entry["exc_info"])) for entry in logs] == [
        ("task.failed", "handlers", "oh")
    ]


async def test_after_the_grace_the_rest_is_cancelled_and_counted() -> None:
    tasks = TaskSet("handlers")
    tasks.start(asyncio.Event().wait())  # type: ignore[arg-type]

    assert await tasks.drain(0.01) == 1
    assert len(tasks) == 0


async def test_work_does_not_inherit_the_context_of_whoever_started_it() -> None:
    tasks, found = TaskSet("handlers"), list[str]()

    async def look() -> None:
        found.append(seen.get())

    token = seen.set("the publisher's")
    tasks.start(look())
    seen.reset(token)
    await tasks.drain(1.0)

    assert found == ["nothing"]


async def test_a_watcher_hears_what_its_pattern_admits_from_then_on() -> None:
    watchers = Watchers[int]()
    watchers.publish("a.b", 0)

    with watchers.watching("a.*") as heard:
        watchers.publish("a.b", 1)
        watchers.publish("a.b.c", 2)
        watchers.publish("a.d", 3)

        assert [await anext(heard), await anext(heard)] == [1, 3]


async def test_a_watcher_that_does_not_keep_up_loses_its_oldest_and_the_log_says_so() -> None:
    watchers = Watchers[int]()

    with watchers.watching("#") as heard, capture_logs() as logs:
        for number in range(LONGEST_BACKLOG + 1):
            watchers.publish("a", number)

        assert await anext(heard) == 1
    assert logs == [{"event": "watch.dropped", "key": "a", "log_level": "warning"}]


def test_settings_come_from_the_environment_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXICA_TENANT", "acme-corp")
    monkeypatch.setenv("PLEXICA_PREFIX", "x.")

    settings = RuntimeSettings.read(prefix="y.", url=None)

    assert (settings.tenant, settings.prefix) == ("acme-corp", "y.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TENANT", "ACME"),
        ("PREFIX", "a b"),
        ("PREFIX", "x" * 33),
        ("CONCURRENCY", "0"),
        ("GRACE_SECONDS", "soon"),
        ("INSECURE", "perhaps"),
        ("TRANSPORT", "pigeon"),
    ],
)
def test_a_setting_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"PLEXICA_{name}", value)

    with pytest.raises(StartError, match=f"^PLEXICA_{name}: "):
        RuntimeSettings.read()


async def test_everybody_who_waits_is_told_when_the_plugin_stops() -> None:
    pending, first, second = Pending(), waiting(), waiting("2.0.0")
    pending.add("1", first)
    pending.add("2", second)

    assert pending.fail_all(lambda item: OutcomeUnknownError(item.service)) == 2
    for caller in (first, second):
        with pytest.raises(OutcomeUnknownError):
            await caller.future
