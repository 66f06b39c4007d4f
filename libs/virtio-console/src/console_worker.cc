// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "console_worker.h"

#include <algorithm>
#include <array>
#include <utility>

namespace vmm::virtio_console {
namespace {

constexpr std::uint16_t kReceiveQueue = 0;

}  // namespace

ConsoleWorker::ConsoleWorker(ConsoleOutput& output, std::shared_ptr<Console::Input> input,
                             virtio_device::Activation activation)
    : output_(output),
      input_(std::move(input)),
      interrupt_(std::move(activation.interrupt)),
      waiting_(std::move(activation.queues)) {}

Result<void> ConsoleWorker::start(event_manager::EventLoop& loop) {
  loop_ = &loop;
  for (virtio_device::ActiveQueue& queue : waiting_) VMM_TRY_DO(start_queue(queue));
  waiting_.clear();
  return {};
}

Result<void> ConsoleWorker::start_queue(virtio_device::ActiveQueue& queue) {
  const std::uint16_t index = queue.index;
  auto& runner = index == kReceiveQueue ? receive_ : transmit_;
  runner.emplace(std::move(queue), interrupt_);
  Result<void> started =
      index == kReceiveQueue ? start_receiving() : transmit_->start(*loop_, [this] { transmit(); });
  if (!started) (void)stop_queue(index);
  return started;
}

Result<void> ConsoleWorker::start_receiving() {
  VMM_TRY(input_watch_,
          loop_->add(input_->wake_fd(), event_manager::kReadable | sys_util::kOnChange,
                     [this](event_manager::EventSet) { receive(); }));
  return receive_->start(*loop_, [this] { receive(); });
}

bool ConsoleWorker::stop_queue(std::uint16_t index) {
  if (index == kReceiveQueue) {
    input_watch_.reset();
    receive_.reset();
  } else {
    room_watch_.reset();
    full_ = false;
    rest_.reset();
    transmit_.reset();
  }
  return true;
}

void ConsoleWorker::drain() {
  if (!rest_) return;
  room_watch_.reset();
  full_ = false;
  rest_.reset();
  transmit_->complete(chain_.head(), 0);
  transmit_->flush();
}

// As many buffers as there are bytes for. A buffer of another kind than 5.3.6.1 asks for comes back
// empty.
void ConsoleWorker::receive() {
  if (!receive_->queue().refresh()) return (void)receive_->pop(receive_chain_);
  for (std::uint32_t left = virtio_device::QueueRunner::kBudget; left != 0; --left) {
    if (input_->empty()) break;
    if (!receive_->pop_or_listen(receive_chain_)) break;
    std::uint32_t written = 0;
    if (receive_chain_.readable_bytes() == 0) {
      input_->drain([&](std::span<const std::byte> bytes) {
        written = static_cast<std::uint32_t>(receive_chain_.writer().write(bytes));
        return written;
      });
    }
    receive_->complete(receive_chain_.head(), written);
    if (left == 1) receive_->kick_again();
  }
  if (!receive_->broken()) receive_->flush();
}

void ConsoleWorker::transmit() {
  if (full_ || transmit_->broken()) return;
  turn_left_ = kTurnBytes;
  if (!transmit_->queue().refresh()) return (void)transmit_->pop(chain_);
  transmit_->queue().disable_notifications();
  const bool more = transmit_some();
  if (transmit_->broken()) return;
  transmit_->flush();
  if (more) transmit_->kick_again();
}

bool ConsoleWorker::transmit_some() {
  for (std::uint32_t left = virtio_device::QueueRunner::kBudget; left != 0; --left) {
    if (!rest_) {
      if (!transmit_->pop_or_listen(chain_)) return false;
      rest_ = chain_.reader();
      if (chain_.writable_bytes() != 0) (void)rest_->skip(rest_->remaining());
    }
    switch (write_chain()) {
      case Written::kAll:
        break;
      case Written::kFull:
        stop_for_room();
        return false;
      case Written::kOutOfTurn:
        return true;
    }
  }
  return true;
}

ConsoleWorker::Written ConsoleWorker::write_chain() {
  std::array<std::byte, 1024> bytes;
  while (rest_->remaining() != 0) {
    if (turn_left_ == 0) return Written::kOutOfTurn;
    virtio_queue::Reader ahead = *rest_;
    const std::size_t read =
        ahead.read(std::span(bytes).first(std::min<std::size_t>(bytes.size(), turn_left_)));
    const std::size_t written = output_.write(std::span(bytes).first(read));
    (void)rest_->skip(static_cast<std::uint32_t>(written));
    turn_left_ -= static_cast<std::uint32_t>(written);
    if (written == read) continue;
    if (output_.room_fd() >= 0) return Written::kFull;
    break;  // there will never be room: the rest is lost
  }
  rest_.reset();
  transmit_->complete(chain_.head(), 0);
  return Written::kAll;
}

void ConsoleWorker::stop_for_room() {
  auto watch = loop_->add(output_.room_fd(), event_manager::kWritable | sys_util::kOneShot,
                          [this](event_manager::EventSet) {
                            room_watch_.reset();
                            full_ = false;
                            transmit();
                          });
  if (watch) {
    room_watch_ = std::move(*watch);
    full_ = true;
    return;
  }
  rest_.reset();  // it cannot be waited for: the rest is lost
  transmit_->complete(chain_.head(), 0);
  transmit_->kick_again();
}

}  // namespace vmm::virtio_console
