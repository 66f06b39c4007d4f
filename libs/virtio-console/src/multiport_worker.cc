// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "multiport_worker.h"

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

namespace vmm::virtio_console {
namespace {

using virtio_queue::Chain;

// 5.3.2: port 0, the control queues, the other ports.
constexpr std::uint16_t kToDriver = 2;
constexpr std::uint16_t kFromDriver = 3;
constexpr std::uint16_t kPortOne = 4;

constexpr bool is_control(std::uint16_t index) {
  return index == kToDriver || index == kFromDriver;
}
constexpr bool is_receive(std::uint16_t index) { return (index & 1) == 0; }

}  // namespace

MultiportWorker::MultiportWorker(std::shared_ptr<MultiportConsole::Ports> ports,
                                 virtio_device::Activation activation)
    : ports_(std::move(ports)),
      multiport_(activation.has(kFeatureMultiport)),
      interrupt_(std::move(activation.interrupt)),
      waiting_(std::move(activation.queues)) {
  for (std::size_t port = 0; port < ports_->count(); ++port) {
    const auto& [options, input] = (*ports_)[port];
    Served one{
        .server = std::make_unique<PortServer>(*options.output, input, ports_->is_open(port)),
        .talk = ports_->talk(port)};
    // Of a device that goes on; the host's side may be another one now.
    if (one.talk.ready && one.talk.told_connected != ports_->is_connected(port)) {
      one.add_news(News::kOpen);
    }
    served_.push_back(std::move(one));
  }
}

MultiportWorker::~MultiportWorker() {
  for (std::size_t port = 0; port < served_.size(); ++port) {
    ports_->set_talk(port, served_[port].talk);
  }
}

Result<void> MultiportWorker::start(event_manager::EventLoop& loop) {
  loop_ = &loop;
  for (virtio_device::ActiveQueue& queue : waiting_) VMM_TRY_DO(start_queue(queue));
  waiting_.clear();
  if (!multiport_) return {};
  VMM_TRY(news_watch_, loop.add(ports_->news().fd(), event_manager::kReadable,
                                [this](event_manager::EventSet) { look_at_hosts(); }));
  return {};
}

// Queues that mean nothing without MULTIPORT are not served.
Result<void> MultiportWorker::start_queue(virtio_device::ActiveQueue& queue) {
  const std::uint16_t index = queue.index;
  if (is_control(index)) return multiport_ ? start_control(queue) : Result<void>();
  PortServer* const server = server_of(index);
  if (server == nullptr) return {};
  return is_receive(index) ? server->start_receive(*loop_, std::move(queue), interrupt_)
                           : server->start_transmit(*loop_, std::move(queue), interrupt_);
}

bool MultiportWorker::stop_queue(std::uint16_t index) {
  if (is_control(index)) {
    (index == kToDriver ? to_driver_ : from_driver_).reset();
  } else if (PortServer* const server = server_of(index); server != nullptr) {
    is_receive(index) ? server->stop_receive() : server->stop_transmit();
  }
  return true;
}

Result<void> MultiportWorker::start_control(virtio_device::ActiveQueue& queue) {
  const bool to_driver = queue.index == kToDriver;
  auto& runner = to_driver ? to_driver_ : from_driver_;
  runner.emplace(std::move(queue), interrupt_);
  Result<void> started = to_driver ? runner->start(*loop_, [this] { tell(); })
                                   : runner->start(*loop_, [this] { hear(); });
  if (!started) runner.reset();
  return started;
}

PortServer* MultiportWorker::server_of(std::uint16_t index) const {
  const std::size_t port = index < kToDriver ? 0 : 1 + (index - kPortOne) / 2;
  return port < served_.size() && (port == 0 || multiport_) ? served_[port].server.get() : nullptr;
}

void MultiportWorker::drain() {
  for (const Served& one : served_) one.server->drain();
}

void MultiportWorker::hear() {
  from_driver_->serve(heard_, [this](Chain& chain) -> std::optional<std::uint32_t> {
    const auto message = chain.reader().read_obj<ControlMessage>();
    if (message && chain.writable_bytes() == 0) take(*message);
    return 0;
  });
  tell();
}

void MultiportWorker::take(const ControlMessage& message) {
  const std::size_t port = message.port.get();
  const bool value = message.value.get() != 0;
  switch (message.event.get()) {
    case ControlMessage::kDeviceReady:  // of the device, whatever port is said
      if (value) device_ready();
      return;
    case ControlMessage::kPortReady:
      if (port < served_.size() && value) port_ready(port);
      return;
    case ControlMessage::kPortOpen:
      if (port < served_.size()) open(port, value);
      return;
    default:
      return;
  }
}

// A driver that begins has nothing open, whatever the one before it has left: not every front end
// of vhost-user tells of a reset.
void MultiportWorker::device_ready() {
  for (std::size_t port = 0; port < served_.size(); ++port) {
    served_[port].talk = {.news = News::kAdd};
    open(port, false);
  }
}

void MultiportWorker::open(std::size_t port, bool open) {
  ports_->set_open(port, open);
  served_[port].server->set_open(open);
}

void MultiportWorker::port_ready(std::size_t port) {
  served_[port].talk.ready = true;
  served_[port].add_news(ports_->news_of(port) & ~unsigned{News::kAdd});
}

// A port that the driver does not know yet is told of when it does.
void MultiportWorker::look_at_hosts() {
  (void)ports_->news().take();
  for (std::size_t port = 0; port < served_.size(); ++port) {
    if (ports_->take_news(port) && served_[port].talk.ready) served_[port].add_news(News::kOpen);
  }
  tell();
}

bool MultiportWorker::has_news() const {
  return std::ranges::any_of(served_, [](const Served& one) { return one.talk.news != 0; });
}

void MultiportWorker::tell() {
  if (!to_driver_ || to_driver_->broken()) return;
  if (!to_driver_->queue().refresh()) return (void)to_driver_->pop(told_);
  std::uint32_t left = virtio_device::QueueRunner::kBudget;
  for (; left != 0 && has_news(); --left) {
    if (!to_driver_->pop_or_listen(told_)) break;
    const bool fits = told_.readable_bytes() == 0;
    to_driver_->complete(told_.head(), fits ? tell_next(told_.writer()) : 0);
  }
  if (to_driver_->broken()) return;
  to_driver_->flush();
  if (left == 0) to_driver_->kick_again();
}

ControlMessage MultiportWorker::message_of(std::size_t port, News news) const {
  ControlMessage message{.port = Le32(static_cast<std::uint32_t>(port)), .value = Le16(1)};
  switch (news) {
    case News::kAdd:
      message.event = Le16(ControlMessage::kPortAdd);
      break;
    case News::kConsole:
      message.event = Le16(ControlMessage::kConsolePort);
      break;
    case News::kName:
      message.event = Le16(ControlMessage::kPortName);
      break;
    case News::kOpen:
      message.event = Le16(ControlMessage::kPortOpen);
      message.value = Le16(ports_->is_connected(port) ? 1 : 0);
      break;
  }
  return message;
}

std::uint32_t MultiportWorker::tell_next(virtio_queue::Writer buffer) {
  const auto one =
      std::ranges::find_if(served_, [](const Served& served) { return served.talk.news != 0; });
  const auto port = static_cast<std::size_t>(one - served_.begin());
  const auto news = static_cast<News>(1u << std::countr_zero(one->talk.news));
  std::span<const std::byte> name;
  if (news == News::kName) name = std::as_bytes(std::span((*ports_)[port].options.name));
  if (buffer.remaining() < sizeof(ControlMessage) + name.size()) return 0;
  const ControlMessage message = message_of(port, news);
  (void)buffer.write_obj(message);
  (void)buffer.write(name);
  one->talk.news = static_cast<std::uint8_t>(one->talk.news & ~unsigned{news});
  if (news == News::kOpen) one->talk.told_connected = message.value.get() != 0;
  return static_cast<std::uint32_t>(sizeof(ControlMessage) + name.size());
}

}  // namespace vmm::virtio_console
