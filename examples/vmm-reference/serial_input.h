// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "console.h"
#include "failure.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/event_manager/timer.h"
#include "vmm/vm_superio/input_listener.h"

namespace vmm::reference {

/// Carries what the user types from a console to the guest's serial port, no faster than the guest
/// takes it: while the port is full, the console is not read. Nor is the port waited for: a vCPU
/// may have it while the reader of its output has stopped.
///
/// Belongs to the loop's thread, but for input_space().
class SerialInput final : public vm_superio::InputListener {
 public:
  /// `on_quit` is called when the user types the escape. Borrows `console` and `loop`.
  SerialInput(Console& console, event_manager::EventLoop& loop, std::function<void()> on_quit)
      : console_(console),
        loop_(loop),
        on_quit_(std::move(on_quit)),
        self_(std::make_shared<SerialInput*>(this)) {}
  ~SerialInput() { *self_ = nullptr; }
  SerialInput(const SerialInput&) = delete;
  SerialInput& operator=(const SerialInput&) = delete;

  /// `on_input` is called before what the user has typed reaches the port.
  void set_on_input(std::function<void()> on_input) { on_input_ = std::move(on_input); }
  /// Begins to feed `port`, a Serial or Pl011 that must outlive this object.
  template <class Port>
  Outcome<void> start(Port& port) {
    if constexpr (requires { port.try_space(); }) {
      space_ = [&port] { return port.try_space(); };
      enqueue_ = [&port](std::span<const std::byte> bytes) { return port.try_enqueue(bytes); };
    } else {
      space_ = [&port] { return std::optional(port.space()); };
      enqueue_ = [&port](std::span<const std::byte> bytes) {
        return port.enqueue(bytes) ? std::optional(bytes.size()) : std::nullopt;
      };
    }
    return start();
  }

  void input_space() override;

 private:
  Outcome<void> start();
  void read();
  void give();
  void watch_again();
  void look_again_soon();

  Console& console_;
  event_manager::EventLoop& loop_;
  std::function<void()> on_quit_;
  std::function<void()> on_input_;
  // nullopt: somebody else has the port.
  std::function<std::optional<std::size_t>()> space_;
  std::function<std::optional<std::size_t>(std::span<const std::byte>)> enqueue_;
  std::vector<std::byte> typed_;  // what was read, and not given to the port yet
  event_manager::Registration registration_;
  std::optional<event_manager::Timer> again_;
  // What a posted function finds of this object: null once it is gone. Changed and read on the
  // loop's thread only.
  std::shared_ptr<SerialInput*> self_;
};

}  // namespace vmm::reference
