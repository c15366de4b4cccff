"""How many calls a process may make again."""

from plugin_runtime.calls.budget import FLOOR, MOST, SHARE, RetryBudget


def taken(budget: RetryBudget, now: float = 0.0) -> int:
    """How many tokens there are."""
    count = 0
    while budget.take(now):
        count += 1
    return count


def test_a_process_begins_with_the_floor() -> None:
    assert taken(RetryBudget(now=0.0)) == FLOOR


def test_calls_that_all_fail_are_made_again_by_a_tenth_at_most() -> None:
    budget, again = RetryBudget(now=0.0), 0

    for _ in range(10_000):
        budget.made()
        again += budget.take(0.0)

    assert again <= 10_000 * SHARE + FLOOR
    assert again >= 10_000 * SHARE - 1


def test_a_quiet_time_gathers_no_more_than_the_most() -> None:
    budget = RetryBudget(now=0.0)

    for _ in range(100_000):
        budget.made()

    assert taken(budget) == MOST


def test_time_alone_fills_the_floor_and_no_more() -> None:
    budget = RetryBudget(now=0.0)
    taken(budget)

    assert taken(budget, now=3.0) == 3
    assert taken(budget, now=1000.0) == FLOOR
