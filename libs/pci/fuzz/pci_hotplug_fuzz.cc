// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Scripts of accesses to the registers of hot-plug, and of devices that come and are asked for,
// beside a model: nothing is ejected that was not asked for, and nothing twice.

#include <array>
#include <map>
#include <utility>

#include "fuzz_input.h"
#include "vmm/base/endian.h"
#include "vmm/pci/hotplug.h"

namespace {

using namespace vmm;
using namespace vmm::pci;

class Script final : public EjectListener {
 public:
  Script(Input input, std::uint16_t segments)
      : input_(input), segments_(segments), registers_(segments, *this) {}

  void run() {
    for (int step = 0; step < 256 && !input_.empty(); ++step) one();
    check();
  }
  void ejected(FunctionAddress slot) override {
    require(asked_[{slot.segment, slot.slot}]);
    asked_[{slot.segment, slot.slot}] = false;
  }

 private:
  void one() {
    const std::uint8_t kind = input_.byte();
    const FunctionAddress slot{.segment = input_.byte(), .slot = input_.byte(), .function = 0};
    const bool exists = slot.segment < segments_ && slot.slot < 32;
    bool& asked = asked_[{slot.segment, slot.slot}];
    std::array<std::byte, 8> data{};
    const auto access = std::span(data).first(1 + kind % 8);
    switch (kind >> 5) {
      case 0:
        require(registers_.plugged(slot).has_value() == exists);
        asked = false;
        break;
      case 1:
        require(registers_.ask_for(slot).has_value() == exists);
        asked = exists;
        break;
      case 2:
        registers_.forget(slot);
        asked = false;
        break;
      case 3:
      case 4:
        registers_.read(slot.slot, access);
        break;
      default:
        std::ranges::copy(input_.bytes(access.size()), data.begin());
        registers_.write(slot.slot, access);
    }
  }
  // All that was asked for, and that alone, can still be ejected.
  void check() {
    std::array<std::byte, 4> data{};
    for (std::uint32_t segment = 0; segment < segments_; ++segment) {
      store_le(data.data(), segment);
      registers_.write(HotplugRegisters::kSegmentSelect, data);
      store_le(data.data(), ~std::uint32_t{0});
      registers_.write(HotplugRegisters::kEject, data);
      for (const std::uint64_t offset : {HotplugRegisters::kDown, HotplugRegisters::kUp}) {
        registers_.read(offset, data);
        registers_.read(offset, data);
        require(load_le<std::uint32_t>(data.data()) == 0);
      }
    }
    for (const auto& [slot, asked] : asked_) require(!asked);
  }

  Input input_;
  const std::uint16_t segments_;
  std::map<std::pair<std::uint16_t, std::uint8_t>, bool> asked_;
  HotplugRegisters registers_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const auto segments = static_cast<std::uint16_t>(1 + input.byte());
  Script(input, segments).run();
  return 0;
}
