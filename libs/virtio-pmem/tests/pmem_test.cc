// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_pmem/pmem.h"

#include <catch2/catch.hpp>
#include <cerrno>

#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

using namespace vmm;
using namespace vmm::virtio_pmem;
using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::Request;

namespace {

/// Counts flushes, and fails when told to.
class CountingFlusher final : public Flusher {
 public:
  struct Log {
    int flushes = 0;
    bool fails = false;
  };
  explicit CountingFlusher(Log& log) : log_(log) {}
  Result<void> flush() override {
    ++log_.flushes;
    if (log_.fails) return fail(Error::os(EIO, "fsync"));
    return {};
  }

 private:
  Log& log_;
};

struct Fixture {
  explicit Fixture(bool packed = false, bool in_order = false)
      : pmem(*Pmem::create(std::make_unique<CountingFlusher>(log))),
        rig(pmem,
            {.packed = packed, .in_order = in_order, .features = virtio_queue::kFeatureIndirect}) {
    REQUIRE(rig.start());
  }

  CountingFlusher::Log log;
  std::shared_ptr<Pmem> pmem;
  DeviceRig rig;
};

Request flush() { return {.readable = {bytes_of(Le32(0))}, .writable = {4}}; }

}  // namespace

TEST_CASE("a flush is done and answered", "[pmem]") {
  Fixture fixture(GENERATE(false, true));
  const auto answer = fixture.rig.exchange(0, flush());
  REQUIRE(answer);
  CHECK(answer->written == 4);
  CHECK(answer->at<Le32>(0).get() == Pmem::kDone);
  CHECK(fixture.log.flushes == 1);
}

TEST_CASE("a flush that fails is answered so, and the next may succeed", "[pmem]") {
  Fixture fixture;
  fixture.log.fails = true;
  CHECK(fixture.rig.exchange(0, flush())->at<Le32>(0).get() == 0xffff'ffff);  // -1: 5.19.7.2.1
  fixture.log.fails = false;
  CHECK(fixture.rig.exchange(0, flush())->at<Le32>(0).get() == Pmem::kDone);
}

TEST_CASE("a device needs what flushes", "[pmem]") {
  CHECK(Pmem::create(nullptr).error().is_os(EINVAL));
}

TEST_CASE("an error of fsync reaches the driver", "[pmem]") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);  // which has nothing to sync
  const UniqueFd other(ends[1]);
  const auto pmem = *Pmem::create(make_file_flusher(UniqueFd(ends[0])));
  DeviceRig rig(pmem);
  REQUIRE(rig.start());
  CHECK(rig.exchange(0, flush())->at<Le32>(0).get() == Pmem::kFailed);
  const auto kept_nowhere = *Pmem::create(make_no_flusher());
  DeviceRig other_rig(kept_nowhere);
  REQUIRE(other_rig.start());
  CHECK(other_rig.exchange(0, flush())->at<Le32>(0).get() == Pmem::kDone);
}

TEST_CASE("flushes that wait together are served by one", "[pmem]") {
  const bool in_order = GENERATE(false, true);
  Fixture fixture(GENERATE(false, true), in_order);
  fixture.rig.run();
  constexpr int kFlushes = static_cast<int>(Pmem::kBatch) + 3;
  for (int i = 0; i < kFlushes; ++i) {
    // One in the middle is none.
    const std::uint32_t type = i == 5 ? 7 : 0;
    REQUIRE(fixture.rig.send(0, {.readable = {bytes_of(Le32(type))}, .writable = {4}}));
  }
  fixture.rig.run();
  CHECK(fixture.log.flushes == 2);
  int done = 0;
  int failed = 0;
  while (const auto answer = fixture.rig.receive(0)) {
    ++(answer->at<Le32>(0).get() == Pmem::kDone ? done : failed);
  }
  CHECK(done == kFlushes - 1);
  CHECK(failed == 1);
}

TEST_CASE("a request that is no flush fails, and nothing is flushed", "[pmem][hostile]") {
  struct Row {
    const char* name;
    Request request;
    std::uint32_t written;
  };
  const auto row = GENERATE_COPY(values<Row>({
      {"another type", {.readable = {bytes_of(Le32(1))}, .writable = {4}}, 4},
      {"all ones", {.readable = {bytes_of(Le32(~0u))}, .writable = {4}}, 4},
      {"a short type", {.readable = {bytes_of(Le16(0))}, .writable = {4}}, 4},
      {"no type", {.readable = {}, .writable = {4}}, 4},
      {"no room for the answer", {.readable = {bytes_of(Le32(0))}, .writable = {}}, 0},
      {"too little room", {.readable = {bytes_of(Le32(0))}, .writable = {3}}, 0},
  }));
  CAPTURE(row.name);
  Fixture fixture(GENERATE(false, true));
  const auto answer = fixture.rig.exchange(0, row.request);
  REQUIRE(answer);
  CHECK(answer->written == row.written);
  if (row.written != 0) CHECK(answer->at<Le32>(0).get() == Pmem::kFailed);
  CHECK(fixture.log.flushes == 0);
  CHECK(fixture.rig.exchange(0, flush())->at<Le32>(0).get() == Pmem::kDone);
}

TEST_CASE("a flush in any framing is a flush", "[pmem]") {
  Fixture fixture;
  const auto zero = bytes_of(std::uint8_t{0});
  const auto answer = fixture.rig.exchange(
      0, {.readable = {zero, zero, zero, zero, bytes_of(Le64(9))}, .writable = {1, 2, 5}});
  REQUIRE(answer);
  CHECK(answer->written == 4);
  CHECK(answer->at<Le32>(0).get() == Pmem::kDone);
}

TEST_CASE("chains that no driver sends are answered, and the device goes on", "[pmem][hostile]") {
  Fixture fixture(GENERATE(false, true));
  for (const auto& chain : virtio_device::testing::hostile_chains()) {
    CAPTURE(chain.name);
    CHECK(virtio_device::testing::outlive(fixture.rig, 0, chain) == "");
    CHECK(fixture.rig.exchange(0, flush())->at<Le32>(0).get() == Pmem::kDone);
  }
}

TEST_CASE("the driver is told where the memory is and cannot change it", "[pmem]") {
  Fixture fixture;
  CHECK(fixture.rig.config<Le64>(8).get() == 0);
  fixture.pmem->place({GuestAddress(0x1'2345'0000), 0x20'0000});
  fixture.rig.set_config(0, Le64(1));
  fixture.rig.set_config(8, Le64(1));
  CHECK(fixture.rig.config<Le64>(0).get() == 0x1'2345'0000);
  CHECK(fixture.rig.config<Le64>(8).get() == 0x20'0000);
}
