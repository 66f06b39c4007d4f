// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "nvme_migration.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nvme_controller.h"
#include "vmm/base/payload.h"

namespace vmm::nvme {
namespace {

static_assert(ControllerState::kQueues == Controller::kIoQueues + 1);

constexpr std::uint64_t kSettable[] = {
    kMaskSet,
    kMaskClear,
    kConfiguration,
    kStatus,
    kAdminSizes,
    kAdminSubmissions,
    kAdminSubmissions + 4,
    kAdminCompletions,
    kAdminCompletions + 4,
};

bool is_queue(std::size_t number, std::uint64_t base, std::uint32_t entries) {
  const std::uint32_t most = number == 0 ? Controller::kMaxAdminEntries : Controller::kMaxEntries;
  return entries >= 2 && entries <= most && base % kPage == 0;
}

bool makes_sense(const ControllerState& state) {
  constexpr std::uint32_t kStatusBits = kReady | kFatal | 3u << 2;
  if ((state.registers[kStatus / 4] & ~kStatusBits) != 0) return false;
  if (state.registers[kMaskSet / 4] != state.registers[kMaskClear / 4]) return false;
  for (std::size_t i = 0; i < ControllerState::kQueues; ++i) {
    const auto& answers = state.completions[i];
    if (answers.entries != 0 &&
        (!is_queue(i, answers.base, answers.entries) || answers.head >= answers.entries ||
         answers.tail >= answers.entries || answers.vector >= Controller::kVectors ||
         answers.phase > 1 || answers.interrupts > 1)) {
      return false;
    }
    const auto& commands = state.submissions[i];
    if (commands.entries == 0) continue;
    if (!is_queue(i, commands.base, commands.entries) || commands.head >= commands.entries ||
        commands.tail >= commands.entries) {
      return false;
    }
    // The admin queue's answers have a queue of their own.
    if (commands.completions >= ControllerState::kQueues ||
        (commands.completions == 0) != (i == 0) ||
        state.completions[commands.completions].entries == 0) {
      return false;
    }
  }
  return true;
}

}  // namespace

Result<std::size_t> ControllerMigration::save(std::span<std::byte> to) {
  const std::size_t n = std::min(to.size(), bytes_.size() - saved_);
  std::ranges::copy(std::span(bytes_).subspan(saved_, n), to.begin());
  saved_ += n;
  return n;
}

Result<void> ControllerMigration::restore(std::span<const std::byte> from) {
  if (from.size() > sizeof(ControllerState) - bytes_.size()) {
    return fail(Error::os(EINVAL, "restore the controller"));
  }
  bytes_.insert(bytes_.end(), from.begin(), from.end());
  return {};
}

Result<void> ControllerMigration::step(State from, State to) {
  if (from == State::kRunning) return controller_.hold();
  if (from == State::kResuming) {
    const auto state = exactly_as<ControllerState>(bytes_);
    if (!state) return fail(Error::os(EINVAL, "restore the controller"));
    return controller_.set_state(*state);
  }
  bytes_.clear();
  saved_ = 0;
  if (to == State::kStopCopy) {
    const ControllerState state = controller_.get_state();
    const auto bytes = bytes_of(state);
    bytes_.assign(bytes.begin(), bytes.end());
  }
  if (to == State::kRunning) controller_.go_on();
  return {};
}

Result<void> Controller::hold() {
  if (::fdatasync(file_.get()) != 0) return fail(Error::from_errno("stop the controller"));
  is_held_ = true;
  return {};
}

// Whoever has taken the answers' interrupts may have kept them to itself: one too many does no
// harm.
void Controller::go_on() {
  is_held_ = false;
  for (std::uint16_t i = 0; i <= kIoQueues; ++i) {
    if (submissions_[i].exists && (registers_[kStatus / 4] & (kReady | kFatal)) == kReady) run(i);
  }
  for (const Completions& queue : completions_) {
    if (queue.exists && queue.interrupts && queue.head != queue.tail) interrupt(queue);
  }
}

ControllerState Controller::get_state() const {
  ControllerState state;
  state.blocks = blocks_;
  state.registers = registers_;
  std::ranges::copy(serial_.substr(0, state.serial.size()), state.serial.begin());
  std::memcpy(&state.command, &config_[4], sizeof(state.command));
  state.events = static_cast<std::uint16_t>(events_);
  for (std::size_t i = 0; i < ControllerState::kQueues; ++i) {
    const Submissions& commands = submissions_[i];
    if (commands.exists) {
      state.submissions[i] = {.base = commands.base,
                              .entries = commands.entries,
                              .head = commands.head,
                              .tail = commands.tail,
                              .completions = commands.completions};
    }
    const Completions& answers = completions_[i];
    if (answers.exists) {
      state.completions[i] = {.base = answers.base,
                              .entries = answers.entries,
                              .head = answers.head,
                              .tail = answers.tail,
                              .vector = answers.vector,
                              .phase = std::uint8_t{answers.phase},
                              .interrupts = std::uint8_t{answers.interrupts}};
    }
  }
  return state;
}

Result<void> Controller::set_state(const ControllerState& state) {
  // Of the same disk, and all that no driver sets is as it is here.
  ControllerState same = get_state();
  for (const std::uint64_t offset : kSettable) {
    same.registers[offset / 4] = state.registers[offset / 4];
  }
  if (state.magic != same.magic || state.blocks != same.blocks || state.serial != same.serial ||
      state.registers != same.registers || state.events > kMaxEvents || !makes_sense(state)) {
    return fail(Error::os(EINVAL, "restore the controller"));
  }
  registers_ = state.registers;
  masked_ = registers_[kMaskSet / 4];
  std::memcpy(&config_[4], &state.command, sizeof(state.command));
  events_ = state.events;
  for (std::size_t i = 0; i < ControllerState::kQueues; ++i) {
    const auto& commands = state.submissions[i];
    submissions_[i] = {.exists = commands.entries != 0,
                       .base = commands.base,
                       .entries = commands.entries,
                       .head = commands.head,
                       .tail = commands.tail,
                       .completions = static_cast<std::uint16_t>(commands.completions)};
    const auto& answers = state.completions[i];
    completions_[i] = {.exists = answers.entries != 0,
                       .base = answers.base,
                       .entries = answers.entries,
                       .head = answers.head,
                       .tail = answers.tail,
                       .phase = answers.phase != 0,
                       .interrupts = answers.interrupts != 0,
                       .vector = answers.vector};
  }
  return {};
}

}  // namespace vmm::nvme
