# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# pkgs.callPackage ./packaging/nix/package.nix { }
#
# The libraries with their headers, vmm-reference, vmm-net-user and the daemons.
{
  lib,
  stdenv,
  meson,
  ninja,
  pkg-config,
  boost,
  dtc,
  libseccomp,
  libslirp,
  liburing,
  zlib,
  zstd,
}:

stdenv.mkDerivation {
  pname = "cpp-vmm";
  version = builtins.head (
    builtins.match ".*[^_]version: '([0-9.]+)'.*" (builtins.readFile ../../meson.build)
  );

  src = lib.cleanSource ../..;

  outputs = [
    "out"
    "dev"
    "man"
  ];

  nativeBuildInputs = [
    meson
    ninja
    pkg-config
  ];

  buildInputs = [
    boost
    dtc
    libseccomp
    libslirp
    liburing
    zlib
    zstd
  ];

  # The tests need KVM, root and disk images: ./dev test.
  mesonFlags = [
    "-Ddefault_library=shared"
    "-Dstatic_programs=false"
    "-Dtests=false"
    "-Dwerror=false"
  ];

  meta = {
    description = "Building blocks for virtual machine monitors on KVM, and a VMM made of them";
    license = with lib.licenses; [
      asl20
      bsd3
    ];
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
    mainProgram = "vmm-reference";
  };
}
