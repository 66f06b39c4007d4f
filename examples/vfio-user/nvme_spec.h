// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Numbers and structures of NVM Express 1.2, as far as the controller here needs them.

#include <array>
#include <cstddef>
#include <cstdint>

namespace vmm::nvme {

// Registers, in BAR 0.
inline constexpr std::uint64_t kCapabilities = 0x00;  // 64 bits
inline constexpr std::uint64_t kVersion = 0x08;
inline constexpr std::uint64_t kMaskSet = 0x0c;
inline constexpr std::uint64_t kMaskClear = 0x10;
inline constexpr std::uint64_t kConfiguration = 0x14;
inline constexpr std::uint64_t kStatus = 0x1c;
inline constexpr std::uint64_t kAdminSizes = 0x24;
inline constexpr std::uint64_t kAdminSubmissions = 0x28;  // 64 bits
inline constexpr std::uint64_t kAdminCompletions = 0x30;  // 64 bits
inline constexpr std::uint64_t kDoorbells = 0x1000;

inline constexpr std::uint32_t kEnable = 1;             // of kConfiguration
inline constexpr std::uint32_t kShutdown = 3u << 14;    // the same
inline constexpr std::uint32_t kReady = 1;              // of kStatus
inline constexpr std::uint32_t kFatal = 2;              // the same
inline constexpr std::uint32_t kShutdownDone = 2 << 2;  // the same

inline constexpr std::uint64_t kPage = 4096;

enum class Admin : std::uint8_t {
  kDeleteSubmissions = 0x00,
  kCreateSubmissions = 0x01,
  kDeleteCompletions = 0x04,
  kCreateCompletions = 0x05,
  kIdentify = 0x06,
  kAbort = 0x08,
  kSetFeatures = 0x09,
  kGetFeatures = 0x0a,
  kAsyncEvent = 0x0c,
};
enum class Io : std::uint8_t { kFlush = 0x00, kWrite = 0x01, kRead = 0x02 };

/// What a command ends with: the type of status in bits 8 to 10, its code below.
enum class Status : std::uint16_t {
  kSuccess = 0x000,
  kBadOpcode = 0x001,
  kBadField = 0x002,
  kTransferError = 0x004,
  kInternal = 0x006,
  kBadNamespace = 0x00b,
  kBadRange = 0x080,
  kBadCompletionQueue = 0x100,
  kBadQueue = 0x101,
  kBadQueueSize = 0x102,
  kTooManyEvents = 0x105,
  kBadVector = 0x108,
};

/// What the driver puts into a submission queue.
struct Command {
  std::uint8_t opcode = 0;
  std::uint8_t flags = 0;
  std::uint16_t id = 0;
  std::uint32_t name_space = 0;
  std::uint64_t reserved = 0;
  std::uint64_t metadata = 0;
  std::uint64_t prp1 = 0;
  std::uint64_t prp2 = 0;
  std::array<std::uint32_t, 6> words{};  // 10 to 15
};
static_assert(sizeof(Command) == 64);

/// What the controller puts into a completion queue.
struct Completion {
  std::uint32_t result = 0;
  std::uint32_t reserved = 0;
  std::uint16_t head = 0;
  std::uint16_t queue = 0;
  std::uint16_t id = 0;
  std::uint16_t status = 0;  // with the phase in bit 0
};
static_assert(sizeof(Completion) == 16);

}  // namespace vmm::nvme
