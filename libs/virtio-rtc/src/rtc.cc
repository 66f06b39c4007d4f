// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_rtc/rtc.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

#include "messages.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_rtc {
namespace {

using virtio_device::QueueRunner;
using virtio_queue::Chain;

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

}  // namespace

std::unique_ptr<Clock> host_utc() {
  return std::make_unique<HostClock>(CLOCK_REALTIME, ClockType::kUtcMaybeSmeared);
}

std::unique_ptr<Clock> host_monotonic() {
  return std::make_unique<HostClock>(CLOCK_MONOTONIC, ClockType::kMonotonic);
}

class Rtc::RtcWorker final : public virtio_device::Worker {
 public:
  RtcWorker(std::shared_ptr<const Clocks> clocks, virtio_device::Activation activation)
      : clocks_(std::move(clocks)) {
    for (virtio_device::ActiveQueue& queue : activation.queues) {
      runner_.emplace(std::move(queue), activation.interrupt);
    }
  }

  Result<void> start(event_manager::EventLoop& loop) override {
    if (!runner_) return {};
    return runner_->start(loop, [this] {
      runner_->serve(chain_, [this](Chain& chain) { return std::optional(answer(chain)); });
    });
  }

 private:
  [[nodiscard]] std::uint32_t answer(const Chain& chain) const {
    virtio_queue::Writer writer = chain.writer();
    if (writer.remaining() < sizeof(ResponseHeader)) return 0;
    virtio_queue::Reader reader = chain.reader();
    const Response response = respond(reader);
    const std::size_t whole =
        response.header.status == Status::kOk ? sizeof(Response) : sizeof(ResponseHeader);
    if (writer.remaining() < whole) {
      const Response too_short = error(Status::kInvalid);
      return static_cast<std::uint32_t>(
          writer.write(std::as_bytes(std::span(&too_short.header, 1))));
    }
    const auto bytes = std::as_bytes(std::span(&response, 1)).first(whole);
    return static_cast<std::uint32_t>(writer.write(bytes));
  }

  [[nodiscard]] Response respond(virtio_queue::Reader& reader) const {
    const auto header = reader.read_obj<RequestHeader>();
    if (!header) return error(Status::kInvalid);
    const auto message = static_cast<Message>(header->message.get());
    if (message == Message::kConfig) {
      const Le16 count(static_cast<std::uint16_t>(clocks_->size()));
      return with_body(&count, sizeof(count));
    }
    if (message != Message::kRead && message != Message::kClockCapabilities &&
        message != Message::kCrossCapabilities) {
      return error(Status::kNotSupported);  // kReadCross too
    }
    const auto request = reader.read_obj<ClockRequest>();
    if (!request) return error(Status::kInvalid);
    const std::size_t id = request->clock.get();
    if (id >= clocks_->size()) return error(Status::kNoDevice);
    return ask(*(*clocks_)[id], message);
  }

  static Response ask(Clock& clock, Message message) {
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

  std::shared_ptr<const Clocks> clocks_;
  std::optional<QueueRunner> runner_;
  virtio_queue::InlineChain<8> chain_;
};

Result<std::shared_ptr<Rtc>> Rtc::create(Clocks clocks) {
  if (clocks.empty() || clocks.size() > 0xffff) return fail(Error::os(EINVAL, "virtio rtc"));
  return std::shared_ptr<Rtc>(new Rtc(std::move(clocks)));
}

Rtc::~Rtc() = default;

std::uint64_t Rtc::features() const { return virtio_queue::kFeatureInOrder; }

Result<virtio_device::WorkerList> Rtc::activate(virtio_device::Activation activation) {
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<RtcWorker>(clocks_, std::move(activation)));
  return workers;
}

}  // namespace vmm::virtio_rtc
