"""Where two manifests of one version differ, in words short enough for an error. Pure."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from contracts.text import printable

MOST_SHOWN = 3
LONGEST_SHOWN = 80
NAMING = ("name", "namespace", "pattern", "serviceName", "pluginId")
"""The keys by which entries of a manifest's lists are called, the first that is there."""


def differences(known: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """The first places in which a manifest differs from the known one; of lists, the names that only one has."""
    places = list(islice(_differing(known, found, ""), MOST_SHOWN + 1))
    return places if len(places) <= MOST_SHOWN else [*places[:MOST_SHOWN], "..."]


def _differing(known: Mapping[str, Any], found: Mapping[str, Any], place: str) -> Iterator[str]:
    for key in sorted({*known, *found}):
        before, after = known.get(key), found.get(key)
        path = f"{place}.{key}" if place else key
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differing(before, after, path)
        elif isinstance(before, list) or isinstance(after, list):
            yield printable(path, LONGEST_SHOWN) + _names(before, after)
        else:
            yield printable(path, LONGEST_SHOWN)


def _names(before: object, after: object) -> str:
    gone, new = _named(before) - _named(after), _named(after) - _named(before)
    parts = [
        f"{word} {printable(', '.join(sorted(names)), LONGEST_SHOWN)}"
        for word, names in (("without", gone), ("with", new))
        if names
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _named(entries: object) -> set[str]:
    found = entries if isinstance(entries, list) else []
    return {
        str(next((item[key] for key in NAMING if key in item), "")) for item in found if isinstance(item, Mapping)
    } - {""}
