// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Offsets and bits of configuration space: PCI 3.0, 6; PCI Express base 5.0, 7.5.

#include <cstddef>
#include <cstdint>

namespace vmm::pci {

/// @{
/// The size of a configuration space in bytes: PCI 3.0, 6.1; PCI Express base 5.0, 7.2.
inline constexpr std::size_t kConventionalConfigBytes = 256;
inline constexpr std::size_t kConfigBytes = 4096;
/// @}

/// @{
/// Offsets of the type 0 header: PCI 3.0, 6.1.
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
/// @}

/// @{
/// Of a bridge, header type 1: the type's number, and offsets: PCI-to-PCI bridge 1.2, 3.2.
inline constexpr std::uint8_t kHeaderBridge = 1;
inline constexpr std::uint16_t kPrimaryBus = 0x18;
inline constexpr std::uint16_t kSecondaryBus = 0x19;
inline constexpr std::uint16_t kSubordinateBus = 0x1a;
inline constexpr std::uint16_t kMemoryBase = 0x20;
inline constexpr std::uint16_t kMemoryLimit = 0x22;
inline constexpr std::uint16_t kPrefetchableBase = 0x24;
inline constexpr std::uint16_t kPrefetchableLimit = 0x26;
inline constexpr std::uint16_t kPrefetchableBaseUpper = 0x28;
inline constexpr std::uint16_t kPrefetchableLimitUpper = 0x2c;
inline constexpr std::uint16_t kBridgeControl = 0x3e;
/// @}

/// @{
/// From the start of the Express capability: its size, and offsets: PCI Express base 5.0, 7.5.3.
inline constexpr std::size_t kExpressBytes = 0x3c;
inline constexpr std::uint16_t kExpressFlags = 0x02;
inline constexpr std::uint16_t kDeviceCapabilities = 0x04;
inline constexpr std::uint16_t kDeviceControl = 0x08;
inline constexpr std::uint16_t kLinkCapabilities = 0x0c;
inline constexpr std::uint16_t kLinkControl = 0x10;
inline constexpr std::uint16_t kLinkStatus = 0x12;
inline constexpr std::uint16_t kSlotCapabilities = 0x14;
inline constexpr std::uint16_t kSlotControl = 0x18;
inline constexpr std::uint16_t kSlotStatus = 0x1a;
inline constexpr std::uint16_t kRootControl = 0x1c;
/// @}

inline constexpr std::uint16_t kLinkActive = 1 << 13;  ///< of the link's status

/// @{
/// Bits of the slot's capabilities: PCI Express base 5.0, 7.5.3.9.
inline constexpr std::uint32_t kSlotButton = 1 << 0;  ///< of its capabilities
inline constexpr std::uint32_t kSlotPowerControl = 1 << 1;
inline constexpr std::uint32_t kSlotPowerIndicator = 1 << 4;
inline constexpr std::uint32_t kSlotHotplug = 1 << 6;
inline constexpr std::uint32_t kSlotNumberShift = 19;
inline constexpr std::uint32_t kSlotNoCompletion = 1 << 18;  ///< commands need no time
/// @}

/// @{
/// Bits of the slot's status: PCI Express base 5.0, 7.5.3.11.
inline constexpr std::uint16_t kEventButton = 1 << 0;  ///< of the slot's status
inline constexpr std::uint16_t kEventPresence = 1 << 3;
inline constexpr std::uint16_t kSlotPresent = 1 << 6;
inline constexpr std::uint16_t kEventLink = 1 << 8;
/// @}

/// @{
/// Bits of the slot's control: PCI Express base 5.0, 7.5.3.10.
inline constexpr std::uint16_t kButtonEnable = 1 << 0;  ///< of the slot's control
inline constexpr std::uint16_t kPresenceEnable = 1 << 3;
inline constexpr std::uint16_t kCompletionEnable = 1 << 4;
inline constexpr std::uint16_t kHotplugInterrupt = 1 << 5;
inline constexpr std::uint16_t kIndicatorMask = 3 << 8;  ///< the power indicator
inline constexpr std::uint16_t kIndicatorOn = 1 << 8;
inline constexpr std::uint16_t kIndicatorBlinks = 2 << 8;
inline constexpr std::uint16_t kIndicatorOff = 3 << 8;
inline constexpr std::uint16_t kPowerOff = 1 << 10;
/// @}
/// Of the slot's control: events of the link are told.
inline constexpr std::uint16_t kLinkEnable = 1 << 12;

/// Base address registers of a type 0 header.
inline constexpr std::size_t kBarCount = 6;
inline constexpr std::uint8_t kRomIndex = 6;  ///< of the expansion ROM among the BARs

/// @{
/// Bits of the command register: PCI 3.0, 6.2.2.
inline constexpr std::uint16_t kCommandIo = 1 << 0;
inline constexpr std::uint16_t kCommandMemory = 1 << 1;
inline constexpr std::uint16_t kCommandBusMaster = 1 << 2;
inline constexpr std::uint16_t kCommandParityError = 1 << 6;
inline constexpr std::uint16_t kCommandSystemError = 1 << 8;
inline constexpr std::uint16_t kCommandIntxDisable = 1 << 10;
/// @}

/// @{
/// Bits of the status register: PCI 3.0, 6.2.3.
inline constexpr std::uint16_t kStatusInterrupt = 1 << 3;
inline constexpr std::uint16_t kStatusCapabilities = 1 << 4;
inline constexpr std::uint16_t kStatusErrors = 0xf900;  ///< cleared by writing ones
/// @}

inline constexpr std::uint8_t kMultifunction = 0x80;  ///< of the header type

/// @{
/// Ids of capabilities: PCI 3.0, appendix H.
inline constexpr std::uint8_t kCapabilityPower = 0x01;
inline constexpr std::uint8_t kCapabilityMsi = 0x05;
inline constexpr std::uint8_t kCapabilityVendor = 0x09;
inline constexpr std::uint8_t kCapabilityExpress = 0x10;
inline constexpr std::uint8_t kCapabilityMsix = 0x11;
inline constexpr std::uint8_t kCapabilitySata = 0x12;
inline constexpr std::uint8_t kCapabilityAdvanced = 0x13;  ///< advanced features: a reset
/// @}

/// @{
/// Ids of extended capabilities.
inline constexpr std::uint16_t kExtendedVendor = 0x000b;
inline constexpr std::uint16_t kExtendedSerial = 0x0003;
/// @}

}  // namespace vmm::pci
