// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Where everything is in the guest-physical address space, and which interrupts there are.

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/arch/aarch64/error.h"
#include "vmm/base/address_range.h"
#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"

namespace vmm::arch::aarch64 {

using vmm::AddressRange;
using vmm::sorted_and_disjoint;

inline constexpr std::uint64_t kPageSize = 4096;  ///< the least; registers stand 64 KiB apart

// Below RAM.
/// Firmware starts at its first byte, in RAM of its own.
inline constexpr AddressRange kFirmware{GuestAddress(0), 0x40'0000};
/// GICv3: the redistributors end here, and the translation service ends below them.
inline constexpr AddressRange kGicDistributor{GuestAddress(0x08ff'0000), 0x1'0000};
inline constexpr std::uint64_t kRedistributorBytes = 0x2'0000;  ///< for each vCPU
/// Of the interrupt translation service: control and translation frame.
inline constexpr std::uint64_t kItsBytes = 0x2'0000;
/// @{
/// Registers of a GICv2.
inline constexpr AddressRange kGicV2Distributor{GuestAddress(0x08ff'0000), 0x1000};
inline constexpr AddressRange kGicV2CpuInterface{GuestAddress(0x08fe'0000), 0x2000};
/// @}
inline constexpr AddressRange kSerial{GuestAddress(0x0900'0000), 0x1000};   ///< PL011
inline constexpr AddressRange kRtc{GuestAddress(0x0901'0000), 0x1000};      ///< PL031
inline constexpr AddressRange kGpio{GuestAddress(0x0902'0000), 0x1000};     ///< PL061
inline constexpr AddressRange kPciIo{GuestAddress(0x0905'0000), 0x1'0000};  ///< ports of PCI
/// Registers of the VMM's other devices: virtio-mmio and the like.
inline constexpr AddressRange kPlatformWindow{GuestAddress(0x0a00'0000), std::uint64_t{32} << 20};
/// For 32-bit BARs.
inline constexpr AddressRange kPciWindow32{GuestAddress(0x1000'0000), std::uint64_t{512} << 20};
/// PCI configuration space, 1 MiB for each bus.
inline constexpr AddressRange kEcam{GuestAddress(0x3000'0000), std::uint64_t{256} << 20};

// RAM, and the hole in it below 4 GiB.
/// Of every guest.
inline constexpr GuestAddress kRamStart{0x4000'0000};
/// At the start of RAM: what a guest's first mapping of a device tree covers.
inline constexpr AddressRange kFdt{kRamStart, std::uint64_t{2} << 20};
/// The ACPI tables, behind the device tree.
inline constexpr AddressRange kAcpi{GuestAddress(0x4020'0000), std::uint64_t{2} << 20};
inline constexpr GuestAddress kKernel{0x4040'0000};  ///< kernels load here or above
/// RAM goes on at kHighRam.
inline constexpr GuestAddress kLowRamEnd{0xfc00'0000};
/// Registers of the TPM's command response buffer, at the address that PCs have them at.
inline constexpr AddressRange kTpm{GuestAddress(0xfed4'0000), 0x1000};
/// Where RAM goes on.
inline constexpr GuestAddress kHighRam{0x1'0000'0000};
/// Guest-physical addresses that any CPU has, FEAT_LPA included.
inline constexpr std::uint64_t kMaxAddress = std::uint64_t{1} << 52;
/// The 64-bit PCI window is not below this address.
inline constexpr GuestAddress kPciWindow64Start{0x2'0000'0000};
/// Its usual size. With RAM below 8 GiB, 34 bits of address reach its end: then KVM's tables for
/// the guest have two levels.
inline constexpr std::uint64_t kPciWindow64Bytes = std::uint64_t{8} << 30;

inline constexpr std::uint32_t kMaxVcpus = 512;     ///< of KVM's GICv3
inline constexpr std::uint32_t kMaxVcpusGicV2 = 8;  ///< of the architecture

/// What is below RAM, for layout checks: ascending.
inline constexpr std::array kBelowRam = {
    kFirmware,
    AddressRange{
        GuestAddress(kGicDistributor.base.raw() - kMaxVcpus * kRedistributorBytes - kItsBytes),
        kMaxVcpus* kRedistributorBytes + kItsBytes},
    kGicDistributor,
    kSerial,
    kRtc,
    kGpio,
    kPciIo,
    kPlatformWindow,
    kPciWindow32,
    kEcam,
};
static_assert(sorted_and_disjoint(kBelowRam));
static_assert(kBelowRam.back().end() <= kRamStart);
static_assert(kFdt.end() == kAcpi.base && kAcpi.end() == kKernel);
static_assert(kTpm.base > kLowRamEnd && kTpm.end() < kHighRam);

// Interrupts. SPIs are numbered from 0 (interrupt 32), which is also KVM's GSI; PPIs from 0
// (interrupt 16), as in a device tree.
/// Shared interrupts of the GIC that is created.
inline constexpr std::uint32_t kSpiCount = 256;
inline constexpr std::uint32_t kFirstSpi = 32;  ///< the interrupt number of SPI 0
inline constexpr std::uint32_t kFirstPpi = 16;  ///< the interrupt number of PPI 0
/// The PL011's.
inline constexpr std::uint32_t kSerialSpi = 1;
inline constexpr std::uint32_t kRtcSpi = 2;  ///< kept for its alarm
/// The PL061's.
inline constexpr std::uint32_t kGpioSpi = 3;
inline constexpr std::uint32_t kFirstPciSpi = 4;  ///< of eight lines
/// Lines for PCI pins, of each PCI host.
inline constexpr std::uint32_t kPciSpis = 8;
inline constexpr std::uint32_t kFirstFreeSpi = kFirstPciSpi + kPciSpis;  ///< virtio-mmio and others
/// @{
/// Private interrupts of each vCPU, as SBSA recommends them.
inline constexpr std::uint32_t kSecureTimerPpi = 13;
inline constexpr std::uint32_t kPhysicalTimerPpi = 14;
inline constexpr std::uint32_t kVirtualTimerPpi = 11;
inline constexpr std::uint32_t kHypervisorTimerPpi = 10;
inline constexpr std::uint32_t kPmuPpi = 7;
/// @}
inline constexpr std::uint32_t kPowerKeyLine = 3;  ///< of the GPIO controller

/// Where the redistributors of `vcpus` vCPUs are: at most kMaxVcpus.
[[nodiscard]] constexpr AddressRange redistributors(std::uint32_t vcpus) {
  const std::uint64_t bytes = vcpus * kRedistributorBytes;
  return {GuestAddress(kGicDistributor.base.raw() - bytes), bytes};
}
/// Where the interrupt translation service of a guest with `vcpus` vCPUs is.
[[nodiscard]] constexpr AddressRange its(std::uint32_t vcpus) {
  return {GuestAddress(redistributors(vcpus).base.raw() - kItsBytes), kItsBytes};
}

/// The ranges of RAM of a guest: one, or two around the hole below 4 GiB.
class RamRegions {
 public:
  /// @{
  /// The ranges, in ascending order: one or two.
  [[nodiscard]] const AddressRange* begin() const { return ranges_.data(); }
  [[nodiscard]] const AddressRange* end() const { return ranges_.data() + count_; }
  [[nodiscard]] const AddressRange* data() const { return ranges_.data(); }
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] const AddressRange& operator[](std::size_t i) const { return ranges_[i]; }
  /// @}
  /// The first address behind all RAM.
  [[nodiscard]] GuestAddress top() const { return ranges_[count_ - 1].end(); }
  /// An initrd ends at or below this address: the end of low RAM, which every kernel can reach.
  [[nodiscard]] GuestAddress initrd_limit() const { return ranges_[0].end(); }

 private:
  friend Result<RamRegions, ArchError> ram_regions(std::uint64_t bytes);
  std::array<AddressRange, 2> ranges_{};
  std::size_t count_ = 0;
};

/// Where `bytes` bytes of RAM go: from 1 GiB up to kLowRamEnd, and the rest from 4 GiB on.
/// Errors: kNoMemory below 8 MiB, kUnalignedMemory, kTooMuchMemory.
Result<RamRegions, ArchError> ram_regions(std::uint64_t bytes);

/// The 64-bit PCI window of `bytes` bytes behind all RAM, on a boundary of 4 GiB.
/// Errors: kBadRange when it is empty or passes kMaxAddress.
Result<AddressRange, ArchError> pci_window64(const RamRegions& ram,
                                             std::uint64_t bytes = kPciWindow64Bytes);
/// The same behind RAM and what else is there, which ends at `behind`.
Result<AddressRange, ArchError> pci_window64(GuestAddress behind,
                                             std::uint64_t bytes = kPciWindow64Bytes);

/// How many bits of guest-physical address a guest needs whose last address is below `end`: what
/// KVM_CREATE_VM is asked for. At least 32, the least that KVM takes.
[[nodiscard]] std::uint32_t ipa_bits(GuestAddress end);

}  // namespace vmm::arch::aarch64
