# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
{
  description = "C++20 building blocks for virtual machine monitors on KVM, and a reference VMM";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.11";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (pkgs: rec {
        cpp-vmm = pkgs.callPackage ./packaging/nix/package.nix { };
        default = cpp-vmm;
      });

      overlays.default = final: prev: {
        cpp-vmm = final.callPackage ./packaging/nix/package.nix { };
      };

      devShells = each (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.system}.default ];
          packages = [
            pkgs.catch2
            pkgs.ccache
            pkgs.cmake
          ];
        };
      });
    };
}
