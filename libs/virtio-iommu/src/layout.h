// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The structures of virtio 1.3, 5.13.

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/base/endian.h"

namespace vmm::virtio_iommu {

enum class RequestType : std::uint8_t {
  kAttach = 1,
  kDetach = 2,
  kMap = 3,
  kUnmap = 4,
  kProbe = 5,
};

/// What a request is answered with: 5.13.6.
enum class Status : std::uint8_t {
  kOk = 0,
  kIoError = 1,
  kUnsupported = 2,
  kDeviceError = 3,
  kInvalid = 4,
  kRange = 5,
  kNoEntry = 6,
  kFault = 7,
  kNoMemory = 8,
};

struct Config {
  Le64 page_size_mask;
  Le64 input_first;
  Le64 input_last;
  Le32 domain_first;
  Le32 domain_last;
  Le32 probe_size;
  std::uint8_t bypass;
  std::array<std::uint8_t, 3> reserved;
};
static_assert(sizeof(Config) == 40);
static_assert(offsetof(Config, bypass) == 36);

struct RequestHead {
  std::uint8_t type;
  std::array<std::uint8_t, 3> reserved;
};

struct Tail {
  std::uint8_t status;
  std::array<std::uint8_t, 3> reserved;
};
static_assert(sizeof(Tail) == 4);

// Requests behind their head.

struct AttachRequest {
  Le32 domain;
  Le32 endpoint;
  Le32 flags;
  Le32 reserved;
};
inline constexpr std::uint32_t kAttachBypass = 1u << 0;

struct DetachRequest {
  Le32 domain;
  Le32 endpoint;
  std::array<std::uint8_t, 8> reserved;
};

/// Fields that the head makes to lie at multiples of 4, not 8.
struct MapRequest {
  Le32 domain;
  std::array<Le32, 2> first;
  std::array<Le32, 2> last;
  std::array<Le32, 2> target;
  Le32 flags;
};
static_assert(sizeof(MapRequest) == 32);
inline constexpr std::uint32_t kMapRead = 1u << 0;
inline constexpr std::uint32_t kMapWrite = 1u << 1;
inline constexpr std::uint32_t kMapMmio = 1u << 2;

struct UnmapRequest {
  Le32 domain;
  std::array<Le32, 2> first;
  std::array<Le32, 2> last;
  Le32 reserved;
};
static_assert(sizeof(UnmapRequest) == 24);

inline std::uint64_t wide(const std::array<Le32, 2>& halves) {
  return halves[0].get() | std::uint64_t{halves[1].get()} << 32;
}

struct ProbeRequest {
  Le32 endpoint;
  std::array<std::uint8_t, 64> reserved;
};

inline constexpr std::uint16_t kPropertyReserved = 1;

struct ReservedProperty {
  Le16 type;
  Le16 length;
  std::uint8_t subtype;
  std::array<std::uint8_t, 3> reserved;
  Le64 first;
  Le64 last;
};
static_assert(sizeof(ReservedProperty) == 24);

/// How many bytes the properties of an endpoint have.
inline constexpr std::size_t kProbeBytes = 512;
inline constexpr std::size_t kMaxReserved = kProbeBytes / sizeof(ReservedProperty);

struct Fault {
  std::uint8_t reason;
  std::array<std::uint8_t, 3> reserved;
  Le32 flags;
  Le32 endpoint;
  Le32 reserved1;
  Le64 address;
};
static_assert(sizeof(Fault) == 24);
inline constexpr std::uint8_t kFaultDomain = 1;
inline constexpr std::uint8_t kFaultMapping = 2;
inline constexpr std::uint32_t kFaultRead = 1u << 0;
inline constexpr std::uint32_t kFaultWrite = 1u << 1;
inline constexpr std::uint32_t kFaultAddress = 1u << 8;

}  // namespace vmm::virtio_iommu
