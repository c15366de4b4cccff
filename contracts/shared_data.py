"""Bodies of shared data: set, get, delete, keys, watch."""

from typing import Annotated, Any

from pydantic import Field

from contracts.limits import LARGEST_WHOLE_NUMBER, LONGEST_TTL_SECONDS
from contracts.wire import DataKey, InstanceId, Many, Namespace, Pattern, PluginId, WireModel

LARGEST_VALUE_BYTES = 1024 * 1024
PAGE_SIZE = 1000


class SetRequest(WireModel):
    """Write a value.

    Attributes:
        ttl: Seconds it lives; None for ever, or as the namespace says.
        if_revision: Write only if the key is at this revision; 0 means: only if there is none.
    """

    value: Any
    ttl: Annotated[float, Field(gt=0, le=LONGEST_TTL_SECONDS, allow_inf_nan=False)] | None = None
    if_revision: Annotated[int, Field(ge=0, le=LARGEST_WHOLE_NUMBER)] | None = None


class SetAnswer(WireModel):
    """The namespace's revision with this write."""

    revision: int


class SharedValue(WireModel):
    """A stored value.

    Attributes:
        owner_id: Its last writer.
        revision: The namespace's revision when it was written.
        expires_at: Seconds since the epoch; None for never.
        expires_in: Seconds left when it was read.
    """

    namespace: Namespace
    key: DataKey
    value: Any
    owner_id: PluginId
    revision: int
    expires_at: float | None = None
    expires_in: float | None = None


class GetAnswer(WireModel):
    """The value, or null where there is none: absence is no error here, and null as a value is told apart from it."""

    entry: SharedValue | None


class DeleteAnswer(WireModel):
    """Whether there was something to delete."""

    deleted: bool


class KeyPage(WireModel):
    """Keys in ascending order; ``next`` is the last key when there are more."""

    keys: Many[DataKey]
    next: DataKey | None = None


class WatchRequest(WireModel):
    """Bind the caller's instance queue to changes whose ``{namespace}.{key}`` the pattern admits."""

    instance_id: InstanceId
    pattern: Pattern
