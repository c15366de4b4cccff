"""Ids are the system's randomness: no seed repeats them, and no fork shares them."""

import os
import random
import re

from contracts import ids
from contracts.ids import IDS_AT_ONCE, new_id


def test_ids_are_32_digits_and_differ() -> None:
    found = [new_id() for _ in range(3 * IDS_AT_ONCE)]

    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in found)
    assert len(set(found)) == len(found)


def test_ids_do_not_hang_on_a_seed() -> None:
    """A program may seed the random module, per request even: two calls under one id would get each other's answers."""
    found = []
    for _ in range(2):
        ids._ready.clear()
        random.seed(7)
        found.append(new_id())

    assert found[0] != found[1]


def test_a_forked_process_has_ids_of_its_own() -> None:
    new_id()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read, 100).decode() not in {new_id() for _ in range(IDS_AT_ONCE)}
    os.close(read)
    os.close(write)
