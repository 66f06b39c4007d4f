// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/iova.h"
#include "vmm/base/result.h"
#include "vmm/vhost/vhost_error.h"
#include "vmm/vm_memory/translator.h"

namespace vmm::vhost {

/// What a message about a device's translations says. The numbers are those on the wire.
enum class IotlbKind : std::uint8_t {
  kMiss = 1,        ///< from the device: it needs a mapping
  kUpdate = 2,      ///< a mapping
  kInvalidate = 3,  ///< a mapping goes
  kAccessFail = 4,  ///< from the device: a mapping without the permission
  kBatchBegin = 5,  ///< several mappings follow; the other fields mean nothing
  kBatchEnd = 6,    ///< as kBatchBegin
};

/// Which of the kernel's two structures carries a message.
enum class IotlbVersion : std::uint8_t {
  kV1,
  kV2,  ///< with address spaces; kBackendIotlbV2
};

/// A message between a vhost device and whoever translates for it.
struct IotlbMessage {
  IotlbKind kind = IotlbKind::kUpdate;  ///< what the others mean
  /// @{
  Iova iova{};  ///< the range of I/O addresses, except for batches
  std::uint64_t bytes = 0;
  /// @}
  std::uint64_t host = 0;                               ///< address in this process; of kUpdate
  vm_memory::Access access = vm_memory::Access::kNone;  ///< what the device may do, or wanted to
  std::uint32_t address_space = 0;  ///< of kV2: which one of the device's (ASID)

  friend bool operator==(const IotlbMessage&, const IotlbMessage&) = default;
};

/// As struct vhost_msg and vhost_msg_v2 of <linux/vhost_types.h>, which are of one size.
inline constexpr std::size_t kIotlbMessageBytes = 72;
/// A message as it is read and written.
struct alignas(8) IotlbBytes : std::array<std::byte, kIotlbMessageBytes> {};

/// Errors: kNoAddressSpaces; kBadMapping for a kUpdate or kInvalidate of no bytes or one that
/// passes 2^64, and for a kUpdate without host memory or one that passes 2^64 there.
[[nodiscard]] Result<IotlbBytes, VhostError> encode(const IotlbMessage& message,
                                                    IotlbVersion version);
/// Either version. Errors: kBadMessage for another length, type, kind or permission than there
/// are.
[[nodiscard]] Result<IotlbMessage, VhostError> decode(std::span<const std::byte> bytes);

}  // namespace vmm::vhost
