// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Scripts of configuration accesses to a segment whose devices come and go. Whatever a guest
// writes: the buses hold exactly the BARs that their functions say are decoded, each inside a
// window, none over what was there before; what is read-only stays.

#include <array>

#include "fuzz_input.h"
#include "tests/board.h"

namespace {

using namespace vmm;
using namespace vmm::pci;

const std::array<std::vector<Bar>, 3> kBars{{
    {kBar32, kBar64, kBarIo},
    {{.index = 0, .kind = BarKind::kMemory64, .size = 0x8'0000, .alignment = 0x80'0000},
     {.index = 2, .kind = BarKind::kMemory64, .size = 0x1'0000'0000, .prefetchable = true}},
    {{.index = 1, .kind = BarKind::kMemory32, .size = 16},
     {.index = 3, .kind = BarKind::kIo, .size = 4},
     {.index = 4, .kind = BarKind::kMemory64, .size = 0x1000}},
}};
constexpr std::uint64_t kOther = 0xc400'0000;  // a device that is no PCI function

class Other final : public vm_device::BusDevice {
 public:
  void read(std::uint64_t, std::span<std::byte> data) override {
    std::ranges::fill(data, std::byte{0x11});
  }
  void write(std::uint64_t, std::span<const std::byte>) override {}
};

class Script {
 public:
  explicit Script(Input input) : input_(input) {
    (void)board_.mmio.add(GuestAddress(kOther), 0x1000, std::make_shared<Other>());
    for (std::size_t slot = 0; slot < kBars.size(); ++slot) plug(slot);
  }
  void run() {
    for (int step = 0; step < 256 && !input_.empty(); ++step) {
      one();
      check();
    }
    for (auto& device : devices_) {
      if (device != nullptr) (void)board_.segment->remove(device->attached.slot);
    }
    require(board_.mmio.size() == 1 && board_.ports.size() == 0);
  }

 private:
  void plug(std::size_t slot) {
    auto device = std::make_shared<TestFunction>(kBars[slot]);
    const auto added = board_.segment->add(device, {.slot = static_cast<std::uint8_t>(slot)});
    if (added) devices_[slot] = std::move(device);
  }
  void one() {
    const std::uint8_t kind = input_.byte();
    const std::size_t slot = input_.byte() % kBars.size();
    const std::uint64_t offset = input_.take<std::uint16_t>() % (2 * kConfigBytes);
    const std::size_t width = 1 + kind % 8;
    std::array<std::byte, 8> data{};
    const auto access = std::span(data).first(width);
    if (kind >= 0x20) std::ranges::copy(input_.bytes(width), data.begin());
    if (kind < 0x08) {
      if (devices_[slot] == nullptr) return plug(slot);
      require(board_.segment->remove(static_cast<std::uint8_t>(slot)).has_value());
      devices_[slot].reset();
    } else if (kind < 0x20) {
      ecam_.read(slot * 8 * kConfigBytes + offset, access);
    } else if (kind < 0xa0) {
      ecam_.write(slot * 8 * kConfigBytes + offset % kConfigBytes, access);
    } else if (kind < 0xc0) {
      ports_.read(offset % ConfigPorts::kSize, access);
    } else {
      ports_.write(offset % ConfigPorts::kSize, access);
    }
  }
  void check() {
    std::size_t memory = 1;
    std::size_t ports = 0;
    for (std::size_t slot = 0; slot < kBars.size(); ++slot) {
      if (devices_[slot] == nullptr) continue;
      TestFunction& device = *devices_[slot];
      require(board_.config<std::uint32_t>(device, kVendorId) == 0x5678'1234);
      require(board_.config<std::uint8_t>(device, kInterruptPin) == 1);
      for (const Bar& bar : kBars[slot]) {
        const auto at = device.endpoint.decoded_at(bar.index);
        if (!at) continue;
        (bar.kind == BarKind::kIo ? ports : memory) += 1;
        require(*at % bar.size == 0 && inside(bar, *at));
        require(answers(bar, *at));
      }
    }
    require(board_.mmio.size() == memory && board_.ports.size() == ports);
    require(board_.memory_at(kOther) == 0x11 && board_.memory_at(kOther + 0xfff) == 0x11);
  }
  static bool within(std::uint64_t at, std::uint64_t size, std::uint64_t base,
                     std::uint64_t bytes) {
    return at >= base && at - base <= bytes && size <= bytes - (at - base);
  }
  static bool inside(const Bar& bar, std::uint64_t at) {
    if (bar.kind == BarKind::kIo) {
      return within(at, bar.size, kPortWindow.base, kPortWindow.size);
    }
    if (within(at, bar.size, kLow.base.raw(), kLow.size)) return true;
    return bar.kind == BarKind::kMemory64 && within(at, bar.size, kHigh.base.raw(), kHigh.size);
  }
  bool answers(const Bar& bar, std::uint64_t at) {
    const std::uint8_t expected = static_cast<std::uint8_t>(0xb0 | bar.index);
    if (bar.kind == BarKind::kIo) {
      return board_.port_at(static_cast<std::uint16_t>(at + bar.size - 1)) == expected;
    }
    return board_.memory_at(at) == expected && board_.memory_at(at + bar.size - 1) == expected;
  }

  Input input_;
  Board board_;
  ConfigPorts ports_{board_.segment};
  Ecam ecam_{board_.segment};
  std::array<std::shared_ptr<TestFunction>, kBars.size()> devices_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Script(Input(data, size)).run();
  return 0;
}
