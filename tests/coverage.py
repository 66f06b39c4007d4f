#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Which lines of the libraries the tests run.

    ./dev coverage                      # all libraries: takes long
    ./dev coverage virtio-queue block   # these
    ./dev coverage block --missing      # and the lines that no test runs

Builds the unit tests and the replays of the fuzz corpora of each library in build/coverage, runs them,
and prints a table. Lines of src/ and include/ count, but for include/**/testing: those are tests' own.
Tests that need KVM are left out unless --kvm is given; some fail where KVM is not complete. A library should have
90 %, vfio and its devices 80 %.
Exit status: 0, 1 when a library has less or a test fails, 2 wrong usage.
"""
import argparse
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
BUILD = TOP / "build/coverage"
ENOUGH = {"vfio": 80.0, "vfio-pci": 80.0, "vfio-platform": 80.0, "vfio-user": 80.0}


def layers() -> dict[str, str]:
    """Library -> folder."""
    text = (TOP / "libs/meson.build").read_text(encoding="utf-8")
    table = text.split("layers = [")[1].split("\n]")[0]
    return dict(re.findall(r"^  \['([\w-]+)', '([\w/-]+)',", table, re.M))


def tests_of(libraries: set[str], kvm: bool) -> list[tuple[str, list[str]]]:
    """Name and command of their tests that run anywhere; with `kvm` those on KVM, complete or not."""
    listed = json.loads(subprocess.run(["meson", "introspect", "--tests", str(BUILD)], check=True,
                                       capture_output=True, text=True).stdout)
    found = []
    for test in listed:
        suites = {suite.rsplit(":", 1)[-1] for suite in test["suite"]}
        if suites & libraries and suites & ({"unit", "fuzz", "kvm"} if kvm else {"unit", "fuzz"}):
            found.append((test["name"], [word for word in test["cmd"] if word != "--if-kvm"]))
    return found


def run_tests(tests: list[tuple[str, list[str]]]) -> list[str]:
    """Builds and runs them; those that fail."""
    programs = sorted({str(Path(command[0]).relative_to(BUILD)) for _, command in tests})
    subprocess.run(["ninja", "-C", str(BUILD), "--quiet", *programs], check=True, stdout=sys.stderr)
    for old in BUILD.rglob("*.gcda"):
        old.unlink()

    def passes(test: tuple[str, list[str]]) -> bool:
        return subprocess.run(test[1], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, cwd=BUILD, check=False).returncode == 0

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(passes, tests))
    return [name for (name, _), good in zip(tests, results) if not good]


def counts_of(data: Path) -> list[tuple[str, int, int]]:
    """(file, line, count) of the project's files that this object has code of."""
    done = subprocess.run(["gcov", "--json-format", "--stdout", str(data)], cwd=BUILD, check=False,
                          capture_output=True, text=True)
    found = []
    for line in done.stdout.splitlines():
        for file in json.loads(line)["files"]:
            path = (BUILD / file["file"]).resolve()
            if path.is_relative_to(TOP / "libs"):
                name = str(path.relative_to(TOP / "libs"))
                found += [(name, one["line_number"], one["count"]) for one in file["lines"]]
    return found


def coverage(folders: dict[str, str]) -> dict[str, dict[tuple[str, int], int]]:
    """Library -> (file, line) -> how often it ran."""
    lines: dict[str, dict[tuple[str, int], int]] = {library: {} for library in folders}
    # The folder of arch/x86_64/kvm is inside that of arch/x86_64.
    by_folder = sorted(((folder + "/", library) for library, folder in folders.items()), reverse=True)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(counts_of, sorted(BUILD.rglob("*.gcda"))):
            for name, line, count in found:
                if "/testing/" in name or not re.search(r"/(src|include)/", "/" + name):
                    continue
                library = next((one for folder, one in by_folder if name.startswith(folder)), None)
                if library is not None:
                    table = lines[library]
                    table[name, line] = table.get((name, line), 0) + count
    return lines


def print_missing(table: dict[tuple[str, int], int]) -> None:
    missing: dict[str, list[int]] = {}
    for (name, line), count in sorted(table.items()):
        if count == 0:
            missing.setdefault(name, []).append(line)
    for name, numbers in missing.items():
        print(f"    {name}: {', '.join(map(str, numbers))}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev coverage", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="library")
    parser.add_argument("--kvm", action="store_true", help="run the tests on KVM as well")
    parser.add_argument("--missing", action="store_true", help="name the lines that do not run")
    options = parser.parse_args()
    folders = layers()
    for library in options.names:
        if library not in folders:
            parser.error(f"there is no library {library}")
    asked = set(options.names or folders)
    failed = run_tests(tests_of(asked, options.kvm))
    for name in failed:
        print(f"the test {name} fails")
    low = False
    print(f"{'library':<24} {'lines':>7} {'run':>7} {'%':>6}")
    for library, table in coverage(folders).items():
        if library not in asked or not table:
            continue
        hit = sum(1 for count in table.values() if count != 0)
        percent = 100.0 * hit / len(table)
        enough = percent >= ENOUGH.get(library, 90.0)
        low |= not enough
        print(f"{library:<24} {len(table):>7} {hit:>7} {percent:>6.1f}{'' if enough else '  low'}")
        if options.missing:
            print_missing(table)
    return 1 if failed or low else 0


if __name__ == "__main__":
    sys.exit(main())
