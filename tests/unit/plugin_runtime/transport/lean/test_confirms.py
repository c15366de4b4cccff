"""Which publish a confirm, a return or a deadline belongs to."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from plugin_runtime.transport.base import Message
from plugin_runtime.transport.lean.confirms import ConfirmTable, Publication

Table = ConfirmTable[str]


def add(table: Table, waiter: str, *, id: str | None = None, key: str = "k", deadline: float = 10.0) -> int:
    message = Message(body=b"", type="event", message_id=id or waiter)
    return table.add(Publication(message, "x", key, waiter), deadline)


def table_of(waiters: str) -> Table:
    table = Table()
    for waiter in waiters:
        add(table, waiter)
    return table


def names(found: list[Publication[str]]) -> str:
    return "".join(one.waiter for one in found)


def test_publishes_are_numbered_from_one() -> None:
    table = Table()

    assert [add(table, waiter) for waiter in "abc"] == [1, 2, 3]


def test_single_confirm_takes_one_and_multiple_all_up_to_it() -> None:
    table = table_of("abcdef")

    assert names(table.confirmed(3, multiple=False)) == "c"
    assert names(table.confirmed(4, multiple=True)) == "abd"
    assert names(table.confirmed(4, multiple=True)) == ""
    assert len(table) == 2


def test_multiple_of_zero_takes_all() -> None:
    """AMQP 0-9-1, Basic.Ack: zero with ``multiple`` is everything outstanding."""
    assert names(table_of("abc").confirmed(0, multiple=True)) == "abc"


def test_confirms_of_numbers_never_used_take_what_there_is() -> None:
    table = table_of("ab")

    assert table.confirmed(99, multiple=False) == []
    assert names(table.confirmed(2**63, multiple=True)) == "ab"
    assert names(table.confirmed(add(table, "c"), multiple=False)) == "c"


def test_return_takes_the_publish_it_belongs_to_and_its_confirm_nothing_more() -> None:
    table = table_of("abc")

    found = table.returned("b", "x", "k")

    assert found is not None
    assert found.waiter == "b"
    assert table.confirmed(2, multiple=False) == []
    assert names(table.confirmed(3, multiple=True)) == "ac"


def test_return_of_an_unknown_message_takes_nothing() -> None:
    table = table_of("abc")

    assert table.returned("z", "x", "k") is None
    assert table.returned("a", "x", "another key") is None
    assert len(table) == 3


def test_messages_with_one_id_are_returned_in_their_order() -> None:
    table = Table()
    for waiter in "abc":
        add(table, waiter, id="same")

    returned = [table.returned("same", "x", "k") for _ in "abcd"]

    assert [one and one.waiter for one in returned] == ["a", "b", "c", None]


def test_messages_with_one_id_are_told_apart_by_where_they_went() -> None:
    table = Table()
    add(table, "there", id="same", key="somewhere")
    add(table, "lost", id="same", key="nowhere")

    found = table.returned("same", "x", "nowhere")

    assert found is not None
    assert found.waiter == "lost"


def test_returns_out_of_order_are_found_too() -> None:
    table = table_of("abc")

    found = [table.returned(one, "x", "k") for one in ("c", "a", "b")]

    assert [one and one.waiter for one in found] == ["c", "a", "b"]


def test_deadlines_are_met_in_their_own_order() -> None:
    table = Table()
    for waiter, deadline in {"a": 3.0, "b": 1.0, "c": 2.0}.items():
        add(table, waiter, deadline=deadline)

    assert table.next_deadline() == 1.0
    assert names(table.expired(2.0)) == "bc"
    assert table.next_deadline() == 3.0
    assert table.confirmed(2, multiple=False) == []


def test_confirmed_publishes_have_no_deadline() -> None:
    table = table_of("ab")
    table.confirmed(2, multiple=True)

    assert table.next_deadline() is None
    assert table.expired(99.0) == []


def test_everything_is_taken_when_the_channel_goes() -> None:
    table = table_of("abc")
    table.confirmed(2, multiple=False)

    assert names(table.take_all()) == "ac"
    assert (len(table), table.next_deadline()) == (0, None)


steps = st.one_of(
    st.tuples(st.just("publish"), st.integers(0, 5), st.integers(0, 9)),
    st.tuples(st.just("confirm"), st.integers(0, 60), st.booleans()),
    st.tuples(st.just("return"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("expire"), st.integers(0, 9), st.just(0)),
)


@given(st.lists(steps, max_size=60))
def test_every_publish_is_told_exactly_one_fate(program: list[tuple[str, int, int]]) -> None:
    """Whatever comes in whatever order, nobody is told twice, and the end tells everybody else."""
    table, told, published = Table(), Counter[str](), 0
    for what, number, more in program:
        found: list[Publication[str]] = []
        if what == "publish":
            published += 1
            add(table, str(published), id=f"id-{number}", deadline=float(more))
        elif what == "confirm":
            found = table.confirmed(number, multiple=bool(more))
        elif what == "return":
            one = table.returned(f"id-{number}", "x", "k")
            found = [] if one is None else [one]
        else:
            found = table.expired(float(number))
        told.update(publication.waiter for publication in found)
    told.update(publication.waiter for publication in table.take_all())

    assert told == Counter(str(number) for number in range(1, published + 1))
