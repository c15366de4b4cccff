"""``plexica bench``: what is measured, how it is told, and what it does not pretend to know."""

import asyncio
import io

import pytest
from rich.console import Console

from broker.cli.echo import Echo
from broker.cli.measuring import Measured, measured, percentile
from broker.cli.progress import bar
from broker.cli.verdict import verdict
from contracts.manifest import Metadata
from contracts.names import check_tenant
from plugin_runtime import Call, Plugin, Refusal
from tests.acceptance.plugins import make_crm, make_plugin
from tests.unit.broker.cli.desk import Answer, Desk
from tests.unit.broker.cli.test_operating import error_of

QUICK = ("--seconds", "0.05", "-n", "4")


def stage(p50: float, per_second: int, *, in_flight: int = 1, busy: float = 0.0, **failures: int) -> Measured:
    """A stage of one second in which every call took as long."""
    return Measured(in_flight=in_flight, seconds=1.0, durations=[p50] * per_second, failures=failures, busy=busy)


# Measuring


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.99, 4), (0.0, 1), (1.0, 4)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile([1, 2, 3, 4], share) == value


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 0.5) is None


async def test_so_many_calls_are_under_way_and_each_is_counted() -> None:
    under_way, most, done = 0, 0, 0

    async def once() -> str | None:
        nonlocal under_way, most, done
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done += 1
        return None if done % 2 else "OVERLOADED"

    found = await measured(once, in_flight=3, seconds=0.05)

    assert most == 3
    assert len(found.durations) + found.failures["OVERLOADED"] == done
    assert list(found.durations) == sorted(found.durations)


async def test_an_error_that_is_no_answer_ends_the_stage() -> None:
    async def once() -> str | None:
        raise ConnectionError

    with pytest.raises(ExceptionGroup):
        await measured(once, in_flight=2, seconds=60)


# What it tells


def test_a_call_that_takes_little_more_than_the_way_is_told_so() -> None:
    (told,) = verdict(stage(0.0004, 1000), stage(0.001, 1000), [])

    assert told == (
        "Two bare messages through RabbitMQ take 0.80 ms, a call and its reply 1.00 ms: "
        "the way over RabbitMQ dominates."
    )


def test_a_slow_endpoint_is_told_with_what_it_takes() -> None:
    (told,) = verdict(stage(0.0004, 1000), stage(0.01, 100), [])

    assert told.endswith("a call and its reply 10.00 ms: the endpoint and Python at both ends dominate with 9.20 ms.")


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ({"per_second": 2200}, "it still grew, so that is no limit"),
        ({"per_second": 1050}, "more in flight brought no more"),
        ({"per_second": 500}, "more in flight brought no more"),
        ({"per_second": 2200, "busy": 0.95}, "this command itself then used a whole CPU"),
    ],
)
def test_what_limits_the_rate_is_told_as_far_as_it_shows(last: dict[str, float], told: str) -> None:
    loads = [
        stage(0.01, 1000, in_flight=16),
        stage(0.1, int(last["per_second"]), in_flight=64, busy=last.get("busy", 0)),
    ]

    assert told in verdict(stage(0.0004, 1000), stage(0.001, 900), loads)[1]


def test_failures_are_summed_over_all_stages() -> None:
    told = verdict(
        stage(0.0, 0), stage(0.0, 0, OVERLOADED=1), [stage(0.0, 0, in_flight=4, OVERLOADED=2, RATE_LIMITED=5)]
    )

    assert told == ["8 of 8 calls were refused or failed (5 RATE_LIMITED, 3 OVERLOADED): there are no figures."]


@pytest.mark.parametrize("last", [2200, 500])
def test_where_calls_were_refused_the_figures_are_said_to_be_of_the_answered_ones_and_nothing_else_of_them(
    last: int,
) -> None:
    loads = [stage(0.01, 1000, in_flight=16), stage(0.1, last, in_flight=64, OVERLOADED=40)]

    told = verdict(stage(0.0004, 1000), stage(0.001, 900), loads)[1:]

    whole, answered = f"{1940 + last:,}", f"{1900 + last:,}"
    assert told == [
        (
            f"40 of {whole} calls were refused or failed (40 OVERLOADED): "
            f"the figures are of the {answered} answered ones only."
        )
    ]


def test_limits_in_the_metadata_are_told_as_such_and_the_cpu_is_not_blamed() -> None:
    loads = [stage(0.01, 1000, in_flight=16), stage(0.1, 1000, in_flight=64)]

    told = verdict(stage(0.0004, 1000), stage(0.001, 900), loads, Metadata(rate_limit=60000, concurrency=4))[1:]

    assert told == [
        "The most was 1,000 calls/s, with 16 in flight; more in flight brought no more.",
        (
            "The endpoint's metadata sets a limit: rateLimit 60000, so many calls a minute for each tenant and caller; "
            "concurrency 4, so many calls at once in each instance."
        ),
    ]


# The command


def bench(plexica: Desk, *words: str, plugin: Plugin | None = None, keys: str = "") -> Answer:
    return plexica("bench", *words, "-t", "acme-corp", plugins=[plugin or make_crm()], keys=keys)


def test_an_endpoint_of_the_users_own_is_measured_in_every_stage(plexica: Desk) -> None:
    done = bench(plexica, "crm.contacts", "GET", "/contacts", "--seconds", "0.05", "-n", "8", "-n", "4", "-n", "8")

    assert done.status == 0
    assert done.out.startswith("GET crm.contacts /contacts, version 1.0.0 of plugin-crm\n")
    assert done.lines[1] == ["IN", "FLIGHT", "CALLS", "CALLS/S", "P50", "MS", "P99", "MS", "FAILED"]
    assert [line[0] for line in done.lines[2:5]] == ["1", "4", "8"]
    assert done.err == "measuring crm.contacts for about 0 s; this makes load on amqp://guest@127.0.0.1:5672/\n"


def test_for_machines_durations_are_seconds(plexica: Desk) -> None:
    done = bench(plexica, "crm.contacts", "GET", "/contacts", *QUICK, "--json")

    single, load = done.json["stages"]
    assert done.json["message"]["count"] > 0
    assert (single["inFlight"], load["inFlight"]) == (1, 4)
    assert 0 < single["p50Seconds"] <= single["p99Seconds"] < 10
    assert single["perSecond"] == pytest.approx(single["count"] / single["seconds"])
    assert done.json["verdict"]


def make_limited_crm() -> Plugin:
    """A CRM with limits of its service, one of which an endpoint has its own of."""
    endpoint = {"method": "GET", "path": "/contacts/:id", "metadata": {"rateLimit": 3}}
    service = {
        "name": "crm.contacts",
        "version": "1.0.0",
        "endpoints": [endpoint],
        "metadata": {"rateLimit": 100, "concurrency": 2},
    }
    api = {"services": [service]}
    crm = Plugin.from_manifest({"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": api})

    @crm.service("crm.contacts").get("/contacts/:id")
    async def get(_call: Call, id: str) -> str:
        return id

    return crm


def test_a_refused_call_is_exit_status_1_and_told_with_the_limit(plexica: Desk) -> None:
    done = bench(plexica, "crm.contacts", "GET", "/contacts/42", *QUICK, "--json", plugin=make_limited_crm())

    refused = sum(load["failures"].get("RATE_LIMITED", 0) for load in done.json["stages"])
    assert done.status == 1
    assert done.json["limits"] == {"rateLimit": 3, "concurrency": 2}
    # Three calls a minute, the first of which saw that it answers at all.
    assert (
        f"{refused} of {refused + 2} calls were refused or failed ({refused} RATE_LIMITED)" in done.json["verdict"][-2]
    )
    assert "rateLimit 3, so many calls a minute" in done.json["verdict"][-1]


def test_an_endpoint_that_does_not_answer_well_is_told_before_any_load(plexica: Desk) -> None:
    calls = 0
    crm = make_plugin("crm", "GET /contacts")

    @crm.service("crm.contacts").get("/contacts")
    async def refuse(_call: Call) -> None:
        nonlocal calls
        calls += 1
        raise Refusal(404, "Contact not found")

    refused = bench(plexica, "crm.contacts", "GET", "/contacts", "--json", plugin=crm)

    assert (refused.status, calls) == (1, 1)
    assert error_of_last_line(refused)["message"] == "GET crm.contacts /contacts answered 404: Contact not found"


def error_of_last_line(answer: Answer) -> dict[str, str]:
    answer.err = answer.err.splitlines()[-1]
    return error_of(answer)


def test_an_endpoint_that_may_do_harm_is_asked_about_first(plexica: Desk) -> None:
    calls = 0
    crm = make_plugin("crm", "POST /contacts")

    @crm.service("crm.contacts").post("/contacts")
    async def create(_call: Call) -> None:
        nonlocal calls
        calls += 1

    refused = bench(plexica, "crm.contacts", "POST", "/contacts", *QUICK, plugin=crm, keys="n\n")
    none_yet = calls
    done = bench(plexica, "crm.contacts", "POST", "/contacts", *QUICK, "--yes", plugin=crm)

    assert (refused.status, none_yet) == (1, 0)
    assert done.status == 0
    assert calls > 1


@pytest.mark.parametrize("words", [["crm.contacts"], ["crm.contacts", "GET"], ["--in-flight", "1"], ["--seconds", "0"]])
def test_half_an_endpoint_and_wrong_numbers_are_wrong_use(plexica: Desk, words: list[str]) -> None:
    assert plexica("bench", *words).status == 2


async def test_the_echo_answers_its_query_under_names_of_its_own() -> None:
    echo = Echo("0a1b2c3d")

    assert check_tenant(echo.tenant) == "bench-0a1b2c3d"
    assert echo.plugin().manifest.id == "plugin-bench-0a1b2c3d"
    assert [service.name for service in echo.plugin().manifest.api.services] == [echo.service]


async def test_a_bar_is_drawn_while_time_passes_and_gone_at_the_end() -> None:
    drawn = io.StringIO()

    with bar(Console(file=drawn, force_terminal=True, width=80), "16 in flight", 60.0):
        await asyncio.sleep(0)
        seen = drawn.getvalue()

    assert "16 in flight" in seen
    assert drawn.getvalue().endswith("\x1b[2K")
