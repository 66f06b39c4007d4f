// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Offsets and bits of configuration space: PCI 3.0, 6; PCI Express base 5.0, 7.5.

#include <cstddef>
#include <cstdint>

namespace vmm::pci {

inline constexpr std::size_t kConventionalConfigBytes = 256;
inline constexpr std::size_t kConfigBytes = 4096;

inline constexpr std::uint16_t kVendorId = 0x00;
inline constexpr std::uint16_t kDeviceId = 0x02;
inline constexpr std::uint16_t kCommand = 0x04;
inline constexpr std::uint16_t kStatus = 0x06;
inline constexpr std::uint16_t kRevision = 0x08;
inline constexpr std::uint16_t kClass = 0x09;  ///< 3 bytes: interface, subclass, class
inline constexpr std::uint16_t kHeaderType = 0x0e;
inline constexpr std::uint16_t kBar0 = 0x10;
inline constexpr std::uint16_t kSubsystemVendorId = 0x2c;
inline constexpr std::uint16_t kSubsystemId = 0x2e;
inline constexpr std::uint16_t kRomBar = 0x30;
inline constexpr std::uint16_t kCapabilities = 0x34;
inline constexpr std::uint16_t kInterruptLine = 0x3c;
inline constexpr std::uint16_t kInterruptPin = 0x3d;
inline constexpr std::uint16_t kFirstCapability = 0x40;
inline constexpr std::uint16_t kFirstExtendedCapability = 0x100;

inline constexpr std::size_t kBarCount = 6;

inline constexpr std::uint16_t kCommandIo = 1 << 0;
inline constexpr std::uint16_t kCommandMemory = 1 << 1;
inline constexpr std::uint16_t kCommandBusMaster = 1 << 2;
inline constexpr std::uint16_t kCommandParityError = 1 << 6;
inline constexpr std::uint16_t kCommandSystemError = 1 << 8;
inline constexpr std::uint16_t kCommandIntxDisable = 1 << 10;

inline constexpr std::uint16_t kStatusInterrupt = 1 << 3;
inline constexpr std::uint16_t kStatusCapabilities = 1 << 4;
inline constexpr std::uint16_t kStatusErrors = 0xf900;  ///< cleared by writing ones

inline constexpr std::uint8_t kMultifunction = 0x80;  ///< of the header type

inline constexpr std::uint8_t kCapabilityMsi = 0x05;
inline constexpr std::uint8_t kCapabilityVendor = 0x09;
inline constexpr std::uint8_t kCapabilityExpress = 0x10;
inline constexpr std::uint8_t kCapabilityMsix = 0x11;

}  // namespace vmm::pci
