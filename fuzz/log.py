#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Adds a run of a fuzz target to the table of all runs.

    log.py FILE TARGET CPU_SECONDS EXECUTIONS EDGES NEW_FINDINGS

Seconds, executions and findings are added up; edges are those of the last run."""
import fcntl
import re
import sys
from pathlib import Path

TEXT = """# Fuzzing so far

What the targets of [assurance](assurance.md) have been run for by libFuzzer with AddressSanitizer and
UndefinedBehaviorSanitizer, added up over all runs by `./dev fuzz --log docs/fuzz-log.md`. Edges are what the
last run reached; findings are inputs that failed, mended since.

"""
HEAD = "| target | CPU seconds | executions | edges | findings |\n|---|---:|---:|---:|---:|\n"
ROW = re.compile(r"^\| ([a-z0-9_]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.M)


def with_run(text: str, target: str, run: list[int]) -> str:
    """`run` is seconds, executions, edges, findings."""
    rows = {name: [int(n) for n in numbers] for name, *numbers in ROW.findall(text)}
    seconds, executions, _, findings = rows.get(target, [0, 0, 0, 0])
    rows[target] = [seconds + run[0], executions + run[1], run[2], findings + run[3]]
    lines = [f"| {name} | {' | '.join(map(str, row))} |\n" for name, row in sorted(rows.items())]
    total = [sum(row[i] for row in rows.values()) for i in (0, 1, 3)]
    last = f"\nTogether: {total[0] / 3600:.1f} hours, {total[1]} executions, {total[2]} findings.\n"
    return TEXT + HEAD + "".join(lines) + last


def main() -> None:
    path, target, *numbers = sys.argv[1:]
    with Path(path).open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = with_run(file.read(), target, [int(number) for number in numbers])
        file.truncate(0)
        file.write(text)


if __name__ == "__main__":
    main()
