// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "balloon_device.h"

#include <catch2/catch.hpp>

#include "vmm/vm_memory/region.h"

namespace vmm::reference {
namespace {

class Counting final : public virtio_balloon::Reclaim {
 public:
  [[nodiscard]] std::uint64_t granule(const vm_memory::Region&) const override { return 8192; }
  void reclaim(const vm_memory::Region&, const vm_memory::RegionPart& part) override {
    bytes += part.bytes;
  }
  std::uint64_t bytes = 0;
};

TEST_CASE("pages of the balloon stay while devices of the host have them", "[balloon]") {
  const auto counting = std::make_shared<Counting>();
  PinnableReclaim reclaim(counting);
  const auto region = *vm_memory::Region::create({.base = GuestAddress(0), .bytes = 1 << 16});
  CHECK(reclaim.granule(*region) == 8192);
  reclaim.reclaim(*region, {.offset = 0, .bytes = 8192});
  CHECK(counting->bytes == 8192);
  reclaim.set_pinned(true);
  reclaim.reclaim(*region, {.offset = 8192, .bytes = 8192});
  CHECK(counting->bytes == 8192);
  reclaim.set_pinned(false);
  reclaim.reclaim(*region, {.offset = 8192, .bytes = 8192});
  CHECK(counting->bytes == 16384);
}

}  // namespace
}  // namespace vmm::reference
