#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Checks that each public header compiles alone, and included twice, with the project's warnings.

A header gets only the include folders of its own library and of what that library may include
(libs/meson.build), so that an undeclared include doesn't compile. Compilers that aren't installed
are skipped by name.
"""

import argparse
import concurrent.futures
import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/layering"))
sys.dont_write_bytecode = True
import check as layering  # pylint: disable=wrong-import-position

FLAGS = ["-std=c++20", "-fsyntax-only", "-Werror", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow",
         "-Wconversion", "-Wold-style-cast", "-Wnon-virtual-dtor", "-Wimplicit-fallthrough",
         "-fno-exceptions", "-D_FILE_OFFSET_BITS=64", "-x", "c++", "-"]
CLANG_FLAGS = ["-Wthread-safety"]


def include_folders(layers, name):
    folders = {row: folder for row, folder, _ in layers}
    needs = {row: row_needs for row, _, row_needs in layers}
    found = [name]
    for need in found:
        found += [n for n in needs[need] if n not in found]
    return [f"-I{SOURCE / 'libs' / folders[row] / 'include'}" for row in found]


def public_headers(layers):
    """[(library, header as it is included)]"""
    found = []
    for name, folder, _ in layers:
        include = SOURCE / "libs" / folder / "include"
        found += [(name, path.relative_to(include)) for path in sorted(include.rglob("*.h"))]
    return found


def compile_header(compiler, flags, header):
    """The compiler's complaints; None when there are none."""
    twice = f"#include <{header}>\n#include <{header}>\n"
    extra = CLANG_FLAGS if "clang" in compiler else []
    done = subprocess.run([compiler, *extra, *flags, *FLAGS], input=twice, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return None if done.returncode == 0 else done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", action="append", metavar="C++",
                        help="may be repeated (default: clang++-19 where it is, else g++)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="default 2")
    options = parser.parse_args()
    # One is enough by default: with g++ everything is built anyway.
    wanted = options.compiler or ["clang++-19" if shutil.which("clang++-19") else "g++"]
    compilers = [c for c in wanted if shutil.which(c)]
    for missing in [c for c in wanted if c not in compilers]:
        print(f"skipped: no {missing} here")
    layers = layering.read_layers((SOURCE / "libs/meson.build").read_text())
    work = [(compiler, name, header) for name, header in public_headers(layers)
            for compiler in compilers]
    if not work:
        print("nothing to check: no compiler, or no header")
        return 77
    run = lambda item: compile_header(item[0], include_folders(layers, item[1]), item[2])
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for (compiler, name, header), complaint in zip(work, pool.map(run, work)):
            if complaint is not None:
                failed += 1
                print(f"{name}: <{header}> does not stand alone with {compiler}:\n{complaint}")
    print(f"{len(work) - failed} of {len(work)} compilations of public headers passed "
          f"({', '.join(compilers)})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
