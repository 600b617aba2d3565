"""The whole column lineage as one HTML page that needs nothing else: fields of topics, columns of tables, and lines.

Pointing at a field shows all that comes from it and all that it comes from. No Dagster here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from string import Template

from contracts import names, tables
from contracts.lineage import Origin, column_origins, fields_of, message_origins

_BOX_WIDTH, _ROW, _HEAD, _GAP, _MARGIN = 260, 22, 34, 28, 24
# Topics that others are made of to the left, what is made of them to the right.
_COLUMN_X = (_MARGIN, _MARGIN + 460, _MARGIN + 920)
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Column lineage</title><style>
body { font: 14px system-ui, sans-serif; margin: 24px; color: #1d2733 }
svg text { font: 13px ui-monospace, monospace; fill: #1d2733 }
.box { fill: #fff; stroke: #c4ccd6 } .head { fill: #eef1f6 } .title { font-weight: 600 }
.line { fill: none; stroke: #b3bdca; stroke-width: 1.2 } .checks { fill: #3b7d4f; font-size: 11px }
svg.asked .line, svg.asked .field { opacity: .15 } svg.asked .on { opacity: 1 } svg.asked .line.on { stroke: #4f46e5 }
</style></head><body><h1>Column lineage</h1>
<p>Point at a field: what it comes from, and what comes from it. In green, how many checks hold it.</p>
<svg width="$width" height="$height">$lines$boxes</svg>
<script>
const svg = document.querySelector("svg"), lines = [...document.querySelectorAll(".line")];
const reach = (id, from, to, seen) => lines.forEach(line => { if (line.dataset[from] === id && !seen.has(line)) {
  seen.add(line); reach(line.dataset[to], from, to, seen) } });
document.querySelectorAll(".field").forEach(node => {
  node.onmouseenter = () => { const seen = new Set();
    reach(node.id, "from", "to", seen); reach(node.id, "to", "from", seen);
    const ids = new Set([node.id, ...[...seen].flatMap(line => [line.dataset.from, line.dataset.to])]);
    svg.classList.add("asked"); seen.forEach(line => line.classList.add("on"));
    ids.forEach(id => document.getElementById(id).classList.add("on")) };
  node.onmouseleave = () => { svg.classList.remove("asked");
    document.querySelectorAll(".on").forEach(found => found.classList.remove("on")) } });
</script></body></html>
""")


@dataclass(frozen=True)
class Dataset:
    """A box of the picture: a topic or a table, its fields, and of each where it comes from."""

    name: str
    kind: str
    fields: Sequence[str]
    origins: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)


def datasets() -> tuple[tuple[Dataset, ...], ...]:
    """Every topic and table, by column of the picture from left to right."""
    raw = Dataset(names.RAW_TOPIC, "topic", fields_of(names.RAW_TOPIC))
    made = tuple(
        Dataset(topic, "topic", fields_of(topic), message_origins(topic))
        for topic in (names.ALERT_TOPIC, names.DEAD_LETTER_TOPIC)
    )
    stored = tuple(
        Dataset(f"{table.identifier}", "table", tuple(column.name for column in table.columns), column_origins(table))
        for table in tables.stream_tables()
    )
    return ((raw,), made, stored)


def page(checks: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """The page; `checks` has the names of the expectations of a table's column, by (identifier, column)."""
    places: dict[tuple[str, str], tuple[int, int]] = {}
    boxes: list[str] = []
    height = 0
    for x, stack in zip(_COLUMN_X, datasets(), strict=True):
        y = _MARGIN
        for dataset in stack:
            boxes.append(_box(dataset, x, y, checks))
            for number, name in enumerate(dataset.fields):
                places[dataset.name, name] = (x, y + _HEAD + number * _ROW + _ROW // 2)
            y += _HEAD + len(dataset.fields) * _ROW + _GAP
        height = max(height, y)
    lines = [
        _line(places, (origin.dataset, origin.field), (dataset.name, name), origin.how)
        for stack in datasets()
        for dataset in stack
        for name, origins in dataset.origins.items()
        for origin in origins
        if origin.field and (origin.dataset, origin.field) in places
    ]
    width = _COLUMN_X[-1] + _BOX_WIDTH + _MARGIN
    return _PAGE.substitute(width=width, height=height, lines="".join(lines), boxes="".join(boxes))


def _id(dataset: str, name: str) -> str:
    return escape(f"{dataset}/{name}".replace(" ", "_"), quote=True)


def _box(dataset: Dataset, x: int, y: int, checks: Mapping[tuple[str, str], Sequence[str]]) -> str:
    height = _HEAD + len(dataset.fields) * _ROW
    parts = [
        f'<rect class="box" x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{height}" rx="6"/>',
        f'<rect class="head" x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_HEAD - 6}" rx="6"/>',
        f'<text class="title" x="{x + 10}" y="{y + 19}">{escape(dataset.name)} ({dataset.kind})</text>',
    ]
    for number, name in enumerate(dataset.fields):
        middle = y + _HEAD + number * _ROW + _ROW // 2 + 4
        held = checks.get((dataset.name, name), ())
        count = f'<text class="checks" x="{x + _BOX_WIDTH - 24}" y="{middle}">{len(held)}</text>' if held else ""
        origins = ", ".join(f"{one.how} from {one.dataset} {one.field or ''}" for one in dataset.origins.get(name, ()))
        words = escape("; ".join(filter(None, (origins, *held))))
        parts.append(
            f'<g class="field" id="{_id(dataset.name, name)}"><title>{words}</title>'
            f'<text x="{x + 10}" y="{middle}">{escape(name)}</text>{count}</g>'
        )
    return "".join(parts)


def _line(
    places: Mapping[tuple[str, str], tuple[int, int]], start: tuple[str, str], end: tuple[str, str], how: str
) -> str:
    (x, y), (to_x, to_y) = places[start], places[end]
    x += _BOX_WIDTH
    bend = (to_x - x) // 2
    return (
        f'<path class="line" data-from="{_id(*start)}" data-to="{_id(*end)}" '
        f'd="M{x},{y} C{x + bend},{y} {to_x - bend},{to_y} {to_x},{to_y}"><title>{how}</title></path>'
    )
