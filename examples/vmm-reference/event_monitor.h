// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "failure.h"
#include "path_or_fd.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/thread.h"

namespace vmm::reference {

/// What is told.
enum class Event : std::uint8_t {
  kVmmStarting,
  kVmmStarted,  ///< the API answers from now on, where there is one
  kVmmShutdown,
  kBooting,
  kBooted,
  kPausing,
  kPaused,
  kResuming,
  kResumed,
  kResizing,
  kResized,
  kRebooting,
  kRebooted,
  kShutdown,
  kDeleted,
  kDeviceRemoved,    ///< id, bdf
  kDeviceActivated,  ///< id
  kDeviceReset,      ///< id
  kGuestPanic,       ///< event: what it told
};

/// An event as listeners know it.
struct EventName {
  std::string_view source;
  std::string_view name;
};
/// All of them, by Event.
[[nodiscard]] std::span<const EventName> event_names();

/// Tells whoever listens what happens to the VM: a stream of JSON objects, each with an empty line
/// behind it. A thread of its own writes them, so that a slow listener holds up nobody; when it is
/// too far behind, further events are lost to it.
///
/// Thread-safety: report() from any thread.
class EventMonitor {
 public:
  using Properties = std::vector<std::pair<std::string_view, std::string>>;

  /// Without a `place`, events go nowhere. Call with the signals of the process blocked. `first` is
  /// what its thread does before anything else.
  /// Failures: the file cannot be opened; the descriptor is none; those of `first`.
  static Outcome<std::unique_ptr<EventMonitor>> open(
      const PathOrFd& place, const std::function<Outcome<void>()>& first = {});
  EventMonitor(const EventMonitor&) = delete;
  EventMonitor& operator=(const EventMonitor&) = delete;
  /// Writes what is left, as long as the listener takes it within a second.
  ~EventMonitor();

  /// One event, as of now.
  void report(Event event, const Properties& properties = {});

 private:
  EventMonitor() = default;
  void write_events();
  /// Writes one event; false when the listener is gone, or the end has come and it is slow.
  bool write(std::string_view text);
  [[nodiscard]] bool ending();

  UniqueFd fd_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;  // with a condition, for which Mutex is not made; guards what follows
  std::condition_variable changed_;
  std::deque<std::string> waiting_;
  std::size_t waiting_bytes_ = 0;
  bool ending_ = false;
  sys_util::Thread thread_;
};

}  // namespace vmm::reference
