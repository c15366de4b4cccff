"""Events and changes of shared data: what a subscriber hears."""

from typing import Any, Literal

from contracts.wire import DataKey, Namespace, PluginId, WireModel

ChangeKind = Literal["set", "deleted", "expired"]

LARGEST_ANNOUNCED_BYTES = 32 * 1024
"""A larger value is announced without itself: ``value_omitted`` tells to fetch it."""


class DataChange(WireModel):
    """A change of shared data, as announced on ``plexica.data`` with type ``data.{kind}``.

    Attributes:
        kind: ``set``, ``deleted`` or ``expired``.
        value: The new value; null for ``deleted`` and ``expired``, and where ``value_omitted``.
        value_omitted: The value must be fetched: it is larger than 32 KiB of JSON, or not everybody may read it.
        owner_id: The last writer; for ``deleted`` and ``expired`` the last writer before.
        caller_id: The plugin that made the change; None when the clock did (``expired``).
        revision: The namespace's revision with this change; grows by one with every change in the namespace.
        old_revision: The revision at which the key was last set before; None for a new key.
        expires_in: Seconds until the value expires; None for never.
    """

    kind: ChangeKind
    namespace: Namespace
    key: DataKey
    value: Any = None
    value_omitted: bool = False
    owner_id: PluginId
    caller_id: PluginId | None = None
    revision: int
    old_revision: int | None = None
    expires_in: float | None = None

    @property
    def owner(self) -> str:
        """The plugin id of the last writer."""
        return self.owner_id


def data_type(kind: ChangeKind) -> str:
    """The message type of a change: ``data.set``, ``data.deleted`` or ``data.expired``."""
    return f"data.{kind}"
