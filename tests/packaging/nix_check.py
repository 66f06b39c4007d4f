#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Evaluates flake.nix and packaging/nix/package.nix without a network: nixpkgs is a few lines here, a
package of it just its name. Not shown by this: that the names exist in nixpkgs, and that it builds.

Exit status 77 (skipped) without nix-instantiate (Debian: nix-bin)."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]

# mkDerivation gives its arguments back; callPackage fills in what a function asks for by name, and
# fails for what is not listed.
NIXPKGS = """
  lib = {
    genAttrs = names: f:
      builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
    cleanSource = path: "source";
    licenses = { asl20 = "Apache-2.0"; bsd3 = "BSD-3-Clause"; };
  };
  names = [ "boost" "catch2" "ccache" "cmake" "dtc" "libseccomp" "libslirp" "liburing" "meson"
    "ninja" "pkg-config" "zlib" "zstd" ];
  system = name: let
    pkgs = lib.genAttrs names (package: package) // {
      inherit lib;
      system = name;
      stdenv.mkDerivation = arguments: arguments;
      mkShell = arguments: arguments;
      callPackage = path: overrides: let f = import path; in
        f (builtins.intersectAttrs (builtins.functionArgs f) pkgs // overrides);
    };
  in pkgs;
  nixpkgs = { inherit lib; legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] system; };
  flake = import FLAKE;
  outputs = flake.outputs { inherit nixpkgs; self = outputs; };
"""


def nix(*words: str) -> str:
    environment = os.environ | {"NIX_REMOTE": "dummy://", "HOME": "/nonexistent"}
    done = subprocess.run(["nix-instantiate", *words], env=environment, check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"nix-instantiate {words[0]}: {done.stderr.strip()}")
    return done.stdout


def evaluate(expression: str):
    text = f"let {NIXPKGS.replace('FLAKE', str(TOP / 'flake.nix'))} in {expression}"
    return json.loads(nix("--eval", "--strict", "--json", "--expr", text))


def used_dependencies() -> set[str]:
    """What the libraries and programs are built with, by their names in nixpkgs."""
    # As the build files name them; what has a wrap file has its name there.
    names = {"boost": "boost", "libfdt": "dtc", "libseccomp": "libseccomp", "liburing": "liburing",
             "libzstd": "zstd", "slirp": "libslirp", "zlib": "zlib"}
    text = "".join(path.read_text(encoding="utf-8") for folder in ("libs", "examples")
                   for path in (TOP / folder).rglob("meson.build"))
    found = set(re.findall(r"\bdependency\('([a-z0-9-]+)'", text)) - {"threads"}
    found |= set(re.findall(r"find_library\('(slirp)'", text))
    unknown = found - set(names)
    if unknown:
        sys.exit(f"packaging/nix/package.nix and this test have to learn of {sorted(unknown)}")
    return {names[name] for name in found}


def main() -> int:
    if shutil.which("nix-instantiate") is None:
        print("skipped: no nix-instantiate here (Debian: nix-bin)")
        return 77
    for file in ("flake.nix", "packaging/nix/package.nix"):
        nix("--parse", str(TOP / file))
    found = []
    version = re.search(r"^  version: '([^']+)'", (TOP / "meson.build").read_text("utf-8"), re.M)[1]
    for system in ("x86_64-linux", "aarch64-linux"):
        package = evaluate(f"outputs.packages.{system}.default")
        if package["version"] != version:
            found.append(f"{system}: version {package['version']}, meson.build has {version}")
        if set(package["buildInputs"]) != used_dependencies():
            found.append(f"{system}: built with {package['buildInputs']}, "
                         f"needed are {sorted(used_dependencies())}")
        if system not in package["meta"]["platforms"]:
            found.append(f"{system} is none of the package's platforms")
        evaluate(f"outputs.devShells.{system}.default")
    evaluate('(outputs.overlays.default nixpkgs.legacyPackages.x86_64-linux {}).cpp-vmm')
    print("\n".join(found) or "flake.nix and packaging/nix/package.nix evaluate")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
