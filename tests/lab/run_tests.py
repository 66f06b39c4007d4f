#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs the lab's tests: one boot of L1 for each file of tests/lab/tests, two boots side by side.

On a host with KVM in hardware the same scripts run directly. Results go to build/lab/results.json
(build/lab-ARCH/ for another architecture), which tests/summary.py counts; each file's complete
output to NAME.log beside it.
"""
import argparse
import concurrent.futures
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

TOP = Path(__file__).resolve().parents[2]
LAB = TOP / "tests/lab/lab"
TESTS = TOP / "tests/lab/tests"
BOARD_GUEST = TOP / "tests/vhost-user/board_guest.sh"
BOARD_SCRIPT = TOP / "tests/vhost-user/gpio_guest.sh"
REPORT = re.compile(r"^(ok|not ok|skip) - (.*?)(?: # (.*))?$")
HOST_ARCH = platform.machine()

# The result of what did not begin before VMM_TEST_UNTIL.
OUT_OF_TIME = [{"lab": "skip", "name": "all of it", "reason": "no time left"}]

# Other emulated machines that a test asks for with "# also ARCH: NAME...".
VARIANTS = {
    "max": ["--cpu", "max,pauth-impdef=on"],
    "cortex-a72": ["--cpu", "cortex-a72"],  # without VHE: KVM's other mode
    "gicv2": ["--cpu", "cortex-a72", "--gic", "2"],
}


class Target:
    """The architecture of the guests, and where its programs and results are."""

    def __init__(self, arch: str) -> None:
        self.arch = arch
        native = arch == HOST_ARCH
        self.build = TOP / "build" / ("plain" if native else arch)
        self.results = TOP / "build" / ("lab" if native else f"lab-{arch}")
        self.lab = [str(LAB), "--arch", arch]
        self.direct = subprocess.run([*self.lab, "has-kvm"], check=False).returncode == 0

    def lab_path(self, name: str) -> Path:
        done = subprocess.run([*self.lab, "path", name], check=True, stdout=subprocess.PIPE,
                              text=True)
        return Path(done.stdout.strip())

    def disks_for(self, words: list[str]) -> list[str]:
        """Options for L1's disks: Debian's is there for the guest, and again for its programs.

        The first test that asks waits until it is made, while others run."""
        disks = []
        if "debian" in words:
            image = self.lab_path("debian")
            disks += ["--disk", f"debian={image}", "--disk", f"tools={image}"]
        if "uefi" in words:
            disks += ["--disk", f"uefi={self.lab_path('uefi_disk')}"]
        return disks

    def kvm_programs(self) -> dict[str, Path]:
        """The test programs of Meson's suite "kvm"."""
        try:
            text = (self.build / "meson-info/intro-tests.json").read_text(encoding="utf-8")
        except OSError:
            return {}
        found = {}
        for test in json.loads(text):
            if any(suite.split(":")[-1] == "kvm" for suite in test["suite"]):
                # A program for another architecture stands behind the one that can run it here.
                path = next(Path(word) for word in test["cmd"] if word.endswith("_test_on_kvm"))
                found[path.name] = path
        return found

    def files_for(self, word: str) -> dict[str, Path]:
        """The files that a test's "needs:" word stands for, by their names in L1."""
        if word in ("vmlinuz", "vmlinux"):
            return {word: self.lab_path(word)}
        if word == "guest.cpio":
            return {word: self.lab_path("l2")}
        if word == "guest-virtio.cpio":
            return {word: self.lab_path("l2_virtio")}
        if word == "guest-systemd.cpio":
            return {word: self.lab_path("l2_systemd")}
        if word in ("trixie", "generic"):  # instead of the lab's guest, which lacks drivers
            return {"vmlinuz": self.lab_path(f"{word}_vmlinuz"),
                    "guest-virtio.cpio": self.lab_path(f"{word}_l2_virtio")}
        if word in ("virtiofsd", "qemu-storage-daemon", "fio"):
            return {word: self.lab_path(word)}
        if word == "board":  # in place of the lab's guest, which has no drivers for boards
            told = subprocess.run([BOARD_GUEST], check=True, stdout=subprocess.PIPE, text=True)
            return dict(zip(("vmlinuz", "guest-virtio.cpio"), map(Path, told.stdout.split())))
        if word == BOARD_SCRIPT.name:
            return {word: BOARD_SCRIPT}
        if word == "debian":
            return {"debian.cpio": self.lab_path("debian_initramfs")}
        if word == "uefi":
            return {"firmware": self.lab_path("uefi_firmware")}
        if word == "kvm-tests":
            return self.kvm_programs()
        if (self.build / "tests/lab" / word).is_file():
            return {word: self.build / "tests/lab" / word}
        found = sorted(self.build.glob(f"examples/*/{word}"))
        return {word: found[0] if found else self.build / "examples" / word / word}


class Test:
    def __init__(self, script: Path, target: Target, variant: str = "") -> None:
        self.script = script
        self.target = target
        self.name = f"{script.stem}@{variant}" if variant else script.stem
        head = script.read_text(encoding="utf-8")
        self.needs = self.field(head, "needs")
        self.l1_options = self.field(head, "l1") + VARIANTS.get(variant, [])
        self.l1_kernel = self.field(head, "l1 kernel")  # a name of "lab path"
        self.timeout = int((self.field(head, "timeout") or ["240"])[0])
        self.files = {path.name: path for path in TESTS.glob("lib*.sh")}
        self.absent = []
        for word in self.needs:
            found = target.files_for(word)
            self.files |= found
            if not found or not all(path.is_file() for path in found.values()):
                self.absent.append(word)

    @staticmethod
    def field(head: str, name: str) -> list[str]:
        match = re.search(rf"^# {name}: (.*)$", head, re.M)
        return match.group(1).split() if match else []

    def command(self, slow: int) -> list[str]:
        where = ["--direct"] if self.target.direct else self.l1_options
        if self.l1_kernel:
            where = [*where, "--kernel", str(self.target.lab_path(self.l1_kernel[0]))]
        files = [f"{name}={path}" for name, path in self.files.items()]
        disks = self.target.disks_for(self.needs)
        return [*self.target.lab, "run", "--timeout", str(self.timeout * slow), *where, *disks,
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


def names_for(target: Target, on_request: bool, core: bool = False) -> list[str]:
    """The tests of an architecture: NAME, or NAME@VARIANT; those "# on request" too, or without, or
    only those that are "# core"."""
    names = []
    for script in sorted(TESTS.glob("*.sh")):
        head = script.read_text(encoding="utf-8")
        archs = Test.field(head, "arch") or ["x86_64", "aarch64"]
        if script.stem.startswith("lib") or target.arch not in archs:
            continue
        if not on_request and ("# on request\n" in head or f"# on request {target.arch}\n" in head):
            continue
        if core and "# core\n" not in head and f"# core {target.arch}\n" not in head:
            continue
        names.append(script.stem)
        if not target.direct and not core:
            names += [f"{script.stem}@{variant}"
                      for variant in Test.field(head, f"also {target.arch}")]
    return names


def run(test: Test, slow: int) -> tuple[Test, list[dict], str, float]:
    if test.absent:
        entry = {"lab": "not ok", "name": test.name,
                 "reason": f"not built: {', '.join(test.absent)}"}
        return test, [entry], "", 0
    begin = time.monotonic()
    try:
        command = test.command(slow)
    except subprocess.CalledProcessError as error:
        entry = {"lab": "not ok", "name": test.name, "reason": f"{error.cmd} failed"}
        return test, [entry], "", 0
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    output = done.stdout.decode(errors="replace")
    found = reports(output)
    if done.returncode in (124, 125) or not found:
        found.append({"lab": "not ok", "name": f"{test.name} runs to its end",
                      "reason": f"exit status {done.returncode}"})
    return test, found, output, time.monotonic() - begin


def has_failed(found: list[dict]) -> bool:
    return any(entry["lab"] == "not ok" for entry in found)


def run_in_time(test: Test, slow: int) -> tuple[Test, list[dict], str, float]:
    """run(), unless the time for all tests is over."""
    if time.time() < float(os.environ.get("VMM_TEST_UNTIL", "inf")):
        return run(test, slow)
    return test, [dict(entry) for entry in OUT_OF_TIME], "", 0


def run_all(tests: list[Test], target: Target, jobs: int,
            slow: int) -> Iterator[tuple[Test, list[dict]]]:
    """Runs and shows the tests; the log of a failure is kept as NAME.failed.log too."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for job in concurrent.futures.as_completed([pool.submit(run_in_time, t, slow) for t in tests]):
            test, found, output, seconds = job.result()
            log = target.results / f"{test.name}.log"
            log.write_text(output, encoding="utf-8")
            if has_failed(found):
                shutil.copy(log, target.results / f"{test.name}.failed.log")
            show(test, found, output, seconds)
            yield test, found


def record(results: TextIO, test: Test, found: list[dict]) -> bool:
    """Writes what summary.py reads. Whether nothing failed."""
    for entry in found:
        entry["name"] = f"{test.name}: {entry['name']}"
        results.write(json.dumps(entry) + "\n")
    return not has_failed(found)


def show(test: Test, found: list[dict], output: str, seconds: float) -> None:
    failed = has_failed(found)
    print(f"-- {test.name} ({seconds:.0f} s)")
    if failed:
        print(output.rstrip())
    for entry in found:
        if not failed or not output:
            note = entry.get("reason") or (f"{entry['count']} cases" if "count" in entry else "")
            print(f"{entry['lab']} - {entry['name']}" + (f" # {note}" if note else ""))
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="*", metavar="TEST",
                        help="names; by default all but those on request")
    parser.add_argument("--arch", choices=["x86_64", "aarch64"], default=HOST_ARCH,
                        help="of the guests (default: this machine's)")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1),
                        help="boots side by side (default 2)")
    parser.add_argument("--slow", type=int, default=1, help="multiply the time limits")
    parser.add_argument("--again", action="store_true",
                        help="give what fails on an emulated machine a second try, alone")
    parser.add_argument("--core", action="store_true", help="those that ./dev test runs")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    arguments = parser.parse_args()

    target = Target(arguments.arch)
    names = names_for(target, on_request=False, core=arguments.core)
    if arguments.list:
        print("\n".join(names if arguments.core else names_for(target, on_request=True)))
        return 0
    unknown = set(arguments.tests) - set(names_for(target, on_request=True))
    if unknown:
        parser.error(f"no such test: {', '.join(sorted(unknown))}")
    target.results.mkdir(parents=True, exist_ok=True)
    where = ("this host's KVM" if target.direct else
             f"emulated {target.arch} machines with KVM (no hardware KVM here)")
    print(f"running in {where}, {arguments.jobs} at a time", flush=True)

    tests = []
    for name in arguments.tests or names:
        stem, _, variant = name.partition("@")
        tests.append(Test(TESTS / f"{stem}.sh", target, variant))
    good = True
    failed = {}
    with open(target.results / "results.json", "w", encoding="utf-8") as results:
        for test, found in run_all(tests, target, arguments.jobs, arguments.slow):
            if has_failed(found) and arguments.again and not target.direct:
                failed[test] = found
                continue
            good = record(results, test, found) and good
        for test, found in run_all(list(failed), target, 1, 2 * arguments.slow):
            if found == OUT_OF_TIME:
                found = failed[test]
            elif not has_failed(found):
                found.append({"lab": "ok", "name": "its log of the failure is kept", "again": True})
            good = record(results, test, found) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
