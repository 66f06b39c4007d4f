#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The pages of the repository as Doxygen wants them: pages.py FOLDER

Comments go. Links to folders lead to their README.md, links to code of the repository become words.
"""
import pathlib
import re
import shutil
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
OUT = pathlib.Path(sys.argv[1])
FOLDERS = ("docs", "libs", "examples", "tests/lab", "fuzz")


def relink(page, match):
    words, target = match.groups()
    path, _, anchor = target.partition("#")
    if "://" in target or not path:
        return match.group(0)
    found = page.parent / path
    if found.is_dir() and (found / "README.md").is_file():
        return f"[{words}]({path.rstrip('/')}/README.md)"
    if found.suffix in (".md", ".svg") and found.is_file():
        return f"[{words}]({path}{'#' + anchor if anchor and found == page else ''})"
    return words


def converted(page):
    text = re.sub(r"^<!--.*?-->\n+", "", page.read_text(), flags=re.M | re.S)
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)  # blocks of code stay as they are
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"\[([^\]\[]+)\]\(([^)\s]+)\)", lambda match: relink(page, match), parts[index])
    return "".join(parts)


shutil.rmtree(OUT, ignore_errors=True)
for page in [TOP / "README.md", *(p for folder in FOLDERS for p in (TOP / folder).rglob("*.md"))]:
    to = OUT / page.relative_to(TOP)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(converted(page))
for picture in (TOP / "docs").rglob("*.svg"):
    to = OUT / picture.relative_to(TOP)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(picture, to)
