"""Exchanges and bindings of the memory vhost: from exchange and routing key to names of queues.

Patterns without ``*`` and ``#`` are looked up. The others are matched, once per routing key, and the route is
remembered until such a binding changes. Since a tenant is the first word of its keys, a pattern that begins with a word
is compared with keys that begin with the same word only: a thousand tenants do not slow each other down.
"""

from collections.abc import Iterator

from contracts.errors import MissingQueueError
from contracts.names import matches
from contracts.topology import Binding

REMEMBERED_KEYS = 10_000
"""How many routing keys an exchange remembers; then it begins anew, since event keys may be without number."""


class TopicExchange:
    """One topic exchange with its bindings."""

    def __init__(self) -> None:
        # Dicts rather than sets: queues are served in the order in which they were bound, run after run.
        self._queues_by_pattern: dict[str, dict[str, None]] = {}
        self._wildcards: dict[str, dict[str, None]] = {}
        self._routes: dict[str, tuple[str, ...]] = {}

    def bind(self, queue: str, pattern: str) -> None:
        """Route what the pattern admits to the queue."""
        self._queues_by_pattern.setdefault(pattern, {})[queue] = None
        if _has_wildcard(pattern):
            self._wildcards.setdefault(_first_word(pattern), {})[pattern] = None
        self._forget(pattern)

    def unbind(self, queue: str, pattern: str) -> None:
        """Take one binding away."""
        queues = self._queues_by_pattern.get(pattern, {})
        queues.pop(queue, None)
        if not queues:
            self._queues_by_pattern.pop(pattern, None)
            self._wildcards.get(_first_word(pattern), {}).pop(pattern, None)
        self._forget(pattern)

    def unbind_queue(self, queue: str) -> None:
        """Take every binding of a queue away."""
        for pattern in [pattern for pattern, queues in self._queues_by_pattern.items() if queue in queues]:
            self.unbind(queue, pattern)

    def bindings(self) -> Iterator[tuple[str, str]]:
        """Every ``(queue, pattern)``."""
        for pattern, queues in self._queues_by_pattern.items():
            for queue in queues:
                yield queue, pattern

    def route(self, routing_key: str) -> tuple[str, ...]:
        """The queues whose bindings admit the key, each once however many of its bindings do."""
        route = self._routes.get(routing_key)
        if route is None:
            if len(self._routes) >= REMEMBERED_KEYS:
                self._routes.clear()
            route = self._routes[routing_key] = self._match(routing_key)
        return route

    def _match(self, routing_key: str) -> tuple[str, ...]:
        found = {} if _has_wildcard(routing_key) else dict(self._queues_by_pattern.get(routing_key, {}))
        for first in ("*", "#", _first_word(routing_key)):
            for pattern in self._wildcards.get(first, ()):
                if matches(pattern, routing_key):
                    found.update(self._queues_by_pattern[pattern])
        return tuple(found)

    def _forget(self, pattern: str) -> None:
        if _has_wildcard(pattern):
            self._routes.clear()
        else:
            self._routes.pop(pattern, None)


class Router:
    """Every exchange of a vhost but the default one."""

    def __init__(self) -> None:
        self._exchanges: dict[str, TopicExchange] = {}

    def declare(self, exchange: str) -> None:
        """Make an exchange; one that is there stays as it is."""
        self._exchanges.setdefault(exchange, TopicExchange())

    def delete(self, exchange: str) -> None:
        """Drop an exchange with its bindings."""
        self._exchanges.pop(exchange, None)

    def exchanges(self) -> tuple[str, ...]:
        """Every exchange, in the order of declaration."""
        return tuple(self._exchanges)

    def bind(self, binding: Binding) -> None:
        """Bind a queue, of which the caller knows that it exists.

        Raises:
            MissingQueueError: There is no such exchange.
        """
        self._exchange(binding.exchange).bind(binding.queue, binding.routing_key)

    def unbind(self, binding: Binding) -> None:
        """Take a binding away; one that is not there is no error."""
        if (exchange := self._exchanges.get(binding.exchange)) is not None:
            exchange.unbind(binding.queue, binding.routing_key)

    def unbind_queue(self, queue: str) -> None:
        """Take every binding of a queue away."""
        for exchange in self._exchanges.values():
            exchange.unbind_queue(queue)

    def bindings(self) -> tuple[Binding, ...]:
        """Every binding, exchange by exchange."""
        return tuple(
            Binding(queue, name, pattern)
            for name, exchange in self._exchanges.items()
            for queue, pattern in exchange.bindings()
        )

    def route(self, exchange: str, routing_key: str) -> tuple[str, ...]:
        """The queues that get a message.

        Raises:
            MissingQueueError: There is no such exchange.
        """
        return self._exchange(exchange).route(routing_key)

    def _exchange(self, name: str) -> TopicExchange:
        try:
            return self._exchanges[name]
        except KeyError:
            raise MissingQueueError(f"there is no exchange '{name}' (404 NOT_FOUND)") from None


def _has_wildcard(pattern: str) -> bool:
    # More than the wildcard words proper; for the rest `matches` decides.
    return "*" in pattern or "#" in pattern


def _first_word(words: str) -> str:
    return words.partition(".")[0]
