"""Bytes to frames and back, wherever the bytes are cut."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from plugin_runtime.transport.lean.framing import (
    BODY,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    OVERHEAD,
    FrameSplitter,
    FramingError,
    content_frames,
    frame,
)
from tests.unit.plugin_runtime.transport.lean.stage import cut

frames = st.tuples(st.sampled_from([METHOD, HEADER, BODY, HEARTBEAT]), st.integers(0, 65535), st.binary(max_size=300))


def split(splitter: FrameSplitter, pieces: list[bytes]) -> list[tuple[int, int, bytes]]:
    return [found for piece in pieces for found in splitter.feed(piece)]


@given(st.lists(frames, max_size=12), st.lists(st.integers(0, 5000), max_size=30))
def test_frames_survive_being_cut_anywhere(sent: list[tuple[int, int, bytes]], places: list[int]) -> None:
    stream = b"".join(frame(*one) for one in sent)

    assert split(FrameSplitter(), cut(stream, places)) == sent


def test_frames_survive_coming_byte_by_byte() -> None:
    stream = frame(METHOD, 1, b"abcd") + HEARTBEAT_FRAME + frame(BODY, 2, b"")

    found = split(FrameSplitter(), [bytes([byte]) for byte in stream])

    assert found == [(METHOD, 1, b"abcd"), (HEARTBEAT, 0, b""), (BODY, 2, b"")]


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=10))
def test_garbage_is_refused_or_waits_for_more_but_nothing_else(garbage: bytes, places: list[int]) -> None:
    splitter = FrameSplitter()

    try:
        found = split(splitter, cut(garbage, places))
    except FramingError:
        return

    assert garbage.startswith(b"".join(frame(*one) for one in found))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x05" + bytes(7), "frame type 5"),
        (frame(METHOD, 1, b"abcd")[:-1] + b"\x00", "ends with 0x00"),
        (frame(BODY, 1, bytes(4096)), "at most 4096"),
    ],
)
def test_what_is_no_frame_is_named(data: bytes, said: str) -> None:
    with pytest.raises(FramingError, match=said):
        list(FrameSplitter(frame_max=4096).feed(data))


def test_frames_before_the_garbage_are_still_found() -> None:
    found = FrameSplitter().feed(HEARTBEAT_FRAME + bytes(8))

    assert next(found) == (HEARTBEAT, 0, b"")
    with pytest.raises(FramingError):
        next(found)


def test_a_frame_may_be_exactly_as_long_as_agreed() -> None:
    longest = frame(BODY, 1, bytes(4096 - OVERHEAD))

    assert len(split(FrameSplitter(frame_max=4096), [longest])) == 1
    assert len(split(FrameSplitter(frame_max=0), [frame(BODY, 1, bytes(10**6))])) == 1


@pytest.mark.parametrize("size", [0, 1, 4087, 4088, 4089, 8176, 8177, 20_000])
def test_content_is_split_as_pamqp_and_aiormq_would(size: int) -> None:
    body = bytes(index % 251 for index in range(size))
    publish = Basic.Publish(exchange="x", routing_key="k", mandatory=True)
    header = ContentHeader(body_size=size, properties=Basic.Properties(message_id="m"))
    room = 4096 - OVERHEAD
    bodies: list[Any] = [ContentBody(body[at : at + room]) for at in range(0, size, room)]
    expected = b"".join(marshal(one, 7) for one in [publish, header, *bodies])

    found = content_frames(7, marshal(publish, 0)[7:-1], marshal(header, 0)[7:-1], body, frame_max=4096)

    assert found == expected


def test_a_body_is_whole_when_any_length_was_agreed() -> None:
    assert len(split(FrameSplitter(0), [content_frames(1, b"m", b"h", bytes(10**6), frame_max=0)])) == 3
