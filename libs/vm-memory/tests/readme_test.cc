// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The example of README.md.

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vm_memory/guest_memory.h"

namespace {

using namespace vmm;
using namespace vmm::vm_memory;

Result<void> boot(const std::vector<RegionConfig>& ram, int kernel_fd) {
  VMM_TRY(const GuestMemory memory, GuestMemory::create(ram));
  const MemoryView view = memory.view();
  for (const RegionSpan& region : view.regions()) {
    CHECK_FALSE(region.host.empty());
  }
  VMM_TRY_DO(view.read_from_file(kernel_fd, 0, GuestAddress(0x100000), 0x8000));
  VMM_TRY_DO(view.write(GuestAddress(0x7000), Le32(42)));
  VMM_TRY(const Le32 back, view.read<Le32>(GuestAddress(0x7000)));
  if (back.get() != 42) return fail(Error::os(EIO, "guest memory"));
  return {};
}

TEST_CASE("the example of the README works", "[readme]") {
  const UniqueFd kernel(::memfd_create("kernel", MFD_CLOEXEC));
  REQUIRE(::ftruncate(kernel.get(), 0x8000) == 0);
  const std::vector<RegionConfig> ram{{.base = GuestAddress(0), .bytes = 2 << 20}};
  CHECK(boot(ram, kernel.get()));
  REQUIRE(::ftruncate(kernel.get(), 0x7fff) == 0);
  CHECK(boot(ram, kernel.get()).error().is_os(ENODATA));
}

}  // namespace
