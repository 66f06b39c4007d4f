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

// A KVM that is not the kernel's module answers in its own way; the lab has a real one. Other
// architectures have KVM built in.
bool is_in_software() {
#ifdef __x86_64__
  return ::access("/sys/module/kvm_intel", F_OK) != 0 && ::access("/sys/module/kvm_amd", F_OK) != 0;
#else
  return false;
#endif
}

}  // namespace

// --if-kvm: exit with 77 ("skipped") where there is no KVM in hardware, so that the same program
// runs on hosts with KVM and in the lab.
int main(int argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--if-kvm") != 0) {
      argv[kept++] = argv[i];
    } else if (!have_kvm()) {
      std::puts("skipped: no usable /dev/kvm on this host (these tests run in the lab)");
      return 77;
    } else if (is_in_software()) {
      std::puts("skipped: this host's KVM is not the kernel's own (these tests run in the lab)");
      return 77;
    }
  }
  return Catch::Session().run(kept, argv);
}
