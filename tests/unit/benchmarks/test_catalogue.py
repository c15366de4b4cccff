"""The peers, and which of them are asked for."""

import pytest

from benchmarks.compile import SOURCES
from benchmarks.payload import CONTACT, dumps
from benchmarks.peers.catalogue import PEERS, Peer, chosen
from benchmarks.rounds import count, turned


def make_peer(**fields: object) -> Peer:
    return Peer(**{"key": "x", "title": "X", "usage": "", "module": "x", "backdrop": "port", **fields})  # type: ignore[arg-type]


def test_all_are_chosen_unless_some_are_named() -> None:
    assert chosen("") == list(PEERS)


def test_those_named_are_chosen_in_the_order_of_the_catalogue() -> None:
    assert [peer.key for peer in chosen("ours, c,")] == ["c", "ours"]


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no peer is called zmq; there are c, ours,"):
        chosen("c,zmq")


def test_each_round_begins_with_another_peer() -> None:
    peers = [make_peer(key=key) for key in "abc"]

    assert ["".join(peer.key for peer in turned(peers, number)) for number in range(4)] == ["abc", "bca", "cab", "abc"]
    assert turned([], 1) == []


def test_keys_are_unique() -> None:
    assert len({peer.key for peer in PEERS}) == len(PEERS)


def test_a_peer_with_all_it_needs_is_not_missing() -> None:
    assert make_peer(modules=("json",), programs={"sh": "buy one"}).missing() is None


def test_a_missing_module_is_named() -> None:
    assert "'no_such_module' is missing; make bench installs it" in (
        make_peer(modules=("no_such_module",)).missing() or ""
    )


def test_a_missing_program_comes_with_a_remedy() -> None:
    found = make_peer(programs={"no-such-program": "apt-get install it"}).missing()

    assert found == "not installed: no no-such-program on the PATH; apt-get install it"


def test_the_c_client_sends_the_same_bytes() -> None:
    source = (SOURCES / "call.c").read_text()
    body = source.partition("#define BODY")[2].partition("\n\n")[0]
    literals = [line.strip().removesuffix("\\").strip().strip('"') for line in body.splitlines()]

    assert "".join(literals).replace("\\\\", "").replace('\\"', '"').strip("\\ ") == dumps(CONTACT).decode()


@pytest.mark.parametrize("word", ["0", "-1", "many"])
def test_less_than_one_round_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=word):
        count(word)
