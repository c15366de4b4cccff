"""Method and path to endpoint: literal beats ``:param``, then the order of declaration. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from contracts.errors import EndpointNotFoundError, InvalidRequestError
from plugin_runtime.marks import EndpointMark


@dataclass(frozen=True, slots=True)
class Match:
    """The endpoint that answers a call, and its path parameters."""

    mark: EndpointMark
    params: dict[str, str]


_Segment = tuple[bool, str]
"""Whether it is a parameter, and its name, or the literal as a call's decoded path has it."""


@dataclass(frozen=True, slots=True)
class _Route:
    mark: EndpointMark
    segments: tuple[_Segment, ...]

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


class Router:
    """The endpoints of one service, ready to be matched."""

    def __init__(self, service: str, marks: Iterable[EndpointMark]) -> None:
        self._service = service
        self._routes: dict[tuple[str, int], list[_Route]] = {}
        self._available: list[str] = []
        for mark in marks:
            segments = tuple(_segment(part) for part in _split(mark.path))
            self._routes.setdefault((mark.method, len(segments)), []).append(_Route(mark, segments))
            self._available.append(f"{mark.method} {mark.path}")
        for routes in self._routes.values():
            routes.sort(key=lambda route: route.rank)  # stable: declaration order among equals

    def match(self, method: str, path: str) -> Match:
        """The endpoint for a call.

        Raises:
            InvalidRequestError: The path does not start with ``/``, has a dot segment, encoded or not, carries ``?``
                or ``#``, or is not UTF-8 when decoded.
            EndpointNotFoundError: Nothing answers it; ``available`` lists what exists.
        """
        segments = decode_path(path)
        for route in self._routes.get((method, len(segments)), ()):
            params = route.match(segments)
            if params is not None:
                return Match(route.mark, params)
        raise EndpointNotFoundError(
            f"Endpoint {method} {path} not found in {self._service}; it has {', '.join(self._available)}",
            available=list(self._available),
        )


def _segment(part: str) -> _Segment:
    return (True, part[1:]) if part.startswith(":") else (False, unquote(part))


def _split(path: str) -> list[str]:
    return [] if path == "/" else path[1:].split("/")


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


def _decode_segment(path: str, segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"path '{path}': segment '{segment}' is not UTF-8 when decoded") from error
