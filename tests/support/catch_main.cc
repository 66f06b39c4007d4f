// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#define CATCH_CONFIG_RUNNER
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstring>

namespace {

// Whether this is a kernel with KVM: an emulator of programs may show the file, but not the rest.
bool have_kvm() {
  constexpr unsigned long kGetApiVersion = 0xae00;
  const int fd = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  const int version = ::ioctl(fd, kGetApiVersion, 0);
  ::close(fd);
  return version == 12;
}

}  // namespace

// --if-kvm: exit with 77 ("skipped") where /dev/kvm can't be used, so that the same program runs
// on hosts with KVM and in the lab.
int main(int argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--if-kvm") != 0) {
      argv[kept++] = argv[i];
    } else if (!have_kvm()) {
      std::puts("skipped: no usable /dev/kvm on this host (these tests run in the lab)");
      return 77;
    }
  }
  return Catch::Session().run(kept, argv);
}
