#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Draws the layers of libs/meson.build: docs/layers.svg.

layers.py writes the picture; layers.py --check says whether it is that of the build. A library stands one
layer above the highest one that it uses, and lines lead to those that it does not get by way of others.
"""
import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/layering"))
sys.dont_write_bytecode = True
import check as layering  # pylint: disable=wrong-import-position

PICTURE = TOP / "docs/layers.svg"
WIDTH, ROW, BOX, GAP, LETTER, MARGIN, PER_ROW = 1180, 74, 26, 10, 7.0, 44, 9
STYLE = """<style>
text { font: 12px monospace; fill: #1b1f24; text-anchor: middle; }
.layer { fill: #6e7781; }
rect { fill: #f6f8fa; stroke: #57606a; }
line { stroke: #9a6700; stroke-opacity: .28; }
</style>"""


def reachable(needs, name):
    found = set()
    for need in needs[name]:
        found |= {need} | reachable(needs, need)
    return found


def levels(layers):
    level = {}
    for name, _, needs in layers:  # lowest first
        level[name] = 1 + max((level[need] for need in needs), default=-1)
    return level


def direct(needs, name):
    """The needs of a library that none of its other needs has."""
    return [need for need in needs[name]
            if not any(need in reachable(needs, other) for other in needs[name] if other != need)]


def rows_of(level):
    """[(level, [library, ...])] from the top; a long level takes several rows."""
    rows = []
    for height in sorted(set(level.values()), reverse=True):
        names = sorted(name for name in level if level[name] == height)
        count = -(-len(names) // PER_ROW)
        each = -(-len(names) // count)
        rows += [(height, names[i:i + each]) for i in range(0, len(names), each)]
    return rows


def place(rows):
    """{library: (x of the middle, y of the top, width)}"""
    places = {}
    for index, (_, names) in enumerate(rows):
        widths = [len(name) * LETTER + 14 for name in names]
        x = MARGIN + (WIDTH - MARGIN - sum(widths) - GAP * (len(names) - 1)) / 2
        for name, width in zip(names, widths):
            places[name] = (x + width / 2, 12 + index * ROW, width)
            x += width + GAP
    return places


def draw(layers):
    needs = {name: row for name, _, row in layers}
    rows = rows_of(levels(layers))
    places = place(rows)
    lines, boxes = [], []
    for name in needs:
        x, y, width = places[name]
        boxes.append(f'<rect x="{x - width / 2:.0f}" y="{y}" width="{width:.0f}" height="{BOX}" rx="4"/>'
                     f'<text x="{x:.0f}" y="{y + 17}">{name}</text>')
        for need in direct(needs, name):
            to_x, to_y, _ = places[need]
            lines.append(f'<line x1="{x:.0f}" y1="{y + BOX}" x2="{to_x:.0f}" y2="{to_y}"/>')
    labels = [f'<text class="layer" x="22" y="{12 + index * ROW + 17}">L{height}</text>'
              for index, (height, _) in enumerate(rows)]
    size = f'width="{WIDTH}" height="{len(rows) * ROW - (ROW - BOX) + 24}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', STYLE, *labels, *lines, *boxes,
                      "</svg>", ""])


def main():
    picture = draw(layering.read_layers((TOP / "libs/meson.build").read_text()))
    if sys.argv[1:] == ["--check"]:
        if PICTURE.is_file() and PICTURE.read_text() == picture:
            return 0
        print("docs/layers.svg is not that of libs/meson.build any more: run docs/site/layers.py")
        return 1
    PICTURE.write_text(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
