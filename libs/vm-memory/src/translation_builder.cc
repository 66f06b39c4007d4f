// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/translation_builder.h"

#include <algorithm>
#include <utility>

namespace vmm::vm_memory {

void TranslationBuilder::reserve(std::size_t mappings) {
  spans_.reserve(mappings);
  access_.reserve(mappings);
}

bool TranslationBuilder::add(const Mapping& mapping) {
  // Regions touch or have holes between them; the walk is over at the first hole.
  const MemoryView physical = physical_->view();
  const std::uint64_t last = mapping.target.raw() + mapping.bytes_less_one;
  if (mapping.bytes_less_one == UINT64_MAX ||
      !physical.check_range(mapping.target, mapping.bytes_less_one + 1)) {
    return false;
  }
  std::uint64_t next = mapping.target.raw();
  for (const RegionSpan* region = physical.find_region(mapping.target);; ++region) {
    const std::uint64_t offset = next - region->base.raw();
    const std::uint64_t bytes =
        std::min<std::uint64_t>(region->host.size() - offset - 1, last - next) + 1;
    push({GuestAddress(mapping.iova.raw() + (next - mapping.target.raw())),
          region->host.subspan(offset, bytes), nullptr},
         mapping.access);
    if (bytes > last - next) return true;
    next += bytes;
  }
}

void TranslationBuilder::push(const RegionSpan& span, Access access) {
  if (!spans_.empty() && access_.back() == access) {
    RegionSpan& before = spans_.back();
    const bool continues = before.base.raw() + before.host.size() == span.base.raw() &&
                           before.host.data() + before.host.size() == span.host.data();
    if (continues) {
      before.host = {before.host.data(), before.host.size() + span.host.size()};
      return;
    }
  }
  spans_.push_back(span);
  access_.push_back(access);
}

std::shared_ptr<const RegionMap> TranslationBuilder::build(Rules rules) && {
  return RegionMap::translated(std::move(spans_), {.physical = std::move(physical_),
                                                   .faults = std::move(rules.faults),
                                                   .access = std::move(access_),
                                                   .complete = rules.complete});
}

}  // namespace vmm::vm_memory
