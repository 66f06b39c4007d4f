#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Counts test results: summary.py GROUP=FILE...

FILE is Meson's meson-logs/testlog.json, or one that tests/lab/run_tests.py wrote. Catch2's test
cases are counted one by one; another program counts as one. Prints what failed, with some of
what it said, and why something was skipped, a line a group, and last:
N passed, N failed, N skipped
"""
import json
import re
import sys
from dataclasses import dataclass, field

ALL_PASSED = re.compile(r"^All tests passed \(\d+ assertions? in (\d+) test cases?\)", re.M)
TOLD = 25  # lines
SOME_FAILED = re.compile(r"^test cases:\s*(\d+)((?: \|\s*\d+ [a-z ]+)*)", re.M)


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Counts") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.notes += other.notes

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def told(test: dict) -> list[str]:
    """Of what a program that failed has printed: its last lines, and the first of its errors."""
    printed = test.get("stdout", "").splitlines()[-TOLD:]
    printed += test.get("stderr", "").splitlines()[:TOLD]
    return ["  | " + line for line in printed if line.strip()]


def catch2(stdout: str) -> tuple[int, int] | None:
    """(passed, failed) test cases of a Catch2 program, or None when it is not one."""
    passed = sum(int(count) for count in ALL_PASSED.findall(stdout))
    failed = 0
    found = ALL_PASSED.search(stdout) is not None
    for total, parts in SOME_FAILED.findall(stdout):
        found = True
        ok = re.search(r"(\d+) passed", parts)
        good = int(ok.group(1)) if ok else 0
        passed += good
        failed += int(total) - good
    return (passed, failed) if found else None


def of_program(test: dict) -> Counts:
    """One line of Meson's log: one program."""
    name, result = test["name"], test["result"]
    stdout = test.get("stdout", "")
    if result == "SKIP":
        return Counts(skipped=1, notes=[f"skipped: {name}: {last_line(stdout)}"])
    cases = catch2(stdout)
    good = result in ("OK", "EXPECTEDFAIL")
    if cases is None:
        cases = (1, 0) if good else (0, 1)
    passed, failed = cases
    if good:
        return Counts(passed=passed, failed=failed)
    # A crash, a sanitizer's report or a timeout, even after all cases have passed.
    note = f"FAILED: {name}: {result} (exit status {test.get('returncode')})"
    return Counts(passed=passed, failed=max(failed, 1), notes=["\n".join([note, *told(test)])])


def of_lab(test: dict) -> Counts:
    """One line of the lab's log: one test."""
    label = {"ok": "passed", "not ok": "failed", "skip": "skipped"}[test["lab"]]
    if test.get("again"):
        return Counts(notes=[f"passed at the second try only: {test['name']}"])
    counts = Counts()
    setattr(counts, label, int(test.get("count", 1)))
    if test["lab"] != "ok":
        reason = test.get("reason") or "its output is above"
        head = "skipped" if test["lab"] == "skip" else "FAILED"
        counts.notes.append(f"{head}: {test['name']}: {reason}")
    return counts


def of_file(path: str) -> Counts:
    counts = Counts()
    with open(path, encoding="utf-8", errors="replace") as log:
        for line in log:
            if line.strip():
                test = json.loads(line)
                counts.add(of_lab(test) if "lab" in test else of_program(test))
    return counts


def main(arguments: list[str]) -> int:
    if not arguments or any("=" not in argument for argument in arguments):
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    total = Counts()
    groups = []
    for argument in arguments:
        group, path = argument.split("=", 1)
        try:
            counts = of_file(path)
        except (OSError, ValueError, KeyError) as error:
            counts = Counts(failed=1, notes=[f"FAILED: no results: {error}"])
        counts.notes = [f"{group}: {note}" for note in counts.notes]
        groups.append((group, counts))
        total.add(counts)
    for note in total.notes:
        print(note)
    width = max(len(group) for group, _ in groups)
    for group, counts in groups:
        print(f"{group:<{width}}  {counts}")
    print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
