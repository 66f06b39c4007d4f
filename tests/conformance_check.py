#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Whether docs/conformance.md tells the truth: each test that it names exists, and each requirement
has a test or says why there is none."""
import re
import sys
from pathlib import Path

from assurance_check import missing_tests

PAGE = Path(__file__).resolve().parents[1] / "docs/conformance.md"
TESTED = re.compile(r'`[a-z0-9_/-]+` "[^"]+"')


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the tables, without their heads."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in text.splitlines() if line.startswith("|")]
    return [row for row in cells if row[0] != "section" and not row[0].startswith("---")]


def problems(text: str) -> list[str]:
    found = missing_tests(text)
    for row in rows(text):
        if len(row) != 3 or not row[1]:
            found.append(f"no requirement with a section and a test: {' | '.join(row)}")
        elif not re.match(r"[2-6]\.[0-9.]+|I2C Adapter Device", row[0]):
            found.append(f"{row[0]}: no section of the specification")
        elif not TESTED.match(row[2]) and not re.match("not offered|not tested: .", row[2]):
            found.append(f"{row[0]}: {row[1]}: neither a test nor a reason")
    if len(rows(text)) < 100:
        found.append("most requirements are gone")
    return found


def main() -> int:
    found = problems(PAGE.read_text(encoding="utf-8"))
    for problem in found:
        print(f"docs/conformance.md: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
