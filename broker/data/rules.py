"""The rules of shared data: who may, how much, how long, which revision. Pure; time comes as an argument.

A namespace is open within its tenant unless an installed plugin declares it in its manifest's ``sharedData``; then
that plugin owns it and its words ``write`` and ``read`` hold::

    owner        the owner alone
    any          every plugin of the tenant
    [plugins]    these, and the owner
"""

from dataclasses import dataclass
from typing import Any, Protocol

from broker.storage.database import Source
from contracts.codec import encode
from contracts.errors import InvalidRequestError, NotOwnerError, QuotaExceededError, StaleRevisionError
from contracts.limits import is_deeper
from contracts.manifest import SharedNamespace
from contracts.shared_data import LARGEST_VALUE_BYTES

DEEPEST_NESTING = 100
"""How deep arrays and objects may stand in one another; far below what any JSON reader on the way refuses."""


@dataclass(frozen=True, slots=True)
class NamespaceRule:
    """A declared namespace and the plugin that owns it."""

    owner: str
    declared: SharedNamespace


class NamespaceRules(Protocol):
    """Where the declared namespaces of a tenant are known."""

    async def rules_for(self, source: Source, tenant: str, namespace: str) -> NamespaceRule | None:
        """The rule of a namespace in a tenant; None for an open one.

        Args:
            source: What to read from: the database, or the transaction in which the answer must hold.
            tenant: An existing tenant.
            namespace: A checked name.
        """


def may_write(rule: NamespaceRule | None, plugin_id: str) -> None:
    """Refuse a writer whom the namespace's owner does not admit.

    Raises:
        NotOwnerError: Names rule, namespace, owner and the plugin found; details: the same.
    """
    if rule is not None:
        _admit(rule, "write", rule.declared.write, plugin_id)


def may_read(rule: NamespaceRule | None, plugin_id: str) -> None:
    """Refuse a reader whom the namespace's owner does not admit; `NotOwnerError` as for `may_write`."""
    if rule is not None:
        _admit(rule, "read", rule.declared.read, plugin_id)


def is_shown(rule: NamespaceRule | None) -> bool:
    """Whether every plugin of the tenant may read."""
    return rule is None or rule.declared.read == "any"


def _admit(rule: NamespaceRule, verb: str, access: str | tuple[str, ...], plugin_id: str) -> None:
    listed = () if isinstance(access, str) else access
    if access == "any" or plugin_id == rule.owner or plugin_id in listed:
        return
    namespace = rule.declared.namespace
    expected = access if isinstance(access, str) else ", ".join(access)
    raise NotOwnerError(
        f"namespace '{namespace}' of {rule.owner} has the rule '{verb}: {expected}', found {plugin_id}",
        namespace=namespace,
        owner=rule.owner,
        rule={verb: access},
        found=plugin_id,
    )


def guarded_namespaces(pattern: str) -> list[str]:
    """The namespaces that a pattern names: every run of its literal words from the start.

    >>> guarded_namespaces("crm.cache.#")
    ['crm', 'crm.cache']
    """
    found: list[str] = []
    for word in pattern.split("."):
        if word in {"*", "#"}:
            break
        found.append(f"{found[-1]}.{word}" if found else word)
    return found


def to_stored(value: Any) -> str:
    """A value as it is stored: JSON.

    Raises:
        InvalidRequestError: It is no JSON value, or nested deeper than 100 levels.
        QuotaExceededError: It has more than 1 MiB of JSON; details: ``limit`` and ``found`` in bytes.
    """
    if is_deeper(value, DEEPEST_NESTING):
        raise InvalidRequestError(f"value must not nest deeper than {DEEPEST_NESTING} levels")
    stored = encode(value)
    if len(stored) > LARGEST_VALUE_BYTES:
        raise QuotaExceededError(
            f"value has {len(stored)} bytes of JSON, at most {LARGEST_VALUE_BYTES} are allowed",
            limit=LARGEST_VALUE_BYTES,
            found=len(stored),
        )
    return stored.decode()


def check_revision(expected: int | None, found: int | None) -> None:
    """Decide a compare-and-set.

    Args:
        expected: The writer's ``if_revision``; 0 for "only if absent", None for "whatever is there".
        found: The key's revision; None if it is absent.

    Raises:
        StaleRevisionError: They differ; details: ``expected`` and ``found``, 0 for an absent key.
    """
    revision = found or 0
    if expected is None or expected == revision:
        return
    wanted = "no value" if expected == 0 else f"revision {expected}"
    there = f"revision {revision}" if revision else "no value"
    raise StaleRevisionError(f"expected {wanted}, found {there}", expected=expected, found=revision)


def lifetime(ttl: float | None, rule: NamespaceRule | None) -> float | None:
    """Seconds a value lives: as its writer says, else as its namespace says; None for ever."""
    return rule.declared.ttl if ttl is None and rule is not None else ttl


def expiry(lifetime_seconds: float | None, now: float) -> float | None:
    """The moment at which a value written ``now`` expires, in seconds since the epoch; None for never."""
    return None if lifetime_seconds is None else now + lifetime_seconds


def is_expired(expires_at: float | None, now: float) -> bool:
    """Whether a value is gone; at the very moment of its expiry it is."""
    return expires_at is not None and expires_at <= now


def seconds_left(expires_at: float | None, now: float) -> float | None:
    """How long a value still lives; None for ever."""
    return None if expires_at is None else max(0.0, expires_at - now)
