// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "serial_input.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace vmm::reference {
namespace {

constexpr std::size_t kMost = 64;
// Else the end of the other side would be told again and again while the port has no room.
constexpr event_manager::EventSet kOnce = event_manager::kReadable | sys_util::kOneShot;
/// How often a port that somebody has is asked for.
constexpr std::chrono::milliseconds kAgain{20};

}  // namespace

Outcome<void> SerialInput::start() {
  if (console_.input_fd() < 0 || console_.at_end()) return {};
  VMM_STEP("serial input", again_,
           event_manager::Timer::create(loop_, [this](std::uint64_t) { give(); }));
  VMM_STEP("serial input", registration_,
           loop_.add(console_.input_fd(), kOnce, [this](event_manager::EventSet) { read(); }));
  return {};
}

// From a vCPU thread: the port has room again.
void SerialInput::input_space() {
  loop_.post([self = self_] {
    if (*self != nullptr) (*self)->give();
  });
}

void SerialInput::watch_again() {
  if (registration_ && !registration_.modify(kOnce)) registration_.reset();
}

// What is typed while somebody has the port is read all the same: it may be the escape.
void SerialInput::read() {
  const std::size_t space = std::min(space_().value_or(kMost), kMost);
  if (space == 0) return;  // asking for it has armed input_space()
  std::array<std::byte, kMost> bytes;
  const std::size_t read = console_.read_input(std::span(bytes).first(space));
  if (on_input_) on_input_();
  typed_.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(read));
  give();
  if (console_.at_end()) registration_.reset();
  if (console_.quit_requested()) on_quit_();
}

// A refusal of the port arms input_space(), too.
void SerialInput::give() {
  if (!typed_.empty()) {
    const auto taken = enqueue_(typed_);
    if (!taken) return look_again_soon();
    typed_.erase(typed_.begin(), typed_.begin() + static_cast<std::ptrdiff_t>(*taken));
  }
  if (!typed_.empty()) return;
  watch_again();
}

void SerialInput::look_again_soon() { (void)again_->arm({.after = kAgain}).has_value(); }

}  // namespace vmm::reference
