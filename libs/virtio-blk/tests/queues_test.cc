// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Many requests, many queues, and the end of a queue while requests are in flight.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "blk_rig.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/virtio_blk/request.h"
#include "vmm/virtio_device/testing/restart_queue.h"
#include "vmm/vm_memory/dirty_bitmap.h"
#include "vmm/vm_memory/discard.h"

namespace vmm::virtio_blk {
namespace {

using rate_limiter::RateLimiter;

RigRequest read_request(std::uint64_t sector, std::uint32_t sectors = 1) {
  return {.readable = {BlkRig::header(RequestType::kIn, sector)},
          .writable = {sectors * kSectorBytes, 1}};
}

class Pipe {
 public:
  Pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    read_ = UniqueFd(ends[0]);
    write_ = UniqueFd(ends[1]);
  }
  [[nodiscard]] int read_end() const { return read_.get(); }
  void put(const Bytes& bytes) const {
    REQUIRE(::write(write_.get(), bytes.data(), bytes.size()) ==
            static_cast<ssize_t>(bytes.size()));
  }

 private:
  UniqueFd read_, write_;
};

// Whether reads of a pipe stay in flight.
bool has_uring() {
  const bool has = block::Engine::create({.kind = block::EngineKind::kUring}).has_value();
  if (!has) WARN("io_uring is not permitted here");
  return has;
}

TEST_CASE("a full ring of requests is served, again and again", "[blk]") {
  BlkSetUp set_up;
  set_up.rig.packed = GENERATE(false, true);
  set_up.rig.event_idx = GENERATE(false, true);
  set_up.blk.engine = GENERATE(block::EngineKind::kSync, block::EngineKind::kAuto);
  // With more entries in the ring than there are slots.
  set_up.rig.queue_size = GENERATE(std::uint16_t{64}, std::uint16_t{4096});
  set_up.blk.queue_size = set_up.rig.queue_size;
  set_up.rig.ram_bytes = 32 << 20;
  BlkRig rig(set_up);
  for (int round = 0; round < 3; ++round) {
    std::map<std::uint16_t, std::uint64_t> sent;
    for (std::uint64_t sector = 0;; sector = (sector + 1) % kSectors) {
      const auto token = rig.driver->send(0, read_request(sector));
      if (!token) break;
      sent[*token] = sector;
    }
    CHECK(sent.size() == set_up.rig.queue_size / 3u);
    while (!sent.empty()) {
      const auto answer = rig.driver->wait(0);
      REQUIRE(answer);
      const auto found = sent.find(answer->token);
      REQUIRE(found != sent.end());
      Bytes data = answer->bytes;
      data.pop_back();
      CHECK(data == BlkRig::sector_of(found->second));
      sent.erase(found);
    }
  }
}

TEST_CASE("each queue has its own worker", "[blk]") {
  BlkRig rig({.blk = {.queues = 4}});
  for (std::uint16_t queue = 0; queue < 4; ++queue) {
    CHECK(rig.read(queue, 1, queue) == BlkRig::sector_of(queue));
  }
  std::vector<std::uint16_t> tokens;
  for (std::uint16_t queue = 0; queue < 4; ++queue) {
    REQUIRE(rig.driver->send(queue, read_request(10 + queue)));
  }
  for (std::uint16_t queue = 0; queue < 4; ++queue) REQUIRE(rig.driver->wait(queue));
}

TEST_CASE("without MQ there is one queue", "[blk]") {
  BlkRig rig({.blk = {.queues = 2}, .features = 0});
  CHECK(rig.is_alive());
  REQUIRE(rig.driver->send(1, read_request(0)));
  CHECK_FALSE(rig.driver->wait(1, std::chrono::milliseconds(20)));
  CHECK(rig.is_alive());
}

TEST_CASE("requests in flight end with a reset", "[blk]") {
  if (!has_uring()) return;
  BlkSetUp set_up;
  set_up.rig.packed = GENERATE(false, true);
  BlkRig rig(set_up);
  Pipe pipe;
  rig.image->slow_fd = pipe.read_end();
  for (int i = 0; i < 8; ++i) REQUIRE(rig.driver->send(0, read_request(0)));
  REQUIRE(rig.driver->run_until([&] { return rig.image->slow_reads == 8; }));
  CHECK_FALSE(rig.driver->receive(0));
  const GuestAddress ram = rig.driver->heap().take(1 << 20);
  SECTION("of the device") { rig.driver->reset(); }
  SECTION("of the device, by its destruction") {
    rig.driver.reset();
    return;
  }
  // Whatever comes now reaches no memory of the guest.
  pipe.put(Bytes(8 * 512, std::byte{0x77}));
  CHECK(rig.driver->heap().read(ram, 1 << 20) == Bytes(1 << 20));
  rig.image->slow_fd = -1;
  REQUIRE(rig.driver->start());
  CHECK(rig.is_alive());
}

TEST_CASE("a slow request holds up no other one", "[blk]") {
  if (!has_uring()) return;
  BlkRig rig;
  Pipe pipe;
  rig.image->slow_fd = pipe.read_end();
  const auto slow = rig.driver->send(0, read_request(0));
  REQUIRE(rig.driver->run_until([&] { return rig.image->slow_reads == 1; }));
  rig.image->slow_fd = -1;
  CHECK(rig.is_alive());
  CHECK(rig.flush() == Status::kOk);
  pipe.put(Bytes(512, std::byte{0x55}));
  const auto answer = rig.driver->wait(0);
  REQUIRE(answer);
  CHECK(answer->token == slow);
  CHECK(answer->written == 513);
  CHECK(answer->bytes.front() == std::byte{0x55});
}

/// Requests of 16 ranges each, which take this image half a second.
struct SlowRanges : BlkRig {
  static constexpr std::size_t kRequests = 8;
  static constexpr std::size_t kRanges = kRequests * kMaxSegments;

  explicit SlowRanges(std::shared_ptr<RateLimiter> limiter = nullptr)
      : BlkRig({.blk = {.engine = block::EngineKind::kSync, .limiter = std::move(limiter)}}) {
    image->zeroes_take_us = 4000;
    RigRequest request{.readable = {header(RequestType::kWriteZeroes, 0), {}}, .writable = {1}};
    for (std::uint32_t i = 0; i < kMaxSegments; ++i) {
      const Bytes one = segment(1000 + i, 1);
      request.readable[1].insert(request.readable[1].end(), one.begin(), one.end());
    }
    for (std::size_t i = 0; i < kRequests; ++i) REQUIRE(driver->send(0, request));
  }
  /// How many were done when somebody else had his turn.
  std::size_t done_before_others() {
    std::size_t done = 0;
    driver->loop().post([&] { done = image->zeroes.size(); });
    REQUIRE(driver->run_until([&] { return done != 0; }));
    return done;
  }
};

TEST_CASE("ranges that take long leave others of the loop their turn", "[blk][hostile]") {
  SlowRanges rig;
  CHECK(rig.done_before_others() < SlowRanges::kRanges / 2);
  for (std::size_t i = 0; i < SlowRanges::kRequests; ++i) {
    const auto answer = rig.driver->wait(0);
    REQUIRE(answer);
    CHECK(answer->at<std::uint8_t>(0) == 0);
  }
  CHECK(rig.image->zeroes.size() == SlowRanges::kRanges);
  CHECK(rig.is_alive());
}

TEST_CASE("ranges that wait for their turn go on while the limiter is shut", "[blk]") {
  const rate_limiter::BucketConfig bucket{
      .size = SlowRanges::kRequests, .one_time_burst = 0, .refill_ms = 1u << 30};
  SlowRanges rig(std::make_shared<RateLimiter>(
      rate_limiter::RateLimits{.bandwidth = {}, .operations = bucket}));
  REQUIRE(rig.driver->send(0, read_request(5)));  // which shuts it, but for a look once a second
  const auto begun = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < SlowRanges::kRequests; ++i) REQUIRE(rig.driver->wait(0));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(15));
  CHECK(rig.image->zeroes.size() == SlowRanges::kRanges);
}

TEST_CASE("ranges that wait for their turn end with a reset", "[blk][hostile]") {
  SlowRanges rig;
  (void)rig.done_before_others();
  SECTION("of the device") {
    rig.driver->reset();
    REQUIRE(rig.driver->start());
  }
  SECTION("of the queue") { REQUIRE(restart_queue(*rig.driver, 0)); }
  const std::size_t done = rig.image->zeroes.size();
  CHECK(done < SlowRanges::kRanges / 2);
  CHECK(rig.is_alive());
  CHECK(rig.image->zeroes.size() == done);
}

TEST_CASE("ranges that wait for their turn are done before a save", "[blk]") {
  SlowRanges rig;
  (void)rig.done_before_others();
  rig.driver->drain();
  std::size_t answered = 0;
  while (rig.driver->receive(0)) ++answered;
  CHECK(answered != 0);
  CHECK(rig.image->zeroes.size() == answered * kMaxSegments);  // of those that were begun
}

TEST_CASE("a queue is reset alone", "[blk]") {
  BlkSetUp set_up{.blk = {.queues = 2}};
  set_up.rig.packed = GENERATE(false, true);
  BlkRig rig(set_up);
  DeviceRig& driver = *rig.driver;
  Pipe pipe;
  const bool slow = has_uring();
  if (slow) {
    rig.image->slow_fd = pipe.read_end();
    REQUIRE(driver.send(1, read_request(0)));
    REQUIRE(driver.run_until([&] { return rig.image->slow_reads == 1; }));
    rig.image->slow_fd = -1;
  }
  const virtio_queue::RingAddresses rings = driver.rings(1);
  driver.core().reset_queue(1);
  CHECK(rig.is_alive());
  driver.core().reset_queue(1);  // once more does nothing
  // The same queue again, from its start.
  virtio_queue::QueueConfig* const config = driver.core().editable_queue(1);
  REQUIRE(config != nullptr);
  REQUIRE(config->set_size(16));
  (void)config->set_descriptors(rings.descriptors);
  (void)config->set_driver(rings.driver);
  (void)config->set_device(rings.device);
  driver.driver(1) = *virtio_queue::driver::Driver::create(
      {.rings = rings, .size = 16, .packed = set_up.rig.packed}, driver.memory());
  driver.core().enable_queue(1);
  REQUIRE(driver.core().queue(1)->ready());
  CHECK(rig.read(9, 1, 1) == BlkRig::sector_of(9));
  CHECK(rig.is_alive());
}

TEST_CASE("a rate limiter holds requests back, and lets them go on", "[blk]") {
  BlkSetUp set_up;
  set_up.rig.packed = GENERATE(false, true);
  const bool operations = GENERATE(false, true);
  const rate_limiter::BucketConfig bucket{
      .size = operations ? 2u : 1024u, .one_time_burst = 0, .refill_ms = 40};
  set_up.blk.limiter = std::make_shared<RateLimiter>(
      operations ? rate_limiter::RateLimits{.bandwidth = {}, .operations = bucket}
                 : rate_limiter::RateLimits{.bandwidth = bucket, .operations = {}});
  BlkRig rig(set_up);
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) REQUIRE(rig.driver->send(0, read_request(5)));
  for (int i = 0; i < 10; ++i) {
    const auto answer = rig.driver->wait(0);
    REQUIRE(answer);
    CHECK(answer->written == 513);
  }
  // Two at once, then one each 20 ms.
  CHECK(std::chrono::steady_clock::now() - begun >= std::chrono::milliseconds(150));
  CHECK(rig.blk->counters().throttled >= 2);
  // A request of more than there ever is waits for a full bucket only.
  CHECK(rig.read(0, 64).size() == 64 * 512);
}

TEST_CASE("the limiter is asked for the bytes of zeroes, and not for those of discards", "[blk]") {
  constexpr std::uint32_t kBytes = 1 << 20;
  const auto limiter = std::make_shared<RateLimiter>(rate_limiter::RateLimits{
      .bandwidth = {.size = kBytes, .one_time_burst = 0, .refill_ms = 1u << 30}, .operations = {}});
  BlkRig rig({.blk = {.limiter = limiter}});
  const auto left = [&](std::uint64_t bytes) { return limiter->consume(0, bytes).count() == 0; };
  const std::uint32_t flags = GENERATE(0u, kSegmentUnmap);
  CHECK(rig.status_of(RequestType::kDiscard, 0, BlkRig::segment(0, 1000)) == Status::kOk);
  // A request that is refused costs nothing.
  CHECK(rig.status_of(RequestType::kWriteZeroes, 0, BlkRig::segment(0, 1000, 2)) ==
        Status::kUnsupported);
  Bytes ranges = BlkRig::segment(0, 512, flags);
  const Bytes more = BlkRig::segment(1024, 256, flags);
  ranges.insert(ranges.end(), more.begin(), more.end());
  CHECK(rig.status_of(RequestType::kWriteZeroes, 0, ranges) == Status::kOk);
  const std::uint32_t rest = kBytes - 16 - (32 + 768 * 512);
  CHECK_FALSE(left(rest + 8));  // as there is one more each second
  CHECK(left(rest));
}

TEST_CASE("zeroes of more bytes than the bucket holds wait for a full one only", "[blk]") {
  const auto limiter = std::make_shared<RateLimiter>(rate_limiter::RateLimits{
      .bandwidth = {.size = 64 << 10, .one_time_burst = 0, .refill_ms = 40}, .operations = {}});
  BlkRig rig({.blk = {.limiter = limiter}});
  const auto begun = std::chrono::steady_clock::now();
  const auto zeroes = BlkRig::segment(0, 256);  // two buckets
  CHECK(rig.status_of(RequestType::kWriteZeroes, 0, zeroes) == Status::kOk);
  CHECK(rig.status_of(RequestType::kWriteZeroes, 0, zeroes) == Status::kOk);
  CHECK(std::chrono::steady_clock::now() - begun >= std::chrono::milliseconds(75));
  CHECK(rig.blk->counters().throttled >= 1);
}

TEST_CASE("pinned memory does not reach a file that was taken away", "[blk][hostile]") {
  if (!has_uring()) return;
  constexpr std::uint64_t kBytes = 1 << 16;
  BlkRig rig({.blk = {.pin_memory = true}});
  auto file = sys_util::MemFd::create(kBytes);
  REQUIRE(file);
  vm_memory::GuestMemory& memory = rig.driver->heap().memory();
  const GuestAddress base(std::uint64_t{1} << 40);
  REQUIRE(memory.plug({.base = base,
                       .bytes = kBytes,
                       .backing = vm_memory::Backing::kFile,
                       .fd = file->fd(),
                       .shared = true}));
  REQUIRE(rig.driver->start());  // with the file
  const auto region = memory.snapshot()->regions().back();
  REQUIRE(vm_memory::cut_off(*region));
  const GuestAddress header = rig.driver->heap().put(BlkRig::header(RequestType::kIn, 3));
  const std::array<virtio_queue::driver::Buffer, 3> request{
      {{header, sizeof(RequestHeader), false},
       {base, kSectorBytes, true},
       {rig.driver->heap().take(1), 1, true}}};
  REQUIRE(rig.driver->send_raw(0, request));
  REQUIRE(rig.driver->wait(0));
  Bytes there(kSectorBytes);
  REQUIRE(memory.view().read_bytes(base, there));
  CHECK(there == BlkRig::sector_of(3));
  Bytes in_file(kSectorBytes);
  REQUIRE(::pread(file->fd(), in_file.data(), in_file.size(), 0) == kSectorBytes);
  CHECK(in_file == Bytes(kSectorBytes));
}

TEST_CASE("memory that is pinned stays mapped when it is unplugged", "[blk][hostile]") {
  if (!has_uring()) return;
  BlkRig rig({.blk = {.pin_memory = true}});
  vm_memory::GuestMemory& memory = rig.driver->heap().memory();
  const GuestAddress base(std::uint64_t{1} << 40);
  REQUIRE(memory.plug({.base = base, .bytes = 1 << 16}));
  REQUIRE(rig.driver->start());
  const std::weak_ptr<const vm_memory::Region> region = memory.snapshot()->regions().back();
  REQUIRE(memory.unplug(base, 1 << 16));
  CHECK(rig.is_alive());         // the queue has gone over to the memory that is left
  for (int i = 0; i < 3; ++i) {  // and further, so that it keeps nothing of before
    REQUIRE(memory.plug({.base = GuestAddress(std::uint64_t{1} << 41), .bytes = 1 << 16}));
    CHECK(rig.is_alive());
    REQUIRE(memory.unplug(GuestAddress(std::uint64_t{1} << 41), 1 << 16));
    CHECK(rig.is_alive());
  }
  CHECK_FALSE(region.expired());
  rig.driver->reset();
  CHECK(region.expired());
}

TEST_CASE("disks share a limiter", "[blk]") {
  const auto limiter = std::make_shared<RateLimiter>(rate_limiter::RateLimits{
      .bandwidth = {}, .operations = {.size = 1, .one_time_burst = 0, .refill_ms = 30}});
  BlkRig one({.blk = {.limiter = limiter}});
  BlkRig other({.blk = {.limiter = limiter}});
  const auto begun = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < 3; ++i) {
    (void)one.read(i);
    (void)other.read(i);
  }
  CHECK(std::chrono::steady_clock::now() - begun >= std::chrono::milliseconds(140));
}

TEST_CASE("a reset ends the waiting for the limiter", "[blk]") {
  const auto limiter = std::make_shared<RateLimiter>(rate_limiter::RateLimits{
      .bandwidth = {}, .operations = {.size = 1, .one_time_burst = 0, .refill_ms = 60000}});
  BlkRig rig({.blk = {.limiter = limiter}});
  (void)rig.read(0);
  REQUIRE(rig.driver->send(0, read_request(0)));
  rig.driver->run();
  CHECK_FALSE(rig.driver->receive(0));
  limiter->update({});
  REQUIRE(rig.driver->start());
  CHECK(rig.is_alive());
}

TEST_CASE("reads mark the pages that they change", "[blk]") {
  BlkSetUp set_up;
  set_up.rig.dirty_tracking = true;
  set_up.blk.engine = GENERATE(block::EngineKind::kSync, block::EngineKind::kAuto);
  BlkRig rig(set_up);
  DeviceRig& driver = *rig.driver;
  const vm_memory::RegionSpan& region = driver.memory().regions().front();
  REQUIRE(region.dirty != nullptr);
  using virtio_queue::driver::Buffer;
  const GuestAddress header = driver.heap().put(BlkRig::header(RequestType::kIn, 0));
  const GuestAddress data = driver.heap().take(3 * 4096);
  const GuestAddress status = driver.heap().take(4096);
  const auto is_dirty = [&](GuestAddress at) {
    return region.dirty->is_dirty(at.raw() - region.base.raw());
  };
  const auto run = [&](std::vector<Buffer> chain) {
    region.dirty->clear_all();
    REQUIRE(driver.send_raw(0, chain));
    REQUIRE(driver.wait(0));
  };
  run({{header, 16, false}, {data, 2 * 4096, true}, {status, 1, true}});
  CHECK(is_dirty(data));
  CHECK(is_dirty(GuestAddress(data.raw() + 4096)));
  CHECK_FALSE(is_dirty(GuestAddress(data.raw() + 2 * 4096)));
  CHECK(is_dirty(status));
  // A read that fails may have written all the same.
  rig.image->fails_with = EIO;
  run({{header, 16, false}, {data, 4096, true}, {status, 1, true}});
  CHECK(is_dirty(data));
  CHECK(is_dirty(status));
  // A write changes the status only.
  (void)driver.memory().write_bytes(header, BlkRig::header(RequestType::kOut, 0));
  run({{header, 16, false}, {data, 4096, false}, {status, 1, true}});
  CHECK_FALSE(is_dirty(data));
  CHECK(is_dirty(status));
}

TEST_CASE("a broken ring asks for a reset, after which all is well", "[blk][hostile]") {
  BlkRig rig;
  DeviceRig& driver = *rig.driver;
  (void)driver.memory().write(GuestAddress(driver.rings(0).driver.raw() + 2), Le16(0x7000));
  driver.core().kick(0);
  REQUIRE(driver.run_until([&] { return !driver.running(); }));
  REQUIRE(driver.start());
  CHECK(rig.is_alive());
}

TEST_CASE("a hundred activations leave nothing behind", "[blk]") {
  BlkRig rig({.blk = {.queues = 2}});
  const auto count_fds = [] {
    int count = 0;
    for (int fd = 0; fd < 1024; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
  };
  const int before = count_fds();
  for (int i = 0; i < 100; ++i) {
    REQUIRE(rig.driver->start());
    if (i % 10 == 0) REQUIRE(rig.is_alive());
  }
  CHECK(count_fds() == before);
}

}  // namespace
}  // namespace vmm::virtio_blk
