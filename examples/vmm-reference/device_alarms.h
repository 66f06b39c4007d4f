// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "failure.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/event_fd.h"

namespace vmm::reference {

/// What the host says of one of its devices that a guest has.
///
/// Threads: the loop's.
class DeviceAlarms {
 public:
  struct Handlers {
    std::function<void()> wanted;  ///< the host wants it back; again while it has not got it
    std::function<void()> failed;  ///< it does not recover from an error that it has had
  };

  /// `name` is for messages.
  static Outcome<std::unique_ptr<DeviceAlarms>> create(const std::string& name,
                                                       event_manager::EventLoop& loop,
                                                       Handlers handlers);
  DeviceAlarms(const DeviceAlarms&) = delete;
  DeviceAlarms& operator=(const DeviceAlarms&) = delete;

  /// Eventfds for the kernel.
  [[nodiscard]] int wanted_fd() const { return wanted_.fd(); }
  [[nodiscard]] int error_fd() const { return error_.fd(); }

 private:
  DeviceAlarms(sys_util::EventFd wanted, sys_util::EventFd error, Handlers handlers)
      : wanted_(std::move(wanted)), error_(std::move(error)), handlers_(std::move(handlers)) {}

  sys_util::EventFd wanted_;
  sys_util::EventFd error_;
  const Handlers handlers_;
  event_manager::Registration wanted_watch_;
  event_manager::Registration error_watch_;
};

}  // namespace vmm::reference
