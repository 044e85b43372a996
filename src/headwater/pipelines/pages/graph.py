"""Drawing a DAG: which layer each task stands in, in which order, and where the lines between them run.

Pure: sizes and edges in, coordinates out. The method is Sugiyama's: layers by longest path, long edges cut by invisible
points, orders by barycentres in a few sweeps, and x coordinates by least squares under the order (isotonic regression
by pooling). Its cost grows with nodes and edges, so a pipeline of a thousand steps is laid out in a blink.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 8
_GAP_X = 28.0
_GAP_Y = 44.0
_MARGIN = 12.0


@dataclass(frozen=True, slots=True)
class Box:
    """Where a node stands: its upper left corner and its size, in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """An edge: from whom to whom, and the SVG path that draws it."""

    source: str
    target: str
    path: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawn graph."""

    boxes: Mapping[str, Box]
    lines: Sequence[Line]
    width: float
    height: float


@dataclass(slots=True)
class _Point:
    """A node, or the place where a long edge passes a layer."""

    key: str
    width: float
    height: float
    layer: int
    x: float = 0.0
    up: list["_Point"] | None = None
    down: list["_Point"] | None = None


def layers_of(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return each node's layer: 0 without predecessors, else one more than the deepest of them.

    Raises ``ValueError`` when the edges go in a circle or name an unknown node.
    """
    known = set(nodes)
    for source, target in edges:
        if source not in known or target not in known:
            raise ValueError(f"the edge from {source!r} to {target!r} names an unknown node")
    successors: dict[str, list[str]] = {node: [] for node in nodes}
    waiting = dict.fromkeys(nodes, 0)
    for source, target in set(edges):
        successors[source].append(target)
        waiting[target] += 1
    layers = {node: 0 for node in nodes if not waiting[node]}
    ready = list(layers)
    while ready:
        node = ready.pop()
        for after in successors[node]:
            layers[after] = max(layers.get(after, 0), layers[node] + 1)
            waiting[after] -= 1
            if not waiting[after]:
                ready.append(after)
    if any(waiting.values()):
        circle = sorted(node for node, count in waiting.items() if count)
        raise ValueError(f"the tasks {', '.join(circle)} wait for each other")
    return layers


def layout(sizes: Mapping[str, tuple[float, float]], edges: Sequence[tuple[str, str]]) -> Layout:
    """Place nodes of the given sizes (width, height) so that edges point down and cross seldom."""
    if not sizes:
        return Layout({}, (), 2 * _MARGIN, 2 * _MARGIN)
    layers = layers_of(list(sizes), edges)
    points = {key: _Point(key, *sizes[key], layers[key], up=[], down=[]) for key in sizes}
    rows: list[list[_Point]] = [[] for _ in range(max(layers.values()) + 1)]
    for point in points.values():
        rows[point.layer].append(point)
    chains = {edge: _chain(points, rows, edge) for edge in dict.fromkeys(edges)}
    _order(rows)
    _place(rows)
    tops = _tops(rows)
    left = min(point.x - point.width / 2 for row in rows for point in row) - _MARGIN
    boxes = {
        key: Box(round(p.x - p.width / 2 - left, 1), tops[p.layer], p.width, p.height) for key, p in points.items()
    }
    lines = [Line(*edge, _path(chain, tops, left, rows)) for edge, chain in chains.items()]
    width = max(point.x + point.width / 2 for row in rows for point in row) - left + _MARGIN
    height = tops[-1] + max(point.height for point in rows[-1]) + _MARGIN
    return Layout(boxes, lines, round(width, 1), round(height, 1))


def _chain(points: Mapping[str, _Point], rows: list[list[_Point]], edge: tuple[str, str]) -> list[_Point]:
    """Connect two nodes, through an invisible point in every layer between them."""
    source, target = points[edge[0]], points[edge[1]]
    chain = [source]
    for layer in range(source.layer + 1, target.layer):
        passing = _Point("", 6.0, 0.0, layer, up=[], down=[])
        rows[layer].append(passing)
        chain.append(passing)
    chain.append(target)
    for above, below in pairwise(chain):
        assert above.down is not None
        assert below.up is not None
        above.down.append(below)
        below.up.append(above)
    return chain


def _order(rows: list[list[_Point]]) -> None:
    """Sort each layer by where its neighbours stand, downwards and upwards in turn; keep the best order seen."""
    best = [list(row) for row in rows]
    fewest = _crossings(rows)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        for row in rows[1:] if down else rows[-2::-1]:
            _sort(row, rows, down)
        crossings = _crossings(rows)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    rows[:] = best


def _sort(row: list[_Point], rows: list[list[_Point]], down: bool) -> None:
    position = {id(p): float(i) for other in rows for i, p in enumerate(other) if other is not row}
    own = {id(p): float(i) for i, p in enumerate(row)}

    def centre(point: _Point) -> float:
        neighbours = (point.up if down else point.down) or []
        if not neighbours:
            return own[id(point)]
        return sum(position[id(n)] for n in neighbours) / len(neighbours)

    row.sort(key=centre)


def _crossings(rows: list[list[_Point]]) -> int:
    """Count crossing edges between neighbouring layers, by counting inversions with a Fenwick tree."""
    total = 0
    for upper, lower in pairwise(rows):
        position = {id(p): i for i, p in enumerate(lower)}
        tree = [0] * (len(lower) + 1)
        seen = 0
        for point in upper:
            ends = sorted(position[id(n)] for n in point.down or [])
            for end in ends:
                at, before = end + 1, 0
                while at:
                    before += tree[at]
                    at -= at & -at
                total += seen - before
            for end in ends:
                at = end + 1
                while at <= len(lower):
                    tree[at] += 1
                    at += at & -at
                seen += 1
    return total


def _place(rows: list[list[_Point]]) -> None:
    """Give every point its x: as near to its neighbours as order and gaps allow."""
    for row in rows:
        x = 0.0
        for point in row:
            point.x = x + point.width / 2
            x += point.width + _GAP_X
        for point in row:
            point.x -= (x - _GAP_X) / 2
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = [_wish(point) for point in row]
            offsets = [0.0]
            for left, right in pairwise(row):
                offsets.append(offsets[-1] + (left.width + right.width) / 2 + _GAP_X)
            for point, x, offset in zip(
                row, fit([w - o for w, o in zip(wanted, offsets, strict=True)]), offsets, strict=True
            ):
                point.x = x + offset


def _wish(point: _Point) -> float:
    neighbours = [*(point.up or []), *(point.down or [])]
    return sum(n.x for n in neighbours) / len(neighbours) if neighbours else point.x


def fit(values: Sequence[float]) -> list[float]:
    """Return the non-decreasing sequence nearest to ``values`` in least squares (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while blocks and blocks[-1][0] > mean:
            before, n = blocks.pop()
            mean, count = (before * n + mean * count) / (n + count), n + count
        blocks.append((mean, count))
    return [mean for mean, count in blocks for _ in range(count)]


def _tops(rows: list[list[_Point]]) -> list[float]:
    tops, y = [], _MARGIN
    for row in rows:
        tops.append(round(y, 1))
        y += max(point.height for point in row) + _GAP_Y
    return tops


def _path(chain: list[_Point], tops: list[float], left: float, rows: list[list[_Point]]) -> str:
    """Draw an edge as vertical S-curves, straight down past the nodes of the layers it crosses."""
    first = chain[0]
    x, y = first.x - left, tops[first.layer] + first.height
    parts = [f"M{x:.1f} {y:.1f}"]
    for point in chain[1:]:
        next_x, next_y = point.x - left, tops[point.layer]
        middle = (y + next_y) / 2
        parts.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}")
        x, y = next_x, next_y
        if not point.key:
            y = tops[point.layer] + max(other.height for other in rows[point.layer])
            parts.append(f"V{y:.1f}")
    return "".join(parts)
