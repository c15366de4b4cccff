"""What plugin authors test with, without a broker: made-up calls and events, a tenant of canned answers, virtual time.

Broker and plugins together are in `broker.testing`.
"""

from plugin_runtime.testing.incoming import make_call, make_change, make_event
from plugin_runtime.testing.observed import DeadLetter, PublishedEvent, Recorder, dead_letters, in_flight
from plugin_runtime.testing.tenant import FakeTenant, MadeCall
from plugin_runtime.transport.clock import VirtualClock
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost

__all__ = [
    "DeadLetter",
    "FakeTenant",
    "MadeCall",
    "MemoryTransport",
    "MemoryVhost",
    "PublishedEvent",
    "Recorder",
    "VirtualClock",
    "dead_letters",
    "in_flight",
    "make_call",
    "make_change",
    "make_event",
]
