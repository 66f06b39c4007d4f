// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "event_monitor.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <cerrno>
#include <semaphore>

#include "output_file.h"
#include "vmm/base/log.h"
#include "vmm/sys_util/thread_name.h"

namespace vmm::reference {
namespace {

struct Row {
  Event event;
  EventName name;
};
constexpr std::array kTable{Row{Event::kVmmStarting, {"vmm", "starting"}},
                            Row{Event::kVmmStarted, {"vmm", "started"}},
                            Row{Event::kVmmShutdown, {"vmm", "shutdown"}},
                            Row{Event::kBooting, {"vm", "booting"}},
                            Row{Event::kBooted, {"vm", "booted"}},
                            Row{Event::kPausing, {"vm", "pausing"}},
                            Row{Event::kPaused, {"vm", "paused"}},
                            Row{Event::kResuming, {"vm", "resuming"}},
                            Row{Event::kResumed, {"vm", "resumed"}},
                            Row{Event::kResizing, {"vm", "resizing"}},
                            Row{Event::kResized, {"vm", "resized"}},
                            Row{Event::kRebooting, {"vm", "rebooting"}},
                            Row{Event::kRebooted, {"vm", "rebooted"}},
                            Row{Event::kShutdown, {"vm", "shutdown"}},
                            Row{Event::kDeleted, {"vm", "deleted"}},
                            Row{Event::kDeviceRemoved, {"vm", "device-removed"}},
                            Row{Event::kDeviceActivated, {"virtio-device", "activated"}},
                            Row{Event::kDeviceReset, {"virtio-device", "reset"}},
                            Row{Event::kGuestPanic, {"guest", "panic"}}};

// The names by Event.
constexpr auto kNames = [] {
  std::array<EventName, kTable.size()> names{};
  for (const Row& row : kTable) names[static_cast<std::size_t>(row.event)] = row.name;
  return names;
}();
static_assert(std::ranges::none_of(kNames,
                                   [](const EventName& name) { return name.name.empty(); }));

constexpr std::size_t kMaxWaiting = 1024;
/// Ids are as long as who gave them liked.
constexpr std::size_t kMaxWaitingBytes = std::size_t{1} << 20;
/// What a guest can cause as often as it likes has one of so many parts: the rest is for what the
/// VMM has to say.
constexpr std::size_t kGuestsShare = 2;
constexpr int kPatienceMs = 1000;

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string(text));
}

// "activated (id=_disk0)"
std::string log_text(std::string_view event, const EventMonitor::Properties& properties) {
  std::string text(event);
  for (const auto& [name, value] : properties) {
    text += text.size() == event.size() ? " (" : ", ";
    text += std::string(name) + '=' + value;
  }
  return properties.empty() ? text : text + ')';
}

std::string text_of(std::chrono::nanoseconds since, std::string_view source, std::string_view event,
                    const EventMonitor::Properties& properties) {
  const auto secs = std::chrono::duration_cast<std::chrono::seconds>(since);
  std::string text = "{\n  \"timestamp\": {\n    \"secs\": " + std::to_string(secs.count()) +
                     ",\n    \"nanos\": " + std::to_string((since - secs).count()) +
                     "\n  },\n  \"source\": " + quoted(source) +
                     ",\n  \"event\": " + quoted(event) + ",\n  \"properties\": ";
  if (properties.empty()) return text + "null\n}\n\n";
  const char* before = "{\n";
  for (const auto& [name, value] : properties) {
    text += before;
    text += "    " + quoted(name) + ": " + quoted(value);
    before = ",\n";
  }
  return text + "\n  }\n}\n\n";
}

}  // namespace

Outcome<std::unique_ptr<EventMonitor>> EventMonitor::open(
    const PathOrFd& place, const std::function<Outcome<void>()>& first) {
  std::unique_ptr<EventMonitor> monitor(new EventMonitor);
  if (!place.given()) return monitor;
  if (!place.path.empty()) {
    VMM_STEP("--event-monitor: " + place.path, monitor->fd_,
             open_output(place.path, O_CREAT | O_TRUNC, 0600));
  } else if (place.fd <= STDERR_FILENO) {  // stays the stream that it is
    monitor->fd_.reset(::fcntl(place.fd, F_DUPFD_CLOEXEC, 3));
    if (!monitor->fd_) {
      return fail(runtime("--event-monitor: fd=" + std::to_string(place.fd),
                          Error::from_errno("fcntl F_DUPFD_CLOEXEC")));
    }
  } else if (::fcntl(place.fd, F_SETFD, FD_CLOEXEC) != 0) {
    return fail(runtime("--event-monitor: fd=" + std::to_string(place.fd),
                        Error::from_errno("fcntl F_SETFD")));
  } else {
    monitor->fd_.reset(place.fd);
  }
  Outcome<void> begun;
  std::binary_semaphore done(0);
  VMM_STEP("--event-monitor", monitor->thread_,
           sys_util::Thread::start([self = monitor.get(), &first, &begun, &done] {
             sys_util::set_thread_name("event-monitor");
             if (first) begun = first();
             const bool good = begun.has_value();
             done.release();
             if (good) self->write_events();
           }));
  done.acquire();
  if (!begun) return fail(std::move(begun).error());
  return monitor;
}

std::span<const EventName> event_names() { return kNames; }

EventMonitor::~EventMonitor() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void EventMonitor::report(Event event, const Properties& properties) {
  const EventName& name = kNames[static_cast<std::size_t>(event)];
  VMM_LOG(kInfo, "%s: %s", std::string(name.source).c_str(),
          log_text(name.name, properties).c_str());
  if (!fd_) return;
  const std::lock_guard lock(mutex_);
  const bool of_guest = event == Event::kDeviceActivated || event == Event::kDeviceReset;
  const std::size_t share = of_guest ? kGuestsShare : 1;
  if (waiting_.size() >= kMaxWaiting / share || waiting_bytes_ >= kMaxWaitingBytes / share) return;
  // Under the lock, so that the times in the stream ascend.
  waiting_.push_back(
      text_of(std::chrono::steady_clock::now() - start_, name.source, name.name, properties));
  waiting_bytes_ += waiting_.back().size();
  changed_.notify_one();
}

bool EventMonitor::ending() {
  const std::lock_guard lock(mutex_);
  return ending_;
}

void EventMonitor::write_events() {
  for (;;) {
    std::string text;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      text = std::move(waiting_.front());
      waiting_.pop_front();
      waiting_bytes_ -= text.size();
    }
    if (!write(text)) return;
  }
}

// A pipe that is ready takes PIPE_BUF bytes at once. Events with long ids have more.
bool EventMonitor::write(std::string_view text) {
  while (!text.empty()) {
    pollfd ready{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
    const int polled = ::poll(&ready, 1, kPatienceMs);
    if (polled == 0 && ending()) return false;
    if (polled <= 0) continue;
    const ssize_t n = ::write(fd_.get(), text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace vmm::reference
