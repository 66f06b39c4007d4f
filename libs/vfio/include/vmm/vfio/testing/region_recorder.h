// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "vmm/vfio/region_memory.h"

namespace vmm::vfio::testing {

/// A RegionMapper that remembers what is mapped.
///
/// Threads: one.
class RegionRecorder final : public RegionMapper {
 public:
  /// What map() got.
  struct Mapped {
    /// @{
    std::uint64_t bytes = 0;  ///< the memory
    bool writable = false;
    std::byte* memory = nullptr;
    /// @}
  };

  Result<std::shared_ptr<const void>> map(GuestAddress address, std::span<std::byte> memory,
                                          bool writable) override {
    if (refuse || address.raw() == refused) return fail(Error::os(ENOSPC, "map a region"));
    all[address.raw()] = {memory.size(), writable, memory.data()};
    return std::shared_ptr<const void>(memory.data(),
                                       [this, at = address.raw()](const void*) { all.erase(at); });
  }

  std::map<std::uint64_t, Mapped> all;   ///< by address
  bool refuse = false;                   ///< everything
  std::optional<std::uint64_t> refused;  ///< one address
};

}  // namespace vmm::vfio::testing
