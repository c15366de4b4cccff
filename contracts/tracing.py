"""The trace that a message belongs to, as W3C Trace Context writes it (version 00). Pure but for random ids.

A call or event carries ``traceparent``: the trace's id, the id of the step that sent it, and whether it is recorded::

    00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01

What a handler sends in turn keeps the trace and has a step of its own. A trace that begins here has its request's id,
so that log and trace find each other.
"""

import re

from contracts.ids import new_id

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_TRACE_END = 36
_STEP_END = 52
_STEP_DIGITS = 16
_RECORDED = "-01"


def read_traceparent(value: object) -> str | None:
    """A header's value if it is a traceparent of version 00; None for anything else, as the standard asks.

    >>> read_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    >>> read_traceparent("00-4bf92f35-00f067aa-01")
    """
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None


def trace_headers(traceparent: str | None, tracestate: str | None, request_id: str) -> dict[str, str]:
    """The headers that a message carries which is sent under this trace; see `next_step`."""
    found = {TRACEPARENT: next_step(traceparent, request_id)}
    if tracestate is not None:
        found[TRACESTATE] = tracestate
    return found


def next_step(parent: str | None, request_id: str) -> str:
    """The traceparent of a message that is about to be sent.

    Args:
        parent: The traceparent under which the sender itself was called, as `read_traceparent` read it; None where the
            trace begins here.
        request_id: The id of the request, which becomes the id of a trace that begins here if it has the form of one.
    """
    step = new_id()[:_STEP_DIGITS]
    if parent is not None:
        return f"{parent[:_TRACE_END]}{step}{parent[_STEP_END:]}"
    trace = request_id if _TRACE_ID.fullmatch(request_id) else new_id()
    return f"00-{trace}-{step}{_RECORDED}"
