#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What summary.py counts."""
import json
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import summary  # noqa: E402

PASSED = "All tests passed (55 assertions in 7 test cases)\n"
FAILED = "test cases: 9 | 7 passed | 2 failed\nassertions: 20 | 18 passed | 2 failed\n"


def counts(*tests: dict) -> summary.Counts:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
        for test in tests:
            log.write(json.dumps(test) + "\n")
        log.flush()
        return summary.of_file(log.name)


def program(result: str, stdout: str = "", status: int = 0) -> dict:
    return {"name": "a", "result": result, "stdout": stdout, "returncode": status}


class Summary(unittest.TestCase):
    def check(self, test: dict, expected: str) -> None:
        self.assertEqual(str(counts(test)), expected)

    def test_cases_of_catch2_count_one_by_one(self) -> None:
        self.check(program("OK", PASSED), "7 passed, 0 failed, 0 skipped")
        self.check(program("FAIL", FAILED, 2), "7 passed, 2 failed, 0 skipped")
        self.check(program("FAIL", "test cases: 1 | 1 failed\n", 1),
                   "0 passed, 1 failed, 0 skipped")

    def test_one_case_is_written_in_the_singular(self) -> None:
        self.check(program("OK", "All tests passed (1 assertion in 1 test case)\n"),
                   "1 passed, 0 failed, 0 skipped")

    def test_other_programs_count_as_one(self) -> None:
        self.check(program("OK", "fine\n"), "1 passed, 0 failed, 0 skipped")
        self.check(program("FAIL", "", 1), "0 passed, 1 failed, 0 skipped")
        self.check(program("TIMEOUT"), "0 passed, 1 failed, 0 skipped")

    def test_a_program_that_fails_after_all_cases_have_passed_has_failed(self) -> None:
        self.check(program("FAIL", PASSED, -6), "7 passed, 1 failed, 0 skipped")

    def test_what_a_failed_program_said_is_told_in_part(self) -> None:
        said = program("FAIL", "".join(f"out {i}\n" for i in range(100)), 1)
        said["stderr"] = "".join(f"err {i}\n" for i in range(100))
        note = counts(said).notes[0]
        self.assertEqual(note.splitlines()[1], "  | out 75")
        self.assertEqual(note.splitlines()[-1], "  | err 24")
        self.assertEqual(counts(program("OK", PASSED)).notes, [])

    def test_a_skip_keeps_its_reason(self) -> None:
        result = counts(program("SKIP", "skipped: no such device\n", 77))
        self.assertEqual(str(result), "0 passed, 0 failed, 1 skipped")
        self.assertIn("no such device", result.notes[0])

    def test_a_second_try_is_told_and_not_counted(self) -> None:
        result = counts({"lab": "ok", "name": "a"}, {"lab": "ok", "name": "a", "again": True})
        self.assertEqual(str(result), "1 passed, 0 failed, 0 skipped")
        self.assertEqual(result.notes, ["passed at the second try only: a"])

    def test_lab_results(self) -> None:
        result = counts({"lab": "ok", "name": "a", "count": 5}, {"lab": "not ok", "name": "b"},
                        {"lab": "skip", "name": "c", "reason": "no such host"})
        self.assertEqual(str(result), "5 passed, 1 failed, 1 skipped")
        self.assertEqual(len(result.notes), 2)

    def test_missing_results_are_a_failure(self) -> None:
        self.assertEqual(summary.main(["plain=/nowhere/testlog.json"]), 1)


if __name__ == "__main__":
    unittest.main()
