// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Saved states as another program hands them over: what is refused changes nothing; what is taken
// is saved as the same state again, and the guest finds a device that works. States of devices that
// have a target of their own are tried there: serial, pl011, pl061, cmos, ioapic, pci_msix,
// gpio_state, nvme.

#include <algorithm>
#include <array>
#include <vector>

#include "fuzz_input.h"
#include "vmm/pci/config_space.h"
#include "vmm/virtio_queue/queue_config.h"
#include "vmm/vm_superio/acpi.h"
#include "vmm/vm_superio/pl031.h"
#include "vmm/vm_superio/testing/fakes.h"

namespace {

using namespace vmm;

// Of a function with a capability and a register whose bits are cleared by ones.
pci::ConfigSpace make_space() {
  pci::ConfigSpace space({.vendor = 0x1234, .device = 1}, pci::ConfigSpace::Kind::kConventional);
  space.set_writable<std::uint32_t>(0x10, 0xffff'f000);
  const std::array body{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  const std::array mask{std::byte{0xff}, std::byte{0x0f}};
  require(space.add_capability(9, body, mask).has_value());
  space.set_clearable<std::uint16_t>(0x06, 0xf900);
  return space;
}

std::vector<std::byte> copy(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

/// Which bits a guest can change, found out by writing.
std::vector<std::byte> writable_bits() {
  pci::ConfigSpace ones = make_space();
  pci::ConfigSpace zeros = make_space();
  for (std::size_t i = 0; i < ones.size(); ++i) {
    ones.write(i, std::array{std::byte{0xff}});
    zeros.write(i, std::array{std::byte{0}});
  }
  std::vector<std::byte> bits = copy(ones.state());
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] ^= zeros.state()[i];
  return bits;
}

// The input: changes of a state that a guest could have made; sometimes another length.
void restore_config_space(Input& input) {
  pci::ConfigSpace space = make_space();
  const auto writable = writable_bits();
  std::vector<std::byte> state = copy(space.state());
  const std::uint8_t count = input.byte();
  for (int i = 0; i < count % 32; ++i) {
    const std::uint8_t at = input.byte();
    const auto value = static_cast<std::byte>(input.byte());
    const bool only_writable = (count & 0x80) != 0;
    state[at] = only_writable ? (state[at] & ~writable[at]) | (value & writable[at]) : value;
  }
  if ((count & 0x40) != 0) state.resize(input.take<std::uint16_t>() % 5000u);
  const auto before = copy(space.state());
  const bool is_taken = space.restore(state).has_value();
  const auto after = copy(space.state());
  if (!is_taken) {
    require(after == before && (count & 0xc0) != 0x80);
    return;
  }
  require(state.size() == before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    const bool is_status = i == 6 || i == 7;
    require(is_status || after[i] == state[i]);
    require((after[i] & ~writable[i]) == (before[i] & ~writable[i]));
  }
}

void restore_pl031(Input& input) {
  const vm_superio::testing::FakeClock clock(input.take<std::int32_t>());
  vm_superio::Pl031 rtc(clock);
  const auto before = rtc.state();
  const vm_superio::Pl031State state{.load = input.take<std::uint32_t>(),
                                     .match = input.take<std::uint32_t>(),
                                     .imsc = input.byte(),
                                     .ris = input.byte(),
                                     .offset_s = input.take<std::int64_t>()};
  const bool is_taken = rtc.restore(state).has_value();
  require(is_taken == (state.imsc <= 1 && state.ris <= 1));
  require(rtc.state() == (is_taken ? state : before));
  require(rtc.read_register(0x18) == (rtc.state().imsc & rtc.state().ris));
  (void)rtc.read_register(0x00);
  while (!input.empty()) rtc.write_register(input.byte() & 0xfcu, input.take<std::uint32_t>());
  require(rtc.restore(rtc.state()).has_value());
  rtc.write_register(0x08, 77);
  require(rtc.read_register(0x00) == 77);
}

void restore_queue(Input& input) {
  using namespace virtio_queue;
  QueueConfigState state;
  state.max_size = input.take<std::uint16_t>();
  state.size = input.take<std::uint16_t>();
  const std::uint8_t flags = input.byte();
  state.ready = (flags & 1) != 0;
  state.features = ((flags & 2) != 0 ? kFeaturePacked : 0) | input.take<std::uint64_t>();
  for (GuestAddress* address :
       {&state.rings.descriptors, &state.rings.driver, &state.rings.device}) {
    *address = GuestAddress(input.take<std::uint64_t>());
  }
  auto config = QueueConfig::restore(state);
  if (!config) {
    require(config.error() == QueueError::kBadState);
    return;
  }
  require(config->state() == state);
  static const auto memory = [] {
    const vm_memory::RegionConfig ram{.base = GuestAddress(0x1000), .bytes = 0x20000};
    return *vm_memory::GuestMemory::create({&ram, 1});
  }();
  const bool is_valid = config->validate(memory.view()).has_value();
  QueuePosition position = Queue::start_position(config->packed());
  require(config->activate(memory, position).has_value() == is_valid);
  position.next_avail = input.take<std::uint16_t>();
  position.next_used = input.take<std::uint16_t>();
  if (const auto queue = config->activate(memory, position)) require(is_valid);
  config->reset();
  require(config->size() == state.max_size && !config->ready());
  require(config->set_size(config->packed() ? state.size : 1).has_value());
}

class CountingIrq final : public vm_device::IrqTrigger {
 public:
  void trigger() override { ++count; }
  int count = 0;
};

void restore_ged(Input& input) {
  CountingIrq irq;
  vm_superio::GedStatus ged(irq);
  ged.restore(input.byte());
  const std::uint8_t kept = ged.state();
  require(kept <= 0x0f && irq.count == (kept != 0 ? 1 : 0));
  std::array<std::byte, 1> status{};
  ged.read(0, status);
  require(std::to_integer<std::uint8_t>(status[0]) == kept && ged.state() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  switch (input.byte() % 4) {
    case 0:
      restore_config_space(input);
      break;
    case 1:
      restore_pl031(input);
      break;
    case 2:
      restore_queue(input);
      break;
    default:
      restore_ged(input);
  }
  return 0;
}
