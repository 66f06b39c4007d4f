// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any sequence of guest accesses, input changes, EOIs and restores: messages go only to the local
// APICs' window, a pin in service is level-sensitive, at most one message for each change, and
// nothing that is asserted, level-sensitive, unmasked and out of service is left unsent.

#include "fuzz_input.h"
#include "vmm/vm_superio/ioapic.h"

namespace {

using namespace vmm::vm_superio;

class CheckingMsi final : public vmm::vm_device::MsiSender {
 public:
  void send(const vmm::vm_device::MsiMessage& message) override {
    require((message.address & ~std::uint64_t{0xfffff}) == 0xfee0'0000);
    require((message.data >> 8 & 7) != 7 && (message.data >> 8 & 7) != 3);
    require((message.data & 1 << 15) == 0 || (message.data & 1 << 14) != 0);
    ++count;
  }
  std::size_t count = 0;
};

void check(const Ioapic& ioapic, bool restored) {
  const IoapicState state = ioapic.state();
  require(state.asserted < 1u << IoapicState::kPins);
  for (std::size_t pin = 0; pin < IoapicState::kPins; ++pin) {
    const std::uint64_t entry = state.redirection[pin];
    const bool level = (entry & 1 << 15) != 0 && (entry >> 8 & 7) < 2;
    const bool in_service = (entry & 1 << 14) != 0;
    const bool masked = (entry & 1 << 16) != 0;
    const bool asserted = (state.asserted >> pin & 1) != 0;
    require(!in_service || level);
    if (!restored) require(!asserted || !level || masked || in_service);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  CheckingMsi msi;
  Ioapic ioapic(msi);
  bool restored = false;  // such a state may have work that was never announced
  while (!in.empty()) {
    const std::uint8_t op = in.byte();
    const std::size_t before = msi.count;
    std::size_t allowed = 1;
    switch (op & 7) {
      case 0: {
        std::vector<std::byte> bytes(1 + (op >> 4), std::byte{0});
        ioapic.read(in.byte() & 0x1f, bytes);
        allowed = 0;
        break;
      }
      case 1:
        ioapic.write(in.byte() & 0x1f, in.bytes(1 + (op >> 4)));
        break;
      case 2:
      case 3: {  // an indexed write, as drivers do
        const auto index = in.bytes(1);
        ioapic.write(0x00, index);
        ioapic.write(0x10, in.bytes(4));
        break;
      }
      case 4:
        ioapic.set_level(in.byte(), (op & 8) != 0);
        break;
      case 5:
        ioapic.end_of_interrupt(in.byte());
        allowed = IoapicState::kPins;
        break;
      case 6: {
        const IoapicState state = ioapic.state();
        require(ioapic.restore(state).has_value());
        require(ioapic.state() == state);
        allowed = 0;
        break;
      }
      default: {
        const IoapicState old = ioapic.state();
        IoapicState state{};
        state.select = in.byte();
        state.id = in.byte();
        state.asserted = in.take<std::uint32_t>();
        for (auto& entry : state.redirection) entry = in.take<std::uint64_t>();
        if (ioapic.restore(state).has_value()) {
          restored = true;
        } else {
          require(ioapic.state() == old);
        }
        allowed = 0;
        break;
      }
    }
    require(msi.count - before <= allowed);
    check(ioapic, restored);
  }
  return 0;
}
