// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "vmm/base/result.h"
#include "vmm/event_manager/poster.h"
#include "vmm/event_manager/registration.h"
#include "vmm/sys_util/event_set.h"

namespace vmm::event_manager {

using sys_util::EventSet;
using sys_util::kError;
using sys_util::kHangUp;
using sys_util::kNoEvents;
using sys_util::kReadable;
using sys_util::kWritable;

/// Calls handlers when descriptors become ready: epoll(7), one thread.
///
/// Whoever calls run() or run_once() is the loop's thread. Handlers and posted functions run on
/// it, and everything here and in Registration and Timer belongs to it, except post(), poster()
/// and what Poster offers, which any thread may call. While no thread runs the loop, one thread at
/// a time may use it.
///
/// Level-triggered unless asked otherwise: a handler that leaves its descriptor ready is called
/// again in the next round. Handlers may add and drop registrations, their own included; an event
/// of a registration that was dropped earlier in the same round is not delivered, even when its
/// descriptor number is in use again.
class EventLoop {
 public:
  /// Is told what is ready. kError and kHangUp come even if not asked for; a handler that ignores
  /// them is called in every round; see spinning_rounds().
  using Handler = std::function<void(EventSet ready)>;

  /// What create() may be told.
  struct Options {
    std::size_t events_per_round = 256;  ///< at most Epoll::kMaxEvents; the rest waits its turn
  };

  /// Errors: EINVAL for `events_per_round` of 0 or too many; ENOMEM; those of epoll_create1(2)
  /// and eventfd(2).
  static Result<EventLoop> create(const Options& options);
  /// With the default options.
  static Result<EventLoop> create() { return create(Options{}); }

  ///@{
  /// The other loop may only be destroyed or assigned to afterwards; a loop that was here before
  /// ends as by its destructor.
  EventLoop(EventLoop&&) noexcept = default;
  EventLoop& operator=(EventLoop&& other) noexcept;
  ///@}
  /// Destroys all handlers and posted functions that did not run. Registrations and posters may
  /// outlive the loop; they have no effect then. Precondition: not called by a handler.
  ~EventLoop();

  /// Calls `handler` whenever `fd` is ready. The caller keeps `fd` open until the registration is
  /// dropped. A descriptor added by a handler is looked at from the next round on.
  /// Errors: EEXIST when `fd` is watched already, EINVAL for an empty handler, EPERM for files
  /// that are always ready, and the others of epoll_ctl(2).
  Result<Registration> add(int fd, EventSet interest, Handler handler);

  /// Runs rounds until stop(). Errors: those of run_once().
  Result<void> run();
  /// Runs one round: waits at most `timeout` (negative: for ever), calls the handlers of what is
  /// ready, then runs the functions posted so far. Returns how many descriptors were ready, which
  /// is 0 after the timeout, a signal or a mere post().
  /// Errors: EDEADLK when a handler calls it; those of epoll_wait(2).
  Result<std::size_t> run_once(std::chrono::milliseconds timeout);
  /// Runs one round and waits for it as long as it takes.
  Result<std::size_t> run_once() { return run_once(std::chrono::milliseconds(-1)); }
  /// Readable while run_once() would not wait: so one loop can be run by another of the same
  /// thread.
  [[nodiscard]] int fd() const;
  /// How many rounds the loop has spun: nothing was ready but hang-ups (without anything to read)
  /// of registrations that stayed, as in more rounds before in a row than it has registrations.
  /// A warning is logged when that begins. 0 in a program that drops what has hung up.
  [[nodiscard]] std::uint64_t spinning_rounds() const;
  /// Makes run() return after the current round; for handlers and posted functions. From another
  /// thread: post it.
  void stop();

  /// Runs `function` on the loop's thread, after the handlers of a round; never at once. From any
  /// thread; does not block. What the loop's thread posts runs in the next round.
  void post(std::function<void()> function) {
    static_cast<void>(poster_.post(std::move(function)));
  }
  /// A handle for other threads that stays valid after the loop's end.
  [[nodiscard]] Poster poster() const { return poster_; }

 private:
  EventLoop(std::shared_ptr<detail::LoopState> state, Poster poster)
      : state_(std::move(state)), poster_(std::move(poster)) {}

  std::shared_ptr<detail::LoopState> state_;
  Poster poster_;
};

}  // namespace vmm::event_manager
