"""One part of a valid request broken in one way, as Hypothesis chooses."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.unit.broker.operations import CRM, Operation, Request

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Broken:
    """A request with one broken part.

    Attributes:
        part: ``body``, ``params``, ``query``, ``tenant`` or ``caller``.
        place: Where in that part.
        how: What was done there.
        found: What stands there now; None where it was removed.
    """

    request: Request
    part: str
    place: Place
    how: str
    found: Any

    def __repr__(self) -> str:
        found = repr(self.found)
        return f"{self.part} {'.'.join(map(str, self.place))}: {self.how} {found[:80]} ({len(found)} characters)"


def nested(depth: int) -> Any:
    """Arrays and objects in one another."""
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


TEXTS = (
    *(
        "",
        " ",
        "  crm.contacts",
        "A",
        "Crm.Contacts",
        "é",
        "\u202e",
        "İ",
        "\u0661",
        "\ud800",
        "a\udfff",
        "\x00",
        "a\x00b",
    ),
    *("a\n", "a\r\nb", "\x1b[31m", "\x7f", ".", "..", "a..b", ".a", "a.", "/", "a/b", "../x", "%", "%2e", "%00", "%zz"),
    *("*", "#", "_", "-", "a--b", "~", "?", "a?b", "a#b", ":id", "'", '"', "{}", "null", "true", "0", "-1", "1e5"),
    *("plugin-", "plugin-system", "plugin-nobody", "nobody", "crm.nothing", "1.0", "v1.0.0", "1.0.0\n", "01.0.0"),
    *(f"{10**20}.0.0", f"1.0.0-{'a.' * 10}a", "1.0.0+b", ">=1 <2 || ", "^" * 190, "1 - " * 40, "9" * 30, "~>1"),
    *("a" * 300, "a" * 100_000, "a-" * 5000 + "!", "a." * 5000 + "!", "\x00" * 10_000, "\U0001f600" * 100),
)
NUMBERS = (
    *(0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400),
    *(0.0, -0.0, 0.5, -1.5, 1.0, 1e-320, 1e18, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
)
OTHERS = (None, True, False, [], {}, [None], [[]], {"a": 1}, {"": None}, nested(90), nested(200), nested(700))
MANY = ([0] * 20_000, ["a"] * 20_000, [{}] * 5_000, {f"k{number}": number for number in range(5_000)})

_texts = st.sampled_from(TEXTS) | st.text(st.characters(), max_size=30)
_numbers = st.sampled_from(NUMBERS) | st.integers() | st.floats()
_scalars = st.none() | st.booleans() | _numbers | _texts
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3), max_leaves=5
)
ANYTHING = st.sampled_from(OTHERS) | st.sampled_from(MANY) | _texts | _numbers | _values


def broken(operation: Operation) -> st.SearchStrategy[Broken]:
    """Requests to an operation, each with one broken part."""
    request = operation.request()
    ways = [_tenants(request), _callers(request), _new_query(request)]
    ways += [_params(request, name) for name in request.params] * 2
    ways += [_query(request, name) for name in request.query] * 2
    ways += [_whole_body(request)]
    if request.body is not None:
        ways += [_inside(request)] * 12
    return st.one_of(ways)


def _tenants(request: Request) -> st.SearchStrategy[Broken]:
    # A tenant is a word of the routing key too, which holds at most 255 bytes and no surrogate.
    texts = st.sampled_from([text for text in TEXTS if len(text) < 200 and text.isascii()])
    return texts.map(lambda text: Broken(replace(request, tenant=text), "tenant", (), "set to", text))


def _callers(request: Request) -> st.SearchStrategy[Broken]:
    names = st.sampled_from(["plugin-nobody", "plugin-spare", CRM, "plugin-analytics", "nobody", "Plugin", "a.b", "é"])
    return names.map(lambda name: Broken(replace(request, caller=name), "caller", (), "set to", name))


def _params(request: Request, name: str) -> st.SearchStrategy[Broken]:
    def with_text(text: str) -> Broken:
        return Broken(replace(request, params={**request.params, name: text}), "params", (name,), "set to", text)

    return _texts.filter(lambda text: len(text) < 50_000).map(with_text)


def _query(request: Request, name: str) -> st.SearchStrategy[Broken]:
    def with_values(values: Any) -> Broken:
        return Broken(replace(request, query={**request.query, name: values}), "query", (name,), "set to", values)

    once = _texts.map(lambda text: [text])
    return (once | once | st.lists(_texts, max_size=3) | ANYTHING).map(with_values)


def _new_query(request: Request) -> st.SearchStrategy[Broken]:
    def with_key(key: str) -> Broken:
        return Broken(replace(request, query={**request.query, key: ["true"]}), "query", (key,), "added", "true")

    near = [f"{name}s" for name in request.query] or ["limit"]
    return (st.sampled_from([*near, "forse", "", "\x00", "FORCE"]) | _texts).map(with_key)


def _whole_body(request: Request) -> st.SearchStrategy[Broken]:
    return ANYTHING.map(lambda value: Broken(replace(request, body=value), "body", (), "replaced by", value))


@st.composite
def _inside(draw: st.DrawFn, request: Request) -> Broken:
    place = draw(st.sampled_from([place for place, _ in places_in(request.body) if place]))
    body = copy.deepcopy(request.body)
    parent = at(body, place[:-1])
    how = draw(st.sampled_from(["set to", "set to", "set to", "removed", "a key added", "repeated"]))
    found: Any = None
    if how == "removed":
        del parent[place[-1]]
    elif how == "a key added" and isinstance(parent, dict):
        key = draw(st.sampled_from([f"{place[-1]}s", str(place[-1]).upper(), "x"]) | _texts)
        place, found = (*place[:-1], key), draw(_scalars)
        parent[key] = found
    elif how == "repeated" and isinstance(parent, list):
        found = [parent[0]] * draw(st.sampled_from([2, 300, 20_000]))
        parent[:] = found
    else:
        how, found = "set to", draw(ANYTHING)
        parent[place[-1]] = found
    return Broken(replace(request, body=body), "body", place, how, found)


def places_in(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every place in a JSON value, the value itself first."""
    yield place, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places_in(item, (*place, key))


def at(value: Any, place: Place) -> Any:
    """What stands at a place."""
    for key in place:
        value = value[key]
    return value
