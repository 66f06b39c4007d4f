// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver that does what the input says with a balloon: requests of any shape on any queue, writes
// to the configuration space, and a VMM that changes its mind meanwhile. Whatever happens: each run
// ends, only whole pages of the host inside of RAM are reclaimed, and after a reset the balloon
// works.

#include <array>

#include "fuzz_input.h"
#include "vmm/base/endian.h"
#include "vmm/virtio_balloon/balloon.h"
#include "vmm/virtio_device/testing/device_rig.h"

namespace {

using namespace vmm;
using virtio_balloon::Balloon;
using virtio_device::testing::Buffer;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::GuestHeap;

constexpr std::uint64_t kRam = std::uint64_t{4} << 20;

class CheckingReclaim final : public virtio_balloon::Reclaim {
 public:
  explicit CheckingReclaim(std::uint64_t granule) : granule_(granule) {}
  [[nodiscard]] std::uint64_t granule(const vm_memory::Region&) const override { return granule_; }
  void reclaim(const vm_memory::Region& region, const vm_memory::RegionPart& part) override {
    require(part.bytes != 0 && part.bytes % granule_ == 0 && part.offset % granule_ == 0);
    require(part.offset < region.bytes() && part.bytes <= region.bytes() - part.offset);
    ++calls;
  }
  int calls = 0;

 private:
  const std::uint64_t granule_;
};

Buffer take_buffer(Input& input) {
  const auto kind = input.byte();
  const std::uint64_t base = kind < 0xf0 ? GuestHeap::kBase + kRam / 2 : 0;
  return {GuestAddress(base + input.take<std::uint32_t>() % (kRam / 2)),
          input.take<std::uint16_t>() * ((kind & 2) != 0 ? 64u : 1u), (kind & 1) != 0};
}

void send(Input& input, DeviceRig& rig) {
  const auto queue = static_cast<std::uint16_t>(input.byte() % 5);
  std::array<Buffer, 4> buffers;
  const std::size_t count = 1 + input.byte() % buffers.size();
  for (std::size_t i = 0; i < count; ++i) {
    buffers[i] = take_buffer(input);
    if (!buffers[i].device_writable) {
      const auto bytes = input.bytes(input.take<std::uint16_t>() % 0x800);
      (void)rig.memory().write_bytes(buffers[i].address, bytes);
    }
  }
  (void)rig.send_raw(queue, std::span(buffers).first(count));
  rig.run();
  (void)rig.receive(queue);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const auto flags = input.byte();
  const auto reclaim = std::make_shared<CheckingReclaim>((flags & 1) != 0 ? 0x4000 : 0x1000);
  const auto balloon = *Balloon::create(
      {.target = 0, .deflate_on_oom = true, .page_reporting = true, .reclaim = reclaim});
  DeviceRig rig(balloon,
                {.packed = (flags & 2) != 0, .features = flags >> 2 & 0x37u, .ram_bytes = kRam});
  require(rig.start());
  for (int step = 0; step < 64 && !input.empty(); ++step) {
    const auto kind = input.byte();
    if (kind < 0x20) {
      balloon->request_statistics();
    } else if (kind < 0x30) {
      (void)balloon->set_target(input.take<std::uint64_t>());
    } else if (kind < 0x40) {
      rig.set_config(input.byte() % 16, Le32(input.take<std::uint32_t>()));
    } else if (kind < 0x44) {
      require(rig.start());
    } else {
      send(input, rig);
    }
  }
  require(rig.start() && balloon->actual() == 0);
  Le32 page(GuestHeap::kBase / 4096);
  reclaim->calls = 0;
  require(rig.exchange(0, {.readable = {virtio_device::testing::bytes_of(page)}, .writable = {}})
              .has_value());
  require(reclaim->calls ==
          (reclaim->granule(*rig.heap().memory().snapshot()->regions()[0]) == 4096 ? 1 : 0));
  return 0;
}
