// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/base/iova.h"
#include "vmm/vm_memory/guest_memory.h"
#include "vmm/vm_memory/translation.h"

namespace vmm::vm_memory {

/// Makes a RegionMap at I/O addresses of mappings to guest-physical ones.
///
///   TranslationBuilder builder(memory.snapshot());
///   (void)builder.add({.iova = iova, .bytes_less_one = 0xfff, .target = page, .access = kRead});
///   io_memory.replace(std::move(builder).build({.faults = faults, .complete = true}));
///
/// Neighbours that continue each other, in the host's memory too, become one region: so a ring may
/// lie on several mappings.
class TranslationBuilder {
 public:
  /// Some I/O addresses and what they lead to.
  struct Mapping {
    Iova iova;                         ///< the first address
    std::uint64_t bytes_less_one = 0;  ///< neither this nor the target's range passes 2^64
    GuestAddress target;               ///< the first guest-physical address
    Access access = Access::kNone;     ///< what a device may do there
  };
  /// What the map says where no mapping allows an access.
  struct Rules {
    std::shared_ptr<FaultHandler> faults;  ///< not nullptr
    bool complete = false;                 ///< as Translation::complete
  };

  /// `physical` is not nullptr, and not translated.
  explicit TranslationBuilder(std::shared_ptr<const RegionMap> physical)
      : physical_(std::move(physical)) {}

  /// Adds a mapping, above those that were added before. False when not all that it leads to is
  /// RAM; nothing is added then.
  [[nodiscard]] bool add(const Mapping& mapping);
  /// Makes room for that many mappings.
  void reserve(std::size_t mappings);
  /// The map of what was added, as RegionMap::translated() makes it. Never nullptr.
  [[nodiscard]] std::shared_ptr<const RegionMap> build(Rules rules) &&;

 private:
  void push(const RegionSpan& span, Access access);

  std::shared_ptr<const RegionMap> physical_;
  std::vector<RegionSpan> spans_;
  std::vector<Access> access_;  // parallel to spans_
};

}  // namespace vmm::vm_memory
