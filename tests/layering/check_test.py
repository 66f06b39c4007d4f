#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Shows that each rule of check.py bites, on small trees."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.dont_write_bytecode = True
import check  # pylint: disable=wrong-import-position

LAYERS = """# {spdx}
layers = [
  ['base', 'base', []],
  ['sys-util', 'sys-util', ['base']],  # a comment
  ['vm-memory', 'vm-memory', ['base', 'sys-util']],
  ['fdt', 'fdt', ['base']],
  ['loader', 'loader', ['base', 'vm-memory']],
]
""".format(spdx=check.SPDX)
TOP = f"// {check.SPDX}\n"
HEADER = TOP + "#pragma once\n"


def problems(path, text, layers=LAYERS, others=()):
    """What check.py says about a project with this one file, and perhaps others: name and text."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, content in (("libs/meson.build", layers), (path, text), *others):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        return check.Check(root, check.tracked_files(root)).run()


BASE = "libs/base/include/vmm/base/x.h"
MEMORY = "libs/vm-memory/include/vmm/vm_memory/x.h"
CLEAN = [
    ("a header that includes its own library and the standard one", BASE,
     HEADER + "#include <cstdint>\n#include <vmm/base/y.h>\n"),
    ("an edge of the table", MEMORY, HEADER + "#include <vmm/sys_util/y.h>\n"),
    ("a source that includes the kernel's headers", "libs/base/src/x.cc",
     TOP + "#include <linux/kvm.h>\n"),
    ("a test that includes what is further below", "libs/loader/tests/x_test.cc",
     TOP + "#include <vmm/sys_util/y.h>\n"),
    ("a header of 300 lines", BASE, HEADER + "\n" * 298),
    ("a test that includes its library's own helper", "libs/base/tests/own.h",
     HEADER + '#include "tests/own.h"\n'),
]
REFUSED = [
    ("an edge upwards", BASE, HEADER + "#include <vmm/vm_memory/y.h>\n", "base may not include"),
    ("an edge that skips the table", "libs/loader/src/x.cc", TOP + "#include <vmm/sys_util/y.h>\n",
     "loader may not include sys-util"),
    ("an edge sideways, from a test", "libs/loader/tests/x_test.cc",
     TOP + "#include <vmm/fdt/y.h>\n", "loader may not include fdt"),
    ("a quoted edge", "libs/base/src/x.cc", TOP + '#include "vmm/fdt/y.h"\n', "may not include fdt"),
    ("an unknown library", BASE, HEADER + "#include <vmm/nowhere/y.h>\n", "belongs to no library"),
    ("a source that includes a test's header", "libs/base/src/x.cc",
     TOP + '#include "tests/other.h"\n', "leaves the library"),
    ("a file outside the table", "libs/ghost/src/x.cc", TOP, "belongs to no library"),
    ("a kernel header in the public face", BASE, HEADER + "#include <linux/kvm.h>\n", "neither"),
    ("a third-party header in the public face", BASE, HEADER + "#include <libfdt.h>\n", "neither"),
    ("a quoted include in the public face", BASE, HEADER + '#include "y.h"\n', "vmm/..."),
    ("a header in another library's folder", "libs/fdt/include/vmm/base/x.h", HEADER, "live in"),
    ("using namespace in a header", BASE, HEADER + "using namespace std;\n", "using namespace"),
    ("a header without a guard", BASE, TOP, "#pragma once"),
    ("a long header", BASE, HEADER + "\n" * 299, "301 lines"),
    ("a long source", "libs/base/src/x.cc", TOP + "\n" * 500, "501 lines"),
    ("a source without a licence", "libs/base/src/x.cc", "int x;\n", "no licence line"),
    ("a script without a licence", "tests/x.sh", "#!/bin/sh\n", "no licence line"),
    ("a name in camel case", "libs/base/src/fooBar.cc", TOP, "snake_case"),
    ("a test that isn't called one", "libs/base/tests/x.cc", TOP, "end in _test.cc"),
    ("a left-over marker", "libs/base/src/x.cc", TOP + "// TO" "DO: later\n", "left-over marker"),
]


class CheckTest(unittest.TestCase):
    def test_clean(self):
        for what, path, text in CLEAN:
            with self.subTest(what):
                self.assertEqual(problems(path, text), [])

    def test_refused(self):
        for what, path, text, message in REFUSED:
            with self.subTest(what):
                found = problems(path, text)
                self.assertEqual(len(found), 1, found)
                self.assertIn(message, found[0])

    def test_a_table_with_an_edge_upwards_is_refused(self):
        upwards = LAYERS.replace("['base', 'base', []]", "['base', 'base', ['fdt']]")
        self.assertIn("isn't below", problems(BASE, HEADER, upwards)[0])

    def test_a_source_that_is_not_built_is_refused(self):
        for built in ("src/x.cc", "tests/x_test.cc"):
            build = ("libs/base/meson.build", f"# {check.SPDX}\nsources = files('{built}')\n")
            self.assertEqual(problems(f"libs/base/{built}", TOP, others=[build]), [])
            found = problems("libs/base/src/y.cc", TOP, others=[build])
            self.assertEqual(len(found), 1, found)
            self.assertIn("does not name it", found[0])


if __name__ == "__main__":
    unittest.main()
