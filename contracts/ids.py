"""Ids that nobody can guess: of calls, messages, events, requests, instances and steps of a trace.

Whoever knows a call's id could try to answer in its callee's place, so they come from the system's randomness. It is
asked for many at once: a system call for each would take as long as to write the message.
"""

import os
from collections import deque

ID_BYTES = 16
IDS_AT_ONCE = 256

# Taken from by several threads at once, which popleft allows.
_ready: deque[str] = deque()


def new_id() -> str:
    """A random id of 32 hexadecimal digits."""
    try:
        return _ready.popleft()
    except IndexError:
        drawn = os.urandom(ID_BYTES * IDS_AT_ONCE).hex()
        width = 2 * ID_BYTES
        _ready.extend(drawn[at : at + width] for at in range(width, len(drawn), width))
        return drawn[:width]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ready.clear)  # or parent and child would use the same ids
