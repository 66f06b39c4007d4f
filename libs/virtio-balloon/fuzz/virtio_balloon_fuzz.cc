// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Besides what device_fuzz.h promises: only whole pages inside of RAM are reclaimed.

#include <sys/mman.h>

#include "device_fuzz.h"
#include "vmm/virtio_balloon/balloon.h"

namespace {

using namespace vmm;
using virtio_balloon::Balloon;

/// Takes pages of one size, or gives them to the host, which takes them out of the rings as well.
class CheckingReclaim final : public virtio_balloon::Reclaim {
 public:
  CheckingReclaim(std::uint64_t granule, bool discards) : granule_(granule), discards_(discards) {}

  [[nodiscard]] std::uint64_t granule(const vm_memory::Region&) const override { return granule_; }
  void reclaim(const vm_memory::Region& region, const vm_memory::RegionPart& part) override {
    require(part.bytes != 0 && part.bytes % granule_ == 0 && part.offset % granule_ == 0);
    require(part.offset < region.bytes() && part.bytes <= region.bytes() - part.offset);
    if (!discards_) return;
    std::byte* const at = region.host().data() + part.offset;
    require(::madvise(at, part.bytes, MADV_DONTNEED) == 0);
  }

 private:
  const std::uint64_t granule_;
  const bool discards_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const auto flags = input.byte();
  const auto balloon =
      *Balloon::create({.target = 0,
                        .deflate_on_oom = true,
                        .page_reporting = true,
                        .reclaim = std::make_shared<CheckingReclaim>(
                            (flags & 1) != 0 ? 0x10000 : 0x1000, (flags & 2) != 0)});
  fuzz_device(balloon, input, [&](Input& script) {
    if ((script.byte() & 1) != 0) return balloon->request_statistics();
    (void)balloon->set_target(script.take<std::uint64_t>());
  });
  return 0;
}
