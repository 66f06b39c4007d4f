// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "mailbox.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/epoll.h"
#include "vmm/sys_util/mapping.h"

namespace vmm::event_manager::detail {

/// The inside of an EventLoop, kept alive by its registrations too.
///
/// Each registration has a slot. The epoll token is the slot's index and its generation, which
/// changes whenever the slot is given up, so an event that was fetched before that is recognised.
class LoopState {
 public:
  LoopState(sys_util::Epoll epoll, sys_util::Mapping events, std::size_t events_per_round,
            std::shared_ptr<Mailbox> mailbox);

  Result<void> watch_mailbox();
  /// Takes the handler out of `handler`, unless it fails.
  Result<std::uint64_t> add(int fd, EventSet interest, EventLoop::Handler& handler);
  Result<void> modify(std::uint64_t token, EventSet interest);
  void remove(std::uint64_t token) noexcept;

  Result<std::size_t> run_once(std::chrono::milliseconds timeout);
  /// Gives up all handlers and posted functions.
  void close();

  [[nodiscard]] int fd() const { return epoll_.fd(); }
  [[nodiscard]] bool stopped() const { return stopped_; }
  void set_stopped(bool stopped) { stopped_ = stopped; }
  [[nodiscard]] std::uint64_t spinning_rounds() const { return spinning_rounds_; }

 private:
  struct Slot {
    EventLoop::Handler handler;
    std::uint32_t generation = 0;
    int fd = -1;
  };
  static constexpr std::uint64_t kMailboxToken = ~std::uint64_t{0};

  /// The slot that a token speaks of; nullptr when that registration is gone.
  [[nodiscard]] Slot* find(std::uint64_t token);
  [[nodiscard]] std::uint32_t allocate_slot();
  void give_up(std::uint32_t index);
  std::size_t dispatch(std::size_t count);
  [[nodiscard]] bool only_hangups(std::span<const sys_util::EpollEvent> events);
  void note_only_hangups();
  void run_posted();

  sys_util::Epoll epoll_;
  sys_util::Mapping events_;
  std::size_t events_per_round_;
  std::shared_ptr<Mailbox> mailbox_;
  // Slots never move, as a handler may be running in one while others are added.
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t hangup_rounds_ = 0;  // in a row, up to now, with nothing but hang-ups that stay
  std::uint64_t spinning_rounds_ = 0;
  bool spinning_ = false;      // so many of them that it was told
  Slot* current_ = nullptr;    // whose handler is running
  bool drop_current_ = false;  // the running handler dropped its own registration
  bool running_ = false;
  bool stopped_ = false;
  bool closed_ = false;
};

}  // namespace vmm::event_manager::detail
