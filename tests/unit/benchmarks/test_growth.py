"""What growth costs, as a table."""

import pytest

from benchmarks.growth import KINDS, Kind, markdown, rows, start_rows
from benchmarks.payload import dumps, of_size
from tests.unit.benchmarks.runs import figures, result, run

KIND = Kind("tenants", "tenants", "BENCH_TENANTS", (1, 1_000))


def test_growth_is_told_beside_the_first_step() -> None:
    found = {"tenants-1": figures(p50_us=100.0, cpu_ms=10.0), "tenants-1000": figures(p50_us=150.0, cpu_ms=30.0)}

    assert [row[:5] for row in rows(KIND, found)] == [
        ["1", "100", "1.00", "10", "1.00"],
        ["1,000", "150", "1.50", "30", "3.00"],
    ]


def test_a_step_that_was_not_measured_has_no_row() -> None:
    assert [row[0] for row in rows(KIND, {"tenants-1000": figures()})] == ["1,000"]


def test_each_step_is_the_bus_with_a_variable_of_its_own() -> None:
    settings = [dict(peer.environment) for peer in Kind("plugins", "plugins", "BENCH_CROWD", (2, 50), less=2).peers()]

    assert settings == [{"BENCH_CROWD": "0"}, {"BENCH_CROWD": "48"}]


def test_starts_have_a_row_for_each_number_of_registrations() -> None:
    assert start_rows({"start-10000": {"empty_s": 58.84, "again_s": 19.2}}) == [
        ["10,000 registrations", "58.8", "19.2"]
    ]


def test_a_page_has_a_table_for_what_was_measured_only() -> None:
    taken = run(result("tenants-1", figures()), result("start-1000", {"empty_s": 5.0, "again_s": 2.0}))

    page = markdown(taken)

    assert "| tenants, called in turn | p50 µs | growth |" in page
    assert "| 1,000 registrations | 5.0 | 2.0 |" in page
    assert KINDS[1].title not in page


@pytest.mark.parametrize("size", [12, 1024, 1_000_000])
def test_bodies_are_as_large_as_asked(size: int) -> None:
    assert len(dumps(of_size(size))) == size


def test_a_body_of_no_bytes_is_none() -> None:
    assert of_size(0) is None


def test_a_body_that_is_too_small_to_be_made_is_refused() -> None:
    with pytest.raises(ValueError, match="give 0, or 11 at least"):
        of_size(5)
