#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Tests of bench.py and of peers.tsv."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.dont_write_bytecode = True
import bench  # pylint: disable=wrong-import-position

DUMP = """\
version: 1
part: 1
desc: Trigger: Client Request: bench:empty\t0
events: Ir Ge
totals: 12
part: 2
desc: Trigger: Client Request: base/x\t2000
events: Ir Ge
fn=(1) f
totals: 4012 2000
part: 3
desc: Trigger: Program termination
totals: 99 1
"""


def peers_of(text):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.write(text)
        file.flush()
        return bench.read_peers(pathlib.Path(file.name))


class CallgrindTest(unittest.TestCase):
    def test_takes_the_total_of_each_part(self):
        self.assertEqual(bench.parse_callgrind(DUMP), [
            ("Client Request: bench:empty\t0", 12, 0), ("Client Request: base/x\t2000", 4012, 2000),
            ("Program termination", 99, 1)])

    def test_what_prepared_a_row_and_the_empty_bracket_are_not_its_own(self):
        self.assertEqual(bench.per_op([("bench:empty", 12, 1), ("a/x", 4012, 2000), ("a/y", 500, 10),
                                       ("prepare:a/y", 300, 10)]), {"a/x": 2.0, "a/y": 20.0})


class PeersTest(unittest.TestCase):
    def test_a_row_with_two_peers_is_judged_by_the_one_with_fewer_instructions(self):
        row = peers_of("a/b\trust-vmm\t200\t2000\t7\t-\na/b\tfirecracker\t17\t300\t-\t-\n")["a/b"]
        self.assertEqual((row["peer"], row["instructions"], row["floor_ns"]),
                         ("firecracker", 300, 7))

    def test_a_line_with_missing_columns_is_refused(self):
        with self.assertRaises(bench.Fail):
            peers_of("a/b\trust-vmm\t200\n")

    def test_the_file_of_the_project_is_complete(self):
        libraries = {name.split("/")[0] for name in bench.read_peers(bench.PEERS)}
        self.assertEqual(libraries, {
            "acpi-tables", "event-manager", "fdt", "kvm-ioctls", "linux-loader", "sys-util",
            "virtio-queue", "vm-allocator", "vm-memory", "vm-superio"})


class TimesTest(unittest.TestCase):
    def test_a_ratio_to_a_floor_is_the_median_of_runs_and_a_time_the_best(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program")
            program.write_text("#!/bin/sh\ncd " + folder + "\necho x >> runs\ncase $(wc -l < runs) in\n"
                               "1) set 10 5;; 2) set 40 10;; *) set 30 10;; esac\n"
                               'printf "a/b\\t%s\\nfloor:a/b\\t%s\\n" $1 $2\n')
            program.chmod(0o755)
            times, ratios = bench.measure_times(program, [], 3)
            self.assertEqual(times, {"a/b": 10.0, "floor:a/b": 5.0})
            self.assertEqual(ratios, {"a/b": 3.0})


class ReportTest(unittest.TestCase):
    def test_a_measured_floor_wins_over_the_documented_one(self):
        peers = {"a/b": {"ns": 5.0, "instructions": 9.0, "floor_ns": 3.0, "bulk": False}}
        rows = bench.merge({"a/b": 4.0, "floor:a/b": 2.0}, {"a/b": 10.0, "floor:a/b": 7.0},
                           {"a/b": 1.0}, peers)
        self.assertEqual(rows, [{"name": "a/b", "ns": 4.0, "instructions": 10.0, "locked": 1.0,
                                 "peer": 5.0,
                                 "peer_instructions": 9.0, "floor_ns": 2.0, "floor_ratio": None,
                                 "floor_instructions": 7.0}])
        self.assertTrue(bench.exceeds(rows[0]))

    def test_a_row_that_no_peer_has_is_shown_without_figures(self):
        row = bench.merge({"a/c": 4.0}, {}, {}, {})[0]
        self.assertEqual((row["peer"], row["instructions"]), (None, None))
        self.assertFalse(bench.exceeds(row))


class EarlierResultsTest(unittest.TestCase):
    def run_with(self, *words):
        done = subprocess.run([sys.executable, bench.__file__, *words], capture_output=True, text=True,
                              check=False)
        return done.returncode, done.stdout + done.stderr

    def test_the_page_is_made_of_the_results_of_several_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            docs = pathlib.Path(folder)
            for file, name in [("a", "vm-memory/find_region"), ("b", "fdt/fdt_1cpu_4virtio")]:
                (docs / file).write_text(json.dumps(bench.merge({name: 2.0}, {name: 51.0}, {}, {})))
            status, said = self.run_with("--results", folder + "/a", folder + "/b", "--report", folder)
            self.assertEqual(status, 0, said)
            page = (docs / "performance.md").read_text()
            self.assertIn("| find_region | 51.0 | 102 (0.50) |", page)
            self.assertIn("| fdt_1cpu_4virtio | 51.0 | 83,742 (0.00) |", page)

    def test_one_run_may_have_the_times_and_another_the_instructions(self):
        name = "vm-memory/find_region"
        with tempfile.TemporaryDirectory() as folder:
            times, counts = pathlib.Path(folder, "times"), pathlib.Path(folder, "counts")
            times.write_text(json.dumps(bench.merge({name: 2.0, "floor:" + name: 1.0}, {}, {}, {})))
            documented = {name: {"floor_ns": 9.0}}
            counts.write_text(json.dumps(bench.merge({}, {name: 51.0}, {}, documented)))
            for files in [(times, counts), (counts, times)]:
                (row,) = bench.earlier(files, {})
                self.assertEqual((row["ns"], row["floor_ns"], row["instructions"]), (2.0, 1.0, 51.0))

    def test_a_check_fails_for_a_goal_of_instructions_that_is_missed(self):
        name = "vm-memory/x_bitmap_mark_dirty_1page"
        for locked, wanted in [(0.0, 0), (1.0, 1)]:
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                json.dump(bench.merge({name: 9.0}, {name: 30.0}, {name: locked}, {}), file)
                file.flush()
                status, said = self.run_with("--results", file.name, "--check")
                self.assertEqual(status, wanted, said)
                self.assertEqual("missed: no locked instruction" in said, wanted == 1, said)

    def test_what_is_no_result_and_a_page_of_a_part_are_refused(self):
        self.assertEqual(self.run_with("--results", __file__)[0], 2)
        self.assertEqual(self.run_with("--report", "--filter", "x", "--no-build")[0], 2)


if __name__ == "__main__":
    unittest.main()
