"""Draws docs/rooms.svg, the rooms of the package and who imports whom, from the imports themselves.

    python docs/draw_rooms.py           # writes the picture
    python docs/draw_rooms.py --check   # exit code 1 if it is not that of today's imports

Standard library only. A test runs the check, and asks `imports` and `circles` whether anything runs in a circle.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "rooms.svg"
PACKAGE = "spikejoule"
FLOORS = ("reports", "models", "energy", "sim")
FACES = ("ablation", "commands")  # packages that stand with the modules of the root, above all floors
NOT_PACKAGED = ("run", "setup")

Node = TypeVar("Node", bound=Hashable)
Room = tuple[str, str]  # (floor, room); "" is what stands beside the rooms of sim, its ground

WIDTH, LEFT, GAP, PAD, LINE = 1160, 12, 30, 14, 15  # pixels
STYLE = """
text { font: 12px 'DejaVu Sans', Verdana, sans-serif; fill: #1c1e21 }
.title { font-weight: bold } .floor { font-weight: bold; font-size: 15px } .modules { font-size: 11px; fill: #5f6570 }
.panel { fill: #f4f6f8; stroke: #d5d8dd } .room { fill: #fff; stroke: #8a919c }
path { stroke: #4477aa; stroke-width: 1.3; fill: none; marker-end: url(#tip) }
"""


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the package by dotted name, with its file; a package has its own name, the root ""."""
    inner = (path for top in (*FLOORS, *FACES) for path in (root / top).rglob("*.py"))
    found = {}
    for path in sorted([*root.glob("*.py"), *inner]):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] not in NOT_PACKAGED:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports, wherever it does: in functions and for type checkers too."""
    known = modules(root)
    return {name: set(_imported(name, path, known)) - {name} for name, path in known.items()}


def _imported(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    home = name.split(".") if path.name == "__init__.py" and name else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        given = (node.module or "").split(".")
        if not node.level and given[0] != PACKAGE:
            continue
        parts = [*home[: len(home) - node.level + 1], *given] if node.level else given[1:]
        target = ".".join(filter(None, parts))
        for alias in node.names:
            inner = f"{target}.{alias.name}".strip(".")
            yield inner if inner in known else target


def circles(graph: Mapping[Node, set[Node]]) -> list[set[Node]]:
    """Groups of nodes that reach each other."""
    reach = {node: _reached(graph, node) for node in graph}
    groups = [{other for other in reach[node] if node in reach[other]} for node in graph if node in reach[node]]
    return [group for index, group in enumerate(groups) if group not in groups[:index]]


def _reached(graph: Mapping[Node, set[Node]], start: Node) -> set[Node]:
    seen: set[Node] = set()
    front = list(graph[start])
    while front:
        node = front.pop()
        if node not in seen:
            seen.add(node)
            front += graph[node]
    return seen


def room_of(module: str, root: Path = ROOT) -> Room:
    """The room of a module. Rooms inside a room belong to it; a module beside the rooms of a floor is one by itself."""
    floor, *inner = module.split(".")
    if floor not in FLOORS:
        return "faces", floor
    if not inner or (floor == "sim" and not (root / floor / inner[0]).is_dir()):
        return floor, ""
    return floor, inner[0]


def room_imports(root: Path = ROOT) -> dict[Room, set[Room]]:
    """Room -> rooms that its modules import; the ``__init__`` of the root and of the floors only name what is below."""
    found: dict[Room, set[Room]] = {}
    for name, targets in imports(root).items():
        if name and name not in FLOORS:
            own = room_of(name, root)
            found.setdefault(own, set()).update({room_of(target, root) for target in targets if target} - {own})
    return found


@dataclass(frozen=True)
class Box:
    """A room as drawn: its lines of text, each with its style."""

    lines: tuple[tuple[str, str], ...]

    @property
    def height(self) -> int:
        return LINE * len(self.lines) + 14


def box(room: Room, columns: int, root: Path = ROOT) -> Box:
    """Title, first line of the docstring, and the modules of a room, for text of so many characters a line."""
    floor, name = room
    place = root / name if floor == "faces" else root / floor / name
    if not place.is_dir():
        docstring = _first_line(place.with_suffix(".py"))
        return Box((("title", f"{name}.py"), *(("", line) for line in textwrap.wrap(docstring, columns))))
    docstring = _first_line(place / "__init__.py")
    if not name:
        docstring = "The ground of every floor: errors, files, how numbers and objects are shown."
    held = {".": [path.stem for path in sorted(place.glob("*.py")) if path.stem != "__init__"]}
    if name:
        held |= {path.parent.name: [] for path in sorted(place.glob("*/__init__.py"))}
    for inner in list(held)[1:]:
        held[inner] = [path.stem for path in sorted((place / inner).glob("*.py")) if path.stem != "__init__"]
    lines = [("title", f"{name or floor}/"), *(("", line) for line in textwrap.wrap(docstring, columns))]
    for inner, names in held.items():
        told = ("" if inner == "." else f"{inner}/: ") + ", ".join(names)
        lines += [("modules", line) for line in textwrap.wrap(told, columns + 3)]
    return Box(tuple(lines))


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("`", "")


def levels(graph: Mapping[Node, set[Node]]) -> list[list[Node]]:
    """Nodes in columns, each right of all that it imports."""
    level: dict[Node, int] = {}
    while len(level) < len(graph):
        for node in [node for node in graph if node not in level and graph[node] <= set(level)]:
            level[node] = 1 + max((level[other] for other in graph[node]), default=-1)
    return [sorted(node for node in graph if level[node] == column) for column in range(1 + max(level.values()))]


def direct(graph: Mapping[Node, set[Node]]) -> list[tuple[Node, Node]]:
    """Imports less those that follow from others."""
    return sorted(
        (node, other)
        for node in graph
        for other in graph[node]
        if not any(other in _reached(graph, between) for between in graph[node])
    )


def panel(floor: str, graph: Mapping[Room, set[Room]], top: int, root: Path = ROOT) -> tuple[str, int]:
    """One floor as SVG, and the height it takes: rooms from left to right, each right of what it imports."""
    own = {room: {other for other in graph[room] if other[0] == floor} for room in graph if room[0] == floor}
    below = sorted({other[0] for room in own for other in graph[room]} - {floor}, key=FLOORS.index)
    columns = levels(own)
    width = (WIDTH - 2 * LEFT - 2 * PAD - (len(columns) - 1) * GAP) // len(columns)
    boxes = {room: box(room, width // 7 - 2, root) for room in own}
    parts, spots, tallest = [], {}, 0
    for index, column in enumerate(columns):
        x, y = LEFT + PAD + index * (width + GAP), top + 38
        for room in column:
            spots[room] = x, y
            y += boxes[room].height + 12
        tallest = max(tallest, y - top)
    for room, other in direct(own):
        (x, y), (x2, y2) = spots[room], spots[other]
        end = x2 + width + 2
        if x - end <= GAP:
            parts.append(f'<path d="M{x} {y + 18} L{end} {y2 + 18}"/>')
        else:  # over the boxes between
            parts.append(f'<path d="M{x} {y + 8} C{x - 24} {y - 16} {end + 24} {y2 - 16} {end} {y2 + 8}"/>')
    for room, (x, y) in spots.items():
        parts.append(f'<rect class="room" x="{x}" y="{y}" width="{width}" height="{boxes[room].height}" rx="4"/>')
        for line, (style, text) in enumerate(boxes[room].lines):
            parts.append(f'<text class="{style}" x="{x + 8}" y="{y + 17 + line * LINE}">{escape(text)}</text>')
    title = f"{floor}{'' if floor == 'faces' else '/'}"
    told = f"imports {', '.join(below)}" if below else "imports nothing of the house"
    head = (
        f'<rect class="panel" x="{LEFT}" y="{top}" width="{WIDTH - 2 * LEFT}" height="{tallest}" rx="7"/>\n'
        f'<text class="floor" x="{LEFT + PAD}" y="{top + 24}">{title}</text>\n'
        f'<text class="modules" x="{LEFT + PAD + 80}" y="{top + 24}">{told}</text>'
    )
    return "\n".join([head, *parts]), tallest


def draw(root: Path = ROOT) -> str:
    """The picture as SVG text."""
    graph, top, parts = room_imports(root), LEFT, []
    for floor in ("faces", *FLOORS):
        text, height = panel(floor, graph, top, root)
        parts.append(text)
        top += height + LEFT
    body = "\n".join(parts)
    size = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">
<title>The rooms of SpikeJoule: an arrow runs from a room to one that it imports</title>
<style>{STYLE}</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" style="fill: #4477aa; stroke: none"/></marker></defs>
<rect width="{WIDTH}" height="{top}" fill="#fefefe"/>
{body}
</svg>
"""


def main(words: Sequence[str]) -> int:
    picture = draw()
    if "--check" in words:
        same = PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == picture
        print("docs/rooms.svg shows today's imports" if same else "docs/rooms.svg is old: python docs/draw_rooms.py")
        return 0 if same else 1
    PICTURE.write_text(picture, encoding="utf-8")
    print(PICTURE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
