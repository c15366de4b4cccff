"""What was taken back is remembered for some seconds, and not without bound."""

from plugin_runtime.calls.taken_back import MOST_REMEMBERED, REMEMBERED_SECONDS, TakenBack

KEY = ("plugin-analytics", "1")


def test_call_that_was_taken_back_is_known_for_some_seconds() -> None:
    taken_back = TakenBack()
    taken_back.add(KEY, now=10.0)

    assert taken_back.has(KEY, now=10.0)
    assert taken_back.has(KEY, now=9.9 + REMEMBERED_SECONDS)
    assert not taken_back.has(KEY, now=10.0 + REMEMBERED_SECONDS)


def test_call_of_another_plugin_with_the_same_id_is_another() -> None:
    taken_back = TakenBack()
    taken_back.add(KEY, now=0.0)

    assert not taken_back.has(("plugin-mallory", "1"), now=0.0)


def test_what_is_old_goes_when_something_comes() -> None:
    taken_back = TakenBack()
    taken_back.add(KEY, now=0.0)
    taken_back.add(("plugin-analytics", "2"), now=REMEMBERED_SECONDS)

    assert len(taken_back) == 1


def test_flood_pushes_the_oldest_out() -> None:
    taken_back = TakenBack()
    for number in range(MOST_REMEMBERED + 1):
        taken_back.add(("plugin-analytics", str(number)), now=0.0)

    assert len(taken_back) == MOST_REMEMBERED
    assert not taken_back.has(("plugin-analytics", "0"), now=0.0)
    assert taken_back.has(("plugin-analytics", str(MOST_REMEMBERED)), now=0.0)
