#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Compiles every C++ block of the README, the guide, docs/ and the libraries' pages.

They are namespaces of one translation unit, checked with -fsyntax-only and warnings. What a reader need
not see stands in a comment right before the block:

    <!-- cpp: DECLARATIONS -->              they come before the block
    <!-- cpp statements: DECLARATIONS -->   the block is the body of a function that returns Result<void>
    <!-- cpp from: PATH -->                 the block is a part of that file, which the build compiles

A block of a library's page gets all public headers of that library but those for tests. Warnings of what
is not used do not apply: examples name things that they do not use up.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests/layering"))
sys.dont_write_bytecode = True
import check as layering  # pylint: disable=wrong-import-position

FLAGS = ["-std=c++20", "-fsyntax-only", "-Werror", "-Wall", "-Wextra", "-Wno-unused",
         "-Wno-unused-parameter", "-Wno-unused-result", "-Wno-undefined-internal",
         "-Wno-missing-field-initializers", "-fno-exceptions", "-D_FILE_OFFSET_BITS=64", "-x", "c++", "-"]
BLOCK = re.compile(r"(?:^<!-- cpp( statements| from)?:(.*?)-->\n\n?)?^```cpp\n(.*?)^```$", re.M | re.S)
LAYERS = layering.read_layers((TOP / "libs/meson.build").read_text())
INCLUDES = [f"-I{TOP / 'libs' / folder / 'include'}" for _, folder, _ in LAYERS]


def pages():
    return [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md")),
            *sorted(TOP.glob("libs/**/README.md")), *sorted(TOP.glob("examples/**/README.md"))]


def own_headers(page):
    """The public headers of the library whose page this is, as #include lines."""
    include = page.parent / "include"
    headers = sorted(path.relative_to(include) for path in include.rglob("*.h"))
    return [f"#include <{header}>" for header in headers if "testing" not in header.parts]


class Block:
    def __init__(self, page, match, text):
        self.page = page
        self.line = text.count("\n", 0, match.start(3)) + 1
        self.kind = (match.group(1) or "").strip()
        self.hidden = (match.group(2) or "").strip()
        self.code = match.group(3)

    def __str__(self):
        return f"{self.page.relative_to(TOP)}:{self.line}"

    def quotes_its_file(self):
        file = TOP / self.hidden
        return file.is_file() and self.code.strip() in file.read_text()

    def includes(self):
        lines = (self.hidden + "\n" + self.code).splitlines()
        return [line for line in lines if line.startswith("#include")] + own_headers(self.page)

    def scope(self, number):
        """The block in a namespace of its own, behind what a reader need not see."""
        blank = lambda line: "" if line.startswith("#include") else line
        hidden = "\n".join(blank(line) for line in self.hidden.splitlines())
        code = "\n".join(blank(line) for line in self.code.splitlines())
        name = self.page.relative_to(TOP)
        code = f'#line {self.line} "{name}"\n{code}\n'
        if self.kind == "statements":
            code = f"vmm::Result<void> block() {{\n{code}return {{}};\n}}\n"
        # A page that chooses its names itself does so with full names.
        using = "" if "using namespace" in self.code else "using namespace vmm;\n"
        return (f"namespace block_{number} {{\n{using}"
                f'#line {self.line} "{name} (hidden)"\n{hidden}\n{code}}}\n')


def unit_of(blocks):
    """One translation unit of all blocks, as their headers are most of the work."""
    includes = sorted({line for block in blocks for line in block.includes()})
    scopes = [block.scope(number) for number, block in enumerate(blocks)]
    return "\n".join(["#include <vmm/base/result.h>", *includes, *scopes])


def blocks_of(page):
    text = page.read_text()
    found = [Block(page, match, text) for match in BLOCK.finditer(text)]
    if len(found) != len(re.findall(r"^```(?:cpp|c\+\+)$", text, re.M)):
        raise SystemExit(f"{page.relative_to(TOP)}: a C++ block that does not begin with ```cpp, or has no end")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=pathlib.Path, help="default: all")
    parser.add_argument("--show", action="store_true", help="print the translation unit; compile nothing")
    options = parser.parse_args()
    found = [block for page in options.pages or pages() for block in blocks_of(page.resolve())]
    if options.show:
        print(unit_of([block for block in found if block.kind != "from"]))
        return 0
    stale = [block for block in found if block.kind == "from" and not block.quotes_its_file()]
    for block in stale:
        print(f"{block}: not a part of {block.hidden} (any more)")
    compiled = [block for block in found if block.kind != "from"]
    compiler = ["clang++-19", "-ferror-limit=0"] if shutil.which("clang++-19") else ["g++"]
    done = subprocess.run([*compiler, *INCLUDES, *FLAGS], input=unit_of(compiled),
                          text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, end="")
    if done.returncode == 0:
        print(f"{len(compiled)} C++ blocks compile, {len(found) - len(compiled) - len(stale)} are parts of files")
    return 1 if stale or done.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
