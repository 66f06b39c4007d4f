#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The pages of the repository as Doxygen wants them: pages.py FOLDER

Comments go. Links to folders lead to their README.md; links to code of the repository and into pages become
words, since this Doxygen gives headings names of its own. And a word for each namespace: Doxygen asks for the
words of what is in one only when it has one itself.
"""
import pathlib
import re
import shutil
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
OUT = pathlib.Path(sys.argv[1]).resolve()
FOLDERS = ("docs", "libs", "examples", "tests/lab", "fuzz")
PAGES = [*TOP.glob("*.md"), *(page for folder in FOLDERS for page in (TOP / folder).rglob("*.md"))]


def relink(page, match):
    words, target = match.groups()
    path = target.partition("#")[0]
    if "://" in target:
        return match.group(0)
    if not path:
        return words
    found = page.parent / path
    if found.is_dir():
        found = found / "README.md"
    if found.suffix == ".svg" and found.is_file():
        return f"[{words}]({path})"
    if found.resolve() in PAGES:  # in whole: others are looked for in Doxygen's folder first
        return f"[{words}]({OUT / found.resolve().relative_to(TOP)})"
    return words


def converted(page):
    text = re.sub(r"^<!--.*?-->\n+", "", page.read_text(), flags=re.M | re.S)
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)  # blocks of code stay as they are
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"\[([^\]\[]+)\]\(([^)\s]+)\)", lambda match: relink(page, match), parts[index])
    return "".join(parts)


def namespaces():
    """{namespace: the library that has most of it}"""
    found = {}
    for header in sorted((TOP / "libs").rglob("include/**/*.h")):
        library = str(header.relative_to(TOP / "libs")).partition("/include/")[0]
        for name in re.findall(r"^namespace (vmm[\w:]*) {", header.read_text(), re.M):
            found.setdefault(name, library)
    return {name: library for name, library in found.items() if "detail" not in name.split("::")}


shutil.rmtree(OUT, ignore_errors=True)
for page in PAGES:
    to = OUT / page.relative_to(TOP)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(converted(page))
for picture in (TOP / "docs").rglob("*.svg"):
    to = OUT / picture.relative_to(TOP)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(picture, to)
lines = (f"/// Of the library {library}.\nnamespace {name} {{}}\n" for name, library in sorted(namespaces().items()))
(OUT / "namespaces.h").write_text("#pragma once\n" + "".join(lines))
