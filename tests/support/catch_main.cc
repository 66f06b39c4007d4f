// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#define CATCH_CONFIG_RUNNER
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstring>

// --if-kvm: exit with 77 ("skipped") where /dev/kvm can't be used, so that the same program runs
// on hosts with KVM and in the lab.
int main(int argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--if-kvm") != 0) {
      argv[kept++] = argv[i];
    } else if (::access("/dev/kvm", R_OK | W_OK) != 0) {
      std::puts("skipped: no usable /dev/kvm on this host (these tests run in the lab)");
      return 77;
    }
  }
  return Catch::Session().run(kept, argv);
}
