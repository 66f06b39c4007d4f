// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/virtio_balloon/balloon.h"
#include "vmm/virtio_device/testing/device_rig.h"

namespace vmm::virtio_balloon {

using virtio_device::testing::Bytes;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::GuestHeap;
using virtio_device::testing::RigOptions;
using vm_memory::Region;
using vm_memory::RegionPart;

inline std::ostream& operator<<(std::ostream& out, const RegionPart& part) {
  return out << "{" << part.offset << ", " << part.bytes << "}";
}

/// Writes down what it gets.
class RecordingReclaim final : public Reclaim {
 public:
  explicit RecordingReclaim(std::uint64_t granule = 4096) : granule_(granule) {}

  [[nodiscard]] std::uint64_t granule(const Region&) const override { return granule_; }
  void reclaim(const Region&, const RegionPart& part) override { parts.push_back(part); }
  /// What came since the last call.
  std::vector<RegionPart> take() { return std::exchange(parts, {}); }

  std::vector<RegionPart> parts;

 private:
  const std::uint64_t granule_;
};

inline constexpr std::uint16_t kInflateQueue = 0;
inline constexpr std::uint16_t kDeflateQueue = 1;
inline constexpr std::uint16_t kStatisticsQueue = 2;
inline constexpr std::uint16_t kReportingQueue = 4;
inline constexpr std::uint64_t kAllFeatures =
    kFeatureMustTellHost | kFeatureStatistics | kFeatureDeflateOnOom | kFeaturePageReporting;
inline constexpr std::uint32_t kFirstPage = GuestHeap::kBase / 4096;

/// An array of page numbers as the driver writes it.
inline Bytes pages(const std::vector<std::uint32_t>& numbers) {
  Bytes bytes(numbers.size() * 4);
  for (std::size_t i = 0; i < numbers.size(); ++i) store_le(bytes.data() + 4 * i, numbers[i]);
  return bytes;
}

inline std::shared_ptr<Balloon> make_balloon(std::shared_ptr<Reclaim> reclaim = nullptr,
                                             std::uint64_t target = 0) {
  return *Balloon::create({.target = target,
                           .deflate_on_oom = true,
                           .page_reporting = true,
                           .reclaim = std::move(reclaim)});
}

/// A driver that sets up only the queues it likes.
class SomeQueues {
 public:
  SomeQueues(std::shared_ptr<Balloon> balloon, std::uint64_t features,
             const std::vector<std::uint16_t>& queues)
      : rig_(std::move(balloon)) {
    using virtio_queue::driver::Driver;
    virtio_device::TransportCore& core = rig_.core();
    core.set_status(1);
    core.set_status(3);
    core.set_driver_features(0, static_cast<std::uint32_t>(features));
    core.set_driver_features(1, 1);
    core.set_status(0xb);
    for (const std::uint16_t queue : queues) {
      const virtio_queue::RingAddresses rings{.descriptors = rig_.heap().take(4096),
                                              .driver = rig_.heap().take(4096),
                                              .device = rig_.heap().take(4096)};
      drivers_.push_back(*Driver::create({.rings = rings, .size = 8}, rig_.memory()));
      virtio_queue::QueueConfig& config = *core.editable_queue(queue);
      (void)config.set_size(8);
      (void)config.set_descriptors(rings.descriptors);
      (void)config.set_driver(rings.driver);
      (void)config.set_device(rings.device);
      core.enable_queue(queue);
      numbers_.push_back(queue);
    }
    core.set_status(DeviceRig::kRunning);
  }

  [[nodiscard]] bool running() const { return rig_.running(); }
  /// Offers a buffer on the queue that was set up as number `index`.
  void offer(std::size_t index, const virtio_device::testing::Buffer& buffer) {
    (void)drivers_[index].add({&buffer, 1});
    if (drivers_[index].publish()) rig_.core().kick(numbers_[index]);
    rig_.run();
  }

 private:
  DeviceRig rig_;
  std::vector<virtio_queue::driver::Driver> drivers_;
  std::vector<std::uint16_t> numbers_;
};

}  // namespace vmm::virtio_balloon
