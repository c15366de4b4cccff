"""What samples of stacks say."""

import signal
import sys
from pathlib import Path

import pytest

from benchmarks.profile import functions, parts
from benchmarks.sampling import FOLDER, by_function, by_part, collapsed, during, read, sampled, short, stack_of

LOOP, SERVE, ENCODE = "/lib/asyncio/events.py:run", "/x/calls/server.py:serve", "/x/contracts/codec.py:encode"
SAMPLES = {(LOOP,): 1, (LOOP, SERVE): 2, (LOOP, SERVE, ENCODE): 5, (LOOP, SERVE, ENCODE, ENCODE): 2}


def test_a_function_counts_itself_and_what_it_calls_once_a_stack() -> None:
    assert by_function(SAMPLES) == [(ENCODE, 7, 7), (SERVE, 2, 9), (LOOP, 1, 10)]


def test_a_part_is_that_of_the_running_function_and_the_first_that_fits() -> None:
    wanted = [("contracts", "messages"), ("/x/", "ours")]

    assert by_part(SAMPLES, wanted) == {"messages": 7, "ours": 2, "other": 1}


def test_what_is_not_below_the_mark_is_left_out() -> None:
    assert during({**SAMPLES, ("/x/main.py:main",): 9}, "events.py:run") == SAMPLES


def test_shares_are_of_each_process() -> None:
    shares = {share.name: share.per_cent for share in parts([SAMPLES, {(SERVE,): 4}])}

    assert shares["messages and codec"] == (70.0, 0.0)


def test_functions_are_told_the_dearest_first() -> None:
    shares = functions(SAMPLES, 1)

    assert [(share.name, *(round(one) for one in share.per_cent)) for share in shares] == [
        ("contracts/codec.py:encode", 70, 70)
    ]


def test_names_are_short() -> None:
    assert short("/a/b/calls/server.py:Server.serve") == "calls/server.py:Server.serve"


def test_stacks_are_lines_for_a_flame_graph() -> None:
    assert collapsed({(LOOP, SERVE): 2}) == "asyncio/events.py:run;calls/server.py:serve 2"


def test_a_stack_is_from_the_outside_in() -> None:
    stack = stack_of(sys._getframe())

    assert stack[-1].endswith("test_sampling.py:test_a_stack_is_from_the_outside_in")
    assert stack_of(None) == ()


def test_a_process_that_is_not_asked_is_not_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    before = signal.getsignal(signal.SIGPROF)

    with sampled("call"):
        assert signal.getsignal(signal.SIGPROF) is before


def test_what_was_sampled_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))

    with sampled("call"):
        signal.raise_signal(signal.SIGPROF)

    assert any("test_what_was_sampled" in function for stack in read(tmp_path / "call.json") for function in stack)
