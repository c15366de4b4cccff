"""Whatever is wrong with a request, the answer is a coded error that names it, and nothing has changed.

Every operation of the broker's manifest is asked through the wire, in memory: a valid request, of which Hypothesis
breaks one part. ``PLEXICA_TEST_REQUESTS=2000`` breaks so many per operation, other ones in each run.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from structlog.testing import capture_logs

from broker.system import system_plugin
from contracts.errors import CODES
from contracts.shared_data import SetRequest
from contracts.wire import describe
from tests.unit.broker.breaking import Broken, broken
from tests.unit.broker.operations import OPERATIONS, VALUE, Operation, is_valid, manifest
from tests.unit.broker.raw_calls import Answer, Asked, rows

USUAL_REQUESTS = 60
ASKED_REQUESTS = int(os.environ.get("PLEXICA_TEST_REQUESTS", "0"))
LONGEST_MESSAGE = 10_000

PROFILE = settings(
    max_examples=ASKED_REQUESTS or USUAL_REQUESTS,
    derandomize=not ASKED_REQUESTS,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def test_every_operation_of_the_broker_is_described() -> None:
    offered = [
        (service.name, endpoint.method, endpoint.path)
        for service in system_plugin().manifest.api.services
        for endpoint in service.endpoints
    ]

    assert sorted((item.service, item.method, item.path) for item in OPERATIONS) == sorted(offered)


@each_operation
async def test_its_own_request_is_valid_and_answered(operation: Operation) -> None:
    async with Asked() as asked:
        answer = await asked.ask(operation.request())

    assert is_valid(operation, operation.request())
    assert (answer.status, answer.code) == (200, "")


@pytest.mark.timeout(120 + ASKED_REQUESTS)
@each_operation
def test_a_broken_request_is_refused_by_name_and_changes_nothing(operation: Operation) -> None:
    asked = Asked()
    with asyncio.Runner() as runner, no_loose_ends(runner.get_loop()):
        runner.run(asked.__aenter__())

        @PROFILE
        @given(broken(operation))
        def refused(item: Broken) -> None:
            runner.run(judge(asked, operation, item))

        try:
            refused()
        finally:
            runner.run(asked.__aexit__())


async def judge(asked: Asked, operation: Operation, item: Broken) -> None:
    """Ask, and hold answer, log and store against what was asked."""
    before = await asked.everything()
    with capture_logs() as logs:
        answer = await asked.ask(item.request)
    faults = [entry for entry in logs if entry["log_level"] in {"error", "critical"}]
    assert not faults, (item, faults)
    if not answer.code:
        assert answer.status == 200, (item, answer)
        assert is_valid(operation, item.request), (item, answer)
        await asked.begin_anew()
        return
    after = await asked.everything()
    if after != before:
        changed = (rows(before[0]) ^ rows(after[0]), before[1] ^ after[1], before[2] ^ after[2])
        await asked.begin_anew()
        raise AssertionError(f"{item!r} was refused, but changed {changed}: {answer}")
    check_refusal(operation, item, answer)


def check_refusal(operation: Operation, item: Broken, answer: Answer) -> None:
    """A code of the closed table, and, for a form that is wrong, the field's name."""
    assert CODES[answer.code].status == answer.status, (item, answer)
    assert answer.code != "REMOTE", (item, answer)
    assert 0 < len(answer.message) <= LONGEST_MESSAGE, (item, len(answer.message))
    assert answer.message.isprintable(), (item, answer.message)
    if item.part in {"tenant", "caller"} or is_valid(operation, item.request):
        return
    assert answer.code in {"INVALID_REQUEST", "ENDPOINT_NOT_FOUND"}, (item, answer)
    if answer.code == "INVALID_REQUEST":
        assert says_what_and_where(item, answer.message), (item, answer.message)


def says_what_and_where(item: Broken, message: str) -> bool:
    """Whether the message names the field, or, for what no JSON text may hold, that."""
    if "is not JSON" in message or "nested" in message:
        return True
    if item.part == "params" and ("is not UTF-8 when decoded" in message or "has a dot segment" in message):
        return True
    if not item.place:
        return "body" in message or "is required" in message or "unknown key" in message
    words = [describe(word)[6:20] for word in item.place if isinstance(word, str)]
    return any(word.rstrip("'") in message for word in words[-2:])


SET = next(item for item in OPERATIONS if item.model is SetRequest)
CALL = '{"method": "PUT", "path": "/data/crm.cache/contact_count", "body": %s}'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b"\xef\xbb\xbf{}", "the body is not JSON"),
        (b"[]", "a call must be a JSON object, found an array"),
        (CALL % '{"value": NaN}', "NaN is not JSON"),
        (CALL % '{"value": %s}' % ("9" * 5000), "the body is not JSON"),
        (CALL % '{"value": "\\ud800"}', r"\ud800 is half a character"),
        (CALL % '{"value": "\\uDFFF\\uD83D"}', "is half a character"),
        (CALL % '{"value": 1, "\\ud800": 1}', "is half a character"),
        (CALL % ('{"value": ' + "[" * 100_000), "the body is not JSON"),
        (CALL % ('{"value": ' + "[" * 700 + "]" * 700 + "}"), "must not be nested deeper than 110 levels"),
        (CALL % ('{"value": ' + "[" * 101 + "]" * 101 + "}"), "must not nest deeper than 100 levels"),
        (CALL % '{"value": 1, "ttl": %s}' % ("9" * 400), "ttl: "),
        (CALL % '{"value": 1, "ttl": 1e999}', "ttl: "),
        (CALL % '{"value": 1, "ifRevision": 9223372036854775808}', "ifRevision: must be at most "),
    ],
    ids=range(15),
)
async def test_bytes_that_are_no_request_are_refused_and_change_nothing(body: bytes | str, said: str) -> None:
    async with Asked() as asked:
        before = await asked.everything()
        answer = await asked.ask_with(body if isinstance(body, bytes) else body.encode(), SET.request())
        after = await asked.everything()

    assert answer.code == "INVALID_REQUEST"
    assert said in answer.message
    assert after == before


async def test_two_halves_of_a_character_are_a_whole_one() -> None:
    get = next(item for item in OPERATIONS if item.method == "GET" and item.params == VALUE)
    async with Asked() as asked:
        answer = await asked.ask_with((CALL % '{"value": "\\ud83d\\ude00"}').encode(), SET.request())
        got = await asked.ask(get.request())

    assert answer.status == 200
    assert got.data["entry"]["value"] == "\U0001f600"


async def test_of_a_key_given_twice_the_last_one_counts() -> None:
    """RFC 8259, 4 leaves it open; there is one reader here, so that nobody is told otherwise."""
    body = CALL % '{"value": 1, "value": 2, "ifRevision": 9, "ifRevision": 1}'
    async with Asked() as asked:
        answer = await asked.ask_with(body.encode(), SET.request())

    assert (answer.status, answer.data) == (200, {"revision": 2})


async def test_a_hundred_thousand_errors_are_told_in_a_few_words() -> None:
    request = replace(SET.request(), body={"value": 1, **{f"k{number}": 1 for number in range(100_000)}})
    async with Asked() as asked:
        answer = await asked.ask(request)

    assert answer.message.startswith("k0: unknown key; k1: unknown key; ")
    assert answer.message.endswith("; and 99950 more")


async def test_a_strict_plugin_that_is_refused_leaves_no_queue_behind() -> None:
    register = OPERATIONS[0]
    needs = [{"pluginId": "plugin-nobody", "version": "*"}]
    body = {**register.body, "manifest": manifest("analytics", "1.0.0", dependencies=needs)}
    async with Asked() as asked:
        before = await asked.everything()
        answer = await asked.ask(replace(register.request(), body=body))
        after = await asked.everything()

    assert answer.code == "UNRESOLVABLE"
    assert after == before


@contextmanager
def no_loose_ends(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Fail for an exception that no task was waited for."""
    unhandled: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    yield
    assert not unhandled
