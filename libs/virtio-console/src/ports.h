// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
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

  /// What the driver is to be told of a port, in the order in which it is.
  enum News : std::uint8_t {
    kAdd = 1u << 0,
    kConsole = 1u << 1,
    kName = 1u << 2,
    kOpen = 1u << 3,
  };
  /// How far the driver and the device have come with a port.
  struct Talk {
    std::uint8_t news = 0;        ///< what is still to be told
    bool ready = false;           ///< the driver knows the port
    bool told_connected = false;  ///< what it was told last of set_connected()
  };

  Ports(std::vector<Port> ports, sys_util::EventFd news)
      : ports_(std::move(ports)), news_(std::move(news)), states_(ports_.size()) {
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      states_[i].connected = ports_[i].options.connected;
    }
  }

  [[nodiscard]] std::size_t count() const { return ports_.size(); }
  [[nodiscard]] const Port& operator[](std::size_t port) const { return ports_[port]; }
  /// All that a driver is told of a port.
  [[nodiscard]] std::uint8_t news_of(std::size_t port) const {
    const PortOptions& options = ports_[port].options;
    unsigned news = kAdd | kOpen;
    if (options.console) news |= kConsole;
    if (!options.name.empty()) news |= kName;
    return static_cast<std::uint8_t>(news);
  }

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
  /// A worker's when it ends, for the next one.
  [[nodiscard]] Talk talk(std::size_t port) const {
    const MutexLock lock(mutex_);
    return states_[port].talk;
  }
  void set_talk(std::size_t port, const Talk& talk) {
    const MutexLock lock(mutex_);
    states_[port].talk = talk;
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
    Talk talk{};
    std::function<void(bool)> on_open{};
  };

  const std::vector<Port> ports_;
  const sys_util::EventFd news_;
  mutable Mutex mutex_;
  std::vector<State> states_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio_console
