// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Scripts of accesses to a root port and to what is behind it, of devices that come, are asked for
// and go, beside a model: only what was asked for is given back, once; what is behind is reached
// with power alone, and decodes inside the windows of the port and of the segment alone.

#include <array>

#include "fuzz_input.h"
#include "tests/board.h"
#include "vmm/pci/root_port.h"
#include "vmm/vm_device/testing/platform.h"

namespace {

using namespace vmm;
using namespace vmm::pci;

constexpr std::uint16_t kExpress = 0x40;

class Script final : public EjectListener {
 public:
  explicit Script(Input input) : input_(input) {
    auto vector = input_.byte() % 2 == 0 ? *source_.create_vectors(1) : nullptr;
    port_ = *RootPort::create({.vector = std::move(vector), .listener = *this});
    (void)board_.segment->add(port_, {.slot = std::uint8_t{1}});
  }
  void run() {
    for (int step = 0; step < 256 && !input_.empty(); ++step) {
      one();
      check();
    }
    (void)board_.segment->remove(1);
    require(board_.mmio.size() == 0 && board_.ports.size() == 0);
  }
  void ejected(FunctionAddress slot) override {
    require(slot == FunctionAddress{.segment = 0, .slot = 1, .function = 0});
    require(asked_ && device_ != nullptr);
    asked_ = false;
  }

 private:
  void one() {
    const std::uint8_t kind = input_.byte();
    if (kind < 0x10) return insert(kind % 2 == 0);
    if (kind < 0x20) {
      asked_ = device_ != nullptr;
      require(port_->ask() == (device_ != nullptr));
      return;
    }
    if (kind < 0x28) {
      asked_ = false;
      require(port_->remove() == (device_ != nullptr));
      device_.reset();
      return;
    }
    access(kind);
  }
  void insert(bool from_start) {
    auto device = std::make_shared<TestFunction>(std::vector{kBar32, kBar64, kBarIo});
    const bool was_free = device_ == nullptr;
    const auto moment = from_start ? RootPort::Moment::kFromStart : RootPort::Moment::kLater;
    require(port_->insert(device, moment).has_value() == was_free);
    if (!was_free) return;
    device_ = std::move(device);
    asked_ = false;
  }
  // The port itself, most often, or any bus.
  void access(std::uint8_t kind) {
    const ConfigAddress to = (kind & 0x40) != 0 ? ConfigAddress{.bus = 0, .devfn = 8}
                                                : ConfigAddress{.bus = input_.byte(), .devfn = 0};
    const auto offset = static_cast<std::uint16_t>(input_.take<std::uint16_t>() % kConfigBytes);
    std::array<std::byte, 8> data{};
    const auto part = std::span(data).first(1 + kind % 8);
    if ((kind & 0x80) == 0) return board_.segment->read_config(to, offset, part);
    std::ranges::copy(input_.bytes(part.size()), data.begin());
    board_.segment->write_config(to, offset, part);
  }

  template <std::unsigned_integral T>
  T read(ConfigAddress at, std::uint16_t offset) {
    std::array<std::byte, sizeof(T)> data{};
    board_.segment->read_config(at, offset, data);
    return load_le<T>(data.data());
  }
  template <std::unsigned_integral T>
  T own(std::uint16_t offset) {
    return read<T>({.bus = 0, .devfn = 8}, offset);
  }

  void check() {
    require(own<std::uint32_t>(kVendorId) == 0x000c'1b36);
    require(own<std::uint8_t>(kHeaderType) == kHeaderBridge);
    const auto status = own<std::uint16_t>(kExpress + kSlotStatus);
    require(((status & kSlotPresent) != 0) == (device_ != nullptr));
    const bool off = (own<std::uint16_t>(kExpress + kSlotControl) & kPowerOff) != 0;
    const bool up = device_ != nullptr && !off;
    require(((own<std::uint16_t>(kExpress + kLinkStatus) & kLinkActive) != 0) == up);
    const auto bus = own<std::uint8_t>(kSecondaryBus);
    require(port_->bus() == bus);
    if (bus != 0) {
      const auto id = read<std::uint32_t>({.bus = bus, .devfn = 0}, kVendorId);
      require(id == (up ? 0x5678'1234 : 0xffff'ffff));
    }
    if (device_ != nullptr) check_bars(up);
  }
  void check_bars(bool up) {
    const bool open = up && (own<std::uint16_t>(kCommand) & kCommandMemory) != 0;
    std::size_t decoded = 0;
    for (const Bar& bar : {kBar32, kBar64, kBarIo}) {
      const auto at = device_->endpoint.decoded_at(bar.index);
      if (!at) continue;
      ++decoded;
      require(open && bar.kind != BarKind::kIo);
      require(lies(*at, bar.size, memory()) || lies(*at, bar.size, prefetchable()));
      require(lies(*at, bar.size, range(kLow)) || lies(*at, bar.size, range(kHigh)));
      require(board_.memory_at(*at) == (0xb0 | bar.index));
    }
    require(board_.mmio.size() == decoded && board_.ports.size() == 0);
  }
  struct Range {
    std::uint64_t first, last;
  };
  static Range range(const AddressRange& all) {
    return {all.base.raw(), all.base.raw() + all.size - 1};
  }
  static bool lies(std::uint64_t at, std::uint64_t size, Range range) {
    return at >= range.first && at <= range.last && size - 1 <= range.last - at;
  }
  Range memory() {
    return {std::uint64_t{own<std::uint16_t>(kMemoryBase)} >> 4 << 20,
            std::uint64_t{own<std::uint16_t>(kMemoryLimit)} >> 4 << 20 | 0xf'ffff};
  }
  Range prefetchable() {
    const std::uint64_t base = own<std::uint32_t>(kPrefetchableBaseUpper);
    const std::uint64_t limit = own<std::uint32_t>(kPrefetchableLimitUpper);
    return {
        base << 32 | std::uint64_t{own<std::uint16_t>(kPrefetchableBase)} >> 4 << 20,
        limit << 32 | std::uint64_t{own<std::uint16_t>(kPrefetchableLimit)} >> 4 << 20 | 0xf'ffff};
  }

  Input input_;
  vm_device::testing::FakeMsiSource source_;  // outlives the port, which the board holds too
  Board board_;
  std::shared_ptr<RootPort> port_;
  std::shared_ptr<TestFunction> device_;
  bool asked_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Script(Input(data, size)).run();
  return 0;
}
