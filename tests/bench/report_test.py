#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Tests of report.py."""

import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.dont_write_bytecode = True
import report  # pylint: disable=wrong-import-position


def peer(name, ns, instructions, floor_ns=None, bulk=False):
    return {name: {"peer": name, "ns": ns, "instructions": instructions, "floor_ns": floor_ns, "bulk": bulk}}


def ours(name, ns, instructions, floor_ns=None, floor_instructions=None):
    return {"name": name, "ns": ns, "instructions": instructions, "floor_ns": floor_ns,
            "floor_instructions": floor_instructions}


GOAL = ("less than theirs", r"q/", "instructions", "firecracker", 1)


class CollectTest(unittest.TestCase):
    def test_every_row_of_a_peer_is_there_measured_or_not_and_then_ours(self):
        libraries = report.collect([ours("q/own", 1.0, 2.0), ours("q/b", 3.0, 4.0)],
                                   {"q/a": peer("rust-vmm", 5.0, 6.0, 7.0), "q/b": peer("rust-vmm", 8.0, 9.0)})
        self.assertEqual([row["name"] for row in libraries["q"]], ["q/a", "q/b", "q/own"])
        self.assertEqual(libraries["q"][0]["ns"],
                         {"ours": None, "floor": 7.0, "rust-vmm": 5.0, "firecracker": None})
        self.assertEqual(libraries["q"][1]["instructions"]["ours"], 4.0)

    def test_a_floor_that_was_measured_wins_over_the_documented_one(self):
        row = report.collect([ours("q/a", 3.0, 4.0, 2.0)], {"q/a": peer("rust-vmm", 5.0, 6.0, 7.0)})["q"][0]
        self.assertEqual(row["ns"]["floor"], 2.0)

    def test_counts_of_bulk_copies_are_not_compared(self):
        row = report.collect([ours("q/a", 3.0, 4.0)], {"q/a": peer("rust-vmm", 6.0, 8.0, bulk=True)})["q"][0]
        self.assertIsNone(report.ratio(row, "instructions", "rust-vmm"))
        self.assertEqual(report.ratio(row, "ns", "rust-vmm"), 0.5)


class GoalTest(unittest.TestCase):
    def judge(self, *rows):
        peers = {"q/a": peer("firecracker", 1.0, 100.0), "q/b": peer("firecracker", 1.0, 200.0)}
        return report.judge(report.collect(rows, peers), GOAL)

    def test_the_worst_row_decides(self):
        self.assertEqual(self.judge(ours("q/a", None, 50.0), ours("q/b", None, 190.0)),
                         ("less than theirs", "0.95 (instructions of 2 rows, b)", "1.00", "met"))
        self.assertEqual(self.judge(ours("q/a", None, 101.0), ours("q/b", None, 190.0))[3], "**missed**")

    def test_a_goal_against_nobody_is_about_the_figure_itself(self):
        goal = ("no locks", r"q/", "locked", None, 0)
        for locked, verdict in [(0.0, "met"), (0.5, "**missed**")]:
            rows = [ours("q/a", 1.0, 2.0) | {"locked": locked}, ours("q/b", 1.0, 2.0)]
            self.assertEqual(report.judge(report.collect(rows, {}), goal),
                             ("no locks", f"{locked:.2f} (locked instructions)", "0.00", verdict))

    def test_what_was_not_measured_is_neither_met_nor_missed(self):
        self.assertEqual(self.judge(), ("less than theirs", "-", "1.00", "not measured"))


class PageTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.docs = pathlib.Path(self.folder.name)
        (self.docs / "performance").mkdir()
        (self.docs / "performance/old.svg").write_text("")
        peers = {"q/a<b": peer("rust-vmm", 400.0, 2000.0) | peer("firecracker", 20.0, 300.0),
                 "q/none": peer("rust-vmm", 1.0, 2.0), "k/none": peer("rust-vmm", 1.0, 2.0)}
        report.write(self.docs, [ours("q/a<b", 10.0, 150.0, 8.0, 100.0)], peers, "Made here.\n")
        self.page = (self.docs / "performance.md").read_text()

    def test_a_row_shows_its_figures_and_ratios(self):
        self.assertIn("| a<b | 150 | 2,000 (0.07) | 300 (0.50) | 100 (1.50) | 10.0 | 400 (0.03) | 20.0 (0.50) "
                      "| 8.00 (1.25) |", self.page)
        self.assertIn("Made here.", self.page)

    def test_what_was_not_measured_is_told(self):
        self.assertIn("| none | - | 2.00 |", self.page)
        self.assertIn("Of 3 rows that peers have, 1 were measured here", self.page)

    def test_columns_without_a_figure_are_left_out(self):
        self.assertIn("| row | rust-vmm's | rust-vmm's |\n", self.page.split("## k")[1])

    def test_pictures_are_of_what_can_be_compared_and_of_nothing_else(self):
        names = sorted(path.name for path in (self.docs / "performance").iterdir())
        self.assertEqual(names, ["overview.svg", "q.svg"])
        self.assertNotIn("performance/k.svg", self.page)
        root = xml.etree.ElementTree.parse(self.docs / "performance/q.svg").getroot()
        bars = [part for part in root if part.get("class") == "ours"]
        self.assertEqual(len(bars), 1)
        self.assertAlmostEqual(float(bars[0].get("width")), (860 - 330 - 60) * 0.075 / 1.25, places=1)
        marks = {part.get("class"): float(part.get("x1")) for part in root if part.get("class") in ("fc", "floor")}
        self.assertGreater(marks["fc"], marks["floor"])


if __name__ == "__main__":
    unittest.main()
