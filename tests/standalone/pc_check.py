#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Checks the .pc files of all libraries, built shared and static, and the wrap file for parent
projects, against the layer table: what a library's headers include, its users link; what it links
besides only static programs do."""
import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^  \['([a-z0-9_-]+)', '[^']+',\s*\[([^]]*)\]\]", re.M)


def layers() -> dict[str, list[str]]:
    text = (TOP / "libs/meson.build").read_text(encoding="utf-8")
    return {name: re.findall(r"'([^']+)'", needs) for name, needs in ROW.findall(text)}


def below(name: str, rows: dict[str, list[str]]) -> set[str]:
    return {name}.union(*(below(need, rows) for need in rows[name]))


def ask(folder: Path, *words: str) -> list[str]:
    environment = os.environ | {"PKG_CONFIG_PATH": str(folder)}
    return subprocess.run(["pkg-config", *words], env=environment, check=True,
                          stdout=subprocess.PIPE, text=True).stdout.split()


def links(words: list[str]) -> set[str]:
    return {word for word in words if word.startswith("-l")}


def check(folder: Path, name: str, rows: dict[str, list[str]]) -> list[str]:
    found = []
    ours = {"-lvmm_" + part.replace("-", "_") for part in below(name, rows)}
    required = {word for word in ask(folder, "--print-requires", "vmm-" + name)}
    if required != {"vmm-" + need for need in rows[name]}:
        found.append(f"requires {sorted(required)}")
    if links(ask(folder, "--libs", "vmm-" + name)) != ours:
        found.append("a program that links shared libraries gets others than the table's")
    if not links(ask(folder, "--static", "--libs", "vmm-" + name)) >= ours:
        found.append("a static program does not get the table's libraries")
    if any(word.startswith("-std") for word in ask(folder, "--cflags", "vmm-" + name)):
        found.append("says which C++, which would take back what a program has chosen")
    return [f"vmm-{name}.pc: {problem}" for problem in found]


def main() -> int:
    folder = Path(sys.argv[1])
    rows = layers()
    found = [problem for name in rows for problem in check(folder, name, rows)]
    outside = {"block": "-lzstd", "fdt": "-lfdt", "sandbox": "-lseccomp"}
    found += [f"vmm-{name}.pc: static programs need {word}" for name, word in outside.items()
              if word not in ask(folder, "--static", "--libs", "vmm-" + name)]
    wrap = configparser.ConfigParser()
    wrap.read(TOP / "packaging/meson/cpp-vmm.wrap")
    offered = {word.strip() for word in wrap["provide"]["dependency_names"].split(",")}
    if offered != {"vmm-" + name for name in rows}:
        found.append("packaging/meson/cpp-vmm.wrap: not the table's libraries: "
                     f"{sorted(offered ^ {'vmm-' + name for name in rows})}")
    print("\n".join(found) or f"{len(rows)} .pc files say what the layer table does")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
