#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""The completions of vmm-reference in the shells that are installed.

completion_test.py FOLDER: where they are."""
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

FOLDER = ""


def bash_proposals(line, cwd):
    """What bash proposes at the end of a line."""
    words = []  # as bash splits: "=" is a word
    for word in line.split(" ")[:-1] + [line.split(" ")[-1]]:
        parts = word.split("=")
        for at, part in enumerate(parts):
            words += ([] if at == 0 else ["="]) + ([part] if part or len(parts) == 1 else [])
    if line.endswith("="):
        words.append("")
    script = f"""
source {shlex.quote(FOLDER + "/vmm-reference.bash")}
COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}
COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
_vmm_reference 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, cwd=cwd, check=True)
    return [word for word in done.stdout.split("\n") if word]


class CompletionTest(unittest.TestCase):
    def test_syntax(self):
        for shell, file in (("bash", "vmm-reference.bash"), ("zsh", "_vmm-reference"), ("fish", "vmm-reference.fish")):
            with self.subTest(shell):
                if shutil.which(shell) is None:
                    self.skipTest(f"no {shell} here")
                done = subprocess.run([shell, "-n", f"{FOLDER}/{file}"], capture_output=True, text=True, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    @unittest.skipIf(shutil.which("bash") is None, "no bash here")
    def test_bash(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("vmlinuz", "disk.img"):
                open(os.path.join(folder, name), "wb").close()
            for line, wanted in (
                    ("vmm-reference --kern", ["--kernel"]),
                    ("vmm-reference --kernel vml", ["vmlinuz"]),
                    ("vmm-reference --cpus bo", ["boot="]),
                    ("vmm-reference --cpus boot=2,aff", ["2,affinity="]),
                    ("vmm-reference --disk path=di", ["disk.img"]),
                    ("vmm-reference --disk path=disk.img,reado", ["disk.img,readonly="]),
                    ("vmm-reference --disk path=a path=b,dir", ["b,direct="]),
                    ("vmm-reference --serial pt", ["pty"]),
                    ("vmm-reference --transport m", ["mmio"]),
                    ("vmm-reference --cmdline con", []),
                    ("vmm-reference --numa gu", [])):
                with self.subTest(line):
                    self.assertEqual(bash_proposals(line, folder), wanted)

    @unittest.skipIf(shutil.which("fish") is None, "no fish here")
    def test_fish(self):
        for line, wanted in (("vmm-reference --kern", "--kernel"), ("vmm-reference --cpus boot=2,aff", "boot=2,affinity=")):
            with self.subTest(line):
                script = f"source {shlex.quote(FOLDER)}/vmm-reference.fish; complete -C {shlex.quote(line)}"
                done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True)
                self.assertIn(wanted, [got.split("\t")[0] for got in done.stdout.split("\n")])


if __name__ == "__main__":
    FOLDER = sys.argv[1]
    unittest.main(argv=sys.argv[:1], verbosity=2)
