// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "disk_device.h"

#include <optional>
#include <utility>

#include "rate_limit.h"
#include "vmm/block/image_file.h"
#include "vmm/block/open_image.h"

namespace vmm::reference {
namespace {

using rate_limiter::RateLimiter;

// check_devices() has seen that the group exists.
std::shared_ptr<RateLimiter> limiter_of(const DiskConfig& config, const RateLimitGroups& groups) {
  if (config.rate_limit_group.empty()) return make_limiter(config.rate_limit);
  const auto group = groups.find(config.rate_limit_group);
  return group == groups.end() ? nullptr : group->second;
}

std::optional<block::ImageFormat> format_of(const DiskConfig& config) {
  switch (config.format) {
    case DiskConfig::Format::kDetect:
      return std::nullopt;
    case DiskConfig::Format::kRaw:
      return block::ImageFormat::kRaw;
    case DiskConfig::Format::kQcow2:
      return block::ImageFormat::kQcow2;
    case DiskConfig::Format::kVhd:
      return block::ImageFormat::kVhd;
    case DiskConfig::Format::kVhdx:
      return block::ImageFormat::kVhdx;
  }
  return std::nullopt;
}

block::LockKind lock_of(const DiskConfig& config) {
  switch (config.lock) {
    case DiskConfig::Lock::kByteRange:
      break;
    case DiskConfig::Lock::kFull:
      return block::LockKind::kFull;
    case DiskConfig::Lock::kQemu:
      return block::LockKind::kQemu;
  }
  return block::LockKind::kByteRange;
}

Outcome<std::shared_ptr<block::Image>> open_disk(const DiskConfig& config) {
  VMM_STEP("--disk: path=" + config.path, std::unique_ptr<block::Image> image,
           block::open_image(config.path, {.format = format_of(config),
                                           .readonly = config.readonly,
                                           .direct = config.direct,
                                           .sparse = config.sparse,
                                           .backing_files = config.backing_files,
                                           .lock = lock_of(config)}));
  return std::shared_ptr<block::Image>(std::move(image));
}

}  // namespace

RateLimitGroups make_rate_limit_groups(const VmConfig& config) {
  RateLimitGroups groups;
  for (const RateLimitGroupConfig& group : config.rate_limit_groups) {
    groups[group.id] = make_limiter(group.rate_limit);
  }
  return groups;
}

Outcome<std::shared_ptr<virtio_blk::Blk>> make_disk(const DiskConfig& config,
                                                    const RateLimitGroups& groups) {
  VMM_TRY(auto image, open_disk(config));
  VMM_STEP("--disk", auto disk,
           virtio_blk::Blk::create(
               std::move(image),
               {.queues = config.num_queues,
                .queue_size = config.queue_size,
                .serial = config.serial,
                .block_bytes = config.guest_block_bytes,
                .discard = config.sparse,
                .engine = config.io_uring ? block::EngineKind::kAuto : block::EngineKind::kSync,
                .pin_memory = config.pin_memory,
                .limiter = limiter_of(config, groups)}));
  return disk;
}

std::vector<std::vector<std::uint64_t>> disk_queue_cpus(const DiskConfig& config) {
  std::vector<std::vector<std::uint64_t>> cpus(config.num_queues);
  for (const CpusConfig::Affinity& affinity : config.queue_affinity) {
    if (affinity.vcpu < cpus.size()) cpus[affinity.vcpu] = affinity.host_cpus;
  }
  return cpus;
}

}  // namespace vmm::reference
