// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "gpio_worker.h"

#include <array>
#include <utility>

namespace vmm::virtio_gpio {
namespace {

using virtio_queue::Chain;

constexpr std::uint16_t kRequestQueue = 0;
constexpr std::uint16_t kEventQueue = 1;
constexpr std::size_t kEdgesAtOnce = 64;

bool is_level(IrqType type) { return type == IrqType::kHighLevel || type == IrqType::kLowLevel; }

/// The edges at which an interrupt may become active. Precondition: not kNone.
Edges edges_of(IrqType type) {
  switch (type) {
    case IrqType::kRisingEdge:
    case IrqType::kHighLevel:
      return Edges::kRising;
    case IrqType::kFallingEdge:
    case IrqType::kLowLevel:
      return Edges::kFalling;
    default:
      return Edges::kBoth;
  }
}

}  // namespace

GpioWorker::GpioWorker(std::shared_ptr<Chip> chip, Names names, Lines lines,
                       virtio_device::Activation activation)
    : chip_(std::move(chip)),
      names_(std::move(names)),
      has_irq_(activation.has(kFeatureIrq)),
      kept_(std::move(lines)),
      lines_(*kept_) {
  for (virtio_device::ActiveQueue& queue : activation.queues) {
    if (queue.index == kRequestQueue) requests_.emplace(std::move(queue), activation.interrupt);
    if (queue.index != kEventQueue || !has_irq_) continue;
    events_.emplace(std::move(queue), activation.interrupt);
    buffers_.emplace(*events_, chip_->lines());
  }
}

GpioWorker::~GpioWorker() {
  for (std::uint16_t line = 0; line < lines_.size(); ++line) release(line);
}

Result<void> GpioWorker::start(event_manager::EventLoop& loop) {
  for (std::uint16_t line = 0; line < lines_.size(); ++line) VMM_TRY_DO(restore(line));
  if (events_) {
    VMM_TRY(edges_watch_, loop.add(chip_->edges_fd(), event_manager::kReadable,
                                   [this](event_manager::EventSet) { take_edges(); }));
    VMM_TRY_DO(events_->start(loop, [this] { take_buffers(); }));
  }
  if (!requests_) return {};
  return requests_->start(loop, [this] {
    requests_->serve(chain_, [this](const Chain& chain) { return std::optional(answer(chain)); });
    if (buffers_) buffers_->flush();
  });
}

void GpioWorker::drain() {
  if (!buffers_) return;
  for (std::uint16_t line = 0; line < lines_.size(); ++line) {
    buffers_->give_back(line, IrqStatus::kValid);
  }
  buffers_->flush();
}

Result<void> GpioWorker::restore(std::uint16_t line) {
  LineState& state = lines_[line];
  state.taken = state.direction != Direction::kNone;
  if (!has_irq_) state.type = IrqType::kNone;
  if (!state.taken) return {};
  VMM_TRY_DO(chip_->set_direction(line, state.direction, state.output));
  if (state.type == IrqType::kNone) return {};
  return chip_->watch(line, edges_of(state.type));
}

std::uint32_t GpioWorker::answer(const Chain& chain) {
  Response response;
  if (const auto request = chain.reader().read_obj<Request>()) {
    const auto message = static_cast<Message>(request->message.get());
    if (message == Message::kGetLineNames) return answer_names(chain);
    // What cannot be answered is not done.
    if (chain.writable_bytes() >= sizeof(Response)) response = respond(*request);
  }
  return static_cast<std::uint32_t>(chain.writer().write(std::as_bytes(std::span(&response, 1))));
}

std::uint32_t GpioWorker::answer_names(const Chain& chain) const {
  virtio_queue::Writer writer = chain.writer();
  const bool good = !names_->empty() && writer.remaining() > names_->size();
  if (!writer.write_obj(good ? Status::kOk : Status::kError)) return 0;
  return static_cast<std::uint32_t>(1 + (good ? writer.write(*names_) : 0));
}

Response GpioWorker::respond(const Request& request) {
  const auto done = [](bool good) {
    return Response{.status = good ? Status::kOk : Status::kError, .value = 0};
  };
  const std::uint16_t line = request.line.get();
  if (line >= lines_.size()) return done(false);
  switch (static_cast<Message>(request.message.get())) {
    case Message::kGetDirection:
      return {.status = Status::kOk, .value = static_cast<std::uint8_t>(lines_[line].direction)};
    case Message::kSetDirection:
      return done(set_direction(line, request.value.get()));
    case Message::kGetValue: {
      const auto high = value(line);
      return high ? Response{.status = Status::kOk, .value = std::uint8_t{*high}} : done(false);
    }
    case Message::kSetValue:
      return done(set_value(line, request.value.get()));
    case Message::kSetIrqType:
      return done(set_irq_type(line, request.value.get()));
    default:
      return done(false);
  }
}

bool GpioWorker::set_direction(std::uint16_t line, std::uint32_t direction) {
  if (direction > static_cast<std::uint32_t>(Direction::kIn)) return false;
  const auto wanted = static_cast<Direction>(direction);
  LineState& state = lines_[line];
  if (wanted == Direction::kNone) {
    let_go(line);
    return true;
  }
  // An input that it is already keeps its interrupt.
  if (state.type != IrqType::kNone) return wanted == Direction::kIn;
  if (!chip_->set_direction(line, wanted, state.output)) return false;
  state.direction = wanted;
  state.taken = true;
  return true;
}

std::optional<bool> GpioWorker::value(std::uint16_t line) {
  const auto high = chip_->value(line);
  if (!high) return std::nullopt;
  lines_[line].taken = true;
  return *high;
}

// Kept for a line that becomes an output later: 5.18.6.5.
bool GpioWorker::set_value(std::uint16_t line, std::uint32_t value) {
  if (value > 1) return false;
  LineState& state = lines_[line];
  if (state.direction == Direction::kOut && !chip_->set_value(line, value != 0)) return false;
  state.output = value != 0;
  return true;
}

bool GpioWorker::set_irq_type(std::uint16_t line, std::uint32_t value) {
  const auto type = irq_type_of(value);
  if (!has_irq_ || !type) return false;
  if (*type == IrqType::kNone) {
    disable_irq(line);
    return true;
  }
  const IrqType old = lines_[line].type;
  return old == IrqType::kNone ? enable_irq(line, *type) : old == *type;
}

bool GpioWorker::enable_irq(std::uint16_t line, IrqType type) {
  LineState& state = lines_[line];
  if (state.direction == Direction::kOut) return false;
  if (state.direction == Direction::kNone &&
      !set_direction(line, static_cast<std::uint32_t>(Direction::kIn))) {
    return false;
  }
  if (!chip_->watch(line, edges_of(type))) return false;
  state.type = type;
  state.latched = false;
  return true;
}

void GpioWorker::disable_irq(std::uint16_t line) {
  LineState& state = lines_[line];
  if (state.type != IrqType::kNone) (void)chip_->watch(line, Edges::kNone).has_value();
  state.type = IrqType::kNone;
  state.latched = false;
  if (buffers_) buffers_->give_back(line, IrqStatus::kInvalid);
}

// All that is known of a line is discarded: 5.18.6.8.
void GpioWorker::let_go(std::uint16_t line) {
  if (buffers_) buffers_->give_back(line, IrqStatus::kInvalid);
  release(line);
  lines_[line] = {};
}

void GpioWorker::release(std::uint16_t line) {
  if (!lines_[line].taken) return;
  (void)chip_->set_direction(line, Direction::kNone, false).has_value();  // nobody can do better
}

void GpioWorker::take_buffers() {
  std::uint32_t left = virtio_device::QueueRunner::kBudget;
  if (!events_->queue().refresh()) left = 1;  // which finds that the ring is broken
  for (; left != 0; --left) {
    const auto line = buffers_->take();
    if (!line) break;
    if (*line != EventBuffers::kNoLine) unmask(*line);
  }
  buffers_->flush();
  if (left == 0 && !events_->broken()) events_->kick_again();
}

void GpioWorker::unmask(std::uint16_t line) {
  LineState& state = lines_[line];
  if (state.type == IrqType::kNone) return buffers_->give_back(line, IrqStatus::kInvalid);
  if (!(is_level(state.type) ? is_active(line) : state.latched)) return;
  state.latched = false;
  buffers_->give_back(line, IrqStatus::kValid);
}

bool GpioWorker::is_active(std::uint16_t line) {
  const auto high = chip_->value(line);
  return high && *high == (lines_[line].type == IrqType::kHighLevel);
}

void GpioWorker::take_edges() {
  std::array<std::uint16_t, kEdgesAtOnce> lines;
  const std::size_t count = chip_->take_edges(lines);
  for (const std::uint16_t line : std::span(lines).first(count)) sense_edge(line);
  buffers_->flush();
}

// An edge is latched while the line is masked: 5.18.6.8. A level is not: unmask() looks at the
// line.
void GpioWorker::sense_edge(std::uint16_t line) {
  LineState& state = lines_[line];
  if (state.type == IrqType::kNone) return;
  state.latched = true;
  if (buffers_->has(line)) unmask(line);
}

}  // namespace vmm::virtio_gpio
