// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "identity.h"

#include "vmm/virtio_pci/layout.h"

namespace vmm::virtio_pci::detail {
namespace {

using virtio_device::DeviceType;

// PCI Code and ID Assignment 1.11: the driver goes by the device id, people by this.
std::uint32_t class_of(DeviceType type) {
  switch (type) {
    case DeviceType::kNet:
      return 0x02'00'00;  // Ethernet
    case DeviceType::kBlock:
    case DeviceType::kFs:
      return 0x01'80'00;  // mass storage, other
    case DeviceType::kScsi:
      return 0x01'00'00;  // SCSI
    case DeviceType::kConsole:
    case DeviceType::kVsock:
      return 0x07'80'00;  // communication, other
    case DeviceType::kGpu:
      return 0x03'80'00;  // display, other
    case DeviceType::kInput:
      return 0x09'80'00;  // input, other
    case DeviceType::kSound:
      return 0x04'01'00;  // audio
    case DeviceType::kCrypto:
      return 0x10'80'00;  // encryption, other
    default:
      return 0xff'00'00;  // none of the classes
  }
}

}  // namespace

pci::Header header_of(DeviceType type) {
  const auto id = static_cast<std::uint16_t>(kFirstDevice + static_cast<std::uint32_t>(type));
  return {.vendor = kVendor,
          .device = id,
          .revision = kRevision,
          .class_code = class_of(type),
          .subsystem_vendor = kVendor,
          .subsystem = id,
          .interrupt_pin = 1};
}

}  // namespace vmm::virtio_pci::detail
