#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Checks that the README quotes hello-vmm as it is and is no longer than a screen, that it and docs/libraries.md
list every library, that each library has a page with an example, that links lead to files that exist, and that
the names in the table for those who come from rust-vmm do."""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
MOST_LINES = 70


def missing_names():
    """Names of ours in the table for those who come from rust-vmm that no header has."""
    headers = [*TOP.glob("libs/**/*.h"), *TOP.glob("examples/**/*.h")]
    words = set(re.findall(r"\w+", "\n".join(path.read_text() for path in headers)))
    words |= {path.name for path in headers} | {path.name for path in TOP.glob("libs/*")}
    for row in (TOP / "docs/guide/from-rust-vmm.md").read_text().splitlines():
        cells = row.strip("|").split("|")
        if not row.startswith("| ") or len(cells) < 2 or cells[0].strip() in ("rust-vmm", ""):
            continue
        for name in re.findall(r"`([^`]+)`", cells[1]):
            for part in re.findall(r"[\w.]+", name):
                if part not in words:
                    yield f"docs/guide/from-rust-vmm.md: {name}: no header has {part}"


def problems():
    yield from missing_names()
    readme = (TOP / "README.md").read_text()
    source = (TOP / "examples/hello-vmm/hello_vmm.cc").read_text()
    for block in re.findall(r"```cpp\n(.*?)```", readme, re.S):
        if block.strip() not in source:
            yield "README.md: a C++ block is not in examples/hello-vmm/hello_vmm.cc any more"
    if readme.count("\n") > MOST_LINES:
        yield f"README.md: {readme.count(chr(10))} lines; one screen is {MOST_LINES}"
    libraries = (TOP / "docs/libraries.md").read_text()
    table = (TOP / "libs/meson.build").read_text()
    for name, folder in re.findall(r"^  \['([^']+)', '([^']+)',", table, re.M):
        if f"](libs/{folder})" not in readme:
            yield f"README.md: the library {name} (libs/{folder}) is not in it"
        if f"](../libs/{folder})" not in libraries:
            yield f"docs/libraries.md: no row for the library {name} (libs/{folder})"
        page = TOP / "libs" / folder / "README.md"
        if not page.is_file():
            yield f"libs/{folder}: no README.md"
        elif "\n```cpp\n" not in page.read_text():
            yield f"libs/{folder}/README.md: no example"
    pages = [*sorted(TOP.glob("*.md")), TOP / "fuzz/README.md", TOP / "subprojects/README.md", *sorted((TOP / "docs").rglob("*.md")), *sorted(TOP.glob("libs/**/README.md"))]
    for page in pages:
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.S)
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
            if "://" not in link and not (page.parent / link).exists():
                yield f"{page.relative_to(TOP)}: the link {link} leads nowhere"


found = list(problems())
print("\n".join(found))
sys.exit(1 if found else 0)
