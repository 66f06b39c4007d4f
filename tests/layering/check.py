#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Checks what the compiler can't: the layers of libs/meson.build and the rules of the house.

  layers      an #include of <vmm/...> names the library itself or one of its row in libs/meson.build
              (tests and benches: also what these need below); edges go down only; no include from
              libs/ leads into examples/ or tests/ (tests/support apart)
  headers     public headers include only vmm and the C++ standard library, start with #pragma once,
              and have no `using namespace`
  licence     an SPDX line at the top of every file that can carry one
  size        headers at most 300 lines, sources at most 500
  names       snake_case.h, .cc, _test.cc, _bench.cc, _fuzz.cc; folders in kebab-case, include/vmm/<lib>
              in snake_case
  built       a library's meson.build names each of its sources
  markers     no left-over notes to oneself
"""

import argparse
import ast
import pathlib
import re
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SPDX = "SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause"
MAX_LINES = {".h": 300, ".cc": 500}
MARKER = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
USING = re.compile(r"^\s*using\s+namespace\b")

# The headers of C++20, and those of C that it takes over.
STANDARD = set("""
algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono
cinttypes climits clocale cmath compare complex concepts condition_variable coroutine csetjmp csignal
cstdarg cstddef cstdint cstdio cstdlib cstring ctime cuchar cwchar cwctype deque exception execution
filesystem format forward_list fstream functional future initializer_list iomanip ios iosfwd iostream
istream iterator latch limits list locale map memory memory_resource mutex new numbers numeric optional
ostream queue random ranges ratio regex scoped_allocator semaphore set shared_mutex source_location span
sstream stack stdexcept stop_token streambuf string string_view syncstream system_error thread tuple
type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant vector version
""".split())

# Files that carry the licence line: suffix or name.
LICENSED = {".wrap", ".h", ".cc", ".py", ".sh", ".build", ".in", ".S", ".s", ".asm", ".ld", ".c", ".txt", ".tsv"}
LICENSED_NAMES = {"meson.build", "meson_options.txt", "CMakeLists.txt", "Makefile", "dev", "run"}


def read_layers(text):
    """[(name, folder, [needs])] from the table in libs/meson.build."""
    table = re.search(r"^layers = (\[.*?^\])", text, re.M | re.S)
    if table is None:
        raise SystemExit("libs/meson.build: no table `layers = [...]`")
    rows = re.sub(r"#.*", "", table.group(1))
    return [tuple(row) for row in ast.literal_eval(rows)]


class Check:
    def __init__(self, root, files):
        self.root = root
        self.files = files
        self.problems = []
        self.layers = read_layers((root / "libs/meson.build").read_text())
        self.needs = {name: needs for name, _, needs in self.layers}

    def complain(self, path, line, text):
        where = f"{path}:{line}" if line else str(path)
        self.problems.append(f"{where}: {text}")

    def run(self):
        self.check_table()
        for path in self.files:
            full = self.root / path
            if not full.is_file() or full.is_symlink():
                continue
            self.check_licence(path, full)
            if path.suffix in MAX_LINES:
                self.check_source(path, full.read_text(errors="replace").splitlines())
            self.check_markers(path, full)
        return self.problems

    # The table itself: each row needs rows above it, and what a library needs includes all that its
    # needs need, as their headers may include those.
    def check_table(self):
        seen = set()
        for name, folder, needs in self.layers:
            for need in needs:
                if need not in seen:
                    self.complain("libs/meson.build", 0, f"{name} needs {need}, which isn't below it")
            seen.add(name)
            if name != folder.replace("/", "-"):
                self.complain("libs/meson.build", 0, f"{name} should live in {name}, not {folder}")

    def home_of(self, path):
        """The row whose folder holds `path`, the deepest one."""
        inside = [(name, folder) for name, folder, _ in self.layers
                  if path.is_relative_to(pathlib.PurePath("libs") / folder)]
        return max(inside, key=lambda row: len(row[1]), default=None)

    def owner_of(self, include):
        """The library that <vmm/...> belongs to."""
        words = include.split("/")[1:-1]
        names = {folder.replace("-", "_"): name for name, folder, _ in self.layers}
        while words:
            if "/".join(words) in names:
                return names["/".join(words)]
            words.pop()
        return None

    def all_below(self, name):
        found = set()
        for need in self.needs[name]:
            found |= {need} | self.all_below(need)
        return found

    def check_source(self, path, lines):
        library = self.home_of(path)
        in_libs = path.parts[0] == "libs"
        public = in_libs and "include" in path.parts
        if in_libs and library is None:
            self.complain(path, 0, "belongs to no library of libs/meson.build")
            return
        if len(lines) > MAX_LINES[path.suffix]:
            self.complain(path, 0, f"{len(lines)} lines; at most {MAX_LINES[path.suffix]}")
        self.check_name(path, library, public)
        if path.suffix == ".h" and "#pragma once" not in lines:
            self.complain(path, 0, "a header without #pragma once")
        for number, line in enumerate(lines, 1):
            if path.suffix == ".h" and USING.match(line):
                self.complain(path, number, "`using namespace` in a header")
            match = INCLUDE.match(line)
            if match and in_libs:
                self.check_include(path, number, library[0], public, match.group(1), match.group(2))

    def check_include(self, path, number, name, public, quote, include):
        if include.startswith("vmm/"):
            self.check_edge(path, number, name, public, include)
        elif public and quote == '"':
            self.complain(path, number, f'a public header includes "{include}": write "vmm/..."')
        elif public and include not in STANDARD:
            self.complain(path, number, f"a public header includes <{include}>, which is neither "
                          "ours nor the C++ standard library's")
        elif include.startswith(("examples/", "tests/")) and not self.is_own(name, include):
            self.complain(path, number, f"an include that leaves the library: {include}")

    def is_own(self, name, include):
        """Whether a private include, "tests/x.h", is a file of the library itself."""
        folder = next(folder for row, folder, _ in self.layers if row == name)
        return (self.root / "libs" / folder / include).is_file()

    def check_edge(self, path, number, name, public, include):
        owner = self.owner_of(include)
        allowed = {name, *self.needs[name]}
        if not public and "src" not in path.parts:  # tests, benches, fuzz targets
            allowed |= self.all_below(name)
        if owner is None:
            self.complain(path, number, f"<{include}> belongs to no library of libs/meson.build")
        elif owner not in allowed:
            self.complain(path, number, f"{name} may not include {owner} (<{include}>); its row in "
                          "libs/meson.build has: " + (", ".join(self.needs[name]) or "nothing"))

    def check_name(self, path, library, public):
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.(h|cc)", path.name):
            self.complain(path, 0, "file names are snake_case.h and snake_case.cc")
        if library is None:
            return
        if public:
            home = pathlib.PurePath("libs", library[1], "include/vmm", library[1].replace("-", "_"))
            if not path.is_relative_to(home):
                self.complain(path, 0, f"public headers of {library[0]} live in {home}")
        for folder, ending in (("tests", "_test.cc"), ("benches", "_bench.cc"), ("fuzz", "_fuzz.cc")):
            inner = path.relative_to(pathlib.PurePath("libs", library[1])).parts
            if path.suffix != ".cc" or folder != inner[0]:
                continue
            if not path.name.endswith(ending) and not is_support(path):
                self.complain(path, 0, f"sources in {folder}/ end in {ending}")
        self.check_built(path, library)

    def check_built(self, path, library):
        home = pathlib.PurePath("libs", library[1])
        build = self.root / home / "meson.build"
        if path.suffix != ".cc" or not build.is_file():
            return
        if f"'{path.relative_to(home)}'" not in build.read_text():
            self.complain(path, 0, f"{home}/meson.build does not name it")

    def check_licence(self, path, full):
        if path.suffix not in LICENSED and path.name not in LICENSED_NAMES:
            return
        if "corpus" in path.parts or "data" in path.parts or path.parts[0] == "docs":
            return
        with full.open(errors="replace") as file:
            top = [line for _, line in zip(range(3), file)]
        if not any(SPDX in line for line in top):
            self.complain(path, 1, f"no licence line: {SPDX}")

    def check_markers(self, path, full):
        if "corpus" in path.parts or path.name.startswith("LICENSE"):
            return
        try:
            text = full.read_text()
        except UnicodeDecodeError:
            return
        for number, line in enumerate(text.splitlines(), 1):
            if MARKER.search(line):
                self.complain(path, number, f"a left-over marker: {line.strip()[:60]}")


def is_support(path):
    """Helpers that several tests of a library share say so in their name."""
    return path.stem.endswith(("_support", "_main", "_fixture", "_helper"))


def tracked_files(root):
    """What git tracks or would add; without git, everything but builds."""
    done = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others",
                           "--exclude-standard"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        return sorted(pathlib.PurePath(name) for name in done.stdout.decode().split("\0") if name)
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path for path in found if path.parts[0] not in ("build", ".git"))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=pathlib.Path, default=SOURCE,
                        help="the project (default: the one that this script is part of)")
    root = parser.parse_args().root.resolve()
    problems = Check(root, tracked_files(root)).run()
    for problem in problems:
        print(problem)
    print(f"layering: {len(problems)} problems" if problems else "layering: clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
