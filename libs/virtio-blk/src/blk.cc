// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_blk/blk.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "blk_worker.h"
#include "queue_counters.h"
#include "vmm/base/checked.h"
#include "vmm/virtio_blk/request.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_blk {
namespace {

constexpr std::uint16_t kMaxQueues = 1024;
constexpr std::uint32_t kMaxBlockBytes = 65536;

std::uint64_t offered(const BlkOptions& options, bool read_only) {
  using enum BlkFeature;
  std::uint64_t features = bit(kSegMax) | bit(kBlkSize) | bit(kTopology) | bit(kFlush) |
                           bit(kConfigWce) | virtio_queue::kFeatureRingReset;
  if (options.queues > 1) features |= bit(kMq);
  if (read_only) return features | bit(kReadOnly);
  if (options.discard) features |= bit(kDiscard);
  return features | bit(kWriteZeroes);
}

}  // namespace

Blk::Blk(std::shared_ptr<block::Image> image, BlkOptions options)
    : image_(std::move(image)),
      options_(std::move(options)),
      queue_sizes_(options_.queues, options_.queue_size),
      features_(offered(options_, !image_->file().writable())) {
  std::memcpy(id_.data(), options_.serial.data(), options_.serial.size());
  for (std::uint16_t i = 0; i < options_.queues; ++i) {
    counters_.push_back(std::make_unique<QueueCounters>());
  }
}

Blk::~Blk() = default;

Result<std::shared_ptr<Blk>> Blk::create(std::shared_ptr<block::Image> image, BlkOptions options) {
  if (options.queues == 0 || options.queues > kMaxQueues) {
    return fail(Error::os(EINVAL, "block device: number of queues"));
  }
  if (options.queue_size < 2 || !is_power_of_two(options.queue_size) ||
      options.queue_size > virtio_queue::kMaxQueueSize) {
    return fail(Error::os(EINVAL, "block device: queue size"));
  }
  if (options.block_bytes != 0 &&
      (options.block_bytes < kSectorBytes || options.block_bytes > kMaxBlockBytes ||
       !is_power_of_two(options.block_bytes))) {
    return fail(Error::os(EINVAL, "block device: block size"));
  }
  // The driver would write parts of blocks, which direct I/O cannot.
  if (options.block_bytes != 0 && options.block_bytes < image->file().alignment()) {
    return fail(Error::os(EINVAL, "block device: block size below that of direct I/O"));
  }
  if (options.serial.size() > kIdBytes) return fail(Error::os(EINVAL, "block device: serial"));
  return std::shared_ptr<Blk>(new Blk(std::move(image), std::move(options)));
}

void Blk::read_config(std::span<std::byte> config) {
  block::BlockSizes sizes = image_->file().block_sizes();
  if (options_.block_bytes != 0) {
    sizes.logical = options_.block_bytes;
    sizes.physical = std::max(sizes.physical, sizes.logical);
  }
  BlkConfig fields{};
  fields.capacity = Le64(image_->size_bytes() / kSectorBytes);
  fields.seg_max = Le32(max_data_pieces(options_));
  fields.blk_size = Le32(sizes.logical);
  const std::uint32_t blocks = std::max(sizes.physical / sizes.logical, std::uint32_t{1});
  fields.physical_block_exp = static_cast<std::uint8_t>(std::bit_width(blocks) - 1);
  fields.min_io_size = Le16(static_cast<std::uint16_t>(std::min(blocks, std::uint32_t{0xffff})));
  fields.opt_io_size = Le32(sizes.optimal / sizes.logical);
  fields.writeback = writeback() ? 1 : 0;
  fields.num_queues = Le16(options_.queues);
  fields.max_discard_sectors = Le32(kMaxDiscardSectors);
  fields.max_discard_seg = Le32(kMaxSegments);
  fields.discard_sector_alignment =
      Le32(std::max({sizes.physical, sizes.logical, kSectorBytes}) / kSectorBytes);
  fields.max_write_zeroes_sectors = Le32(kMaxZeroesSectors);
  fields.max_write_zeroes_seg = Le32(kMaxSegments);
  fields.write_zeroes_may_unmap = options_.discard ? 1 : 0;
  std::memcpy(config.data(), &fields, std::min(config.size(), kConfigBytes));
}

void Blk::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  constexpr std::uint64_t kField = offsetof(BlkConfig, writeback);
  if (offset > kField || kField - offset >= data.size()) return;
  if ((negotiated_ & bit(BlkFeature::kConfigWce)) == 0) return;
  writeback_.store(data[static_cast<std::size_t>(kField - offset)] != std::byte{0},
                   std::memory_order_relaxed);
}

// 5.2.5.2 and 5.2.6.2: a driver that cannot flush, and has not chosen otherwise, is told of writes
// when they are durable.
void Blk::set_features(std::uint64_t features) {
  negotiated_ = features;
  const bool flushes = features == 0 || (features & bit(BlkFeature::kFlush)) != 0;
  writeback_.store(flushes, std::memory_order_relaxed);
}

Result<virtio_device::WorkerList> Blk::activate(virtio_device::Activation activation) {
  {
    const MutexLock lock(mutex_);
    interrupt_ = activation.interrupt;
  }
  const std::uint16_t queues = activation.has(bit(BlkFeature::kMq)) ? options_.queues : 1;
  virtio_device::WorkerList workers;
  for (std::uint16_t index = 0; index < queues; ++index) {
    auto worker = std::make_unique<BlkWorker>(*this, index, activation);
    const auto queue =
        std::ranges::find(activation.queues, index, &virtio_device::ActiveQueue::index);
    if (queue != activation.queues.end()) worker->take(std::move(*queue));
    workers.push_back(std::move(worker));
  }
  return workers;
}

void Blk::reset() {
  const MutexLock lock(mutex_);
  interrupt_.reset();
}

Result<void> Blk::resize(std::uint64_t bytes) {
  VMM_TRY_DO(image_->resize(bytes));
  std::shared_ptr<virtio_device::Interrupt> interrupt;
  {
    const MutexLock lock(mutex_);
    interrupt = interrupt_;
  }
  if (interrupt != nullptr) interrupt->config_changed();
  return {};
}

BlkCounters Blk::counters() const {
  BlkCounters all;
  for (const auto& queue : counters_) {
    all.reads.add(queue->reads.read());
    all.writes.add(queue->writes.read());
    all.flushes += queue->flushes.load(std::memory_order_relaxed);
    all.errors += queue->errors.load(std::memory_order_relaxed);
    all.throttled += queue->throttled.load(std::memory_order_relaxed);
  }
  return all;
}

}  // namespace vmm::virtio_blk
