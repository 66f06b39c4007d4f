#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Removes each check of a library in turn, and shows which test notices.

    ./dev mutate virtio-queue           # builds, runs, prints survivors
    ./dev mutate vm-memory --list       # which checks there are
    ./dev mutate vm-memory --only 17,18
    ./dev mutate vm-memory --time 300   # tries for five minutes; the next run goes on from there

A copy of the library is made in build/mutate/LIB in which each check asks whether it is the one that
is switched off; so all mutants are one program, built once, and a mutant is a number in its
environment. Checks are
  if     an operand of the condition of an `if` that ends in return, break or continue: never true
  and    a comparison in what a function returns: always true
  fits   fits(): always true
  add    checked_add(), checked_sub(), checked_mul(): wraps
  min    std::min(): the larger one
A mutant is killed when a test that reaches it fails, crashes or takes longer than the time limit. The
standard library's own assertions are on, so that an index beyond a vector is a crash.
Mutants that change nothing that a test could see are listed, with the reason, in
tests/equivalent_mutants.txt, by the words that --list prints: `library/file kind: words -- reason`. Exit status: 0 no other survivors, 1 survivors or not all tried, 2 wrong usage.
"""
import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PLAIN = TOP / "build/plain"
EQUIVALENT = TOP / "tests/equivalent_mutants.txt"
# What plays the other side in tests is no product.
SPARED = ("/testing/", "/driver/", "_driver.cc", "/tests/", "/fuzz/", "/benches/")

PRELUDE = """
#pragma once
#include <algorithm>
#include <optional>
#include <type_traits>
bool vmm_mutant_runs(int number);
constexpr bool vmm_mutant(int number) {
  if (std::is_constant_evaluated()) return false;
  return vmm_mutant_runs(number);
}
template <int N, class... T> constexpr bool vmm_mutant_fits(bool real) {
  return vmm_mutant(N) ? true : real;
}
template <int N, class T>
constexpr auto vmm_mutant_add(T a, std::type_identity_t<T> b) {
  T out{};
  const bool over = __builtin_add_overflow(a, b, &out);
  return over && !vmm_mutant(N) ? std::optional<T>() : std::optional<T>(out);
}
template <int N, class T>
constexpr auto vmm_mutant_sub(T a, std::type_identity_t<T> b) {
  T out{};
  const bool over = __builtin_sub_overflow(a, b, &out);
  return over && !vmm_mutant(N) ? std::optional<T>() : std::optional<T>(out);
}
template <int N, class T>
constexpr auto vmm_mutant_mul(T a, std::type_identity_t<T> b) {
  T out{};
  const bool over = __builtin_mul_overflow(a, b, &out);
  return over && !vmm_mutant(N) ? std::optional<T>() : std::optional<T>(out);
}
template <int N, class T>
constexpr T vmm_mutant_min(const T& a, const T& b) {
  return vmm_mutant(N) ? (std::max)(a, b) : (std::min)(a, b);
}
"""

SWITCH = """
#include <cstdio>
#include <cstdlib>
namespace {
constexpr int kMost = 4096;
bool reached[kMost];
int chosen() { const char* text = std::getenv("VMM_MUTANT"); return text ? std::atoi(text) : -1; }
struct Report {
  ~Report() {
    const char* path = std::getenv("VMM_MUTANTS_REACHED");
    std::FILE* out = path ? std::fopen(path, "w") : nullptr;
    if (out == nullptr) return;
    for (int i = 0; i < kMost; ++i) if (reached[i]) std::fprintf(out, "%d\\n", i);
    std::fclose(out);
  }
} report;
}
bool vmm_mutant_runs(int number) {
  static const int mine = chosen();
  reached[number] = true;
  return number == mine;
}
"""


def blank(text: str) -> str:
    """The text with comments, what is in strings, and preprocessor lines as spaces of the same length."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.){1,4}\''
                         r'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.S | re.M)

    def spaces(found: re.Match[str]) -> str:
        words = found.group(0)
        if words[0] in "\"'":
            return words[0] + " " * (len(words) - 2) + words[0]
        return re.sub(r"[^\n]", " ", words)

    return pattern.sub(spaces, text)


def closing(code: str, opened: int) -> int:
    """Where the parenthesis at `opened` is closed."""
    depth = 0
    for at in range(opened, len(code)):
        if code[at] in "([{":
            depth += 1
        elif code[at] in ")]}":
            depth -= 1
            if depth == 0:
                return at
    return -1


def operands(code: str, start: int, end: int, operator: str) -> list[tuple[int, int]]:
    """The parts between `operator` outside of parentheses."""
    parts, depth, begin, at = [], 0, start, start
    while at < end:
        if code[at] in "([{":
            depth += 1
        elif code[at] in ")]}":
            depth -= 1
        elif depth == 0 and code.startswith(operator, at):
            parts.append((begin, at))
            at += len(operator)
            begin = at
            continue
        at += 1
    return parts + [(begin, end)]


def trimmed(code: str, start: int, end: int) -> tuple[int, int]:
    while start < end and code[start].isspace():
        start += 1
    while end > start and code[end - 1].isspace():
        end -= 1
    return start, end


REFUSES = re.compile(r"\s*(?:\[\[\w+\]\]\s*)?\{?\s*(?:return|break|continue)\b")
COMPARES = re.compile(r" (?:<|<=|>|>=) ")


class Sites:
    """The checks of one file, and its text with switches in it."""

    def __init__(self, path: Path, name: str, first: int):
        self.text = path.read_text(encoding="utf-8")
        self.name = name
        self.code = blank(self.text)
        self.found: list[tuple[int, int, str]] = []
        self.first = first
        self.find()
        self.found = sorted(set(self.found), key=lambda site: (site[0], -site[1]))

    def find(self) -> None:
        for found in re.finditer(r"\bif \(", self.code):
            start, end = found.end(), closing(self.code, found.end() - 1)
            if end < 0 or not REFUSES.match(self.code, end + 1):
                continue
            init = operands(self.code, start, end, ";")
            start = init[-1][0]
            if re.search(r"(?<![=!<>]) = ", self.code[start:end]):
                continue
            for part in operands(self.code, start, end, "||"):
                start, end = trimmed(self.code, *part)
                # Constants choose code; !fits() has a mutant of its own.
                if not re.fullmatch(r"k\w+|\w+ <= k\w+|!fits\(.*\)", self.code[start:end], re.S):
                    self.found.append((start, end, "if"))
        for found in re.finditer(r"\breturn ([^;{}]*);", self.code):
            body = found.group(1)
            if " ? " in body or not COMPARES.search(body) or "[" in body.split("(")[0] and "]" in body and "{" in body:
                continue
            parts = operands(self.code, found.start(1), found.end(1), "&&")
            if len(operands(self.code, found.start(1), found.end(1), "||")) > 1:
                continue
            for part in parts:
                start, end = trimmed(self.code, *part)
                flat = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", self.code[start:end]))
                if COMPARES.search(flat) and "(" not in flat and " << " not in flat:
                    self.found.append((start, end, "and"))
        for word, kind in (("fits", "fits"), ("checked_add", "add"), ("checked_sub", "sub"),
                           ("checked_mul", "mul"), ("std::min", "min")):
            for found in re.finditer(r"(?<![\w.:>])" + word + r"(?:<[\w:]+>)?\(", self.code):
                line = self.code[self.code.rfind("\n", 0, found.start()):found.start()]
                if re.search(r"(?:bool|optional<\w+>|auto) $", line) or "ASSERT" in line:
                    continue  # its definition; a precondition
                end = closing(self.code, found.end() - 1)
                if kind == "min" and self.code[found.end()] == "{":
                    continue
                self.found.append((found.start(), end + 1, kind))

    def words(self, index: int) -> str:
        """What the check is; of several that are the same in the file, also which."""
        alike = [i for i in range(len(self.found)) if self.plain_words(i) == self.plain_words(index)]
        which = f" [{alike.index(index) + 1} of {len(alike)}]" if len(alike) > 1 else ""
        return self.plain_words(index) + which

    def plain_words(self, index: int) -> str:
        start, end, kind = self.found[index]
        return f"{kind}: " + " ".join(self.text[start:end].split())

    def line(self, index: int) -> int:
        return self.text.count("\n", 0, self.found[index][0]) + 1

    def mutated(self) -> str:
        inserts: list[tuple[int, int, str]] = []
        cut: list[tuple[int, int, str]] = []
        for index, (start, end, kind) in enumerate(self.found):
            number = self.first + index
            if kind in ("if", "and", "fits"):
                value = "false" if kind == "if" else "true"
                inserts.append((start, 1, f"(vmm_mutant({number}) ? {value} : bool("))
                inserts.append((end, 0, "))"))
            else:
                call = self.code.index("(", start)
                given = re.search(r"<([\w:]+)>$", self.text[start:call])
                types = f"{number}, {given.group(1)}" if given else str(number)
                cut.append((start, call, f"vmm_mutant_{kind}<{types}>"))
        out, at = [], 0
        replaced = {start: (end, words) for start, end, words in cut}
        order = sorted({place for place, _, _ in inserts} | set(replaced))
        for place in order:
            out.append(self.text[at:place])
            at = place
            # Ends come before beginnings; of beginnings the longest site first, as they are found.
            out += [words for where, side, words in inserts if where == place and side == 0]
            begun = [words for where, side, words in inserts if where == place and side == 1]
            out += begun
            if place in replaced:
                at, words = replaced[place]
                out.append(words)
        return "".join(out) + self.text[at:]


def sites_of(library: str) -> list[Sites]:
    folder = TOP / "libs" / library
    all_sites, number = [], 0
    for path in sorted([*folder.glob("src/**/*"), *folder.glob("include/**/*")]):
        name = str(path.relative_to(folder))
        if path.suffix not in (".h", ".cc") or any(word in "/" + name for word in SPARED):
            continue
        sites = Sites(path, name, number)
        number += len(sites.found)
        all_sites.append(sites)
    return all_sites


def commands_of(program: str) -> list[str]:
    listed = subprocess.run(["ninja", "-C", str(PLAIN), "-t", "commands", program], check=True,
                            capture_output=True, text=True).stdout
    return listed.splitlines()


def build(library: str, all_sites: list[Sites]) -> Path:
    """The program with all mutants of the library in it."""
    folder = TOP / "build/mutate" / library
    tree = folder / "tree"
    make_tree(TOP / "libs" / library, tree, {sites.name: sites.mutated() for sites in all_sites})
    write(folder / "mutant.h", PRELUDE)
    write(folder / "mutant_test.h", PRELUDE + "#include <catch2/catch.hpp>\n")
    write(folder / "switch.cc", SWITCH)
    word = library.replace("-", "_").replace("/", "_")
    program = f"libs/{word}_test"
    rules = ["rule run", " command = $words", ""]
    objects = []
    ours = f"../../libs/{library}"
    commands = commands_of(program)
    for command in commands:
        source = re.search(r" -c (\S+)$", command)
        if not source or not source.group(1).startswith(ours + "/"):
            continue
        target = folder / "objects" / (source.group(1).replace("../", "").replace("/", "_") + ".o")
        words = re.sub(r" -M[DQF]+( \S*\.(?:o|d))?", " ", command)
        words = re.sub(r" -M[QF] '?\S+'?", " ", words)
        words = re.sub(re.escape(ours) + r"(?=[/' ]|$)", str(tree), words)
        words = re.sub(r" -o \S+", f" -o {target}", words)
        words = re.sub(r" -O\d| -g(?= )| -Werror", " ", words)
        is_test = "/tests/" in source.group(1)
        prelude = folder / ("mutant_test.h" if is_test else "mutant.h")
        words = words.replace(" -c ", f" -O0 -w -D_GLIBCXX_ASSERTIONS -include {prelude} -c ").replace("ccache ", "")
        needs = f"{tree / source.group(1)[len(ours) + 1:]}"
        if is_test:  # the tests' framework is compiled once
            needs += f" | {prelude}.gch"
            header = re.sub(r" -include \S+ -c \S+", f" -x c++-header -c {prelude}", words)
            header = re.sub(r" -o \S+", f" -o {prelude}.gch", header)
            if f"build {prelude}.gch: run {prelude}" not in rules:
                rules += [f"build {prelude}.gch: run {prelude}", f" words = {header}"]
        objects.append(str(target))
        rules += [f"build {target}: run {needs}", f" words = {words.replace('$', '$$')}"]
    own = str(folder / "switch.o")
    rules += [f"build {own}: run {folder}/switch.cc", f" words = g++ -O1 -c {folder}/switch.cc -o {own}"]
    output = folder / f"{word}_mutants"
    link = [part for part in shlex.split(commands[-1])
            if not part.startswith(f"libs/{word}_test.p/") and part != f"libs/libvmm_{word}.a"]
    needed = [part for part in link if part.endswith(".a") and not part.startswith("/")]
    subprocess.run(["ninja", "-C", str(PLAIN), "--quiet", *needed], check=True, stdout=sys.stderr)
    place = link.index("-o")
    link[place + 1] = str(output)
    link[place + 2:place + 2] = objects + [own]
    words = " ".join(shlex.quote(part) for part in link)
    libraries = " ".join(objects + [own])
    rules += [f"build {output}: run {libraries}", f" words = {words.replace('$', '$$')}", ""]
    (folder / "objects").mkdir(parents=True, exist_ok=True)
    write(folder / "build.ninja", "\n".join(rules))
    headers_changed(folder, tree)
    subprocess.run(["ninja", "-f", str(folder / "build.ninja"), "-C", str(PLAIN)], check=True,
                   stdout=sys.stderr)
    return output


def write(path: Path, text: str) -> None:
    """Only what changes, so that nothing is compiled again for nothing."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def make_tree(source: Path, tree: Path, mutated: dict[str, str]) -> None:
    files = {str(path.relative_to(source)): path for path in source.rglob("*")
             if path.suffix in (".h", ".cc")}
    for old in tree.rglob("*"):
        if old.is_file() and str(old.relative_to(tree)) not in files:
            old.unlink()
    for name, path in files.items():
        write(tree / name, mutated.get(name) or path.read_text(encoding="utf-8"))


def headers_changed(folder: Path, tree: Path) -> None:
    """Objects are made anew when a header has changed: nobody keeps track of which use it."""
    now = PRELUDE + "".join(path.read_text(encoding="utf-8") for path in sorted(tree.rglob("*.h")))
    seen = folder / "headers"
    if not seen.exists() or seen.read_text(encoding="utf-8") != now:
        for path in (folder / "objects").glob("*.o"):
            path.unlink()
    seen.write_text(now, encoding="utf-8")


def run(program: Path, spec: list[str], limit: float, **more: str) -> tuple[bool, float]:
    """Whether these tests pass, and how long they took."""
    begin = time.monotonic()
    environment = dict(os.environ, **more)
    try:
        done = subprocess.run([str(program), "--abort", *([",".join(spec)] if spec else [])],
                              timeout=limit, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return done.returncode == 0, time.monotonic() - begin
    except subprocess.TimeoutExpired:
        return False, time.monotonic() - begin


def quoted(test: str) -> str:
    return '"' + re.sub(r'([\\,\[\]"])', r"\\\1", test) + '"'


def reach(program: Path) -> dict[int, list[tuple[float, str]]]:
    """Which tests reach each mutant, the quick ones first. What was found out is kept at each step."""
    known = program.parent / "reach.json"
    of_test = {}
    if known.exists() and known.stat().st_mtime > program.stat().st_mtime:
        of_test = json.loads(known.read_text(encoding="utf-8"))
    names = subprocess.run([str(program), "--list-test-names-only"], capture_output=True, text=True,
                           check=False).stdout.splitlines()
    note = program.parent / "reached"
    for test in filter(None, map(str.strip, names)):
        if test in of_test:
            continue
        note.unlink(missing_ok=True)
        good, seconds = run(program, [quoted(test)], 300, VMM_MUTANTS_REACHED=str(note))
        if not good or not note.exists():
            print(f'mutate: the test "{test}" fails without any mutant: left out', file=sys.stderr)
            continue
        of_test[test] = [seconds, list(map(int, note.read_text().split()))]
        known.write_text(json.dumps(of_test), encoding="utf-8")
    reached: dict[int, list[tuple[float, str]]] = {}
    for test, (seconds, numbers) in of_test.items():
        for number in numbers:
            reached.setdefault(number, []).append((seconds, quoted(test)))
    return {number: sorted(tests) for number, tests in reached.items()}


def is_killed(program: Path, number: int, tests: list[tuple[float, str]], limit: float) -> bool:
    quick = [test for seconds, test in tests if seconds < 0.5]
    slow = [test for seconds, test in tests if seconds >= 0.5]
    expected = sum(seconds for seconds, _ in tests)
    for spec in [quick] + [[test] for test in slow]:
        if spec and not run(program, spec, limit + 3 * expected, VMM_MUTANT=str(number))[0]:
            return True
    return False


def fates_known(notes: Path, program: Path, all_sites: list[Sites]) -> dict[str, str]:
    """What earlier runs found out, so that a run may be cut short.

    What is killed stays so while the library is the same, what lives only while the tests are too.
    """
    head = "library " + hashlib.sha256("".join(sites.mutated() for sites in all_sites).encode()).hexdigest()
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
    if lines[:1] != [head]:
        lines = [head]
    elif notes.stat().st_mtime < program.stat().st_mtime:
        lines = [line for line in lines if not line.endswith(" lives")]
    notes.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return dict(line.split(" ", 1) for line in lines[1:])


def equivalents(library: str) -> dict[str, str]:
    """`library/file kind: words` -> why nobody can tell."""
    known = {}
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines() if EQUIVALENT.exists() else []:
        words, _, why = line.partition(" -- ")
        if words.startswith(library + "/"):
            known[words] = why
    return known


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev mutate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="library")
    parser.add_argument("--list", action="store_true", help="print the checks; run nothing")
    parser.add_argument("--only", help="these numbers, separated by commas")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at once (default 2)")
    parser.add_argument("--limit", type=float, default=10, help="seconds for a mutant (default 10)")
    parser.add_argument("--time", type=float, default=float("inf"), metavar="SECONDS",
                        help="try no more mutants after so long a time of trying")
    options = parser.parse_args()
    if not (TOP / "libs" / options.name / "meson.build").exists():
        parser.error(f"there is no library {options.name}")
    all_sites = sites_of(options.name)
    mutants = {sites.first + i: (f"{options.name}/{sites.name} {sites.words(i)}", sites.line(i))
               for sites in all_sites for i in range(len(sites.found))}
    if options.list:
        for number, (words, line) in mutants.items():
            print(f"{number:4} line {line:4} {words}")
        return 0
    program = build(options.name, all_sites)
    chosen = set(map(int, options.only.split(","))) if options.only else set(mutants)
    known = equivalents(options.name)
    unknown = set(known) - {words for words, _ in mutants.values()}
    if unknown:
        parser.error(f"{EQUIVALENT.relative_to(TOP)} names what is no check: " + ", ".join(sorted(unknown)))
    reached = reach(program)

    notes = program.parent / "fates"
    seen = fates_known(notes, program, all_sites)
    deadline = time.monotonic() + options.time

    def fate(number: int) -> str:
        if str(number) not in seen and time.monotonic() > deadline:
            return "not tried"
        if str(number) not in seen:
            killed = is_killed(program, number, reached.get(number, []), options.limit)
            seen[str(number)] = "killed" if killed else "lives"
            with notes.open("a", encoding="utf-8") as out:
                out.write(f"{number} {seen[str(number)]}\n")
        if seen[str(number)] == "killed":
            return "killed"
        if mutants[number][0] in known:
            return "equivalent"
        return "survives" if number in reached else "not reached"

    with ThreadPoolExecutor(options.jobs) as pool:
        fates = dict(zip(sorted(chosen), pool.map(fate, sorted(chosen))))
    for number, what in fates.items():
        if what in ("survives", "not reached"):
            words, line = mutants[number]
            print(f"{number:4} {what:11} line {line:4} {words}")
    counts = {what: list(fates.values()).count(what)
              for what in ("killed", "equivalent", "survives", "not reached", "not tried")}
    print(f"{options.name}: {len(fates)} mutants, " +
          ", ".join(f"{count} {what}" for what, count in counts.items()))
    return 0 if counts["killed"] + counts["equivalent"] == len(fates) else 1


if __name__ == "__main__":
    sys.exit(main())
