"""Method and path to endpoint: literal beats ``:param``, then the order of declaration. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.errors import EndpointNotFoundError
from plugin_runtime.calls.paths import Paths, decode_path
from plugin_runtime.marks import EndpointMark


@dataclass(frozen=True, slots=True)
class Match:
    """The endpoint that answers a call, and its path parameters."""

    mark: EndpointMark
    params: dict[str, str]


class Router:
    """The endpoints of one service, ready to be matched."""

    def __init__(self, service: str, marks: Iterable[EndpointMark]) -> None:
        self._service = service
        self._paths: dict[str, Paths[EndpointMark]] = {}
        self._available: list[str] = []
        for mark in marks:
            self._paths.setdefault(mark.method, Paths()).add(mark.path, mark)
            self._available.append(f"{mark.method} {mark.path}")

    def match(self, method: str, path: str) -> Match:
        """The endpoint for a call.

        Raises:
            InvalidRequestError: The path does not start with ``/``, has a dot segment, encoded or not, carries ``?``
                or ``#``, or is not UTF-8 when decoded.
            EndpointNotFoundError: Nothing answers it; ``available`` lists what exists.
        """
        segments = decode_path(path)
        paths = self._paths.get(method)
        found = paths.match(segments) if paths else None
        if found is not None:
            return Match(*found)
        raise EndpointNotFoundError(
            f"Endpoint {method} {path} not found in {self._service}; it has {', '.join(self._available)}",
            available=list(self._available),
        )
