"""Paths of calls, and the paths with parameters that they fit: a literal beats ``:param``. Pure."""

from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import unquote, unquote_to_bytes

from contracts.errors import InvalidRequestError

Value = TypeVar("Value")

_Segment = tuple[bool, str]
"""Whether it is a parameter, and its name, or the literal as a call's decoded path has it."""


@dataclass(frozen=True, slots=True)
class _Route(Generic[Value]):
    segments: tuple[_Segment, ...]
    value: Value

    @property
    def rank(self) -> tuple[bool, ...]:
        """Literals sort before parameters, segment by segment."""
        return tuple(is_param for is_param, _ in self.segments)

    def match(self, segments: list[str]) -> dict[str, str] | None:
        params: dict[str, str] = {}
        for (is_param, name), segment in zip(self.segments, segments, strict=True):
            if is_param and segment:
                params[name] = segment
            elif is_param or name != segment:
                return None
        return params


class Paths(Generic[Value]):
    """Declared paths and what belongs to each; a call's path finds the one that it fits."""

    def __init__(self) -> None:
        self._routes: dict[int, list[_Route[Value]]] = {}

    def add(self, path: str, value: Value) -> None:
        """Declare a path, e.g. ``/contacts/:id``; among equals the one declared first wins."""
        segments = tuple(_segment(part) for part in _split(path))
        routes = self._routes.setdefault(len(segments), [])
        routes.append(_Route(segments, value))
        routes.sort(key=lambda route: route.rank)  # stable: declaration order among equals

    def match(self, segments: list[str]) -> tuple[Value, dict[str, str]] | None:
        """What belongs to the path that fits, and its parameters; segments as of `decode_path`."""
        for route in self._routes.get(len(segments), ()):
            params = route.match(segments)
            if params is not None:
                return route.value, params
        return None


def decode_path(path: str) -> list[str]:
    """Split at ``/``, then decode each segment once, so that an encoded slash stays inside its segment.

    >>> decode_path("/contacts/a%2Fb")
    ['contacts', 'a/b']
    """
    if not path.startswith("/"):
        raise InvalidRequestError(f"path '{path}' must start with '/'")
    if "?" in path or "#" in path:
        raise InvalidRequestError(
            f"path '{path}' carries '?' or '#': give the query by itself, or encode the character"
        )
    segments = [_decode_segment(path, segment) for segment in _split(path)]
    if any(segment in {".", ".."} for segment in segments):
        raise InvalidRequestError(f"path '{path}' has a dot segment")
    return segments


def _segment(part: str) -> _Segment:
    return (True, part[1:]) if part.startswith(":") else (False, unquote(part))


def _split(path: str) -> list[str]:
    return [] if path == "/" else path[1:].split("/")


def _decode_segment(path: str, segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"path '{path}': segment '{segment}' is not UTF-8 when decoded") from error
