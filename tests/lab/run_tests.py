#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs the lab's tests: one boot of L1 for each file of tests/lab/tests, two boots side by side.

On a host with KVM in hardware the same scripts run directly. Results go to build/lab/results.json,
which tests/summary.py counts; each file's complete output to build/lab/NAME.log.
"""
import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
LAB = TOP / "tests/lab/lab"
TESTS = TOP / "tests/lab/tests"
BUILD = TOP / "build/plain"
RESULTS = TOP / "build/lab"
REPORT = re.compile(r"^(ok|not ok|skip) - (.*?)(?: # (.*))?$")


def lab_path(name: str) -> Path:
    done = subprocess.run([LAB, "path", name], check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


def kvm_programs() -> dict[str, Path]:
    """The test programs of Meson's suite "kvm"."""
    try:
        tests = json.loads((BUILD / "meson-info/intro-tests.json").read_text(encoding="utf-8"))
    except OSError:
        return {}
    paths = [Path(test["cmd"][0]) for test in tests
             if any(suite.split(":")[-1] == "kvm" for suite in test["suite"])]
    return {path.name: path for path in paths}


def files_for(word: str) -> dict[str, Path]:
    """The files that a test's "needs:" word stands for, by their names in L1."""
    if word in ("vmlinuz", "vmlinux"):
        return {word: lab_path(word)}
    if word == "guest.cpio":
        return {word: lab_path("l2")}
    if word == "kvm-tests":
        return kvm_programs()
    if (BUILD / "tests/lab" / word).is_file():
        return {word: BUILD / "tests/lab" / word}
    return {word: BUILD / "examples" / word / word}


class Test:
    def __init__(self, script: Path) -> None:
        self.script = script
        self.name = script.stem
        head = script.read_text(encoding="utf-8")
        self.needs = self.field(head, "needs")
        self.l1_options = self.field(head, "l1")
        self.timeout = int((self.field(head, "timeout") or ["240"])[0])
        self.files = {"lib.sh": TESTS / "lib.sh"}
        self.absent = []
        for word in self.needs:
            found = files_for(word)
            self.files |= found
            if not found or not all(path.is_file() for path in found.values()):
                self.absent.append(word)

    @staticmethod
    def field(head: str, name: str) -> list[str]:
        match = re.search(rf"^# {name}: (.*)$", head, re.M)
        return match.group(1).split() if match else []

    def command(self, direct: bool, slow: int) -> list[str]:
        where = ["--direct"] if direct else self.l1_options
        files = [f"{name}={path}" for name, path in self.files.items()]
        return [str(LAB), "run", "--timeout", str(self.timeout * slow), *where,
                "--script", str(self.script), *files]


def reports(output: str) -> list[dict]:
    found = []
    for line in output.splitlines():
        match = REPORT.match(line.rstrip("\r"))
        if not match:
            continue
        kind, name, note = match.groups()
        entry = {"lab": kind, "name": name}
        count = re.fullmatch(r"count (\d+)", note or "")
        if count:
            entry["count"] = int(count.group(1))
        elif note:
            entry["reason"] = note
        found.append(entry)
    return found


def attempt(test: Test, direct: bool, slow: int) -> subprocess.CompletedProcess:
    return subprocess.run(test.command(direct, slow), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def run(test: Test, direct: bool, slow: int) -> tuple[Test, list[dict], str, float]:
    if test.absent:
        entry = {"lab": "not ok", "name": test.name,
                 "reason": f"not built: {', '.join(test.absent)}"}
        return test, [entry], "", 0
    begin = time.monotonic()
    done = attempt(test, direct, slow)
    output = done.stdout.decode(errors="replace")
    found = reports(output)
    if done.returncode in (124, 125) or not found:
        found.append({"lab": "not ok", "name": f"{test.name} runs to its end",
                      "reason": f"exit status {done.returncode}"})
    return test, found, output, time.monotonic() - begin


def show(test: Test, found: list[dict], output: str, seconds: float) -> None:
    failed = any(entry["lab"] == "not ok" for entry in found)
    print(f"-- {test.name} ({seconds:.0f} s)")
    if failed:
        print(output.rstrip())
    for entry in found:
        if not failed or test.absent:
            note = entry.get("reason") or (f"{entry['count']} cases" if "count" in entry else "")
            print(f"{entry['lab']} - {entry['name']}" + (f" # {note}" if note else ""))
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="*", metavar="TEST", help="names; all by default")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1),
                        help="boots side by side (default 2)")
    parser.add_argument("--slow", type=int, default=1, help="multiply the time limits")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    arguments = parser.parse_args()

    names = [script.stem for script in sorted(TESTS.glob("*.sh")) if script.stem != "lib"]
    if arguments.list:
        print("\n".join(names))
        return 0
    unknown = set(arguments.tests) - set(names)
    if unknown:
        parser.error(f"no such test: {', '.join(sorted(unknown))}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    direct = subprocess.run([LAB, "has-kvm"], check=False).returncode == 0
    where = "this host's KVM" if direct else "emulated machines with KVM (no hardware KVM here)"
    print(f"running in {where}, {arguments.jobs} at a time", flush=True)

    tests = [Test(TESTS / f"{name}.sh") for name in arguments.tests or names]
    good = True
    with (open(RESULTS / "results.json", "w", encoding="utf-8") as results,
          concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool):
        jobs = [pool.submit(run, test, direct, arguments.slow) for test in tests]
        for job in concurrent.futures.as_completed(jobs):
            test, found, output, seconds = job.result()
            (RESULTS / f"{test.name}.log").write_text(output, encoding="utf-8")
            show(test, found, output, seconds)
            for entry in found:
                good = good and entry["lab"] != "not ok"
                entry["name"] = f"{test.name}: {entry['name']}"
                results.write(json.dumps(entry) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
