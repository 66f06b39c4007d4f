// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/base/iova.h"
#include "vmm/vm_memory/translator.h"

namespace vmm::vm_memory {

class RegionMap;

/// Is told of accesses to I/O addresses that a RegionMap does not lead on.
///
/// Threads: any, at the same time.
class FaultHandler {
 public:
  virtual ~FaultHandler() = default;
  FaultHandler(const FaultHandler&) = delete;
  FaultHandler& operator=(const FaultHandler&) = delete;

  /// Nothing is mapped there, for at most `bytes` bytes. Unless the map is complete, whoever
  /// accesses tries again when it was replaced.
  virtual void missing(Iova iova, std::uint64_t bytes, Access access) = 0;
  /// What is mapped there does not permit it.
  virtual void denied(Iova iova, std::uint64_t bytes, Access access) = 0;

 protected:
  FaultHandler() = default;
};

/// What stands behind a RegionMap whose addresses are I/O addresses.
struct Translation {
  /// Where the host addresses are, and which memory they keep mapped. Not nullptr.
  std::shared_ptr<const RegionMap> physical;
  std::shared_ptr<FaultHandler> faults;  ///< not nullptr
  std::vector<Access> access;            ///< what each region permits
  /// The map has all mappings there are: what is missing is denied. Otherwise it is a cache, and
  /// whoever needs what is missing waits for another map.
  bool complete = false;
};

}  // namespace vmm::vm_memory
