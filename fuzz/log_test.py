#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Tests of log.py."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LOG = Path(__file__).with_name("log.py")


class Log(unittest.TestCase):
    def test_runs_are_added_up(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log.md"
            for run in (("queue_split", 10, 1000, 50, 1), ("aml", 5, 7, 9, 0),
                        ("queue_split", 20, 500, 60, 2)):
                subprocess.run([sys.executable, LOG, path, *map(str, run)], check=True)
            text = path.read_text(encoding="utf-8")
        self.assertIn("| aml | 5 | 7 | 9 | 0 |\n| queue_split | 30 | 1500 | 60 | 3 |\n", text)
        self.assertIn("1507 executions, 3 findings", text)
        self.assertEqual(text.count("# Fuzzing so far"), 1)


if __name__ == "__main__":
    unittest.main()
