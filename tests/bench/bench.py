#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs the benchmarks and prints them beside the peers' figures.

Builds and runs every libs/*_bench program of the build directory. Times are the best of several
rounds; with --instructions each row is also counted by callgrind, exactly and repeatably. The
peers' figures stand in peers.tsv beside this script, which says where they come from.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import report as performance  # pylint: disable=wrong-import-position

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path(__file__).resolve().with_name("peers.tsv")
EMPTY = "bench:empty"
PREPARE = "prepare:"
FLOOR = "floor:"
# Times are measured in so many runs of a program.
RUNS = 5


class Fail(Exception):
    """A message for the user; the program ends with status 2."""


def read_all_peers(path):
    """{row: {peer: {"peer", "ns", "instructions", "floor_ns", "bulk"}}}"""
    number = lambda word: None if word == "-" else float(word)
    rows = {}
    for at, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        words = line.split("\t")
        if len(words) != 6:
            raise Fail(f"{path}:{at}: {len(words)} columns instead of 6")
        name, peer, ns, instructions, floor_ns, note = words
        rows.setdefault(name, {})[peer] = {
            "peer": peer, "ns": number(ns), "instructions": number(instructions),
            "floor_ns": number(floor_ns), "bulk": note == "bulk"}
    return rows


def read_peers(path):
    """The same with the better peer of each row only: {row: {"peer", ...}}."""
    rows = {}
    for name, peers in read_all_peers(path).items():
        counted = [peer for peer in peers.values() if peer["instructions"] is not None]
        best = min(counted, key=lambda peer: peer["instructions"], default=next(iter(peers.values())))
        floors = [peer["floor_ns"] for peer in peers.values() if peer["floor_ns"]]
        rows[name] = {**best, "floor_ns": best["floor_ns"] or (floors[0] if floors else None)}
    return rows


def run(command, **options):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=False, **options)
    if done.returncode != 0:
        raise Fail(f"{' '.join(map(str, command))}: exit status {done.returncode}")
    return done.stdout


def build(directory):
    """Configures the build directory if there is none, and brings it up to date."""
    if not (directory / "build.ninja").is_file():
        print(f"configuring {directory}", file=sys.stderr)
        run(["meson", "setup", str(directory), str(SOURCE), "--buildtype=release", "-Db_lto=true",
             "-Dbenches=true", "-Dtests=false", "-Dexamples=false"])
    print(f"building {directory}", file=sys.stderr)
    try:
        targets = run(["ninja", "-C", str(directory), "-t", "targets", "all"])
        run(["ninja", "-C", str(directory),
             *re.findall(r"^(libs/[^/:]+_bench): ", targets, re.M)])
    except Fail as error:
        raise Fail(f"{error}; run ninja -C {directory} to see why") from None


def measure_times(program, filter_options, rounds):
    """({row: ns}, {row: time to its floor's}): the best time of all rounds, and of several runs the
    median of the ratio, as a busy moment strikes a row and its floor, which follows it, alike."""
    times, ratios = {}, {}
    runs = min(rounds, RUNS)
    for number in range(runs):
        share = rounds // runs + (number < rounds % runs)
        once = {}
        for line in run([program, "--rounds", str(share), *filter_options]).splitlines():
            name, ns = line.split("\t")
            once[name] = float(ns)
            times[name] = min(once[name], times.get(name, once[name]))
        for name in once:
            if FLOOR + name in once and once[FLOOR + name] > 0:
                ratios.setdefault(name, []).append(once[name] / once[FLOOR + name])
    return times, {name: statistics.median(all_runs) for name, all_runs in ratios.items()}


def parse_callgrind(text):
    """[(trigger, instructions, locked instructions)] of the parts of a callgrind dump."""
    parts = []
    trigger = None
    for line in text.splitlines():
        if line.startswith("desc: Trigger:"):
            trigger = line.removeprefix("desc: Trigger:").strip()
        elif line.startswith("totals:") and trigger is not None:
            totals = [*map(int, line.split()[1:]), 0]  # zeros at the end are left out
            parts.append((trigger, totals[0], totals[1]))
            trigger = None
    return parts


def count_instructions(program, filter_options, count):
    """({row: instructions per operation}, {row: locked instructions per operation})"""
    with tempfile.TemporaryDirectory(prefix="cpp-vmm-bench-") as folder:
        out = pathlib.Path(folder) / "callgrind"
        run(["valgrind", "-q", "--tool=callgrind", "--combine-dumps=yes", "--collect-bus=yes",
             f"--callgrind-out-file={out}", program, "--count", str(count), *filter_options])
        text = "".join(path.read_text() for path in sorted(pathlib.Path(folder).glob("callgrind*")))
    instructions, locked = [], []
    for trigger, *totals in parse_callgrind(text):
        word = "Client Request: "
        if trigger.startswith(word):
            name, ops = trigger.removeprefix(word).rsplit("\t", 1)
            for brackets, total in zip((instructions, locked), totals):
                brackets.append((name, total, int(ops)))
    return per_op(instructions), per_op(locked)


def per_op(brackets):
    """{row: events per operation} of [(row, events, operations)]: without those of the empty bracket,
    and of what prepared the row."""
    totals = {}
    for name, total, _ in brackets:
        totals[name] = min(total, totals.get(name, total))
    empty = totals.get(EMPTY, 0)
    return {name: max(0.0, (total - totals.get(PREPARE + name, empty)) / ops)
            for name, total, ops in brackets if name != EMPTY and not name.startswith(PREPARE)}


def merge(times, counts, locked, peers, floor_ratios=None):
    """The rows of the report, in the order in which the programs ran them."""
    rows = []
    for name in [n for n in dict.fromkeys([*times, *counts]) if not n.startswith(FLOOR)]:
        peer = peers.get(name, {})
        rounded = lambda count: None if count is None else round(count, 2)
        rows.append({"name": name, "ns": times.get(name),
                     "instructions": rounded(counts.get(name)),
                     "locked": rounded(locked.get(name)),
                     "peer": peer.get("ns"), "peer_instructions": peer.get("instructions"),
                     "floor_ns": times.get(FLOOR + name, peer.get("floor_ns")),
                     "floor_ratio": (floor_ratios or {}).get(name),
                     "floor_instructions": rounded(counts.get(FLOOR + name))})
    return rows


def figure(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def ratio(ours, theirs):
    return "-" if ours is None or not theirs else f"{ours / theirs:.2f}"


def exceeds(row):
    ours, theirs = row["instructions"], row["peer_instructions"]
    return ours is not None and theirs is not None and ours > theirs


def print_table(rows, peers):
    """Ratios are ours to the peer's: below 1 is better. '>' marks more instructions than the peer,
    '~' a bulk copy whose count says little."""
    head = ["row", "ns", "instr", "peer ns", "peer instr", "floor ns", "floor instr", "ns/peer",
            "instr/peer", ""]
    lines = [head]
    for row in rows:
        bulk = peers.get(row["name"], {}).get("bulk", False)
        mark = "~" if bulk else ">" if exceeds(row) else ""
        lines.append([row["name"], figure(row["ns"]), figure(row["instructions"]),
                      figure(row["peer"]), figure(row["peer_instructions"]),
                      figure(row["floor_ns"]), figure(row["floor_instructions"]),
                      ratio(row["ns"], row["peer"]),
                      ratio(row["instructions"], row["peer_instructions"]), mark])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        cells = [line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def not_measured(rows, peers, programs, pattern):
    """Rows that a peer has and these programs lack."""
    have = {row["name"] for row in rows}
    libraries = {name.split("/")[0] for name in have}
    libraries |= {program.name.removesuffix("_bench").replace("_", "-") for program in programs}
    return [name for name in peers if name not in have and name.split("/")[0] in libraries
            and pattern.search(name)]


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="dev bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", metavar="RE", default="", help="only rows that match, for "
                        "example '^vm-memory/x_'")
    parser.add_argument("--instructions", action="store_true",
                        help="count instructions too, by valgrind --tool=callgrind (slow)")
    parser.add_argument("--count", metavar="OPS", type=int, default=2000,
                        help="operations to count of each row (default 2000)")
    parser.add_argument("--json", metavar="FILE", help="write the rows as a JSON array, '-' for "
                        "standard output instead of the table")
    parser.add_argument("--rounds", metavar="N", type=int, default=7,
                        help="rounds of which the best time counts (default 7); 0: no times")
    parser.add_argument("--build-dir", metavar="DIR", type=pathlib.Path,
                        default=SOURCE / "build/bench", help="default build/bench")
    parser.add_argument("--no-build", action="store_true", help="run the programs as they are")
    parser.add_argument("--check", action="store_true", help="exit with status 1 when a row takes "
                        "more instructions than the peer, or a goal of the report that is one of "
                        "instructions is missed (implies --instructions)")
    parser.add_argument("--report", metavar="DIR", nargs="?", type=pathlib.Path,
                        const=SOURCE / "docs", help="write the performance page and its pictures "
                        "to DIR (default: docs; implies --instructions)")
    parser.add_argument("--results", metavar="FILE", nargs="+", type=pathlib.Path, help="measure "
                        "nothing: the rows that earlier runs wrote with --json")
    options = parser.parse_args()
    options.instructions |= options.check or options.report is not None
    if options.report and options.filter:
        parser.error("--report is of all rows: not with --filter")
    if options.rounds < 0 or options.count < 1:
        parser.error("--rounds and --count can't be negative, nor --count 0")
    try:
        options.pattern = re.compile(options.filter)
    except re.error as error:
        parser.error(f"--filter {options.filter!r}: {error}")
    return options


def find_programs(options):
    found = [path for path in sorted((options.build_dir / "libs").glob("*_bench"))
             if path.is_file() and os.access(path, os.X_OK)]
    if not found:
        raise Fail(f"{options.build_dir} holds no benchmark; configure it with -Dbenches=true")
    return found


def measure(programs, options):
    """({row: ns}, {row: instructions}, {row: locked instructions}, {row: time to its floor's}) of all
    programs."""
    times, counts, locked, floor_ratios = {}, {}, {}, {}
    filter_options = ["--filter", options.filter] if options.filter else []
    for program in programs:
        if not run([program, "--list", *filter_options]).strip():
            continue
        print(f"running {program.name}", file=sys.stderr)
        if options.rounds > 0:
            measured = measure_times(program, filter_options, options.rounds)
            times |= measured[0]
            floor_ratios |= measured[1]
        if options.instructions:
            more = count_instructions(program, filter_options, options.count)
            counts |= more[0]
            locked |= more[1]
    return times, counts, locked, floor_ratios


def about():
    """Where the figures come from."""
    cpus = re.findall(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    compiler = run(["c++", "--version"]).splitlines()[0]
    return (f"Ours: {os.cpu_count()} CPUs ({cpus[0] if cpus else os.uname().machine}), "
            f"{compiler}, release with link-time optimization. "
            "Theirs: see the head of `tests/bench/peers.tsv`.\n")


def report(rows, programs, peers, options):
    if options.json == "-":
        json.dump(rows, sys.stdout, indent=1)
        print()
        return
    print_table(rows, peers)
    missing = not_measured(rows, peers, programs, options.pattern)
    if missing:
        print(f"\nnot measured here: {', '.join(missing)}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


def earlier(paths, peers):
    """The rows of earlier runs, of which one may have times and one instructions; the peers' figures
    are today's."""
    rows = {}
    for path in paths:
        try:
            for row in json.loads(path.read_text()):
                # Without a time of ours, the floor's is the documented one.
                known = {key: value for key, value in row.items() if value is not None and
                         (key != "floor_ns" or row["ns"] is not None)}
                rows[row["name"]] = rows.get(row["name"], row) | known
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Fail(f"{path}: not the results of a run: {error}") from None
    for name, row in rows.items():
        peer = peers.get(name, {})
        row |= {"peer": peer.get("ns"), "peer_instructions": peer.get("instructions")}
    return list(rows.values())


def main():
    options = parse_arguments()
    peers = read_peers(PEERS)
    programs = []
    if options.results:
        rows = [r for r in earlier(options.results, peers) if options.pattern.search(r["name"])]
    else:
        if options.instructions and shutil.which("valgrind") is None:
            raise Fail("--instructions needs valgrind")
        if not options.no_build:
            build(options.build_dir)
        programs = find_programs(options)
        times, counts, locked, floor_ratios = measure(programs, options)
        rows = merge(times, counts, locked, peers, floor_ratios)
    if not rows:
        raise Fail(f"no row matches {options.filter!r}")
    report(rows, programs, peers, options)
    if options.report:
        performance.write(options.report, rows, read_all_peers(PEERS), about())
    missed = performance.missed(rows, read_all_peers(PEERS))
    worse = [r["name"] for r in rows if exceeds(r) and not peers[r["name"]]["bulk"]]
    judged = [r for r in rows if r["instructions"] is not None and r["peer_instructions"] is not None]
    if judged:
        print(f"\n{len(worse)} of {len(judged)} rows take more instructions than the peer"
              + (f": {', '.join(worse)}" if worse else ""), file=sys.stderr)
    for goal in missed:
        print(f"missed: {goal}", file=sys.stderr)
    return 1 if options.check and (worse or missed) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Fail as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
