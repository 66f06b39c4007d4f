// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_balloon/balloon.h"

#include <catch2/catch.hpp>
#include <cerrno>

#include "balloon_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

using namespace vmm;
using namespace vmm::virtio_balloon;

namespace {

constexpr std::uint64_t kNumPages = 0;
constexpr std::uint64_t kActual = 4;
constexpr std::uint64_t kPoison = 12;

/// A balloon with its driver, over one kind of queue.
struct Fixture {
  explicit Fixture(bool packed = false, std::uint64_t features = kAllFeatures,
                   std::uint64_t granule = 4096)
      : reclaim(std::make_shared<RecordingReclaim>(granule)),
        balloon(make_balloon(reclaim)),
        rig(balloon, {.packed = packed, .features = features}) {
    REQUIRE(rig.start());
  }

  /// Sends page numbers and returns what was reclaimed for it.
  std::vector<RegionPart> send(std::uint16_t queue, const std::vector<std::uint32_t>& numbers) {
    const auto answer = rig.exchange(queue, {.readable = {pages(numbers)}, .writable = {}});
    REQUIRE(answer);
    CHECK(answer->written == 0);
    return reclaim->take();
  }

  std::shared_ptr<RecordingReclaim> reclaim;
  std::shared_ptr<Balloon> balloon;
  DeviceRig rig;
};

using Parts = std::vector<RegionPart>;

}  // namespace

TEST_CASE("pages of an inflate request are given back in as few pieces as there are", "[balloon]") {
  struct Row {
    const char* name;
    std::vector<std::uint32_t> numbers;
    Parts expected;
  };
  const std::uint32_t last = kFirstPage + (16 << 20) / 4096 - 1;
  const auto row = GENERATE_COPY(values<Row>({
      {"one page", {kFirstPage + 3}, {{0x3000, 0x1000}}},
      {"a run", {kFirstPage, kFirstPage + 1, kFirstPage + 2}, {{0, 0x3000}}},
      {"a run from its end", {kFirstPage + 2, kFirstPage + 1, kFirstPage}, {{0, 0x3000}}},
      {"twice the same", {kFirstPage + 1, kFirstPage + 1, kFirstPage + 2}, {{0x1000, 0x2000}}},
      {"with a gap", {kFirstPage + 9, kFirstPage + 1}, {{0x1000, 0x1000}, {0x9000, 0x1000}}},
      {"across the end of RAM", {last, last + 1}, {{(16 << 20) - 0x1000, 0x1000}}},
      {"across the start of RAM", {kFirstPage - 1, kFirstPage}, {{0, 0x1000}}},
      {"outside of RAM", {0, kFirstPage - 1, last + 1, 0xffff'ffff}, {}},
      {"none", {}, {}},
  }));
  CAPTURE(row.name);
  Fixture fixture(GENERATE(false, true));
  CHECK(fixture.send(kInflateQueue, row.numbers) == row.expected);
}

TEST_CASE("a request of any length costs a bounded amount of work", "[balloon][hostile]") {
  Fixture fixture;
  std::vector<std::uint32_t> numbers(100'000);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = kFirstPage + static_cast<std::uint32_t>(2 * i % 4096);
  }
  const Parts parts = fixture.send(kInflateQueue, numbers);
  CHECK(parts.size() == 2048);  // of the first 4096 numbers, each page once
}

TEST_CASE("half a page number is passed over", "[balloon][hostile]") {
  Fixture fixture;
  Bytes bytes = pages({kFirstPage, kFirstPage + 1});
  bytes.resize(7);
  REQUIRE(fixture.rig.exchange(kInflateQueue, {.readable = {bytes}, .writable = {}}));
  CHECK(fixture.reclaim->take() == Parts{{0, 0x1000}});
}

TEST_CASE("larger pages of the host are given back once they are complete", "[balloon]") {
  Fixture fixture(GENERATE(false, true), kAllFeatures, 0x4000);
  CHECK(fixture.send(kInflateQueue, {kFirstPage, kFirstPage + 1, kFirstPage + 3}).empty());
  CHECK(fixture.send(kInflateQueue, {kFirstPage + 3, kFirstPage + 3}).empty());
  CHECK(fixture.send(kDeflateQueue, {kFirstPage + 1}).empty());
  CHECK(fixture.send(kInflateQueue, {kFirstPage + 2}).empty());
  CHECK(fixture.send(kInflateQueue, {kFirstPage + 1}) == Parts{{0, 0x4000}});
  // Two complete ones between parts of others, in one piece.
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 7; i < 18; ++i) numbers.push_back(kFirstPage + i);
  CHECK(fixture.send(kInflateQueue, numbers) == Parts{{0x8000, 0x8000}});
}

TEST_CASE("a driver that need not tell gets its larger pages back only as a whole", "[balloon]") {
  Fixture fixture(false, kFeatureStatistics | kFeaturePageReporting, 0x4000);
  CHECK(fixture.send(kInflateQueue, {kFirstPage, kFirstPage + 1, kFirstPage + 2}).empty());
  CHECK(fixture.send(kInflateQueue, {kFirstPage + 3}).empty());
  CHECK(fixture.send(kInflateQueue, {kFirstPage, kFirstPage + 1, kFirstPage + 2, kFirstPage + 3,
                                     kFirstPage + 4}) == Parts{{0, 0x4000}});
}

TEST_CASE("after a reset the balloon is empty", "[balloon]") {
  Fixture fixture(false, kAllFeatures, 0x2000);
  CHECK(fixture.send(kInflateQueue, {kFirstPage}).empty());
  fixture.rig.set_config(kActual, Le32(1));
  CHECK(fixture.balloon->actual() == 4096);
  REQUIRE(fixture.rig.start());
  CHECK(fixture.balloon->actual() == 0);
  CHECK(fixture.send(kInflateQueue, {kFirstPage + 1}).empty());
}

TEST_CASE("deflating gives nothing back and asks for nothing", "[balloon]") {
  Fixture fixture;
  CHECK(fixture.send(kDeflateQueue, {kFirstPage, 0, 0xffff'ffff}).empty());
}

TEST_CASE("the target is told, and the driver's answer is kept", "[balloon]") {
  Fixture fixture;
  CHECK(fixture.rig.config<Le32>(kNumPages).get() == 0);
  REQUIRE(fixture.balloon->set_target(10 * 4096 + 5));
  CHECK(fixture.rig.config_interrupts() == 1);
  CHECK(fixture.rig.config<Le32>(kNumPages).get() == 10);
  CHECK(fixture.balloon->target() == 10 * 4096);
  REQUIRE(fixture.balloon->set_target(10 * 4096));
  CHECK(fixture.rig.config_interrupts() == 1);  // nothing new
  fixture.rig.set_config(kActual, Le32(7));
  CHECK(fixture.balloon->actual() == 7 * 4096);
  CHECK(fixture.rig.config<Le32>(kActual).get() == 7);
  const auto too_much = fixture.balloon->set_target(Balloon::kMaxBytes + 1);
  REQUIRE_FALSE(too_much);
  CHECK(too_much.error().is_os(EINVAL));
  CHECK_FALSE(Balloon::create({.target = Balloon::kMaxBytes + 1}));
}

TEST_CASE("the target from the start is there before the driver", "[balloon]") {
  const auto balloon = make_balloon(nullptr, std::uint64_t{1} << 20);
  DeviceRig rig(balloon);
  REQUIRE(rig.start());
  CHECK(rig.config<Le32>(kNumPages).get() == 256);
}

TEST_CASE("other writes to the configuration space change nothing", "[balloon][hostile]") {
  Fixture fixture;
  fixture.rig.set_config(kNumPages, Le32(3));
  fixture.rig.set_config(8, Le32(3));
  fixture.rig.set_config(kActual, Le16(3));
  fixture.rig.set_config(kActual, Le64(3));
  fixture.rig.set_config(kActual + 2, Le32(3));
  for (const auto offset : {0U, 4U, 8U, 12U}) {
    CHECK(fixture.rig.config<Le32>(offset).get() == 0);
  }
}

TEST_CASE("reported pages are given back", "[balloon]") {
  Fixture fixture(GENERATE(false, true), kAllFeatures, 0x4000);
  const std::uint64_t base = GuestHeap::kBase;
  const std::array<virtio_device::testing::Buffer, 4> buffers{{
      {GuestAddress(base + 0x8000), 0x8000, true},
      {GuestAddress(base + 0x2000), 0x3000, true},   // holds no whole page of the host
      {GuestAddress(base + 0x11000), 0xa000, true},  // holds one, from 0x14000 on, and a part
      {GuestAddress(base + 0x20000), 0, true},
  }};
  REQUIRE(fixture.rig.send_raw(kReportingQueue, buffers));
  const auto answer = fixture.rig.wait(kReportingQueue);
  REQUIRE(answer);
  CHECK(answer->written == 0);
  CHECK(fixture.reclaim->take() == Parts{{0x8000, 0x8000}, {0x14000, 0x4000}});
}

TEST_CASE("reported pages with something in them keep it", "[balloon]") {
  struct Row {
    std::uint64_t features;
    std::uint32_t poison;
    bool given;
  };
  const auto row = GENERATE(values<Row>({{kFeaturePagePoison, 0xaaaa'aaaa, false},
                                         {kFeaturePagePoison, 0, true},
                                         {0, 0xaaaa'aaaa, true}}));
  Fixture fixture(false, kAllFeatures | row.features);
  fixture.rig.set_config(kPoison, Le32(row.poison));
  REQUIRE(fixture.rig.exchange(kReportingQueue, {.readable = {}, .writable = {4096}}));
  CHECK(fixture.reclaim->take().size() == (row.given ? 1 : 0));
}

namespace {

Bytes entry(std::uint16_t tag, std::uint64_t value) {
  Bytes bytes(10);
  store_le(bytes.data(), tag);
  store_le(bytes.data() + 2, value);
  return bytes;
}

}  // namespace

TEST_CASE("statistics are asked for and kept", "[balloon]") {
  Fixture fixture(GENERATE(false, true));
  CHECK_FALSE(fixture.balloon->statistics());
  // The driver's first buffer; it stays with the device.
  REQUIRE(fixture.rig.send(kStatisticsQueue, {.readable = {entry(4, 1000)}, .writable = {}}));
  fixture.rig.run();
  CHECK_FALSE(fixture.rig.receive(kStatisticsQueue));
  REQUIRE(fixture.balloon->statistics());
  CHECK(fixture.balloon->statistics()->value(Statistic::kFreeMemory) == 1000);
  CHECK_FALSE(fixture.balloon->statistics()->value(Statistic::kTotalMemory));
  for (std::uint64_t round = 0; round < 3; ++round) {
    fixture.balloon->request_statistics();
    const auto back = fixture.rig.wait(kStatisticsQueue);
    REQUIRE(back);
    CHECK(back->written == 0);
    // Two parts, unknown tags, one that comes twice, half an entry.
    Bytes rest = entry(5, round);
    rest.resize(13);
    REQUIRE(fixture.rig.send(
        kStatisticsQueue,
        {.readable = {entry(5, 9), entry(16, 1), entry(0xffff, 2), rest}, .writable = {}}));
    fixture.rig.run();
    CHECK_FALSE(fixture.rig.receive(kStatisticsQueue));
    const auto statistics = fixture.balloon->statistics();
    CHECK(statistics->value(Statistic::kTotalMemory) == round);
    CHECK_FALSE(statistics->value(Statistic::kFreeMemory));
    CHECK_FALSE(statistics->value(static_cast<Statistic>(16)));
  }
}

TEST_CASE("statistics that are wanted before there is a buffer come with the next one",
          "[balloon]") {
  Fixture fixture;
  fixture.balloon->request_statistics();
  fixture.rig.run();
  REQUIRE(fixture.rig.exchange(kStatisticsQueue, {.readable = {entry(0, 1)}, .writable = {}}));
}

TEST_CASE("of many statistics buffers and entries, a bounded number is looked at",
          "[balloon][hostile]") {
  Fixture fixture;
  Bytes bytes;
  for (std::uint64_t i = 0; i <= Statistics::kMaxEntries; ++i) {
    const Bytes one = entry(1, i);
    bytes.insert(bytes.end(), one.begin(), one.end());
  }
  for (int i = 0; i < 2; ++i) {
    REQUIRE(fixture.rig.send(kStatisticsQueue, {.readable = {bytes}, .writable = {}}));
  }
  fixture.rig.run();
  CHECK(fixture.balloon->statistics()->value(Statistic::kSwapOut) == Statistics::kMaxEntries - 1);
  CHECK_FALSE(fixture.rig.receive(kStatisticsQueue));
}

TEST_CASE("chains that no driver sends are answered, and the balloon goes on",
          "[balloon][hostile]") {
  const std::uint16_t queue =
      GENERATE(kInflateQueue, kDeflateQueue, kStatisticsQueue, kReportingQueue);
  Fixture fixture(GENERATE(false, true), kAllFeatures | virtio_queue::kFeatureIndirect);
  for (const auto& chain : virtio_device::testing::hostile_chains()) {
    CAPTURE(chain.name);
    if (queue == kStatisticsQueue) fixture.balloon->request_statistics();
    CHECK(virtio_device::testing::outlive(fixture.rig, queue, chain) == "");
  }
  (void)fixture.reclaim->take();
  CHECK(fixture.send(kInflateQueue, {kFirstPage + 100}) == Parts{{100 * 4096, 4096}});
}

TEST_CASE("queues are numbered as the specification says, or without gaps", "[balloon]") {
  struct Row {
    std::uint64_t features;
    std::vector<std::uint16_t> queues;
  };
  const auto row = GENERATE(values<Row>({
      {kFeatureStatistics | kFeaturePageReporting, {0, 1, 2, 4}},
      {kFeatureStatistics | kFeaturePageReporting, {0, 1, 2, 3}},
      {kFeaturePageReporting, {0, 1, 4}},
      {kFeaturePageReporting, {0, 1, 2}},
  }));
  const auto reclaim = std::make_shared<RecordingReclaim>();
  SomeQueues driver(make_balloon(reclaim), row.features, row.queues);
  REQUIRE(driver.running());
  driver.offer(row.queues.size() - 1, {GuestAddress(GuestHeap::kBase), 0x2000, true});
  CHECK(reclaim->take() == Parts{{0, 0x2000}});
}

TEST_CASE("memory that is given back is the host's again, and the guest may use it", "[balloon]") {
  const auto balloon = make_balloon();
  DeviceRig rig(balloon, {.features = kAllFeatures, .dirty_tracking = true});
  REQUIRE(rig.start());
  const GuestAddress at = rig.heap().take(0x10000);
  REQUIRE(rig.memory().fill(at, 0x10000, std::byte{7}));
  rig.memory().regions()[0].dirty->clear_all();
  const auto first = static_cast<std::uint32_t>(at.raw() / 4096);
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < 16; ++i) numbers.push_back(first + i);
  REQUIRE(rig.exchange(kInflateQueue, {.readable = {pages(numbers)}, .writable = {}}));
  CHECK(rig.memory().read<Le64>(at)->get() == 0);
  CHECK(rig.memory().regions()[0].dirty->is_dirty(at.raw() - GuestHeap::kBase));
  REQUIRE(rig.memory().write(at, Le64(5)));
  CHECK(rig.memory().read<Le64>(at)->get() == 5);
}
