"""Where the boxes and lines of a dependency graph go: layers from left to right, after Sugiyama (1981). Pure.

Askers stand left of what they ask for (longest path), except on the line that closes a circle. A line that spans
several layers takes a place of its own in each of those between, so no line crosses a box. Within a layer everything
stands where its neighbours are (barycentre), and never nearer than `ROOM`. Each line has a port of its own on the side
of a box, where its label begins: labels cannot cover each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.dependencies.graph import postorder

ROOM = 22.0
PORT = 17.0
LEAST_HEIGHT = 46.0
LANE = 14.0
GAP = 70.0
MARGIN = 24.0
SWEEPS = 8
MOST_BENDS = 20_000
"""Above that many places between layers, lines run straight: such a graph is not to be read anyway."""

Point = tuple[float, float]


@dataclass(slots=True)
class Box:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """An edge's points from its asker to its target; between them it runs level at each point.

    Attributes:
        is_backwards: It closes a circle: it leaves its asker to the left.
    """

    points: tuple[Point, ...]
    is_backwards: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """Boxes by name, a line for each edge in the order given, and the size of the picture."""

    boxes: Mapping[str, Box]
    lines: Sequence[Line]
    width: float
    height: float


@dataclass(slots=True)
class _Place:
    """A box, or the place of a line, within a layer."""

    height: float
    width: float = 0.0
    y: float = 0.0
    before: list["_Place"] = field(default_factory=list)
    after: list["_Place"] = field(default_factory=list)


def arranged(widths: Mapping[str, float], edges: Sequence[tuple[str, str, float]]) -> Layout:
    """Lay out a graph.

    Args:
        widths: The width of each node's box.
        edges: Asker, target and width of the label of each edge.
    """
    layers, turned = _layers(widths, edges)
    height = dict.fromkeys(widths, LEAST_HEIGHT)
    for name, count in _ports(widths, edges, turned).items():
        height[name] = max(LEAST_HEIGHT, PORT * count + 10)
    places = {name: _Place(height[name], widths[name]) for name in widths}
    rows: list[list[_Place]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for name in widths:
        rows[layers[name]].append(places[name])
    bends = _bent(edges, layers, turned, places, rows)
    for row in _ordered(rows):
        _stack(row)
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _settle(row, is_forwards=sweep % 2 == 0)
    _close_gaps([place for row in rows for place in row])
    columns = _columns(rows, layers, edges, turned)
    top = min((place.y - place.height / 2 for row in rows for place in row), default=0.0)
    for row in rows:
        for place in row:
            place.y += MARGIN - top
    boxes = {
        name: Box(columns[layers[name]], place.y - place.height / 2, place.width, place.height)
        for name, place in places.items()
    }
    ends = [column + max((place.width for place in row), default=0) for column, row in zip(columns, rows, strict=False)]
    ways = [
        [point for at, bend in way for point in _pass(columns[at], ends[at], bend.y, is_turned=is_turned)]
        for way, is_turned in zip(bends, turned, strict=True)
    ]
    lines = _lines(boxes, edges, turned, ways)
    bottom = max((place.y + place.height / 2 for row in rows for place in row), default=0.0)
    return Layout(boxes, lines, columns[-1] - GAP + MARGIN, bottom + MARGIN)


def _layers(widths: Mapping[str, float], edges: Sequence[tuple[str, str, float]]) -> tuple[dict[str, int], list[bool]]:
    """Each node's layer, and for each edge whether it runs against them."""
    following: dict[str, list[str]] = {name: [] for name in widths}
    asked = set()
    for asker, target, _ in edges:
        following[asker].append(target)
        asked.add(target)
    starts = [*(name for name in widths if name not in asked), *widths]
    order = postorder(starts, {name: sorted(targets) for name, targets in following.items()})
    rank = {name: index for index, name in enumerate(order)}
    layers = dict.fromkeys(widths, 0)
    for name in reversed(order):
        for target in following[name]:
            if rank[target] < rank[name]:
                layers[target] = max(layers[target], layers[name] + 1)
    return layers, [rank[target] >= rank[asker] for asker, target, _ in edges]


def _ports(
    widths: Mapping[str, float], edges: Sequence[tuple[str, str, float]], turned: Sequence[bool]
) -> dict[str, int]:
    """How many lines meet the fuller side of each box."""
    sides: dict[tuple[str, bool], int] = {}
    for (asker, target, _), is_turned in zip(edges, turned, strict=True):
        for side in ((asker, not is_turned), (target, is_turned)):
            sides[side] = sides.get(side, 0) + 1
    return {name: max(sides.get((name, True), 0), sides.get((name, False), 0)) for name in widths}


def _bent(
    edges: Sequence[tuple[str, str, float]],
    layers: Mapping[str, int],
    turned: Sequence[bool],
    places: Mapping[str, _Place],
    rows: list[list[_Place]],
) -> list[list[tuple[int, _Place]]]:
    """Give each edge a place in every layer that it passes, and tell neighbours of each other."""
    spans = [abs(layers[target] - layers[asker]) for asker, target, _ in edges]
    is_bent = sum(spans) <= MOST_BENDS
    ways: list[list[tuple[int, _Place]]] = []
    for (asker, target, _), is_turned in zip(edges, turned, strict=True):
        first, last = (target, asker) if is_turned else (asker, target)
        before = places[first]
        way: list[tuple[int, _Place]] = []
        for at in range(layers[first] + 1, layers[last]) if is_bent else ():
            bend = _Place(LANE)
            rows[at].append(bend)
            _join(before, bend)
            way.append((at, bend))
            before = bend
        if first != last:
            _join(before, places[last])
        ways.append(list(reversed(way)) if is_turned else way)
    return ways


def _pass(left: float, right: float, y: float, *, is_turned: bool) -> tuple[Point, Point]:
    """A line passes a layer level, from one side of its boxes to the other."""
    return ((right, y), (left, y)) if is_turned else ((left, y), (right, y))


def _join(one: _Place, other: _Place) -> None:
    one.after.append(other)
    other.before.append(one)


def _ordered(rows: list[list[_Place]]) -> list[list[_Place]]:
    """Sort every layer by where its neighbours stand, forwards and backwards in turn."""
    for row in rows:
        for index, place in enumerate(row):
            place.y = float(index)
    for sweep in range(SWEEPS):
        is_forwards = sweep % 2 == 0
        for row in rows if is_forwards else reversed(rows):
            row.sort(key=lambda place: _centre(place.before if is_forwards else place.after, place.y))
            for index, place in enumerate(row):
                place.y = index - len(row) / 2
    return rows


def _centre(neighbours: Sequence[_Place], otherwise: float) -> float:
    return sum(place.y for place in neighbours) / len(neighbours) if neighbours else otherwise


def _stack(row: list[_Place]) -> None:
    y = 0.0
    for place in row:
        place.y = y + place.height / 2
        y += place.height + ROOM


def _settle(row: list[_Place], *, is_forwards: bool) -> None:
    """Move a layer to its neighbours: as near as the order and the room between allow."""
    wanted = [_centre(place.before if is_forwards else place.after, place.y) for place in row]
    heights = [place.height for place in row]
    down = _spread(wanted, heights)
    up = [-y for y in reversed(_spread([-y for y in reversed(wanted)], heights[::-1]))]
    for place, low, high in zip(row, down, up, strict=True):
        place.y = (low + high) / 2


def _spread(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Where each may stand if it gives way to those before it; the mean of both directions keeps the room too."""
    found: list[float] = []
    least = float("-inf")
    for y, height in zip(wanted, heights, strict=True):
        found.append(max(y, least + height / 2))
        least = found[-1] + height / 2 + ROOM
    return found


def _close_gaps(places: Sequence[_Place]) -> None:
    """Move together what leaves a band of the whole picture empty, such as parts that nothing joins."""
    reach, shift = float("inf"), 0.0
    for place in sorted(places, key=lambda place: place.y - place.height / 2):
        top, bottom = place.y - place.height / 2, place.y + place.height / 2
        shift += max(0.0, top - reach - ROOM)
        reach = bottom if reach == float("inf") else max(reach, bottom)
        place.y -= shift


def _columns(
    rows: Sequence[Sequence[_Place]],
    layers: Mapping[str, int],
    edges: Sequence[tuple[str, str, float]],
    turned: Sequence[bool],
) -> list[float]:
    """Where each layer begins, and where the next one would: the labels of both sides fit between two."""
    right = [0.0] * (len(rows) + 1)
    left = [0.0] * (len(rows) + 1)
    for (asker, _, width), is_turned in zip(edges, turned, strict=True):
        side = left if is_turned else right
        side[layers[asker]] = max(side[layers[asker]], width)
    columns = [MARGIN + left[0]]
    for at, row in enumerate(rows):
        widest = max((place.width for place in row), default=0.0)
        columns.append(columns[-1] + widest + right[at] + left[at + 1] + GAP)
    return columns


def _lines(
    boxes: Mapping[str, Box],
    edges: Sequence[tuple[str, str, float]],
    turned: Sequence[bool],
    ways: Sequence[list[Point]],
) -> list[Line]:
    """Every line from port to port; the ports of a side are in the order of where their lines lead."""
    ends: dict[tuple[str, bool], list[tuple[float, int, bool]]] = {}
    for number, ((asker, target, _), is_turned) in enumerate(zip(edges, turned, strict=True)):
        way = ways[number]
        start, end = (boxes[name].y + boxes[name].height / 2 for name in (asker, target))
        ends.setdefault((asker, not is_turned), []).append((way[0][1] if way else end, number, True))
        ends.setdefault((target, is_turned), []).append((way[-1][1] if way else start, number, False))
    ports: dict[tuple[int, bool], Point] = {}
    for (name, is_right), found in ends.items():
        box = boxes[name]
        for index, (_, number, is_start) in enumerate(sorted(found)):
            y = box.y + box.height * (index + 1) / (len(found) + 1)
            ports[number, is_start] = (box.x + box.width if is_right else box.x, y)
    return [
        Line((ports[number, True], *ways[number], ports[number, False]), is_turned)
        for number, is_turned in enumerate(turned)
    ]
