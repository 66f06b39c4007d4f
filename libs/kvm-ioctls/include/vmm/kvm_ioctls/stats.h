// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::kvm_ioctls {

/// One statistic: what it is called and where its values are.
struct StatsDescriptor {
  /// How the value behaves (KVM_STATS_TYPE_*). A histogram has one value a bucket.
  enum class Kind : std::uint8_t { kCumulative, kInstant, kPeak, kLinearHistogram, kLogHistogram };
  /// What the value counts (KVM_STATS_UNIT_*).
  enum class Unit : std::uint8_t { kNone, kBytes, kSeconds, kCycles, kBoolean };

  std::string name;  ///< at most 1023 bytes
  /// @{
  /// Both refer to each of the values.
  Kind kind;
  Unit unit;
  /// @}
  bool power_of_two;          ///< the base of `exponent`: 2, or 10
  std::int16_t exponent;      ///< the unit times base^exponent
  std::uint32_t values;       ///< 64-bit words
  std::uint32_t bucket_size;  ///< of a linear histogram
  std::uint64_t offset;       ///< of the first value, in bytes from the start of the data
};

/// The layout of a statistics file, which does not change during its life.
struct StatsSchema {
  std::string id;                            ///< for example "kvm-1234/vcpu-0"
  std::vector<StatsDescriptor> descriptors;  ///< in the order of the file
  std::uint64_t data_offset = 0;             ///< in the file
  std::uint64_t data_bytes = 0;              ///< that all descriptors together reach
};

/// Reads the part of a statistics file in front of the data (struct kvm_stats_header and what it
/// points to). `file` is what was read from its start.
///
/// Errors: KvmError::kMalformedStats for anything out of place: parts outside of `file`, names
/// without an end, more than 4096 descriptors, values beyond 1 MiB, unknown kinds or units.
[[nodiscard]] Result<StatsSchema> parse_stats(std::span<const std::byte> file);

/// The binary statistics of a VM or vCPU (KVM_GET_STATS_FD). Not for time-critical threads.
///
/// Thread-safety: all functions may be called from any thread.
class StatsFd {
 public:
  /// Takes over the descriptor.
  static StatsFd adopt(UniqueFd fd) { return StatsFd(std::move(fd)); }

  /// Errors: the errno of pread(2); KvmError::kMalformedStats.
  [[nodiscard]] Result<StatsSchema> schema() const;
  /// All values, in the order of the data; a descriptor's begin at word offset / 8.
  [[nodiscard]] Result<std::vector<std::uint64_t>> read(const StatsSchema& schema) const;

  /// Borrowed: valid as long as this object lives.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit StatsFd(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace vmm::kvm_ioctls
