// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each virtio device behind the registers of virtio-mmio: see device_script.h.

#include "device_script.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/virtio_mmio/mmio_transport.h"
#include "vmm/vm_device/testing/recorders.h"

namespace {

using namespace vmm;
using virtio_mmio::MmioTransport;
using virtio_mmio::Register;

class MmioBoard {
 public:
  MmioBoard(std::shared_ptr<virtio_device::VirtioDevice> device, std::byte* ram)
      : memory_(make_memory(ram)),
        transport_(*MmioTransport::create({.device = std::move(device),
                                           .memory = memory_,
                                           .workers = workers_,
                                           .irq = line_,
                                           .doorbells = doorbells_,
                                           .base = GuestAddress(0xd000'0000)})) {}

  event_manager::EventLoop& loop() { return loop_; }
  [[nodiscard]] const vm_memory::GuestMemory& memory() const { return memory_; }
  std::uint8_t status() { return static_cast<std::uint8_t>(get(Register::kStatus)); }
  std::uint64_t offered() {
    std::uint64_t features = 0;
    for (const std::uint32_t word : {0u, 1u}) {
      set(Register::kDeviceFeaturesSel, word);
      features |= std::uint64_t{get(Register::kDeviceFeatures)} << (32 * word);
    }
    return features;
  }
  void reset() {
    set(Register::kStatus, 0);
    require(!line_.level());
  }
  bool start(std::uint64_t features, const std::vector<QueueSetup>& setups) {
    for (const std::uint32_t status : {0u, 1u, 3u}) set(Register::kStatus, status);
    for (const std::uint32_t word : {0u, 1u}) {
      set(Register::kDriverFeaturesSel, word);
      set(Register::kDriverFeatures, static_cast<std::uint32_t>(features >> 32 * word));
    }
    set(Register::kStatus, 0xb);
    for (const QueueSetup& setup : setups) {
      set(Register::kQueueSel, setup.queue);
      set(Register::kQueueNum, setup.size);
      set_address(Register::kQueueDescLow, setup.rings.descriptors);
      set_address(Register::kQueueDriverLow, setup.rings.driver);
      set_address(Register::kQueueDeviceLow, setup.rings.device);
      set(Register::kQueueReady, 1);
    }
    set(Register::kStatus, 0xf);
    return get(Register::kStatus) == 0xf;
  }
  void kick(std::uint16_t queue) { set(Register::kQueueNotify, queue); }
  bool interrupted(std::uint16_t) {
    return line_.level() &&
           (get(Register::kInterruptStatus) & virtio_mmio::kInterruptUsedBuffers) != 0;
  }
  /// An access of the script: kinds from 0xa0 on.
  void access(std::uint8_t kind, Input& input) {
    const std::uint64_t offset = input.take<std::uint16_t>() % MmioTransport::kSize;
    const std::size_t width = 1 + kind % 8;
    std::array<std::byte, 8> buffer{};
    if (kind < 0xb0) return transport_->read(offset, std::span(buffer).first(width));
    if (kind < 0xc0) return transport_->write(offset, input.bytes(width));
    if (kind < 0xd0) return kick(static_cast<std::uint16_t>(offset));
    set(static_cast<Register>(offset & 0xfc), input.take<std::uint32_t>());
  }

 private:
  static vm_memory::GuestMemory make_memory(std::byte* ram) {
    const vm_memory::RegionConfig config{.base = GuestAddress(0),
                                         .bytes = DeviceScript<MmioBoard>::kRamBytes,
                                         .backing = vm_memory::Backing::kExternal,
                                         .external = ram};
    return *vm_memory::GuestMemory::create({&config, 1});
  }
  void set(Register reg, std::uint32_t raw) {
    const Le32 value(raw);
    transport_->write(static_cast<std::uint64_t>(reg), std::as_bytes(std::span(&value, 1)));
  }
  std::uint32_t get(Register reg) {
    Le32 value;
    transport_->read(static_cast<std::uint64_t>(reg), std::as_writable_bytes(std::span(&value, 1)));
    return value.get();
  }
  void set_address(Register low, GuestAddress address) {
    set(low, static_cast<std::uint32_t>(address.raw()));
    set(static_cast<Register>(static_cast<std::uint32_t>(low) + 4),
        static_cast<std::uint32_t>(address.raw() >> 32));
  }

  vm_memory::GuestMemory memory_;
  event_manager::EventLoop loop_ = *event_manager::EventLoop::create();
  virtio_device::InlineWorkers workers_{loop_};
  vm_device::testing::FakeLine line_;
  vm_device::NoDoorbells doorbells_;
  std::shared_ptr<MmioTransport> transport_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  DeviceScript<MmioBoard>(input).play();
  return 0;
}
