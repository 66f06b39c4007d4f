// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Besides what device_fuzz.h promises: no block is plugged or unplugged twice, none outside of the
// usable region, and the sizes that the driver reads are right.

#include "device_fuzz.h"
#include "vmm/virtio_mem/mem.h"

namespace {

using namespace vmm;

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kBlocks = 100;
constexpr GuestAddress kBase{0x10'0000};

/// A second book of what is plugged.
class CheckingBlocks final : public virtio_mem::MemoryBlocks {
 public:
  Result<void> plug(const AddressRange& range) override {
    if (refuses) return fail(Error::os(ENOMEM, "plug"));
    for (const std::uint64_t block : blocks(range)) {
      require(!plugged[block]);
      plugged[block] = true;
    }
    return {};
  }
  Result<void> unplug(const AddressRange& range) override {
    if (refuses) return fail(Error::os(EBUSY, "unplug"));
    for (const std::uint64_t block : blocks(range)) plugged[block] = false;
    return {};
  }

  std::array<bool, kBlocks> plugged{};
  bool refuses = false;

 private:
  static std::vector<std::uint64_t> blocks(const AddressRange& range) {
    const std::uint64_t offset = range.base.raw() - kBase.raw();
    require(range.base >= kBase && range.size != 0 && offset % kBlock == 0);
    require(range.size % kBlock == 0 && offset + range.size <= kBlocks * kBlock);
    std::vector<std::uint64_t> all;
    for (std::uint64_t at = 0; at < range.size; at += kBlock) all.push_back((offset + at) / kBlock);
    return all;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The device refuses drivers that do not want UNPLUGGED_INACCESSIBLE, the second feature; the
  // features that are not wanted follow the three bytes that are taken first.
  std::vector<std::uint8_t> script(data, data + size);
  if (script.size() > 3) script[3] &= 0xfd;
  Input input(script.data(), script.size());
  const auto blocks = std::make_shared<CheckingBlocks>();
  const auto mem = *virtio_mem::Mem::create({.region = {kBase, kBlocks * kBlock},
                                             .block_bytes = kBlock,
                                             .requested = input.byte() % kBlocks * kBlock,
                                             .headroom = input.byte() * 0x800u,
                                             .blocks = blocks});
  const auto check = [&] {
    const auto count = std::ranges::count(blocks->plugged, true);
    require(mem->plugged() == static_cast<std::uint64_t>(count) * kBlock);
    require(mem->usable() <= kBlocks * kBlock && mem->usable() >= mem->requested());
    for (std::uint64_t block = mem->usable() / kBlock; block < kBlocks; ++block) {
      require(!blocks->plugged[block]);
    }
  };
  fuzz_device(mem, input, [&](Input& event) {
    check();
    switch (event.byte() % 4) {
      case 0:
        blocks->refuses = (event.byte() & 1) != 0;
        return;
      case 1:
        (void)mem->unplug_all();
        return;
      default:
        (void)mem->set_requested(event.byte() * kBlock);
    }
  });
  check();
  return 0;
}
