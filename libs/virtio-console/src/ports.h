// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "port_input.h"
#include "vmm/base/mutex.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/virtio_console/multiport.h"

namespace vmm::virtio_console {

/// What the device, its worker and the VMM know of the ports. Threads: any.
class MultiportConsole::Ports {
 public:
  /// What is the same for as long as the device.
  struct Port {
    PortOptions options;
    std::shared_ptr<PortInput> input;
  };

  Ports(std::vector<Port> ports, sys_util::EventFd news)
      : ports_(std::move(ports)), news_(std::move(news)), states_(ports_.size()) {
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      states_[i].connected = ports_[i].options.connected;
    }
  }

  [[nodiscard]] std::size_t count() const { return ports_.size(); }
  [[nodiscard]] const Port& operator[](std::size_t port) const { return ports_[port]; }

  [[nodiscard]] bool is_open(std::size_t port) const {
    const MutexLock lock(mutex_);
    return states_[port].open;
  }
  void set_open(std::size_t port, bool open) {
    std::function<void(bool)> tell;
    {
      const MutexLock lock(mutex_);
      if (std::exchange(states_[port].open, open) != open) tell = states_[port].on_open;
    }
    if (tell) tell(open);
  }
  void set_on_open(std::size_t port, std::function<void(bool)> on_open) {
    const MutexLock lock(mutex_);
    states_[port].on_open = std::move(on_open);
  }
  [[nodiscard]] bool is_connected(std::size_t port) const {
    const MutexLock lock(mutex_);
    return states_[port].connected;
  }
  void set_connected(std::size_t port, bool connected) {
    {
      const MutexLock lock(mutex_);
      if (states_[port].connected == connected) return;
      states_[port].connected = connected;
      states_[port].is_news = true;
    }
    (void)news_.add();
  }

  /// Readable when take_news() is true for some port.
  [[nodiscard]] const sys_util::EventFd& news() const { return news_; }
  /// Whether is_connected() has changed since the last call.
  [[nodiscard]] bool take_news(std::size_t port) {
    const MutexLock lock(mutex_);
    return std::exchange(states_[port].is_news, false);
  }

 private:
  struct State {
    bool open = false;
    bool connected = true;
    bool is_news = false;
    std::function<void(bool)> on_open{};
  };

  const std::vector<Port> ports_;
  const sys_util::EventFd news_;
  mutable Mutex mutex_;
  std::vector<State> states_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio_console
