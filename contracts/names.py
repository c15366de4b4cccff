"""What a tenant, plugin, service, namespace, key, pattern and instance may be called.

The limits keep every routing key within AMQP 0-9-1's short string of 255 bytes (clause 4.2.5.3):
tenant 40, plugin 64, service resource 64, version 40, namespace 80, key 120, subscription 60, instance 32.

Every ``check_*`` returns its argument or raises `ValueError` with a sentence that says what was found and expected,
so that pydantic can use it as a validator and other code can translate it.
"""

import re
from functools import lru_cache

from contracts.text import printable

WORDS = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
KEY_WORDS = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\Z")
PREFIX = re.compile(r"[A-Za-z0-9._-]*\Z")
PATTERN_WORDS = re.compile(r"(?:[A-Za-z0-9_-]+|\*|#)(?:\.(?:[A-Za-z0-9_-]+|\*|#))*\Z")

REMEMBERED = 4096
"""So many tenants are known to be well written: every message names one."""

LONGEST_PLUGIN = 64
LONGEST_RESOURCE = 64
LONGEST_SHOWN = 80
"""Of a service name in an error: more than a valid one rarely has."""

NO_TENANT = "_"
"""The first word of a routing key that carries no tenant's business."""

PLUGIN_PREFIX = "plugin-"
SYSTEM_PLUGIN = "plugin-system"
"""The plugin id under which the broker itself speaks."""

OPERATOR_PLUGIN = "plugin-plexica"
"""The command line: it administers, registers nowhere and serves nothing."""

RESERVED_PLUGINS = frozenset({SYSTEM_PLUGIN, OPERATOR_PLUGIN, "plugin-broker"})


def _check(kind: str, value: str, pattern: re.Pattern[str], longest: int, expected: str) -> str:
    if len(value) > longest:
        shown = printable(value, longest + 3)
        raise ValueError(f"{kind} '{shown}' has {len(value)} characters, at most {longest} are allowed")
    if not pattern.match(value):
        raise ValueError(f"{kind} '{printable(value, longest)}' is not valid: expected {expected}")
    return value


@lru_cache(REMEMBERED)
def check_tenant(value: str) -> str:
    """A tenant: lower-case words joined by hyphens, 1 to 40 characters."""
    return _check("tenant", value, WORDS, 40, "lower-case words joined by hyphens, e.g. 'acme-corp'")


def check_plugin_id(value: str) -> str:
    """A plugin's full id: ``plugin-`` and lower-case words joined by single hyphens, at most 64 characters."""
    expected = "'plugin-' followed by lower-case words joined by single hyphens, e.g. 'plugin-crm'"
    _check("plugin id", value, WORDS, LONGEST_PLUGIN, expected)
    if not value.startswith(PLUGIN_PREFIX):
        raise ValueError(f"plugin id '{value}' is not valid: expected {expected}")
    return value


def check_service_name(value: str) -> str:
    """A service: ``{plugin's short name}.{resource}``, exactly one dot, e.g. ``crm.contacts``."""
    expected = "'{plugin name}.{resource}' with exactly one dot, e.g. 'crm.contacts'"
    owner, dot, resource = value.partition(".")
    if not dot or not WORDS.match(owner) or not WORDS.match(resource):
        raise ValueError(f"service name '{printable(value, LONGEST_SHOWN)}' is not valid: expected {expected}")
    if len(owner) > LONGEST_PLUGIN - len(PLUGIN_PREFIX) or len(resource) > LONGEST_RESOURCE:
        shown = printable(value, LONGEST_SHOWN)
        raise ValueError(f"service name '{shown}' is too long: plugin name and resource have at most 57 and 64")
    return value


def check_namespace(value: str) -> str:
    """A namespace of shared data: words joined by dots, at most 80 characters, e.g. ``crm.cache``."""
    return _check("namespace", value, KEY_WORDS, 80, "words of [A-Za-z0-9_-] joined by dots, e.g. 'crm.cache'")


def check_key(value: str) -> str:
    """A key of shared data: words joined by dots, at most 120 characters, e.g. ``contact_count``."""
    return _check("key", value, KEY_WORDS, 120, "words of [A-Za-z0-9_-] joined by dots, e.g. 'contact_count'")


def check_key_prefix(value: str) -> str:
    """The beginning of a key of shared data, which may end anywhere in it: at most 120 characters."""
    return _check("prefix", value, PREFIX, 120, "letters, digits, '.', '_' and '-', e.g. 'contact_'")


def check_event_key(value: str) -> str:
    """An event's key: at least two words joined by dots, the first the publishing plugin's short name."""
    expected = "words joined by dots that begin with the plugin's name, e.g. 'crm.events.contact.created'"
    _check("event key", value, KEY_WORDS, 200, expected)
    if "." not in value:
        raise ValueError(f"event key '{value}' is not valid: expected {expected}")
    return value


def check_pattern(value: str) -> str:
    """A subscription's pattern: an event key in which ``*`` is one word and ``#`` any number of words."""
    expected = "words joined by dots, '*' for one word, '#' for any number, e.g. 'crm.events.#'"
    return _check("pattern", value, PATTERN_WORDS, 200, expected)


def check_subscription(value: str) -> str:
    """A subscription's name: lower-case words joined by hyphens, at most 60 characters."""
    return _check("subscription", value, WORDS, 60, "lower-case words joined by hyphens, e.g. 'welcome-mail'")


def check_instance(value: str) -> str:
    """An instance id: lower-case words joined by hyphens, at most 32 characters."""
    return _check("instance", value, WORDS, 32, "lower-case letters, digits and hyphens")


def check_prefix(value: str) -> str:
    """What stands before every exchange and queue of a bus: letters, digits, ``.``, ``_`` and ``-``, at most 32."""
    return _check("prefix", value, PREFIX, 32, "letters, digits, '.', '_' and '-', e.g. 'staging.'")


def short_name(plugin_id: str) -> str:
    """``crm`` for ``plugin-crm``: the first word of its services, events and namespaces."""
    return plugin_id.removeprefix(PLUGIN_PREFIX)


def owner_of(name: str) -> str:
    """The id of the plugin that owns a service, an event key or a namespace by its first word."""
    return PLUGIN_PREFIX + name.partition(".")[0]


def subscription_name(handler_name: str) -> str:
    """The subscription a handler gets when its author names none: its own name with hyphens.

    >>> subscription_name("_welcome_new__contact")
    'welcome-new-contact'
    """
    return "-".join(re.findall(r"[a-z0-9]+", handler_name.lower()))[:60].strip("-") or "subscription"


def matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern admits a routing key, by the rules of AMQP 0-9-1's topic exchange (clause 3.1.3.3).

    ``*`` stands for exactly one word, ``#`` for zero or more; words are split at dots and may be empty. As in
    RabbitMQ, an empty key has no word at all, so that ``#`` admits it and ``*`` does not.
    """
    return _words_match(_split(pattern), _split(key))


def covers(pattern: str, narrower: str) -> bool:
    """Whether a pattern admits every key that another pattern admits, both read word by word.

    What only amounts to the same is not noticed: ``*.#`` and ``#.*`` do not cover one another.

    >>> covers("crm.events.#", "crm.events.*.created"), covers("crm.*", "crm.#")
    (True, False)
    """
    return _words_match(_split(pattern), _split(narrower), star_is_not="#")


def _split(text: str) -> list[str]:
    return text.split(".") if text else []


def _words_match(pattern: list[str], words: list[str], *, star_is_not: str | None = None) -> bool:
    # reachable[i]: the pattern read so far admits the first i words.
    reachable = [True] + [False] * len(words)
    for part in pattern:
        if part == "#":
            for i in range(1, len(reachable)):
                reachable[i] = reachable[i] or reachable[i - 1]
            continue
        step = [False] * len(reachable)
        for i, word in enumerate(words):
            step[i + 1] = reachable[i] and (part == word or (part == "*" and word != star_is_not))
        reachable = step
    return reachable[-1]
