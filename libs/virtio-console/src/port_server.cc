// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "port_server.h"

#include <algorithm>
#include <array>
#include <utility>

namespace vmm::virtio_console {

Result<void> PortServer::start_receive(event_manager::EventLoop& loop,
                                       virtio_device::ActiveQueue queue,
                                       std::shared_ptr<virtio_device::Interrupt> interrupt) {
  receive_.emplace(std::move(queue), std::move(interrupt));
  const auto start = [&]() -> Result<void> {
    VMM_TRY(input_watch_,
            loop.add(input_->wake_fd(), event_manager::kReadable | sys_util::kOnChange,
                     [this](event_manager::EventSet) { receive(); }));
    return receive_->start(loop, [this] { receive(); });
  };
  Result<void> started = start();
  if (!started) stop_receive();
  return started;
}

Result<void> PortServer::start_transmit(event_manager::EventLoop& loop,
                                        virtio_device::ActiveQueue queue,
                                        std::shared_ptr<virtio_device::Interrupt> interrupt) {
  loop_ = &loop;
  transmit_.emplace(std::move(queue), std::move(interrupt));
  Result<void> started = transmit_->start(loop, [this] { transmit(); });
  if (!started) stop_transmit();
  return started;
}

void PortServer::stop_receive() {
  input_watch_.reset();
  receive_.reset();
}

void PortServer::stop_transmit() {
  room_watch_.reset();
  full_ = false;
  rest_.reset();
  transmit_.reset();
}

void PortServer::set_open(bool open) {
  open_ = open;
  if (receive_) receive();
}

void PortServer::drain() {
  if (!rest_) return;
  room_watch_.reset();
  full_ = false;
  rest_.reset();
  transmit_->complete(chain_.head(), 0);
  transmit_->flush();
}

// As many buffers as there are bytes for. A buffer of another kind than 5.3.6.1 asks for comes back
// empty.
void PortServer::receive() {
  if (!open_ || receive_->broken()) return;
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

void PortServer::transmit() {
  if (full_ || transmit_->broken()) return;
  turn_left_ = kTurnBytes;
  if (!transmit_->queue().refresh()) return (void)transmit_->pop(chain_);
  transmit_->queue().disable_notifications();
  const bool more = transmit_some();
  if (transmit_->broken()) return;
  transmit_->flush();
  if (more) transmit_->kick_again();
}

bool PortServer::transmit_some() {
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

PortServer::Written PortServer::write_chain() {
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

void PortServer::stop_for_room() {
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
