// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_rtc/rtc.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "messages.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_rtc {
namespace {

class HostClock final : public Clock {
 public:
  HostClock(clockid_t id, ClockType type) : id_(id), type_(type) {}

  [[nodiscard]] ClockType type() const override { return type_; }
  Result<std::uint64_t> read() override {
    timespec now{};
    if (::clock_gettime(id_, &now) != 0) return fail(Error::from_errno("clock_gettime"));
    if (now.tv_sec < 0) return fail(Error::os(ERANGE, "host clock before its epoch"));
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
  }

 private:
  clockid_t id_;
  ClockType type_;
};

Response error(Status status) { return {.header = {.status = status, .reserved = {}}, .body = {}}; }

Response with_body(const void* body, std::size_t bytes) {
  Response response;
  std::memcpy(response.body.data(), body, bytes);
  return response;
}

Response ask(Clock& clock, Message message) {
  if (message == Message::kCrossCapabilities) return {};  // no flag is set
  if (message == Message::kClockCapabilities) {
    const ClockType type = clock.type();  // smearing: unspecified; flags: no alarm
    return with_body(&type, sizeof(type));
  }
  const auto reading = clock.read();
  if (!reading) return error(Status::kIoError);
  const Le64 nanoseconds(*reading);
  return with_body(&nanoseconds, sizeof(nanoseconds));
}

Response respond(const std::vector<std::unique_ptr<Clock>>& clocks, virtio_queue::Reader reader) {
  const auto header = reader.read_obj<RequestHeader>();
  if (!header) return error(Status::kInvalid);
  const auto message = static_cast<Message>(header->message.get());
  if (message == Message::kConfig) {
    const Le16 count(static_cast<std::uint16_t>(clocks.size()));
    return with_body(&count, sizeof(count));
  }
  if (message != Message::kRead && message != Message::kClockCapabilities &&
      message != Message::kCrossCapabilities) {
    return error(Status::kNotSupported);  // kReadCross too
  }
  const auto request = reader.read_obj<ClockRequest>();
  if (!request) return error(Status::kInvalid);
  const std::size_t id = request->clock.get();
  if (id >= clocks.size()) return error(Status::kNoDevice);
  return ask(*clocks[id], message);
}

}  // namespace

std::unique_ptr<Clock> host_utc() {
  return std::make_unique<HostClock>(CLOCK_REALTIME, ClockType::kUtcMaybeSmeared);
}

std::unique_ptr<Clock> host_monotonic() {
  return std::make_unique<HostClock>(CLOCK_MONOTONIC, ClockType::kMonotonic);
}

std::uint32_t Rtc::answer(std::uint16_t /*queue*/, virtio_queue::Chain& request) {
  virtio_queue::Writer writer = request.writer();
  if (writer.remaining() < sizeof(ResponseHeader)) return 0;
  const Response response = respond(clocks_, request.reader());
  const std::size_t whole =
      response.header.status == Status::kOk ? sizeof(Response) : sizeof(ResponseHeader);
  if (writer.remaining() < whole) {
    const Response too_short = error(Status::kInvalid);
    return static_cast<std::uint32_t>(writer.write(std::as_bytes(std::span(&too_short.header, 1))));
  }
  const auto bytes = std::as_bytes(std::span(&response, 1)).first(whole);
  return static_cast<std::uint32_t>(writer.write(bytes));
}

Rtc::Rtc(std::vector<std::unique_ptr<Clock>> clocks)
    : RequestDevice({.type = virtio_device::DeviceType::kClock, .queue_sizes = {kQueueSize}}),
      clocks_(std::move(clocks)) {}

Result<std::shared_ptr<Rtc>> Rtc::create(std::vector<std::unique_ptr<Clock>> clocks) {
  if (clocks.empty() || clocks.size() > 0xffff) return fail(Error::os(EINVAL, "virtio rtc"));
  return std::shared_ptr<Rtc>(new Rtc(std::move(clocks)));
}

}  // namespace vmm::virtio_rtc
