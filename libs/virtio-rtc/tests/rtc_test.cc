// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_rtc/rtc.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <ctime>

#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

namespace vmm::virtio_rtc {
namespace {

using virtio_device::testing::Bytes;
using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::HostileChain;

/// A clock that stands still.
class TestClock final : public Clock {
 public:
  TestClock(ClockType type, Result<std::uint64_t> now) : type_(type), now_(now) {}
  [[nodiscard]] ClockType type() const override { return type_; }
  Result<std::uint64_t> read() override { return now_; }

 private:
  ClockType type_;
  Result<std::uint64_t> now_;
};

std::shared_ptr<Rtc> make_rtc() {
  std::vector<std::unique_ptr<Clock>> clocks;
  clocks.push_back(std::make_unique<TestClock>(ClockType::kUtc, 0x0102'0304'0506'0708U));
  clocks.push_back(std::make_unique<TestClock>(ClockType::kMonotonic, 7U));
  clocks.push_back(
      std::make_unique<TestClock>(ClockType::kTai, fail(Error::os(EIO, "a broken clock"))));
  return *Rtc::create(std::move(clocks));
}

Bytes request(std::uint16_t message, std::uint16_t clock = 0) {
  Bytes bytes = bytes_of(Le16(message));
  bytes.resize(8);
  const Bytes id = bytes_of(Le16(clock));
  bytes.insert(bytes.end(), id.begin(), id.end());
  bytes.resize(16);
  return bytes;
}

Bytes first(Bytes bytes, std::size_t size) {
  bytes.resize(size);
  return bytes;
}

constexpr std::uint16_t kRead = 1;
constexpr std::uint16_t kReadCross = 2;
constexpr std::uint16_t kConfig = 0x1000;
constexpr std::uint16_t kCapabilities = 0x1001;
constexpr std::uint16_t kCross = 0x1002;
constexpr std::uint16_t kReadAlarm = 0x1003;

constexpr std::uint8_t kOk = 0;
constexpr std::uint8_t kNotSupported = 2;
constexpr std::uint8_t kNoDevice = 3;
constexpr std::uint8_t kInvalid = 4;
constexpr std::uint8_t kIoError = 5;
constexpr std::uint8_t kNone = 0xcc;  // what the memory had

struct Row {
  const char* name;
  Bytes request;
  std::uint32_t room;
  std::uint32_t written;
  std::uint8_t status;
  std::uint64_t body;  // of an answer of 16 bytes
};

std::vector<Row> rows() {
  return {
      {"the number of clocks", first(request(kConfig), 8), 16, 16, kOk, 3},
      {"the number of clocks, with more after it", request(kConfig, 99), 64, 16, kOk, 3},
      {"the time", request(kRead, 0), 16, 16, kOk, 0x0102'0304'0506'0708},
      {"another clock's time", request(kRead, 1), 16, 16, kOk, 7},
      {"a clock that cannot be read", request(kRead, 2), 16, 8, kIoError, 0},
      {"a clock that is not there", request(kRead, 3), 16, 8, kNoDevice, 0},
      {"the last number that a clock can have", request(kRead, 0xffff), 16, 8, kNoDevice, 0},
      {"what a clock of UTC can do", request(kCapabilities, 0), 16, 16, kOk, 0},
      {"what a monotonic clock can do", request(kCapabilities, 1), 16, 16, kOk, 2},
      {"what a missing clock can do", request(kCapabilities, 9), 16, 8, kNoDevice, 0},
      {"whether a clock goes with a counter", request(kCross, 0), 16, 16, kOk, 0},
      {"whether a missing clock does", request(kCross, 3), 16, 8, kNoDevice, 0},
      {"the time with a counter", request(kReadCross, 0), 24, 8, kNotSupported, 0},
      {"an alarm", request(kReadAlarm, 0), 24, 8, kNotSupported, 0},
      {"an unknown message", request(0x7fff), 16, 8, kNotSupported, 0},
      {"no message", {}, 16, 8, kInvalid, 0},
      {"half a header", first(request(kConfig), 7), 16, 8, kInvalid, 0},
      {"a header without its clock", first(request(kRead), 8), 16, 8, kInvalid, 0},
      {"half a clock", first(request(kRead), 15), 16, 8, kInvalid, 0},
      {"no room for the answer", request(kRead), 15, 8, kInvalid, 0},
      {"room for the header alone", request(kConfig), 8, 8, kInvalid, 0},
      {"an error needs no more than the header", request(kRead, 3), 8, 8, kNoDevice, 0},
      {"no room for the header", request(kRead), 7, 0, kNone, 0},
      {"no room at all", request(kRead), 0, 0, kNone, 0},
  };
}

void check_row(DeviceRig& rig, const Row& row) {
  virtio_device::testing::Request sent;
  if (!row.request.empty()) sent.readable.push_back(row.request);
  if (row.room != 0) sent.writable.push_back(row.room);
  const auto answer = rig.exchange(0, sent);
  REQUIRE(answer);
  CHECK(answer->written == row.written);
  if (row.room != 0) CHECK(answer->at<std::uint8_t>(0) == row.status);
  if (row.written == 16) CHECK(answer->at<Le64>(8).get() == row.body);
  if (row.room > row.written) {
    CHECK(answer->at<std::byte>(row.written) == DeviceRig::kUntouched);
  }
}

TEST_CASE("requests to a real-time clock and their answers", "[rtc]") {
  for (const bool packed : {false, true}) {
    DeviceRig rig(make_rtc(), {.packed = packed});
    REQUIRE(rig.start());
    for (const Row& row : rows()) {
      CAPTURE(packed, row.name);
      check_row(rig, row);
    }
  }
}

TEST_CASE("requests and answers may come in pieces", "[rtc]") {
  DeviceRig rig(make_rtc());
  REQUIRE(rig.start());
  const Bytes whole = request(kRead, 1);
  const auto piece = [&](std::ptrdiff_t from, std::ptrdiff_t to) {
    return Bytes(whole.begin() + from, whole.begin() + to);
  };
  const auto answer = rig.exchange(
      0, {.readable = {piece(0, 1), piece(1, 9), piece(9, 16)}, .writable = {3, 6, 7}});
  REQUIRE(answer);
  CHECK(answer->written == 16);
  CHECK(answer->at<Le64>(8).get() == 7);
}

TEST_CASE("a real-time clock outlives each hostile chain", "[rtc][hostile]") {
  for (const bool packed : {false, true}) {
    DeviceRig rig(make_rtc(), {.packed = packed});
    REQUIRE(rig.start());
    for (const HostileChain& chain : virtio_device::testing::hostile_chains()) {
      CAPTURE(packed, chain.name);
      CHECK(outlive(rig, 0, chain) == "");
      const auto answer = rig.exchange(0, {.readable = {request(kRead, 1)}, .writable = {16}});
      REQUIRE(answer);
      CHECK(answer->written == 16);
    }
  }
}

TEST_CASE("the host's clocks go as the host's clocks do", "[rtc]") {
  const auto utc = host_utc();
  CHECK(utc->type() == ClockType::kUtcMaybeSmeared);
  const auto now = static_cast<std::uint64_t>(std::time(nullptr)) * 1'000'000'000;
  const auto read = utc->read();
  REQUIRE(read);
  CHECK(*read + 2'000'000'000 > now);
  CHECK(*read < now + 60'000'000'000);
  const auto monotonic = host_monotonic();
  CHECK(monotonic->type() == ClockType::kMonotonic);
  const auto earlier = monotonic->read();
  const auto later = monotonic->read();
  REQUIRE(earlier);
  REQUIRE(later);
  CHECK(*earlier <= *later);
}

TEST_CASE("a device without clocks is refused", "[rtc]") { CHECK_FALSE(Rtc::create({})); }

}  // namespace
}  // namespace vmm::virtio_rtc
