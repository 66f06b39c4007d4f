// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "serial_input.h"

#include <array>

namespace vmm::reference {

Outcome<void> SerialInput::start() {
  if (console_.input_fd() < 0 || console_.at_end()) return {};
  VMM_STEP("serial input", registration_,
           loop_.add(console_.input_fd(), event_manager::kReadable,
                     [this](event_manager::EventSet) { read(); }));
  return {};
}

// From a vCPU thread: the port has room again.
void SerialInput::input_space() {
  loop_.post([self = self_] {
    if (*self != nullptr) (*self)->watch(true);
  });
}

void SerialInput::watch(bool on) {
  if (!registration_) return;
  const auto interest = on ? event_manager::kReadable : sys_util::kNoEvents;
  if (!registration_.modify(interest)) registration_.reset();
}

void SerialInput::read() {
  std::array<std::byte, 64> bytes;
  const std::size_t space = std::min(space_(), bytes.size());
  if (space == 0) return watch(false);  // asking for the space has armed input_space()
  const std::size_t read = console_.read_input(std::span(bytes).first(space));
  if (on_input_) on_input_();
  // All of it fits, as only this thread adds.
  enqueue_(std::span(bytes).first(read));
  if (console_.at_end()) registration_.reset();
  if (console_.quit_requested()) on_quit_();
}

}  // namespace vmm::reference
