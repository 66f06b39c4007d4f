// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What each request does, and what is answered to those that cannot be done.

#include "blk_rig.h"
#include "vmm/virtio_blk/request.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

namespace vmm::virtio_blk {
namespace {

using enum RequestType;

BlkSetUp any_ring() {
  BlkSetUp set_up;
  set_up.rig.packed = GENERATE(false, true);
  set_up.rig.event_idx = GENERATE(false, true);
  set_up.blk.engine = GENERATE(block::EngineKind::kSync, block::EngineKind::kAuto);
  set_up.blk.pin_memory = set_up.rig.event_idx;
  set_up.blk.serial = "disk of a test";
  return set_up;
}

BlkSetUp any_packing() {
  BlkSetUp set_up;
  set_up.rig.packed = GENERATE(false, true);
  return set_up;
}

Bytes pattern(std::uint32_t sectors, std::uint64_t seed) {
  Bytes bytes;
  for (std::uint32_t i = 0; i < sectors; ++i) {
    const Bytes one = BlkRig::sector_of(seed + i);
    bytes.insert(bytes.end(), one.begin(), one.end());
  }
  return bytes;
}

TEST_CASE("reads give what the file has, writes put it there", "[blk]") {
  BlkRig rig(any_ring());
  CHECK(rig.read(0) == BlkRig::sector_of(0));
  CHECK(rig.read(kSectors - 1) == BlkRig::sector_of(kSectors - 1));
  CHECK(rig.read(100, 64) == pattern(64, 100));
  CHECK(rig.write(5, pattern(3, 7000)) == Status::kOk);
  CHECK(rig.on_disk(4, 5) == [] {
    Bytes bytes = BlkRig::sector_of(4);
    const Bytes new_ones = pattern(3, 7000);
    bytes.insert(bytes.end(), new_ones.begin(), new_ones.end());
    const Bytes last = BlkRig::sector_of(8);
    bytes.insert(bytes.end(), last.begin(), last.end());
    return bytes;
  }());
  CHECK(rig.read(5, 3) == pattern(3, 7000));
  CHECK(rig.flush() == Status::kOk);
}

TEST_CASE("the framing of a request does not matter", "[blk]") {
  BlkRig rig(any_packing());
  const Bytes header = BlkRig::header(kOut, 40);
  const Bytes data = pattern(2, 9000);
  Bytes all = header;
  all.insert(all.end(), data.begin(), data.end());
  const auto part = [&all](std::size_t from, std::size_t to) {
    return Bytes(all.begin() + static_cast<std::ptrdiff_t>(from),
                 all.begin() + static_cast<std::ptrdiff_t>(to));
  };
  SECTION("writes") {
    const std::vector<std::vector<Bytes>> framings = {
        {all},
        {part(0, 1), part(1, 15), part(15, 16), part(16, 1040)},
        {part(0, 8), part(8, 100), part(100, 1040)},
        {part(0, 16), part(16, 17), part(17, 1039), part(1039, 1040)},
        {Bytes{}, part(0, 16), Bytes{}, part(16, 1040), Bytes{}},
    };
    for (std::size_t i = 0; i < framings.size(); ++i) {
      CAPTURE(i);
      rig.put_on_disk(40, pattern(2, 0));
      const Answer answer = rig.exchange({.readable = framings[i], .writable = {1}});
      CHECK(answer.written == 1);
      CHECK(answer.at<std::uint8_t>(0) == 0);
      CHECK(rig.on_disk(40, 2) == data);
    }
  }
  SECTION("reads") {
    rig.put_on_disk(40, data);
    const std::vector<std::vector<std::uint32_t>> framings = {
        {1025}, {1024, 1}, {1, 1023, 1}, {1023, 2}, {512, 513}, {0, 1024, 0, 1, 0}, {100, 924, 1}};
    for (const std::vector<std::uint32_t>& framing : framings) {
      CAPTURE(framing);
      Answer answer = rig.exchange({.readable = {BlkRig::header(kIn, 40)}, .writable = framing});
      CHECK(answer.written == 1025);
      CHECK(answer.bytes.back() == std::byte{0});
      answer.bytes.pop_back();
      CHECK(answer.bytes == data);
    }
  }
}

TEST_CASE("GET_ID answers the serial number, padded with NULs", "[blk]") {
  const auto [serial, expected] = GENERATE(table<std::string, std::string>({
      {"", std::string(20, '\0')},
      {"abc", std::string("abc") + std::string(17, '\0')},
      {"12345678901234567890", "12345678901234567890"},
  }));
  BlkSetUp set_up = any_packing();
  set_up.blk.serial = serial;
  set_up.readonly = GENERATE(false, true);
  BlkRig rig(set_up);
  const std::vector<std::vector<std::uint32_t>> framings = {{20, 1}, {8, 12, 1}, {21}};
  for (const std::vector<std::uint32_t>& framing : framings) {
    Answer answer = rig.exchange({.readable = {BlkRig::header(kGetId, 0)}, .writable = framing});
    CHECK(answer.written == 21);
    CHECK(answer.bytes.back() == std::byte{0});
    answer.bytes.pop_back();
    CHECK(answer.bytes == bytes_of(std::string_view(expected)));
  }
}

TEST_CASE("a discard or a write of zeroes may have several ranges", "[blk]") {
  BlkRig rig(any_ring());
  const auto ranges = [](std::uint32_t flags) {
    Bytes data;
    for (const auto& [sector, sectors] :
         {std::pair{16u, 8u}, std::pair{64u, 0u}, std::pair{128u, 24u}, std::pair{2047u, 1u}}) {
      const Bytes one = BlkRig::segment(sector, sectors, flags);
      data.insert(data.end(), one.begin(), one.end());
    }
    return data;
  };
  SECTION("discard") {
    CHECK(rig.status_of(kDiscard, 0, ranges(0)) == Status::kOk);
    CHECK(rig.image->discards == std::vector<block::ByteRange>{{16 * 512, 8 * 512},
                                                               {128 * 512, 24 * 512},
                                                               {2047 * 512, 512}});
    CHECK(rig.read(16, 8) == Bytes(8 * 512));
  }
  SECTION("zeroes") {
    const std::uint32_t flags = GENERATE(0u, kSegmentUnmap);
    CHECK(rig.status_of(kWriteZeroes, 0, ranges(flags)) == Status::kOk);
    CHECK(rig.image->unmaps == (flags != 0 ? 3 : 0));
    CHECK(rig.read(128, 24) == Bytes(24 * 512));
    CHECK(rig.read(2047) == Bytes(512));
  }
  CHECK(rig.read(24) == BlkRig::sector_of(24));
  CHECK(rig.read(64) == BlkRig::sector_of(64));
  CHECK(rig.is_alive());
}

struct BadRequest {
  const char* name;
  RigRequest request;
  std::optional<Status> status;  // nullopt: there is no room for it
};

constexpr auto kLast = ~std::uint64_t{0};
const auto kUnknown = static_cast<RequestType>(9);

Bytes head(RequestType type, std::uint64_t sector = 0) { return BlkRig::header(type, sector); }
Bytes head_of(std::uint32_t type) { return BlkRig::header(static_cast<RequestType>(type), 0); }
Bytes cut(Bytes bytes, std::size_t size) {
  bytes.resize(size);
  return bytes;
}
Bytes many_segments(std::size_t count) {
  Bytes data;
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes one = BlkRig::segment(i, 1);
    data.insert(data.end(), one.begin(), one.end());
  }
  return data;
}

std::vector<BadRequest> bad_requests() {
  const Bytes sector(512);
  return {
      // No status byte.
      {"nothing at all", {{Bytes{}}, {}}, std::nullopt},
      {"a read without a writable byte", {{head(kIn)}, {}}, std::nullopt},
      {"a write without a writable byte", {{head(kOut), sector}, {}}, std::nullopt},
      {"a status of no bytes", {{head(kOut), sector}, {0}}, std::nullopt},
      // The header.
      {"no header", {{}, {1}}, Status::kIoError},
      {"a header of one byte", {{Bytes(1)}, {513}}, Status::kIoError},
      {"a header of 15 bytes", {{cut(head(kIn), 15)}, {512, 1}}, Status::kIoError},
      {"a header to write", {{}, {16, 512, 1}}, Status::kIoError},
      // Types.
      {"type 2: SCSI", {{head_of(2)}, {1}}, Status::kUnsupported},
      {"type 5: flush of old", {{head_of(5)}, {1}}, Status::kUnsupported},
      {"type 9", {{head(kUnknown)}, {1}}, Status::kUnsupported},
      {"type 10: lifetime", {{head_of(10)}, {6, 1}}, Status::kUnsupported},
      {"type 14: secure erase", {{head_of(14), Bytes(16)}, {1}}, Status::kUnsupported},
      {"type 15: zone append", {{head_of(15), sector}, {8, 1}}, Status::kUnsupported},
      {"a read with the barrier bit", {{head_of(0x8000'0000)}, {512, 1}}, Status::kUnsupported},
      {"type 0xffffffff with data", {{head_of(~0u), sector}, {512, 1}}, Status::kUnsupported},
      // Reads.
      {"a read of 511 bytes", {{head(kIn)}, {511, 1}}, Status::kIoError},
      {"a read of 513 bytes", {{head(kIn)}, {513, 1}}, Status::kIoError},
      {"a read with data", {{head(kIn), sector}, {512, 1}}, Status::kIoError},
      {"a read beyond the end", {{head(kIn, kSectors)}, {512, 1}}, Status::kIoError},
      {"a read across the end", {{head(kIn, kSectors - 1)}, {1024, 1}}, Status::kIoError},
      {"a read at the last sector number", {{head(kIn, kLast)}, {512, 1}}, Status::kIoError},
      {"a read whose bytes overflow", {{head(kIn, kLast >> 9)}, {512, 1}}, Status::kIoError},
      {"an empty read beyond the end", {{head(kIn, kSectors + 1)}, {1}}, Status::kIoError},
      // Writes.
      {"a write of 511 bytes", {{head(kOut), cut(sector, 511)}, {1}}, Status::kIoError},
      {"a write of 1 byte", {{head(kOut), Bytes(1)}, {1}}, Status::kIoError},
      {"a write to the driver", {{head(kOut)}, {512, 1}}, Status::kIoError},
      {"a write with two status bytes", {{head(kOut), sector}, {2}}, Status::kIoError},
      {"a write beyond the end", {{head(kOut, kSectors), sector}, {1}}, Status::kIoError},
      {"a write across the end", {{head(kOut, kSectors - 1), Bytes(1024)}, {1}}, Status::kIoError},
      {"a write that overflows", {{head(kOut, kLast), sector}, {1}}, Status::kIoError},
      // The rest.
      {"a flush of a sector", {{head(kFlush, 1)}, {1}}, Status::kIoError},
      {"an id of 19 bytes", {{head(kGetId)}, {19, 1}}, Status::kIoError},
      {"an id of 21 bytes", {{head(kGetId)}, {21, 1}}, Status::kIoError},
      {"an id of no bytes", {{head(kGetId)}, {1}}, Status::kIoError},
      {"an id with data", {{head(kGetId), Bytes(20)}, {20, 1}}, Status::kIoError},
      {"a discard of nothing", {{head(kDiscard)}, {1}}, Status::kIoError},
      {"a discard of half a range", {{head(kDiscard), Bytes(24)}, {1}}, Status::kIoError},
      {"a discard to the driver", {{head(kDiscard)}, {16, 1}}, Status::kIoError},
      {"too many ranges",
       {{head(kDiscard), many_segments(kMaxSegments + 1)}, {1}},
       Status::kIoError},
      {"a discard with unmap",
       {{head(kDiscard), BlkRig::segment(0, 1, 1)}, {1}},
       Status::kUnsupported},
      {"a discard with a flag",
       {{head(kDiscard), BlkRig::segment(0, 1, 2)}, {1}},
       Status::kUnsupported},
      {"a discard across the end",
       {{head(kDiscard), BlkRig::segment(kSectors - 1, 2)}, {1}},
       Status::kIoError},
      {"a discard that overflows",
       {{head(kDiscard), BlkRig::segment(kLast, 2)}, {1}},
       Status::kIoError},
      {"a discard of all sectors that can be said",
       {{head(kDiscard), BlkRig::segment(0, 0xffff'ffff)}, {1}},
       Status::kIoError},
      {"zeroes with an unknown flag",
       {{head(kWriteZeroes), BlkRig::segment(0, 1, 3)}, {1}},
       Status::kUnsupported},
      {"zeroes with the last flag",
       {{head(kWriteZeroes), BlkRig::segment(0, 1, 0x8000'0000)}, {1}},
       Status::kUnsupported},
      {"zeroes beyond the end",
       {{head(kWriteZeroes), BlkRig::segment(kSectors, 1)}, {1}},
       Status::kIoError},
      {"zeroes of nothing", {{head(kWriteZeroes)}, {1}}, Status::kIoError},
  };
}

TEST_CASE("a bad request is answered, and the device lives", "[blk][hostile]") {
  BlkRig rig(any_ring());
  const Bytes before = rig.on_disk(0, kSectors);
  for (const BadRequest& bad : bad_requests()) {
    CAPTURE(bad.name);
    const Answer answer = rig.exchange(bad.request);
    if (!bad.status) {
      CHECK(answer.written == 0);
    } else {
      REQUIRE_FALSE(answer.bytes.empty());
      CHECK(static_cast<Status>(answer.bytes.back()) == *bad.status);
      // Only a status that follows no data counts.
      CHECK(answer.written == (answer.bytes.size() == 1 ? 1 : 0));
      for (std::size_t i = 0; i + 1 < answer.bytes.size(); ++i) {
        REQUIRE(answer.bytes[i] == DeviceRig::kUntouched);
      }
    }
    REQUIRE(rig.is_alive());
  }
  CHECK(rig.on_disk(0, kSectors) == before);
  CHECK(rig.blk->counters().errors == bad_requests().size());
}

TEST_CASE("a bad range keeps all ranges of its request from being done", "[blk][hostile]") {
  BlkRig rig;
  Bytes data = BlkRig::segment(0, 8);
  const Bytes bad = BlkRig::segment(kSectors, 1);
  data.insert(data.end(), bad.begin(), bad.end());
  CHECK(rig.status_of(kDiscard, 0, data) == Status::kIoError);
  CHECK(rig.status_of(kWriteZeroes, 0, data) == Status::kIoError);
  CHECK(rig.image->discards.empty());
  CHECK(rig.image->zeroes.empty());
}

TEST_CASE("chains that no driver sends do no harm", "[blk][hostile]") {
  BlkRig rig(any_ring());
  for (const auto& chain : virtio_device::testing::hostile_chains()) {
    CAPTURE(chain.name);
    CHECK(outlive(*rig.driver, 0, chain) == "");
    REQUIRE(rig.is_alive());
  }
}

TEST_CASE("data and status at the same place, and everywhere else", "[blk][hostile]") {
  BlkRig rig(any_packing());
  DeviceRig& driver = *rig.driver;
  const GuestAddress header = driver.heap().put(head(kIn, 3));
  const GuestAddress data = driver.heap().take(512);
  using virtio_queue::driver::Buffer;
  const std::vector<std::vector<Buffer>> chains = {
      {{header, 16, false}, {data, 512, true}, {data, 1, true}},
      {{header, 16, false}, {header, 512, true}, {data, 1, true}},
      {{header, 16, false}, {data, 512, true}, {header, 1, true}},
  };
  for (const std::vector<Buffer>& chain : chains) {
    (void)driver.memory().write_bytes(header, head(kIn, 3));
    REQUIRE(driver.send_raw(0, chain));
    const auto answer = driver.wait(0);
    REQUIRE(answer);
    CHECK(answer->written == 513);
    CHECK(rig.is_alive());
  }
  // Onto the rings, which the driver makes unusable with it.
  (void)driver.memory().write_bytes(header, head(kIn, 3));
  const GuestAddress ring = driver.rings(0).device;
  REQUIRE(driver.send_raw(
      0, std::vector<Buffer>{{header, 16, false}, {ring, 512, true}, {data, 1, true}}));
  driver.run();
  REQUIRE(driver.start());
  CHECK(rig.is_alive());
}

TEST_CASE("an empty transfer does nothing", "[blk]") {
  BlkRig rig(any_packing());
  CHECK(rig.status_of(kIn, 0) == Status::kOk);
  CHECK(rig.status_of(kIn, kSectors) == Status::kOk);
  CHECK(rig.status_of(kOut, 3) == Status::kOk);
}

TEST_CASE("a read-only disk is never written to", "[blk][hostile]") {
  BlkSetUp set_up = any_packing();
  set_up.readonly = true;
  // Even if the driver does not want to know.
  if (GENERATE(false, true)) set_up.features = bit(BlkFeature::kFlush);
  BlkRig rig(set_up);
  CHECK((rig.blk->features() & bit(BlkFeature::kReadOnly)) != 0);
  CHECK(rig.write(0, Bytes(512)) == Status::kIoError);
  CHECK(rig.status_of(kDiscard, 0, BlkRig::segment(0, 1)) == Status::kIoError);
  CHECK(rig.status_of(kWriteZeroes, 0, BlkRig::segment(0, 1)) == Status::kIoError);
  CHECK(rig.flush() == Status::kOk);
  CHECK(rig.on_disk(0) == BlkRig::sector_of(0));
  CHECK(rig.is_alive());
}

TEST_CASE("requests whose feature was not negotiated are not supported", "[blk][hostile]") {
  BlkSetUp set_up = any_packing();
  set_up.features = 0;
  BlkRig rig(set_up);
  CHECK(rig.flush() == Status::kUnsupported);
  CHECK(rig.status_of(kDiscard, 0, BlkRig::segment(0, 1)) == Status::kUnsupported);
  CHECK(rig.status_of(kWriteZeroes, 0, BlkRig::segment(0, 1)) == Status::kUnsupported);
  CHECK(rig.on_disk(0) == BlkRig::sector_of(0));
  CHECK(rig.is_alive());
}

// Lifetime, secure erase, and all requests of zones: 5.2.6.2.
TEST_CASE("requests of features that no disk here has are not supported", "[blk][hostile]") {
  BlkRig rig(any_packing());
  for (const unsigned number : {10u, 14u, 15u, 16u, 18u, 20u, 22u, 24u, 26u}) {
    CAPTURE(number);
    const auto kind = static_cast<RequestType>(number);
    const Answer bare = rig.exchange({.readable = {head(kind)}, .writable = {1}});
    CHECK(static_cast<Status>(bare.bytes.back()) == Status::kUnsupported);
    const Answer report = rig.exchange({.readable = {head(kind)}, .writable = {64, 1}});
    CHECK(static_cast<Status>(report.bytes.back()) == Status::kUnsupported);
    const Answer write = rig.exchange({.readable = {head(kind), Bytes(512)}, .writable = {8, 1}});
    CHECK(static_cast<Status>(write.bytes.back()) == Status::kUnsupported);
  }
  CHECK(rig.on_disk(0) == BlkRig::sector_of(0));
  CHECK(rig.is_alive());
}

TEST_CASE("an error of the disk is an error of its request alone", "[blk]") {
  BlkRig rig(any_ring());
  rig.image->fails_with = EIO;
  const Answer answer = rig.exchange({.readable = {head(kIn, 0)}, .writable = {512, 1}});
  CHECK(answer.bytes.back() == std::byte{1});
  CHECK(answer.written == 0);
  rig.image->fails_with = 0;
  // The file lost its end: what was there is told.
  REQUIRE(::ftruncate(rig.fd(), (kSectors - 1) * 512) == 0);
  const Answer half = rig.exchange({.readable = {head(kIn, kSectors - 2)}, .writable = {1024, 1}});
  CHECK(half.bytes.back() == std::byte{1});
  CHECK(half.written == 512);
  CHECK(rig.is_alive());
}

}  // namespace
}  // namespace vmm::virtio_blk
