#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""debian_check.py BUILD: whether the files that Meson would install are each in one Debian package,
by packaging/debian/*.install; and each program has a manual page. Nothing is built."""
import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
DEBIAN = TOP / "packaging/debian"


def installed(build: str) -> set[str]:
    """Files and folders as in a package, from usr/ on. The build may be one of static libraries: each
    stands for the shared one as well."""
    def ask(what: str):
        return json.loads(subprocess.run(["meson", "introspect", what, build], check=True,
                                         stdout=subprocess.PIPE, text=True).stdout)
    prefix = next(o["value"] for o in ask("--buildoptions") if o["name"] == "prefix")
    found = {path.replace(prefix, "usr", 1) for path in ask("--installed").values()}
    archives = {name.removesuffix(".a") for name in found if name.endswith(".a")}
    return found | {name + end for name in archives for end in (".so", ".so.0")}


def patterns() -> dict[str, list[str]]:
    """Of each package; a second word of a line says where to, not what."""
    return {path.stem: [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines()]
            for path in DEBIAN.glob("*.install")}


def takes(pattern: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, pattern + "/*")


def problems(names: set[str]) -> list[str]:
    found = []
    packages = patterns()
    for name in sorted(names):
        homes = [package for package, all_of in packages.items()
                 if any(takes(pattern, name) for pattern in all_of)]
        if len(homes) != 1:
            found.append(f"{name} is in {homes or 'no package'}")
    for package, all_of in packages.items():
        found += [f"{package}: {pattern} is not installed" for pattern in all_of
                  if not any(takes(pattern, name) for name in names)]
    for program in sorted(name for name in names if name.startswith("usr/bin/")):
        page = f"usr/share/man/man1/{Path(program).name}.1"
        if page not in names:
            found.append(f"{program} has no manual page")
    control = (DEBIAN / "control").read_text(encoding="utf-8")
    named = set(re.findall(r"^Package: (\S+)", control, re.M))
    if named != set(packages):
        found.append(f"control has {sorted(named)}, there are files for {sorted(packages)}")
    return found


def main() -> int:
    found = problems(installed(sys.argv[1]))
    print("\n".join(found) or "each installed file is in one Debian package")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
