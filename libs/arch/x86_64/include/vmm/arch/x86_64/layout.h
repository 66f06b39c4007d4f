// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Where everything is in the guest-physical and I/O address spaces.

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/arch/x86_64/error.h"
#include "vmm/base/address_range.h"
#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"

namespace vmm::arch::x86_64 {

using vmm::AddressRange;
using vmm::sorted_and_disjoint;

/// Of all tables and ranges here.
inline constexpr std::uint64_t kPageSize = 4096;

// Low memory: boot structures, in RAM.
inline constexpr GuestAddress kEbdaPointer{0x40e};  ///< segment of the EBDA, 16 bits
/// See write_descriptor_tables().
inline constexpr GuestAddress kBootGdt{0x500};
/// As kBootGdt.
inline constexpr GuestAddress kBootIdt{0x520};
/// See write_pvh().
inline constexpr GuestAddress kPvhStartInfo{0x6000};
/// Behind kPvhStartInfo.
inline constexpr GuestAddress kPvhModules{0x6040};
/// See write_pvh().
inline constexpr GuestAddress kPvhMemoryMap{0x7000};
inline constexpr GuestAddress kZeroPage{0x7000};  ///< instead of kPvhMemoryMap, for a bzImage
/// The stack pointer at boot; it grows down.
inline constexpr GuestAddress kBootStack{0x8ff0};
/// @{
/// Page tables of the boot vCPU, one page each; see write_page_tables().
inline constexpr GuestAddress kPml5{0x9000};
inline constexpr GuestAddress kPml4{0xa000};
inline constexpr GuestAddress kPdpt{0xb000};
inline constexpr GuestAddress kPd{0xc000};
/// @}
/// NUL-terminated, at most kCmdlineMaxBytes.
inline constexpr GuestAddress kCmdline{0x2'0000};
inline constexpr std::uint64_t kCmdlineMaxBytes = 0x1'0000;  ///< with the NUL
/// Extended BIOS data area: from here to 1 MiB there is no RAM in the map.
inline constexpr GuestAddress kEbda{0xa'0000};
inline constexpr GuestAddress kRsdp{0xa'0000};  ///< the ACPI tables follow it
/// Entry point and tables of SMBIOS, where guests without EFI look for them.
inline constexpr GuestAddress kSmbios{0xf'0000};
inline constexpr GuestAddress kResetVector{0xf'fff0};  ///< FFFF:0, see write_reset_vector()
inline constexpr GuestAddress kHighRam{0x10'0000};     ///< kernels load here or above

// The hole below 4 GiB.
/// RAM goes on at kHighRamAbove4G.
inline constexpr GuestAddress kLowRamEnd{0xc000'0000};
/// For 32-bit BARs.
inline constexpr AddressRange kDeviceWindow32{kLowRamEnd, std::uint64_t{640} << 20};
/// PCI configuration space, 1 MiB for each bus.
inline constexpr AddressRange kEcam{GuestAddress(0xe800'0000), std::uint64_t{256} << 20};
inline constexpr AddressRange kTss{GuestAddress(0xf800'0000), 3 * kPageSize};  ///< KVM_SET_TSS_ADDR
/// KVM_SET_IDENTITY_MAP_ADDR.
inline constexpr AddressRange kIdentityMap{GuestAddress(0xf800'3000), kPageSize};
/// @{
/// Registers at the addresses that PCs have them at.
inline constexpr AddressRange kIoApic{GuestAddress(0xfec0'0000), 0x20};
inline constexpr AddressRange kTpm{GuestAddress(0xfed4'0000), 0x1000};
inline constexpr AddressRange kLocalApic{GuestAddress(0xfee0'0000), 0x1000};
/// @}
/// Where devices write their message-signalled interrupts to.
inline constexpr AddressRange kMsiWindow{kLocalApic.base, std::uint64_t{1} << 20};
/// Where RAM goes on.
inline constexpr GuestAddress kHighRamAbove4G{0x1'0000'0000};
/// Physical addresses that page tables can hold.
inline constexpr std::uint64_t kMaxAddress = std::uint64_t{1} << 52;
/// The platform's own registers take this many bytes at the end of the 64-bit device area.
inline constexpr std::uint64_t kPlatformMmioBytes = std::uint64_t{1} << 20;

/// What low memory holds, for layout checks: ascending.
inline constexpr std::array kLowStructures = {
    AddressRange{kEbdaPointer, 2},
    AddressRange{kBootGdt, 0x20},
    AddressRange{kBootIdt, 8},
    AddressRange{kPvhStartInfo, 0x40},
    AddressRange{kPvhModules, 0xfc0},
    AddressRange{kPvhMemoryMap, 0x1000},
    AddressRange{GuestAddress(0x8000), 0xff0},  // the boot stack, growing down
    AddressRange{kPml5, kPageSize},
    AddressRange{kPml4, kPageSize},
    AddressRange{kPdpt, kPageSize},
    AddressRange{kPd, kPageSize},
    AddressRange{kCmdline, kCmdlineMaxBytes},
    AddressRange{kRsdp, 0x5'0000},
    AddressRange{kSmbios, 0xfff0},
    AddressRange{kResetVector, 0x10},
};
static_assert(sorted_and_disjoint(kLowStructures));

/// What the hole holds: ascending.
inline constexpr std::array kHole = {kDeviceWindow32, kEcam, kTss,      kIdentityMap,
                                     kIoApic,         kTpm,  kLocalApic};
static_assert(sorted_and_disjoint(kHole));
static_assert(kHole.front().base == kLowRamEnd);
static_assert(kHole.back().base.raw() + kHole.back().size <= kHighRamAbove4G.raw());

// I/O ports.
inline constexpr std::uint16_t kSerialPort = 0x3f8;  ///< 8 ports
inline constexpr std::uint16_t kI8042Port = 0x61;    ///< 4 ports
inline constexpr std::uint16_t kCmosPort = 0x70;     ///< 2 ports
inline constexpr std::uint16_t kDebugPort = 0x80;    ///< 1 port, for POST codes
/// One byte: kAcpiReset resets, kAcpiPowerOff powers off, all else does nothing. Reads as 0.
inline constexpr std::uint16_t kAcpiPort = 0x600;
inline constexpr std::uint8_t kAcpiReset = 1;                   ///< as the FADT has it
inline constexpr std::uint8_t kAcpiPowerOff = 5 << 2 | 1 << 5;  ///< sleep type 5 and enable

// Interrupts.
/// Of the ISA serial port.
inline constexpr std::uint32_t kSerialIrq = 4;
inline constexpr std::uint32_t kFirstPciIrq = 5;  ///< eight lines for PCI slots, then the GED
/// Lines for PCI pins; slot n has kFirstPciIrq + n % kPciIrqs.
inline constexpr std::uint32_t kPciIrqs = 8;
/// The generic event device's.
inline constexpr std::uint32_t kGedIrq = kFirstPciIrq + kPciIrqs;
inline constexpr std::uint32_t kFirstFreeIrq = kGedIrq + 1;  ///< virtio-mmio and others
/// Inputs of the IOAPIC.
inline constexpr std::uint32_t kIoApicPins = 24;

/// The ranges of RAM of a guest: one, or two around the hole below 4 GiB.
class RamRegions {
 public:
  /// @{
  /// The ranges, in ascending order: one or two.
  [[nodiscard]] const AddressRange* begin() const { return ranges_.data(); }
  [[nodiscard]] const AddressRange* end() const { return ranges_.data() + count_; }
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] const AddressRange& operator[](std::size_t i) const { return ranges_[i]; }
  /// @}
  /// The first address behind all RAM.
  [[nodiscard]] GuestAddress top() const {
    const AddressRange& last = ranges_[count_ - 1];
    return GuestAddress(last.base.raw() + last.size);
  }

 private:
  friend Result<RamRegions, ArchError> ram_regions(std::uint64_t bytes);
  std::array<AddressRange, 2> ranges_{};
  std::size_t count_ = 0;
};

/// Where `bytes` bytes of RAM go: [0, 3 GiB), and the rest from 4 GiB on.
/// Errors: kNoMemory below 2 MiB, kUnalignedMemory, kTooMuchMemory.
Result<RamRegions, ArchError> ram_regions(std::uint64_t bytes);

}  // namespace vmm::arch::x86_64
