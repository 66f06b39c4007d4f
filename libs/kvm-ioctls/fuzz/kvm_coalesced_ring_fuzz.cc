// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any page as a coalesced ring: reading it ends, with at most as many stores as it has places,
// each of at most 8 bytes.

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "vmm/kvm_ioctls/coalesced_ring.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmm;
  constexpr std::size_t kPage = 4096;
  auto page = sys_util::Mapping::create(
      kPage, {.protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS});
  if (!page) return 0;
  if (size > 0) std::memcpy(page->data(), data, std::min(size, kPage));
  kvm_ioctls::CoalescedRing ring(std::move(*page));
  std::size_t stores = 0;
  for (;;) {
    const auto store = ring.next();
    if (!store || !store->has_value()) break;
    if (++stores > ring.slots() || (**store).span().size() > 8) std::abort();
  }
  return 0;
}
