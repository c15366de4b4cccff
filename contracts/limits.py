"""How much of everything: the limits of manifests and requests, in one place, each with its reason.

They are far above what anybody means to write, and keep one request from costing the broker, or every instance that
hears of it, more than a moment. Names have theirs in `contracts.names`, versions in `contracts.versions`; a body's
bytes are in `contracts.calls`, a shared value's in `contracts.shared_data`.
"""

MOST_SERVICES = 100
"""Each is a queue, and a binding for each tenant at about 3 ms (DESIGN: a plugin in very many tenants)."""

MOST_ENDPOINTS = 200
"""Of one service; they travel with every announcement of it and in every view."""

MOST_DEPENDENCIES = 200
"""Each is an edge for the resolver, and its service's versions are in every answer to a registration."""

MOST_PATTERNS = 200
"""Patterns in each of ``publishes`` and ``subscribes``, and subscriptions of an instance: up to six queues each."""

MOST_NAMESPACES = 100
"""Of shared data, declared by one plugin."""

MOST_ADMITTED = 200
"""Plugin ids in one ``read`` or ``write``."""

MOST_PERMISSIONS = 100
"""Of one endpoint or one dependency."""

MOST_TENANTS = 1000
"""In which an instance asks to be installed, which development does."""

LARGEST_MANIFEST_BYTES = 1024 * 1024
"""As JSON, keys that the bus does not know included: it is stored for each version and read at each registration."""

DEEPEST_BODY = 110
"""Arrays and objects in one another: a shared value's 100 with what stands round it. Pydantic gives up at 255."""

MOST_CALLS_PER_MINUTE = 1_000_000_000
"""A ``rateLimit``; more is the same as none."""

MOST_CONCURRENT_CALLS = 1_000_000
"""A ``concurrency``; more is the same as none, since a plugin has one of its own."""

LONGEST_TTL_SECONDS = 100 * 365 * 86400.0
"""A hundred years: what is to live longer needs no ``ttl``, and dates end at the year 9999."""

LARGEST_WHOLE_NUMBER = 2**63 - 1
"""What SQLite stores in an INTEGER."""

MOST_PROBLEMS = 50
"""How many of a body's errors are told; a body of a million wrong items has as many."""

LONGEST_MESSAGE = 8000
"""Characters of an error on the wire; whatever it quotes, it is read by people and stands in logs."""


def is_deeper(value: object, levels: int) -> bool:
    """Whether arrays and objects stand in one another more than ``levels`` deep; takes no stack."""
    level = [value]
    for _ in range(levels + 1):
        containers = [item for item in level if isinstance(item, dict | list | tuple)]
        if not containers:
            return False
        level = [inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)]
    return True
