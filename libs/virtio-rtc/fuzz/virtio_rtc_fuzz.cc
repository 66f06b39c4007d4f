// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver that reads clocks, one of which fails: each answer has the status and the length that
// its request asks for, beside a model.

#include <cerrno>
#include <cstring>

#include "device_fuzz.h"
#include "src/messages.h"
#include "vmm/virtio_rtc/rtc.h"

namespace {

using namespace vmm::virtio_rtc;

constexpr std::uint64_t kTime = 0x1122'3344'5566'7788;

class StoppedClock final : public Clock {
 public:
  explicit StoppedClock(bool fails) : fails_(fails) {}
  [[nodiscard]] ClockType type() const override { return ClockType::kTai; }
  vmm::Result<std::uint64_t> read() override {
    if (fails_) return vmm::fail(vmm::Error::os(EIO, "clock"));
    return kTime;
  }

 private:
  const bool fails_;
};

/// The number of `bytes` bytes at an offset.
std::uint64_t number_at(const std::vector<std::byte>& from, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    value |= std::to_integer<std::uint64_t>(from[at + i]) << (8 * i);
  }
  return value;
}

struct Expected {
  Status status = Status::kOk;
  std::uint64_t body = 0;
};

Expected expected(const std::vector<std::byte>& request) {
  if (request.size() < 8) return {.status = Status::kInvalid};
  const std::uint64_t message = number_at(request, 0, 2);
  if (message == 0x1000) return {.body = 2};
  if (message != 1 && message != 0x1001 && message != 0x1002) {
    return {.status = Status::kNotSupported};
  }
  if (request.size() < 16) return {.status = Status::kInvalid};
  const std::uint64_t clock = number_at(request, 8, 2);
  if (clock > 1) return {.status = Status::kNoDevice};
  if (message == 0x1002) return {};
  if (message == 0x1001) return {.body = 1};
  if (clock == 1) return {.status = Status::kIoError};
  return {.body = kTime};
}

class Watch final : public DriverWatch {
 public:
  void answered(const Exchange& exchange) override {
    const std::size_t room = exchange.room();
    if (room < sizeof(ResponseHeader)) return exchange.require_written(0);
    Expected wanted = expected(exchange.sent());
    const bool fits = wanted.status != Status::kOk || room >= sizeof(Response);
    if (!fits) wanted = {.status = Status::kInvalid};
    const bool whole = wanted.status == Status::kOk;
    exchange.require_written(whole ? sizeof(Response) : sizeof(ResponseHeader));
    // Zeros stand behind the status.
    require(number_at(exchange.answer.bytes, 0, 8) == static_cast<std::uint64_t>(wanted.status));
    if (whole) require(number_at(exchange.answer.bytes, 8, 8) == wanted.body);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  std::vector<std::unique_ptr<Clock>> clocks;
  clocks.push_back(std::make_unique<StoppedClock>(false));
  clocks.push_back(std::make_unique<StoppedClock>(true));
  Watch watch;
  fuzz_device(*Rtc::create(std::move(clocks)), input, {}, &watch);
  return 0;
}
