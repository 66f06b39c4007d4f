// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "vmm/virtio_iommu/endpoint.h"

namespace vmm::virtio_iommu {

/// What a driver is told of an endpoint: its own ranges, merged where they meet, around the
/// doorbell of MSIs. Ascending and disjoint: 5.13.6.8.1.
std::vector<ReservedRange> reserved_list(std::span<const ReservedRange> own,
                                         const std::optional<ReservedRange>& msi);

/// Whether a part of [first, last] is in one of them.
bool overlaps(std::span<const ReservedRange> reserved, std::uint64_t first, std::uint64_t last);

}  // namespace vmm::virtio_iommu
