#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Whether each error of the libraries has a test: every enumerator of every public `...Error` enum must
be named in some test, as docs/threat-model.md says."""
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
ENUM = re.compile(r"enum class (\w*Error)\b[^{;]*\{(.*?)\};", re.S)
COMMENT = re.compile(r"//[^\n]*")
ENUMERATOR = re.compile(r"\b(k[A-Z]\w*)")


def errors(text: str) -> list[tuple[str, list[str]]]:
    """The error enums of a header, each with its enumerators."""
    return [(name, ENUMERATOR.findall(body)) for name, body in ENUM.findall(COMMENT.sub("", text))]


def unnamed(enum: str, names: list[str], tests: list[str]) -> list[str]:
    """Of the enumerators, those that no test names: as Enum::kName, or as kName where the test is
    `using enum`."""
    left = set(names)
    for text in tests:
        left -= set(re.findall(rf"\b{enum}::(k\w+)", text))
        if re.search(rf"using enum [\w:]*\b{enum};", text):
            left -= set(ENUMERATOR.findall(text))
    return [name for name in names if name in left]


def library_of(header: Path) -> Path:
    return header.parents[[parent.name for parent in header.parents].index("include") + 1]


def problems(top: Path) -> list[str]:
    tests = {path: COMMENT.sub("", path.read_text(encoding="utf-8"))
             for path in sorted((top / "libs").rglob("tests/**/*")) if path.suffix in (".cc", ".h")}
    found = [(library_of(header), enum, names) for header in sorted((top / "libs").rglob("include/**/*.h"))
             for enum, names in errors(header.read_text(encoding="utf-8"))]
    if len(found) < 20:
        return ["most errors are gone"]
    all_enums = [enum for _, enum, _ in found]
    missing = []
    for library, enum, names in found:
        # Two libraries may have an enum of the same name: then only their own tests count.
        own = [text for path, text in tests.items()
               if all_enums.count(enum) == 1 or library / "tests" in path.parents]
        missing += [f"{library.relative_to(top)}: no test names {enum}::{name}"
                    for name in unnamed(enum, names, own)]
    return missing


def main() -> int:
    found = problems(TOP)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
