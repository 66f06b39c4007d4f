// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config.h"
#include "failure.h"
#include "vmm/rate_limiter/rate_limiter.h"
#include "vmm/virtio_blk/blk.h"

namespace vmm::reference {

/// What --rate-limit-group options made, by id.
using RateLimitGroups = std::map<std::string, std::shared_ptr<rate_limiter::RateLimiter>>;

[[nodiscard]] RateLimitGroups make_rate_limit_groups(const VmConfig& config);

/// Opens and locks the image of a --disk and makes its device.
Outcome<std::shared_ptr<virtio_blk::Blk>> make_disk(const DiskConfig& config,
                                                    const RateLimitGroups& groups);

/// The host CPUs that serve each queue of the disk; empty: any.
[[nodiscard]] std::vector<std::vector<std::uint64_t>> disk_queue_cpus(const DiskConfig& config);

}  // namespace vmm::reference
