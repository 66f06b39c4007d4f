#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A terminal picture of a command that was run: terminal.py COMMAND <OUTPUT >SVG

For example:  ./dev run --once 2>&1 | docs/site/terminal.py './dev run --once' >docs/terminal.svg
Long outputs lose their middle.
"""
import html
import re
import sys

MOST, HEAD, COLUMNS, LINE, LETTER = 22, 6, 96, 18, 7.83


def lines_of(text):
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r", "", text)
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > MOST:
        lines = [*lines[:HEAD], "...", *lines[HEAD - MOST + 1:]]
    return [line if len(line) <= COLUMNS else line[:COLUMNS - 3] + "..." for line in lines]


def main():
    lines = [f"$ {sys.argv[1]}", *lines_of(sys.stdin.read())]
    width, height = round(COLUMNS * LETTER) + 32, len(lines) * LINE + 52
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">')
    print("<style>text { font: 13px monospace; fill: #d0d7de; white-space: pre; }</style>")
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#161b22"/>')
    for index, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        print(f'<circle cx="{20 + 18 * index}" cy="18" r="6" fill="{colour}"/>')
    for index, line in enumerate(lines):
        if line:
            print(f'<text x="16" y="{52 + index * LINE}" xml:space="preserve">{html.escape(line)}</text>')
    print("</svg>")


if __name__ == "__main__":
    main()
