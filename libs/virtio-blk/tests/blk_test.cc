// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What the device says of itself, its caches, its size.

#include "vmm/virtio_blk/blk.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>
#include <tuple>

#include "blk_rig.h"
#include "vmm/base/unique_fd.h"
#include "vmm/virtio_blk/request.h"

namespace vmm::virtio_blk {
namespace {

using enum BlkFeature;

TEST_CASE("options that cannot be are refused", "[blk]") {
  BlkRig rig;
  const std::vector<BlkOptions> bad = {{.queues = 0},          {.queues = 1025},
                                       {.queue_size = 0},      {.queue_size = 1},
                                       {.queue_size = 100},    {.serial = std::string(21, 'x')},
                                       {.queue_size = 0xffff}, {.block_bytes = 256},
                                       {.block_bytes = 1000},  {.block_bytes = 131072}};
  for (const BlkOptions& options : bad) {
    const auto made = Blk::create(rig.image, options);
    REQUIRE_FALSE(made);
    CHECK(made.error().is_os(EINVAL));
  }
  CHECK(Blk::create(rig.image, {.queues = 1024, .queue_size = 32768}));
}

TEST_CASE("the features are those that the disk can have", "[blk]") {
  struct Row {
    BlkSetUp set_up;
    std::uint64_t has, lacks;
  };
  const std::uint64_t always = bit(kSegMax) | bit(kBlkSize) | bit(kTopology) | bit(kFlush) |
                               bit(kConfigWce) | virtio_queue::kFeatureRingReset;
  const auto [set_up, has, lacks] = GENERATE_COPY(values<Row>({
      {{}, always | bit(kDiscard) | bit(kWriteZeroes), bit(kReadOnly) | bit(kMq)},
      {{.blk = {.queues = 2}}, always | bit(kMq), bit(kReadOnly)},
      {{.blk = {.discard = false}}, always | bit(kWriteZeroes), bit(kDiscard)},
      {{.readonly = true}, always | bit(kReadOnly), bit(kDiscard) | bit(kWriteZeroes)},
  }));
  BlkRig rig(set_up);
  CHECK((rig.blk->features() & has) == has);
  CHECK((rig.blk->features() & lacks) == 0);
  // Of its type and RING_RESET, none of the transport's.
  CHECK((rig.blk->features() &
         ~(virtio_device::kDeviceFeatures | virtio_queue::kFeatureRingReset)) == 0);
}

TEST_CASE("the configuration space describes the disk", "[blk]") {
  BlkRig rig({.blk = {.queues = 3, .queue_size = 64}});
  DeviceRig& driver = *rig.driver;
  CHECK(driver.core().config_bytes() == 60);
  CHECK(driver.config<std::uint64_t>(0) == kSectors);
  CHECK(driver.config<std::uint32_t>(12) == 62);  // seg_max
  const auto logical = driver.config<std::uint32_t>(20);
  CHECK(logical == rig.image->file().block_sizes().logical);
  CHECK(logical << driver.config<std::uint8_t>(24) == rig.image->file().block_sizes().physical);
  CHECK(driver.config<std::uint8_t>(32) == 1);   // writeback
  CHECK(driver.config<std::uint8_t>(33) == 0);   // padding
  CHECK(driver.config<std::uint16_t>(34) == 3);  // num_queues
  CHECK(driver.config<std::uint32_t>(36) == kMaxDiscardSectors);
  CHECK(driver.config<std::uint32_t>(40) == kMaxSegments);
  CHECK(driver.config<std::uint32_t>(44) == rig.image->file().block_sizes().physical / 512);
  CHECK(driver.config<std::uint32_t>(48) == kMaxZeroesSectors);
  CHECK(driver.config<std::uint32_t>(52) == kMaxSegments);
  CHECK(driver.config<std::uint32_t>(56) == 1);  // write_zeroes_may_unmap and padding
}

TEST_CASE("the logical block may be told to be another one", "[blk]") {
  const std::uint32_t bytes = GENERATE(512u, 4096u, 65536u);
  BlkRig rig({.blk = {.block_bytes = bytes}});
  DeviceRig& driver = *rig.driver;
  const std::uint32_t physical = std::max(bytes, rig.image->file().block_sizes().physical);
  CHECK(driver.config<std::uint64_t>(0) == kSectors);
  CHECK(driver.config<std::uint32_t>(20) == bytes);
  CHECK(bytes << driver.config<std::uint8_t>(24) == physical);
  CHECK(driver.config<std::uint32_t>(44) == physical / 512);  // discard_sector_alignment
}

TEST_CASE("a logical block that direct I/O cannot write is refused", "[blk]") {
  const auto file = sys_util::TempFile::create("/var/tmp/vmm-blk-");
  REQUIRE(file);
  REQUIRE(::ftruncate(file->fd(), 1 << 20) == 0);
  // A device of blocks of 4 KiB on the file, which goes with its last user.
  const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
  const std::string path = "/dev/loop" + std::to_string(number);
  const UniqueFd device(number < 0 ? -1 : ::open(path.c_str(), O_RDWR | O_CLOEXEC));
  loop_config set_up{};
  set_up.fd = static_cast<std::uint32_t>(file->fd());
  set_up.block_size = 4096;
  set_up.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  if (::ioctl(device.get(), LOOP_CONFIGURE, &set_up) != 0) {
    WARN("no loop device");
    return;
  }
  for (const auto& [direct, bytes, good] :
       std::vector<std::tuple<bool, std::uint32_t, bool>>{{true, 512, false},
                                                          {true, 2048, false},
                                                          {true, 4096, true},
                                                          {true, 65536, true},
                                                          {true, 0, true},
                                                          {false, 512, true}}) {
    CAPTURE(direct, bytes);
    auto image = block::open_image(
        path, {.format = block::ImageFormat::kRaw, .direct = direct, .lock = std::nullopt});
    REQUIRE(image);
    const auto made =
        Blk::create(std::shared_ptr<block::Image>(std::move(*image)), {.block_bytes = bytes});
    REQUIRE(made.has_value() == good);
    if (!good) CHECK(made.error().is_os(EINVAL));
  }
}

// 5.2.6.2: whether a write waits for the medium.
TEST_CASE("writes are durable unless the driver flushes", "[blk]") {
  struct Row {
    const char* name;
    std::uint64_t features;
    int writeback;  // what the driver chooses; -1: nothing
    bool durable;
  };
  const auto row = GENERATE(values<Row>({
      {"no feature", 0, -1, true},
      {"flush", bit(kFlush), -1, false},
      {"a choice that was not negotiated", bit(kFlush), 0, false},
      {"choice without flush", bit(kConfigWce), -1, true},
      {"choice without flush: write-back", bit(kConfigWce), 1, false},
      {"flush and choice", bit(kFlush) | bit(kConfigWce), -1, false},
      {"flush and choice: write-through", bit(kFlush) | bit(kConfigWce), 0, true},
      {"flush and choice: write-back", bit(kFlush) | bit(kConfigWce), 1, false},
  }));
  CAPTURE(row.name);
  const std::uint64_t ranges = bit(kDiscard) | bit(kWriteZeroes);
  BlkRig rig({.features = row.features | ranges});
  if (row.writeback >= 0) {
    rig.driver->set_config<std::uint8_t>(32, static_cast<std::uint8_t>(row.writeback));
  }
  CHECK(rig.driver->config<std::uint8_t>(32) == (row.durable ? 0 : 1));
  CHECK(rig.image->flushes == 0);
  CHECK(rig.write(1, Bytes(512)) == Status::kOk);
  CHECK(rig.image->flushes == (row.durable ? 1 : 0));
  CHECK(rig.status_of(RequestType::kWriteZeroes, 0, BlkRig::segment(8, 8)) == Status::kOk);
  CHECK(rig.image->flushes == (row.durable ? 2 : 0));
  CHECK(rig.status_of(RequestType::kDiscard, 0, BlkRig::segment(8, 8)) == Status::kOk);
  CHECK(rig.image->flushes == (row.durable ? 3 : 0));
  (void)rig.read(0);
  CHECK(rig.image->flushes == (row.durable ? 3 : 0));
  const bool flushes = (row.features & bit(kFlush)) != 0;
  CHECK(rig.flush() == (flushes ? Status::kOk : Status::kUnsupported));
  CHECK(rig.image->flushes == (row.durable ? 3 : 0) + (flushes ? 1 : 0));
}

// 5.2.5.2: a driver looks before it starts the device, and may choose there too.
TEST_CASE("the cache mode is there as soon as features are chosen", "[blk]") {
  struct Row {
    std::uint64_t features;
    int at_first;
    int after_writing_other;
  };
  const auto row = GENERATE(values<Row>({
      {0, 0, 0},
      {bit(kFlush), 1, 1},
      {bit(kConfigWce), 0, 1},
      {bit(kFlush) | bit(kConfigWce), 1, 0},
  }));
  CAPTURE(row.features);
  BlkRig rig;
  virtio_device::TransportCore& core = rig.driver->core();
  const auto writeback = [&] { return int{rig.driver->config<std::uint8_t>(32)}; };
  const auto write_other = [&] {
    rig.driver->set_config<std::uint8_t>(32, writeback() == 0 ? 1 : 0);
    return writeback();
  };
  core.set_status(0);
  CHECK(write_other() == 1);  // nothing was chosen yet
  core.set_status(virtio_device::kAcknowledge);
  core.set_status(virtio_device::kAcknowledge | virtio_device::kDriver);
  core.set_driver_features(0, static_cast<std::uint32_t>(row.features));
  core.set_driver_features(1, 1);
  CHECK(write_other() == 1);
  const std::uint32_t generation = core.config_generation();
  core.set_status(virtio_device::kAcknowledge | virtio_device::kDriver |
                  virtio_device::kFeaturesOk);
  CHECK(writeback() == row.at_first);
  CHECK((core.config_generation() != generation) == (row.at_first == 0));
  CHECK(write_other() == row.after_writing_other);
  core.set_status(0);
  CHECK(writeback() == 1);
}

TEST_CASE("a new driver finds the cache as it was at first", "[blk]") {
  BlkRig rig;
  rig.driver->set_config<std::uint8_t>(32, 0);
  CHECK(rig.driver->config<std::uint8_t>(32) == 0);
  REQUIRE(rig.driver->start());
  CHECK(rig.driver->config<std::uint8_t>(32) == 1);
}

TEST_CASE("only the cache mode can be written in the configuration space", "[blk][hostile]") {
  BlkRig rig;
  Bytes before(60);
  rig.driver->core().read_config(0, before);
  for (std::uint64_t offset = 0; offset < 60; ++offset) {
    if (offset == 32) continue;
    rig.driver->set_config<std::uint8_t>(offset, 0xff);
  }
  rig.driver->set_config<std::uint64_t>(~std::uint64_t{0} - 3, 0xff);
  Bytes after(60);
  rig.driver->core().read_config(0, after);
  CHECK(before == after);
  rig.driver->set_config<std::uint32_t>(30, 0);  // over the field from both sides
  CHECK(rig.driver->config<std::uint8_t>(32) == 0);
  CHECK(rig.is_alive());
}

TEST_CASE("a disk changes its size while it runs", "[blk]") {
  BlkRig rig;
  const auto generation = rig.driver->core().config_generation();
  REQUIRE(rig.blk->resize(2 * kSectors * 512));
  CHECK(rig.driver->config_interrupts() == 1);
  CHECK(rig.driver->core().config_generation() != generation);
  CHECK(rig.driver->config<std::uint64_t>(0) == 2 * kSectors);
  CHECK(rig.read(2 * kSectors - 1) == Bytes(512));
  REQUIRE(rig.blk->resize(kSectors / 2 * 512));
  CHECK(rig.driver->config_interrupts() == 2);
  const Answer beyond = rig.exchange(
      {.readable = {BlkRig::header(RequestType::kIn, kSectors / 2)}, .writable = {512, 1}});
  CHECK(beyond.bytes.back() == std::byte{1});
  CHECK(rig.is_alive());
  CHECK_FALSE(rig.blk->resize(1000));
  CHECK(rig.driver->config_interrupts() == 2);
  rig.driver->reset();
  REQUIRE(rig.blk->resize(kSectors * 512));  // nobody to tell
  CHECK(rig.driver->config<std::uint64_t>(0) == kSectors);
}

TEST_CASE("a read-only disk keeps its size", "[blk]") {
  BlkRig rig({.readonly = true});
  CHECK_FALSE(rig.blk->resize(512));
  CHECK(rig.blk->size_bytes() == kSectors * 512);
}

TEST_CASE("counters count what was done", "[blk]") {
  BlkRig rig({.blk = {.queues = 2}});
  (void)rig.read(0, 4, 0);
  (void)rig.read(0, 2, 1);
  CHECK(rig.write(0, Bytes(1024)) == Status::kOk);
  CHECK(rig.flush() == Status::kOk);
  CHECK(rig.status_of(static_cast<RequestType>(99), 0) == Status::kUnsupported);
  const BlkCounters counters = rig.blk->counters();
  CHECK(counters.reads.requests == 2);
  CHECK(counters.reads.bytes == 6 * 512);
  CHECK(counters.reads.latency_min != 0);
  CHECK(counters.reads.latency_min <= counters.reads.latency_max);
  CHECK(counters.reads.latency_total >= counters.reads.latency_max);
  CHECK(counters.writes.requests == 1);
  CHECK(counters.writes.bytes == 1024);
  CHECK(counters.flushes == 1);
  CHECK(counters.errors == 1);
}

}  // namespace
}  // namespace vmm::virtio_blk
