// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each call that makes guest memory fails once: the reason is told, and nothing is left of it.

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "faulty_calls.h"
#include "open_fds.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::vm_memory {
namespace {

constexpr std::uint64_t kBytes = 4 << 20;

TEST_CASE("memory that cannot be made says why, and leaves no mapping and no descriptor",
          "[region][faults]") {
  if (!faulty_calls::kMakersFail) return;  // under ThreadSanitizer
  const int error = GENERATE(ENOMEM, EMFILE, ENFILE, EINTR);
  const std::uint32_t calls = faulty_calls::kOpen | faulty_calls::kMap | faulty_calls::kSpace;
  const sys_util::MemFd file = *sys_util::MemFd::create(kBytes);
  const std::vector<RegionConfig> configs = {
      {.base = GuestAddress(0), .bytes = kBytes, .backing = Backing::kMemfd},
      {.base = GuestAddress(kBytes), .bytes = kBytes, .backing = Backing::kAnonymous},
      {.base = GuestAddress(2 * kBytes),
       .bytes = kBytes,
       .backing = Backing::kFile,
       .fd = file.fd(),
       .shared = true},
      {.base = GuestAddress(3 * kBytes), .bytes = kBytes, .dirty_tracking = true},
  };
  const std::size_t before = open_fds();
  const auto mapped = faulty_calls::mapped_bytes();
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(error, nth);
    faulty_calls::arm({.nth = nth, .error = error, .calls = calls});
    const auto memory = GuestMemory::create(configs);
    const bool failed = faulty_calls::disarm();
    CHECK(memory.has_value() == !failed);
    if (!memory) CHECK(memory.error().is_os(error));
    if (!failed) {
      CHECK(faulty_calls::mapped_bytes() - mapped == 4 * static_cast<std::int64_t>(kBytes));
      CHECK(nth > 6);
      break;
    }
    CHECK(open_fds() == before);
    CHECK(faulty_calls::mapped_bytes() == mapped);
  }
  CHECK(open_fds() == before);
  CHECK(faulty_calls::mapped_bytes() == mapped);
}

}  // namespace
}  // namespace vmm::vm_memory
