// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Scripts of register accesses against the echo device, over guest memory that begins as the rest
// of the input says. Whatever a driver does: memory outside the RAM stays as it is
// (guarded_ram.h), each run ends, and after a reset the device can be set up. Some runs are in
// double-fetch mode (second_agent.h).

#include <array>

#include "fuzz_input.h"
#include "guarded_ram.h"
#include "second_agent.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/virtio_device/testing/echo_device.h"
#include "vmm/virtio_mmio/mmio_transport.h"
#include "vmm/vm_device/testing/recorders.h"

namespace {

using namespace vmm;
using virtio_mmio::MmioTransport;
using virtio_mmio::Register;

void set(MmioTransport& transport, Register reg, std::uint32_t raw) {
  const Le32 value(raw);
  transport.write(static_cast<std::uint64_t>(reg), std::as_bytes(std::span(&value, 1)));
}

std::uint32_t get(MmioTransport& transport, Register reg) {
  Le32 value;
  transport.read(static_cast<std::uint64_t>(reg), std::as_writable_bytes(std::span(&value, 1)));
  return value.get();
}

void steps_to(MmioTransport& transport, std::uint32_t last) {
  set(transport, Register::kStatus, 1);
  set(transport, Register::kStatus, 3);
  set(transport, Register::kDriverFeaturesSel, 1);
  set(transport, Register::kDriverFeatures, 1 | 1u << (40 - 32));
  set(transport, Register::kStatus, 0xb);
  for (std::uint32_t queue = 0; queue < 2; ++queue) {
    set(transport, Register::kQueueSel, queue);
    set(transport, Register::kQueueNum, 8);
    set(transport, Register::kQueueDescLow, queue * 0x400);
    set(transport, Register::kQueueDriverLow, queue * 0x400 + 0x100);
    set(transport, Register::kQueueDeviceLow, queue * 0x400 + 0x200);
    set(transport, Register::kQueueReady, 1);
  }
  set(transport, Register::kStatus, last);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const GuardedRam guarded(0x4000);
  const vm_memory::RegionConfig ram{.base = GuestAddress(0),
                                    .bytes = guarded.bytes().size(),
                                    .backing = vm_memory::Backing::kExternal,
                                    .external = guarded.data()};
  const auto memory = *vm_memory::GuestMemory::create({&ram, 1});
  auto loop = *event_manager::EventLoop::create();
  virtio_device::InlineWorkers workers(loop);
  vm_device::testing::FakeLine line;
  vm_device::NoDoorbells doorbells;
  const auto device = std::make_shared<virtio_device::testing::EchoDevice>();
  const auto transport = *MmioTransport::create({.device = device,
                                                 .memory = memory,
                                                 .workers = workers,
                                                 .irq = line,
                                                 .doorbells = doorbells,
                                                 .base = GuestAddress(0xd000'0000)});
  for (int step = 0; step < 64 && !input.empty(); ++step) {
    const auto kind = input.take<std::uint8_t>();
    if (kind < 0x20) {
      const std::uint64_t at = input.take<std::uint16_t>() % 0x1000u;
      const auto bytes = input.bytes(input.take<std::uint16_t>() % 0x400);
      (void)memory.view().write_bytes(GuestAddress(at), bytes);
    } else if (kind < 0x28) {
      steps_to(*transport, 0xf);
    } else if (kind == 0x28) {
      SecondAgent agent(memory.view().regions()[0].host, input.take<std::uint32_t>());
      const SecondAgent::Turn turn(agent);
      (void)loop.run_once(std::chrono::milliseconds(0));
    } else if (kind < 0x30) {
      (void)loop.run_once(std::chrono::milliseconds(0));
    } else if (kind < 0x80) {
      std::array<std::byte, 16> buffer{};
      const auto offset = input.take<std::uint16_t>() % MmioTransport::kSize;
      transport->read(offset, std::span(buffer).first(1 + kind % 16));
    } else if (kind < 0x90) {
      const auto offset = input.take<std::uint16_t>() % MmioTransport::kSize;
      const auto bytes = input.bytes(kind % 16);
      if (!bytes.empty()) transport->write(offset, bytes);
    } else {
      const auto reg = static_cast<Register>(input.take<std::uint8_t>() & 0xfc);
      set(*transport, reg, input.take<std::uint32_t>());
    }
  }
  set(*transport, Register::kStatus, 0);
  require(get(*transport, Register::kStatus) == 0 && device->workers() == 0 && !line.level());
  steps_to(*transport, 0xf);
  require(get(*transport, Register::kStatus) == 0xf);
  guarded.check();
  return 0;
}
