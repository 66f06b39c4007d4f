// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each virtio device behind configuration space and BARs of virtio-pci: see device_script.h.

#include "device_script.h"
#include "tests/pci_rig.h"
#include "vmm/event_manager/event_loop.h"

namespace {

using namespace vmm;
using namespace vmm::virtio_pci;

class PciBoard {
 public:
  PciBoard(std::shared_ptr<virtio_device::VirtioDevice> device, std::byte* ram)
      : rig_(std::move(device), {.ram = ram}) {
    static_assert(PciRig::kRamBytes == DeviceScript<PciBoard>::kRamBytes);
  }

  event_manager::EventLoop& loop() { return rig_.loop; }
  [[nodiscard]] const vm_memory::GuestMemory& memory() const { return rig_.memory; }
  std::uint8_t status() {
    find();
    return rig_.status();
  }
  std::uint64_t offered() {
    find();
    std::uint64_t features = 0;
    for (const std::uint32_t word : {0u, 1u}) {
      rig_.set<std::uint32_t>(Common::kDeviceFeatureSelect, word);
      features |= std::uint64_t{rig_.get<std::uint32_t>(Common::kDeviceFeature)} << (32 * word);
    }
    return features;
  }
  void reset() {
    find();
    rig_.set_msix(0);
    rig_.set_status(0);
    require(!rig_.line.level());
  }
  bool start(std::uint64_t features, const std::vector<QueueSetup>& setups) {
    find();
    rig_.msi.forget_sent();
    rig_.negotiate(features);
    rig_.set_msix(pci::Msix::kEnable);
    for (const QueueSetup& setup : setups) {
      const auto vector = static_cast<std::uint16_t>(setup.queue + 1);
      rig_.set_vector(vector, kFirstMessage + setup.queue);
      rig_.set<std::uint16_t>(Common::kQueueSelect, setup.queue);
      rig_.set<std::uint16_t>(Common::kQueueSize, setup.size);
      rig_.set_address(Common::kQueueDescLow, setup.rings.descriptors);
      rig_.set_address(Common::kQueueDriverLow, setup.rings.driver);
      rig_.set_address(Common::kQueueDeviceLow, setup.rings.device);
      rig_.set<std::uint16_t>(Common::kQueueMsixVector, vector);
      rig_.set<std::uint16_t>(Common::kQueueEnable, 1);
    }
    rig_.set_status(PciRig::kOk);
    return rig_.status() == PciRig::kOk;
  }
  void kick(std::uint16_t queue) { rig_.kick(queue); }
  bool interrupted(std::uint16_t queue) { return rig_.sent(kFirstMessage + queue) != 0; }
  /// An access of the script: kinds from 0xa0 on.
  void access(std::uint8_t kind, Input& input) {
    const std::size_t width = 1 + kind % 8;
    std::array<std::byte, 8> buffer{};
    const auto data = std::span(buffer).first(width);
    const auto raw = input.take<std::uint32_t>();
    if (kind >= 0xb0) std::ranges::copy(input.bytes(width), data.begin());
    if (kind < 0xa8) {
      (void)rig_.caller.read(GuestAddress(rig_.bar() + raw % kRegistersBytes), data);
    } else if (kind < 0xb0) {
      rig_.ecam.read(kPage + raw % pci::kConfigBytes, data);
    } else if (kind < 0xc0) {
      rig_.ecam.write(kPage + raw % 0x100, data);
    } else if (kind < 0xe0) {
      (void)rig_.caller.write(GuestAddress(rig_.bar() + raw % kCommonPart.bytes), data);
    } else {
      (void)rig_.caller.write(GuestAddress(rig_.bar() + raw % kRegistersBytes), data);
    }
  }

 private:
  static constexpr std::uint32_t kFirstMessage = 100;
  static constexpr std::uint64_t kPage = 8 * pci::kConfigBytes;  // of slot 1

  // The script may have moved or disabled the BAR.
  void find() {
    rig_.enable();
    rig_.set_bar(PciRig::kHigh.base.raw());
  }

  PciRig rig_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  DeviceScript<PciBoard>(input).play();
  return 0;
}
