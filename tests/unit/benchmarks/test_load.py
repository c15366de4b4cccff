"""What a client does in a phase."""

import asyncio
from typing import Any

import pytest

from benchmarks.load import Done, Phase, percentile, perform, singly
from benchmarks.measuring import figures
from benchmarks.payload import CONTACT, dumps, loads


@pytest.mark.parametrize("phase", [Phase(1, 0.5), Phase(64, 1.5)])
def test_a_phase_comes_back_from_its_line(phase: Phase) -> None:
    assert Phase.parse(phase.line()) == phase


@pytest.mark.parametrize("done", [Done(3, 0.5), Done(3, 0.5, 0.1, 0.2)])
def test_what_was_done_comes_back_from_its_line(done: Done) -> None:
    assert Done.parse(done.line()) == done


def test_percentiles_are_ranks() -> None:
    ordered = [float(number) for number in range(100)]

    assert (percentile(ordered, 0.5), percentile(ordered, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)


def test_calls_made_singly_are_put_in_order() -> None:
    assert singly([0.3, 0.1, 0.2], 0.6) == Done(3, 0.6, 0.2, 0.3)


async def test_so_many_calls_are_in_flight() -> None:
    now = most = 0

    async def echo(data: Any) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return data

    done = await perform(Phase(16, 0.01), echo, CONTACT)

    assert most == 16
    assert done.calls >= 16


async def test_one_in_flight_has_percentiles() -> None:
    async def echo(data: Any) -> Any:
        await asyncio.sleep(0)
        return data

    done = await perform(Phase(1, 0.01), echo, CONTACT)

    assert done.calls >= 1
    assert done.p50 is not None


async def test_a_server_that_changes_what_it_got_fails_the_phase() -> None:
    async def echo(data: Any) -> Any:
        return {**data, "id": "another"}

    with pytest.raises(AssertionError, match="did not send back what it got"):
        await perform(Phase(1, 0.01), echo, CONTACT)


def test_the_payload_has_221_bytes() -> None:
    assert len(dumps(CONTACT)) == 221
    assert loads(dumps(CONTACT)) == CONTACT


def test_figures_are_of_a_thousand_calls() -> None:
    cpu = {"server": 0.2, "client": 0.3, "rabbitmq": 0.1}

    found = figures(Done(10, 1.0, 0.001, 0.002), Done(2000, 0.5), Done(3000, 1.5), cpu, 3 * 2**20)

    assert found == {
        "p50_us": 1000.0,
        "p99_us": 2000.0,
        "rate_64": 4000.0,
        "rate_256": 2000.0,
        "cpu_ms": 250.0,
        "server_cpu_ms": 100.0,
        "rabbitmq_cpu_ms": 50.0,
        "memory_mib": 3.0,
    }


def test_without_rabbitmq_there_is_no_figure_of_it() -> None:
    found = figures(Done(10, 1.0, 0.001, 0.002), Done(2000, 0.5), Done(3000, 1.5), {"server": 0.2, "client": 0.3}, 0)

    assert "rabbitmq_cpu_ms" not in found
