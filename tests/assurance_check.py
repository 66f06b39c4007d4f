#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Whether docs/assurance.md tells the truth: tests and fuzz targets that it names exist, and it names
every fuzz target."""
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
CLASSES = 22
TEST = re.compile(r'TEST_CASE\(\s*"((?:[^"\\]|\\.)*)"')


def tests_of(name: str) -> set[str]:
    if name == "lab":
        return {path.stem for path in (TOP / "tests/lab/tests").glob("*.sh")}
    found = set()
    for path in (TOP / name).glob("*_test.cc"):
        found |= set(TEST.findall(path.read_text(encoding="utf-8")))
    for folder in ("libs", "examples"):
        for path in (TOP / folder / name / "tests").glob("*_test.cc"):
            found |= set(TEST.findall(path.read_text(encoding="utf-8")))
    return found


def missing_tests(text: str) -> list[str]:
    """Of the tests that are named as `library` "test", those that do not exist."""
    return [f'{name} has no test "{test}"'
            for name, test in re.findall(r'`([a-z0-9_/-]+)` "([^"]+)"', text)
            if test not in tests_of(name)]


def missing_classes(text: str) -> list[str]:
    """Of the classes of mistakes, those without a row."""
    named = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.M)}
    return [f"class {number} has no row" for number in range(1, CLASSES + 1) if number not in named]


def problems(text: str, targets: set[str]) -> list[str]:
    found = missing_tests(text) + missing_classes(text)
    table = text.split("## Fuzz targets")[1].split("\n##")[0]
    named = set(re.findall(r"^\| ([a-z0-9_]+) \|", table, re.M)) - {"target"}
    found += [f"there is no fuzz target {name}" for name in sorted(named - targets)]
    found += [f"the fuzz target {name} is not listed" for name in sorted(targets - named)]
    return found


def main() -> int:
    text = (TOP / "docs/assurance.md").read_text(encoding="utf-8")
    targets = {path.name.removesuffix("_fuzz.cc")
               for folder in ("libs", "fuzz", "examples") for path in (TOP / folder).rglob("*_fuzz.cc")}
    found = problems(text, targets)
    for problem in found:
        print(f"docs/assurance.md: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
