"""The fair queue: tenants take turns, endpoints keep to their concurrency, and a tenant within its share finds room."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plugin_runtime.calls.fair_queue import FairQueue, Lane

FREE = Lane()


@dataclass(eq=False)
class Call:
    tenant: str
    lane: Lane = FREE
    number: int = 0


def make_full(*, concurrency: int = 1, room: int = 8) -> tuple[FairQueue[Call], list[Call]]:
    """A queue whose every place is taken, and who has them."""
    queue: FairQueue[Call] = FairQueue(concurrency=concurrency, room=room)
    running = [Call("first", Lane()) for _ in range(concurrency)]
    assert all(queue.begin(call) for call in running)
    return queue, running


def let_wait(queue: FairQueue[Call], *calls: Call) -> list[Call]:
    """Let calls wait that are not refused; return those that were pushed out."""
    pushed = [queue.add(call) for call in calls if not queue.refuses(call.tenant, call.lane)]
    return [call for call in pushed if call is not None]


def served(queue: FairQueue[Call], running: Call, count: int) -> list[Call]:
    """The next calls, one after the other in one place."""
    found: list[Call] = []
    for _ in range(count):
        queue.finish(running)
        one = queue.next()
        assert one is not None
        running = one
        found.append(running)
    return found


def test_call_begins_at_once_while_a_place_is_free() -> None:
    queue: FairQueue[Call] = FairQueue(concurrency=2, room=8)

    assert [queue.begin(Call("a")) for _ in range(3)] == [True, True, False]
    assert queue.next() is None


def test_tenants_take_turns_whatever_they_have_waiting() -> None:
    queue, (running,) = make_full()
    let_wait(queue, *(Call("a") for _ in range(4)), Call("b"), Call("c"), Call("b"))

    assert [call.tenant for call in served(queue, running, 7)] == ["a", "b", "c", "a", "b", "a", "a"]


def test_calls_of_one_tenant_run_in_the_order_in_which_they_came() -> None:
    queue, (running,) = make_full()
    calls = [Call("a", Lane()) for _ in range(5)]
    let_wait(queue, *calls)

    assert served(queue, running, 5) == calls


def test_endpoint_at_its_concurrency_is_in_nobodys_way() -> None:
    queue: FairQueue[Call] = FairQueue(concurrency=4, room=8)
    narrow = Lane(concurrency=1)
    first, second, other = Call("a", narrow), Call("a", narrow), Call("a")

    assert queue.begin(first)
    assert not queue.begin(second)
    queue.add(second)
    assert queue.begin(other)
    assert queue.next() is None
    queue.finish(first)
    assert queue.next() is second


def test_tenants_take_turns_for_a_narrow_endpoint_too() -> None:
    """Though the second tenant is served all the time, by another endpoint."""
    queue: FairQueue[Call] = FairQueue(concurrency=2, room=32)
    narrow = Lane(concurrency=1)
    places = [Call("a", narrow), Call("b")]
    assert all(queue.begin(call) for call in places)
    let_wait(queue, *(Call("a", narrow) for _ in range(3)), Call("b", narrow), *(Call("b") for _ in range(6)))

    ran: list[Call] = []
    while places:
        queue.finish(places.pop(0))
        while (call := queue.next()) is not None:
            places.append(call)
            ran.append(call)

    assert [call.tenant for call in ran if call.lane is narrow] == ["a", "b", "a", "a"]


def test_lone_tenant_fills_the_room() -> None:
    queue, _ = make_full(room=8)

    assert let_wait(queue, *(Call("a") for _ in range(9))) == []
    assert len(queue) == 8
    assert queue.refuses("a")


def test_tenant_within_its_share_gets_the_place_of_the_newest_of_who_has_most() -> None:
    queue, _ = make_full(room=8)
    flood = [Call("a") for _ in range(8)]
    let_wait(queue, *flood)

    assert not queue.refuses("b")
    assert let_wait(queue, Call("b"), Call("b")) == [flood[-1], flood[-2]]
    assert queue.refuses("a")
    assert len(queue) == 8


def test_room_is_shared_by_the_tenants_that_wait() -> None:
    queue, _ = make_full(room=8)
    let_wait(queue, *(Call("a") for _ in range(8)), *(Call("b") for _ in range(8)))

    assert queue.refuses("b")
    assert Counter(call.tenant for call in queue.clear()) == {"a": 4, "b": 4}


def test_more_tenants_than_places_find_no_room_and_push_nobody_out() -> None:
    queue, _ = make_full(room=2)
    let_wait(queue, Call("a"), Call("b"))

    assert queue.refuses("c")


def test_full_room_refuses_nothing_that_can_run_at_once() -> None:
    queue: FairQueue[Call] = FairQueue(concurrency=2, room=2)
    narrow = Lane(concurrency=1)
    assert queue.begin(Call("a", narrow))
    let_wait(queue, Call("a", narrow), Call("b", narrow))

    assert not queue.refuses("a")
    assert not queue.refuses("a", FREE)
    assert queue.refuses("a", narrow)


def test_narrow_endpoint_fills_no_more_than_half_of_a_tenants_share() -> None:
    queue, _ = make_full(room=8)
    narrow = Lane(concurrency=1)
    let_wait(queue, *(Call("a", narrow) for _ in range(8)))

    assert queue.refuses("a", narrow)
    assert not queue.refuses("a", FREE)
    assert not queue.refuses("b", narrow)


def test_call_that_is_dropped_does_not_run_and_leaves_its_place_in_the_lane() -> None:
    queue, (running,) = make_full()
    narrow = Lane(concurrency=1)
    ready, behind = Call("a", narrow), Call("a", narrow)
    let_wait(queue, ready, behind)

    assert queue.drop(ready)
    assert not queue.drop(ready)
    assert served(queue, running, 1) == [behind]
    assert not queue.drop(behind)


@settings(deadline=None, max_examples=150)
@given(
    waiting=st.lists(st.sampled_from("abcd"), max_size=40),
    concurrency=st.integers(1, 3),
)
def test_of_tenants_that_wait_none_is_ever_more_than_one_call_ahead(waiting: list[str], concurrency: int) -> None:
    queue, running = make_full(concurrency=concurrency, room=64)
    let_wait(queue, *(Call(tenant) for tenant in waiting))
    left, done = Counter(waiting), Counter[str]()

    for call in served(queue, running[0], len(waiting)):
        done[call.tenant] += 1
        left[call.tenant] -= 1
        still = [done[tenant] for tenant in left if left[tenant]]
        assert max(still, default=0) - min(still, default=0) <= 1


@settings(deadline=None, max_examples=150)
@given(waiting=st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_at_a_narrow_endpoint_too_whatever_else_each_of_them_calls(waiting: list[tuple[str, bool]]) -> None:
    queue: FairQueue[Call] = FairQueue(concurrency=2, room=256)
    narrow = Lane(concurrency=1)
    places = [Call("first", narrow), Call("first")]
    assert all(queue.begin(call) for call in places)
    let_wait(queue, *(Call(tenant, narrow if is_narrow else FREE) for tenant, is_narrow in waiting))
    left, done = Counter(tenant for tenant, is_narrow in waiting if is_narrow), Counter[str]()

    while places:
        queue.finish(places.pop(0))
        while (call := queue.next()) is not None:
            places.append(call)
            if call.lane is narrow:
                done[call.tenant] += 1
                left[call.tenant] -= 1
                still = [done[tenant] for tenant in left if left[tenant]]
                assert max(still, default=0) - min(still, default=0) <= 1
    assert not any(left.values())


@dataclass
class Model:
    """What a queue should hold."""

    waiting: list[Call] = field(default_factory=list)
    running: list[Call] = field(default_factory=list)
    ended: list[Call] = field(default_factory=list)


class Bookkeeping(RuleBasedStateMachine):
    """Whatever comes and goes: nothing is lost, nobody exceeds a limit, no place stays free in vain."""

    @initialize(concurrency=st.integers(1, 4), room=st.integers(1, 12), narrow=st.integers(1, 3))
    def begin(self, concurrency: int, room: int, narrow: int) -> None:
        self.queue: FairQueue[Call] = FairQueue(concurrency=concurrency, room=room)
        self.concurrency, self.room = concurrency, room
        self.lanes = [Lane(), Lane(), Lane(concurrency=narrow), Lane(concurrency=1)]
        self.model = Model()
        self.count = 0

    @rule(tenant=st.sampled_from("abcde"), lane=st.integers(0, 3))
    def arrive(self, tenant: str, lane: int) -> None:
        self.count += 1
        call = Call(tenant, self.lanes[lane], self.count)
        if self.queue.refuses(tenant, call.lane):
            return
        if self.queue.begin(call):
            self.model.running.append(call)
            return
        held = Counter(one.tenant for one in self.model.waiting)
        share = self.room // len({*held, tenant})
        pushed_out = self.queue.add(call)
        self.model.waiting.append(call)
        if pushed_out is not None:
            assert held[pushed_out.tenant] == max(held.values())
            assert held[pushed_out.tenant] > share or held[pushed_out.tenant] > held[tenant]
            self.model.waiting.remove(pushed_out)
        self.take()

    @precondition(lambda self: self.model.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.model.running))
        self.model.running.remove(call)
        self.queue.finish(call)
        self.take()

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.model.waiting))
        assert self.queue.drop(call)
        self.model.waiting.remove(call)
        self.take()

    def take(self) -> None:
        while (call := self.queue.next()) is not None:
            alike = [one for one in self.model.waiting if (one.tenant, one.lane) == (call.tenant, call.lane)]
            assert call is alike[0]
            self.model.waiting.remove(call)
            self.model.running.append(call)

    @invariant()
    def keeps_to_its_limits(self) -> None:
        assert len(self.queue) == len(self.model.waiting) <= self.room
        assert len(self.model.running) <= self.concurrency
        for lane in self.lanes:
            running = sum(call.lane is lane for call in self.model.running)
            assert lane.concurrency is None or running <= lane.concurrency

    @invariant()
    def leaves_no_place_free_that_somebody_could_take(self) -> None:
        if len(self.model.running) < self.concurrency:
            for call in self.model.waiting:
                running = sum(one.lane is call.lane for one in self.model.running)
                assert call.lane.concurrency is not None
                assert running == call.lane.concurrency

    @invariant()
    def has_room_for_who_has_less_than_its_share(self) -> None:
        held = Counter(call.tenant for call in self.model.waiting)
        tenants = len(held) + ("newcomer" not in held)
        if tenants <= self.room:
            assert not self.queue.refuses("newcomer")

    def teardown(self) -> None:
        """Whatever waits runs in the end."""
        if hasattr(self, "model"):
            while self.model.running:
                self.queue.finish(self.model.running.pop(0))
                self.take()
            assert self.model.waiting == []


TestBookkeeping = Bookkeeping.TestCase
TestBookkeeping.settings = settings(deadline=None, max_examples=50, stateful_step_count=50)
