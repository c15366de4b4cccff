"""Where a call goes, and which of its answers may be kept. Pure."""

from dataclasses import dataclass, field

from contracts.errors import InvalidRequestError
from contracts.registry import ServiceRecord
from plugin_runtime.calls.paths import Paths, decode_path


class CacheRules:
    """For how long answers to a service version's GETs may be kept: ``cacheTTL``, the endpoint's before the service's.

    Metadata of endpoints that are no GET is not looked at.
    """

    def __init__(self, paths: Paths[float]) -> None:
        self._paths = paths

    @classmethod
    def of(cls, record: ServiceRecord) -> "CacheRules | None":
        """The rules of a service version; None when none of its answers may be kept."""
        paths, longest = Paths[float](), 0.0
        for endpoint in record.endpoints:
            if endpoint.method == "GET":
                own = endpoint.metadata.cache_ttl
                seconds = (record.metadata.cache_ttl if own is None else own) or 0.0
                paths.add(endpoint.path, seconds)
                longest = max(longest, seconds)
        return cls(paths) if longest > 0 else None

    def seconds(self, path: str) -> float:
        """How long the answer to a GET of the path may be kept; 0 for not at all."""
        try:
            found = self._paths.match(decode_path(path))
        except InvalidRequestError:
            return 0.0  # what is wrong with it is for the callee to say
        return found[0] if found else 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """The service version that a call goes to, and the plugin that answers it.

    Attributes:
        caching: Which of its answers may be kept; None when none of them.
    """

    plugin: str
    service: str
    version: str
    caching: CacheRules | None = field(default=None, compare=False)
