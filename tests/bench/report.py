# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The performance page: docs/performance.md and its pictures, of the rows that bench.py measured.

Every row that a peer has is on it, measured or not, and then our own.
"""

import html
import math
import re

PEERS = ("rust-vmm", "firecracker")
MISSED = "**missed**"
KINDS = {"ns": "time", "instructions": "instructions", "locked": "locked instructions"}
NAMES = {"rust-vmm": "rust-vmm", "firecracker": "Firecracker", "floor": "floor"}

# (what is wanted, rows, of which figure, against whom, the largest ratio of ours to theirs); against nobody
# our figure itself counts
GOALS = (
    ("virtio-queue ahead of Firecracker's queue", r"virtio-queue/", "instructions", "firecracker", 1),
    ("a request without payload at most 1.5 times its floor", r"virtio-queue/x_blk_req_nodata_direct$",
     "instructions", "floor", 1.5),
    ("small accesses to guest memory at most 1.4 times their floor", r"vm-memory/x_(read|write)_obj",
     "instructions", "floor", 1.4),
    ("bulk accesses at least 0.95 of memcpy", r"vm-memory/x_(read|write)_slice_(64K|1M|64M)$", "ns", "floor",
     1 / 0.95),
    ("no locked instruction for a write to pages that are already dirty",
     r"vm-memory/x_bitmap_(mark|write|store)", "locked", None, 0),
    ("less than half the time of one locked instruction for marking such a page",
     r"vm-memory/x_bitmap_mark_dirty_1page$", "ns", "floor", 0.5),
    ("the event loop at most 1.05 times raw epoll", r"event-manager/", "ns", "floor", 1.05),
    ("a vmlinux into fresh memory three times faster than rust-vmm",
     r"linux-loader/x_load_vmlinux_file_fresh_memory$", "ns", "rust-vmm", 1 / 3),
    ("a kernel at most 1.05 times the pread() or memcpy() of its segments", r"linux-loader/(x_load_|load_v)",
     "ns", "floor", 1.05),
    ("ACPI tables with a fifth of the peer's instructions", r"acpi-tables/", "instructions", "rust-vmm",
     1 / 5),
    ("serial ports and clocks ahead of the peer", r"vm-superio/", "instructions", "rust-vmm", 1),
    ("exit dispatch ahead of the peer", r"kvm-ioctls/(exit|run)_", "instructions", "rust-vmm", 1),
    ("device trees ahead of the peer", r"fdt/", "instructions", "rust-vmm", 1),
    ("allocators ahead of the peer", r"vm-allocator/", "instructions", "rust-vmm", 1),
)


def collect(rows, peers):
    """{library: [row]}: of peers' rows, in their order, then of ours; figures by name, or None."""
    measured = {row["name"]: row for row in rows}
    libraries = {}
    for name in [*peers, *(name for name in measured if name not in peers)]:
        ours, theirs = measured.get(name, {}), peers.get(name, {})
        row = {"name": name, "bulk": any(peer["bulk"] for peer in theirs.values())}
        for what in ("ns", "instructions"):
            row[what] = {"ours": ours.get(what), "floor": ours.get("floor_" + what)}
            row[what] |= {peer: theirs.get(peer, {}).get(what) for peer in PEERS}
        row["locked"] = {"ours": ours.get("locked")}
        row["floor_ratio"] = ours.get("floor_ratio")
        if row["ns"]["floor"] is None:
            row["ns"]["floor"] = next((p["floor_ns"] for p in theirs.values() if p["floor_ns"]), None)
        libraries.setdefault(name.split("/")[0], []).append(row)
    return libraries


def ratio(row, what, other):
    """Ours to the other's, or None; what is copied in bulk has no count of instructions. Of times and floors
    that is the median of several runs, which the best times of all may not be near."""
    if other is None:
        return row[what]["ours"]
    if (what, other) == ("ns", "floor") and row["floor_ratio"] is not None:
        return row["floor_ratio"]
    ours, theirs = row[what]["ours"], row[what][other]
    if ours is None or not theirs or (what == "instructions" and row["bulk"]):
        return None
    return ours / theirs


def judge(libraries, goal):
    """(words, the worst ratio and its row, the limit, verdict) of a goal."""
    words, pattern, what, other, limit = goal
    rows = [row for table in libraries.values() for row in table if re.match(pattern, row["name"])]
    ratios = [(ratio(row, what, other), row["name"].split("/", 1)[1]) for row in rows]
    ratios = [found for found in ratios if found[0] is not None]
    if not ratios:
        return words, "-", f"{limit:.2f}", "not measured"
    worst, name = max(ratios)
    kind = KINDS[what]
    among = f" of {len(ratios)} rows, {name}" if len(ratios) > 1 else ""
    return (words, f"{worst:.2f} ({kind}{among})", f"{limit:.2f}",
            "met" if worst <= limit else MISSED)


def missed(rows, peers):
    """The goals whose instructions are too many; times depend on what else the machine does."""
    libraries = collect(rows, peers)
    return [goal[0] for goal in GOALS if goal[2] != "ns" and judge(libraries, goal)[3] == MISSED]


def figure(value):
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head, lines):
    """Markdown, without the columns in which nothing stands."""
    kept = [i for i in range(len(head)) if i == 0 or any(line[i] != "-" for line in lines)]
    rule = ["---" if i == 0 else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(line[i] for i in kept) + " |" for line in [head, rule, *lines])


def library_table(rows):
    others = (*PEERS, "floor")
    lines = []
    for row in rows:
        line = [row["name"].split("/", 1)[1] + (" ~" if row["bulk"] else "")]
        for what in ("instructions", "ns"):
            line.append(figure(row[what]["ours"]))
            for other in others:
                times = ratio(row, what, other)
                line.append(figure(row[what][other]) + ("" if times is None else f" ({times:.2f})"))
        lines.append(line)
    head = ["row"]
    for what in ("instructions", "ns"):
        head += [what, *(f"{NAMES[other]}'s" if other in PEERS else f"{other}" for other in others)]
    return table(head, lines)


def svg(width, height, parts):
    style = ("<style>text { font: 11px monospace; fill: #1b1f24; } .end { text-anchor: end; } "
             ".mid { text-anchor: middle; } .dim { fill: #6e7781; } .ours { fill: #2f81f7; } "
             ".fc { stroke: #cf222e; stroke-width: 2; } .floor { stroke: #1a7f37; stroke-width: 2; } "
             ".grid { stroke: #d0d7de; } .peer { stroke: #57606a; }</style>")
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">',
                      style, f'<rect width="{width}" height="{height}" fill="#ffffff"/>', *parts,
                      "</svg>", ""])


def text(x, y, words, kind=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{html.escape(words)}</text>'


def line(x, top, bottom, kind):
    return f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" class="{kind}"/>'


def overview(libraries):
    """A dot for each row: its instructions to rust-vmm's, logarithmically."""
    left, width, step, least, most = 130, 860, 24, 0.001, 2.0
    scale = lambda value: left + (width - left - 20) * (
        math.log(min(max(value, least), most) / least) / math.log(most / least))
    shown = {}
    for library, rows in libraries.items():
        ratios = [found for row in rows if (found := ratio(row, "instructions", "rust-vmm")) is not None]
        if ratios:
            shown[library] = ratios
    bottom = 30 + step * len(shown)
    parts = [line(scale(mark), 24, bottom, "peer" if mark == 1 else "grid") +
             text(scale(mark), 16, f"{mark:g}", "mid dim") for mark in (0.001, 0.01, 0.1, 1)]
    for index, (library, ratios) in enumerate(shown.items()):
        y = 42 + index * step
        parts.append(text(left - 12, y + 4, library, "end"))
        parts += [f'<circle cx="{scale(one):.1f}" cy="{y}" r="4" class="ours" fill-opacity=".45"/>'
                  for one in ratios]
    parts.append(text(left, bottom + 20, "instructions of ours to rust-vmm's: one dot for a row; "
                      "left of 1 is less", "dim"))
    return svg(width, bottom + 32, parts)


def chart(rows):
    """Bars: our instructions in per cent of rust-vmm's, with marks for Firecracker's and the floor."""
    left, width, step, most = 330, 860, 17, 1.25
    scale = lambda value: left + (width - left - 60) * min(value, most) / most
    rows = [row for row in rows if ratio(row, "instructions", "rust-vmm") is not None]
    bottom = 26 + step * len(rows)
    parts = [line(scale(mark), 22, bottom, "peer" if mark == 1 else "grid") +
             text(scale(mark), 14, f"{100 * mark:.0f} %", "mid dim") for mark in (0, 0.25, 0.5, 0.75, 1)]
    for index, row in enumerate(rows):
        y = 26 + index * step
        share, base = ratio(row, "instructions", "rust-vmm"), row["instructions"]["rust-vmm"]
        parts.append(text(left - 8, y + 11, row["name"].split("/", 1)[1], "end"))
        parts.append(f'<rect x="{left}" y="{y + 2}" width="{scale(share) - left:.1f}" '
                     f'height="{step - 6}" class="ours"/>')
        for other, kind in (("firecracker", "fc"), ("floor", "floor")):
            if row["instructions"][other]:
                parts.append(line(scale(row["instructions"][other] / base), y, y + step - 2, kind))
        parts.append(text(scale(share) + 5, y + 11, f"{100 * share:.1f}", "dim"))
    parts.append(text(8, bottom + 20, "instructions in per cent of rust-vmm's; red: Firecracker's, green: "
                      "the floor, where there is one", "dim"))
    return svg(width, bottom + 32, parts)


INTRO = """<!-- Written by ./dev bench --report. -->
# Performance

Every row of the peers' benchmarks, and our own: instructions and nanoseconds for one operation. In brackets
stands the ratio of ours to theirs: below 1.00 is less than theirs. `./dev bench --report` measures, and writes
this page; [benchmarks](benchmarks.md) says what is measured how, and how whole machines compare.

Instructions are counted by callgrind and repeat exactly. Nanoseconds are the best of several rounds; the peers'
come from another run, on the machine that `tests/bench/peers.tsv` describes: on another kind of machine they say
little, and a few tens of per cent say nothing on any. Floors of ours are of the same
run, and a time's ratio to its floor is the median of several. A floor is the
least work that is still correct, in plain C; in time also the system call or the memcpy alone. Rows with ~ copy
so much in one piece that callgrind's count says nothing: look at their time. A row that has no figure of ours
was not measured here.

"""


def page(libraries, about):
    goals = [judge(libraries, goal) for goal in GOALS]
    every = [row for rows in libraries.values() for row in rows]
    judged = [found for row in every if (found := ratio(row, "instructions", "rust-vmm")) is not None]
    theirs = [row for row in every if any(row[w][p] is not None for w in ("ns", "instructions") for p in PEERS)]
    missing = [row["name"] for row in theirs if row["ns"]["ours"] is None and row["instructions"]["ours"] is None]
    parts = [INTRO + about + "\n",
             f"Of {len(theirs)} rows that peers have, {len(theirs) - len(missing)} were measured here; of the "
             f"{len(judged)} whose instructions can be compared with rust-vmm's, {sum(r <= 1 for r in judged)} "
             f"take no more than its.\n",
             "![Instructions to rust-vmm's](performance/overview.svg)\n", "## Goals\n",
             table(["wanted", "the worst ratio", "limit", "verdict"], [list(goal) for goal in goals]) + "\n"]
    for library, rows in libraries.items():
        parts.append(f"## {library}\n")
        if any(ratio(row, "instructions", "rust-vmm") is not None for row in rows):
            parts.append(f"![{library}](performance/{library}.svg)\n")
        parts.append(library_table(rows) + "\n")
    return "\n".join(parts)


def write(folder, rows, peers, about):
    """The page and its pictures; those of earlier pages go."""
    libraries = collect(rows, peers)
    pictures = folder / "performance"
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    (pictures / "overview.svg").write_text(overview(libraries))
    for library, table_rows in libraries.items():
        if any(ratio(row, "instructions", "rust-vmm") is not None for row in table_rows):
            (pictures / f"{library}.svg").write_text(chart(table_rows))
    (folder / "performance.md").write_text(page(libraries, about))
