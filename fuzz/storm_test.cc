// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Several CPUs of a guest use each virtio device at one time, and not as drivers do, while the host
// changes what it is made of: its memory, its configuration, its place on the bus. Nothing of it
// may crash or wait for ever, and the next driver finds a device that works. In a build with
// ThreadSanitizer, no data of ours may be used by two threads at one time.

#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "any_device.h"
#include "fuzz_input.h"
#include "storm_cpu.h"
#include "storm_rig.h"
#include "vmm/block/image_file.h"
#include "vmm/block/open_image.h"
#include "vmm/virtio_blk/blk.h"
#include "vmm/virtio_device/testing/device_rig.h"

// What the kernel moves for a device, it moves to and from memory that CPUs use meanwhile.
extern "C" const char* __tsan_default_suppressions() {  // NOLINT: the sanitizer's name
  return "race_top:recvmsg\nrace_top:sendmsg\nrace_top:readv\nrace_top:writev\n"
         "race_top:preadv\nrace_top:pwritev\nrace_top:madvise\n";
}

namespace vmm {
namespace {

using storm::Rig;
using virtio_device::testing::DeviceRig;

/// For longer runs by hand.
std::chrono::milliseconds time_of_each() {
  const char* const told = std::getenv("VMM_STORM_MS");
  return std::chrono::milliseconds(told == nullptr ? 300 : std::atoi(told));
}
std::uint64_t first_seed() {
  const char* const told = std::getenv("VMM_STORM_SEED");
  return told == nullptr ? 1 : std::strtoull(told, nullptr, 0);
}

/// What the host does with any device.
class Host {
 public:
  Host(Rig& rig, const AnyDevice& any) : rig_(rig), any_(any) {}

  void operator()(std::uint32_t what) {
    const std::uint32_t how = what >> 8;
    switch (what % 16) {
      case 0:
        rig_.unplug();
        return rig_.plug();
      case 1:
        return more_memory();
      case 2:
        return std::this_thread::sleep_for(std::chrono::milliseconds(2));
      default:
        if (any_.host) any_.host(static_cast<std::uint8_t>(how));
        std::this_thread::sleep_for(std::chrono::microseconds(how % 256));
    }
  }

 private:
  void more_memory() {
    constexpr GuestAddress kBase(Rig::kRamBytes);
    more_ = !more_;
    if (more_) {
      require(rig_.ram.plug({.base = kBase, .bytes = Rig::kMoreBytes}).has_value());
    } else {
      require(rig_.ram.unplug(kBase, Rig::kMoreBytes).has_value());
    }
  }

  Rig& rig_;
  const AnyDevice& any_;
  bool more_ = false;
};

/// A disk that io_uring serves.
AnyDevice ring_disk() {
  UniqueFd file(::memfd_create("disk", MFD_CLOEXEC));
  require(::ftruncate(file.get(), 0x8000) == 0);
  std::shared_ptr<block::Image> image =
      *block::open_raw(*block::ImageFile::adopt(std::move(file), {.writable = true}), {});
  const auto blk = *virtio_blk::Blk::create(
      image, {.queues = 3, .queue_size = 16, .engine = block::EngineKind::kAuto});
  virtio_device::testing::Bytes get_id(16);
  get_id[0] = std::byte{8};
  return {.needed = blk,
          .device = blk,
          .host = [blk](std::uint8_t how) { (void)blk->resize(512 * (1 + how % 64u)); },
          .probe = {.readable = {get_id}, .writable = {20, 1}}};
}

AnyDevice device_of(std::size_t number) {
  return number < kAnyDevices ? make_any_device(number) : ring_disk();
}

TEST_CASE("a device outlives CPUs that use it at one time as no driver does", "[storm][hostile]") {
  for (std::size_t number = 0; number <= kAnyDevices; ++number) {
    CAPTURE(number);
    const AnyDevice any = device_of(number);
    {
      Rig rig(any.device);
      rig.plug();
      storm::rage(rig, first_seed() + number, time_of_each(), Host(rig, any));
      rig.unplug();
    }
    if (number == kAnyDevices) {  // it has got that far
      const auto counters = std::static_pointer_cast<virtio_blk::Blk>(any.needed)->counters();
      CHECK(counters.reads.requests != 0);
      CHECK(counters.writes.requests != 0);
    }
    DeviceRig next(any.device,
                   {.features = any.device->features() & virtio_device::kDeviceFeatures});
    REQUIRE(next.start());
    CHECK(next.exchange(any.probe_queue, any.probe));
    CHECK(next.running());
  }
}

}  // namespace
}  // namespace vmm
