// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_gpio/simulated_chip.h"

#include <cerrno>
#include <utility>

namespace vmm::virtio_gpio {

Result<std::shared_ptr<SimulatedChip>> SimulatedChip::create(Options options) {
  if (options.lines == 0 || options.names.size() > options.lines) {
    return fail(Error::os(EINVAL, "simulated GPIO chip"));
  }
  VMM_TRY(sys_util::EventFd wake, sys_util::EventFd::create());
  return std::shared_ptr<SimulatedChip>(new SimulatedChip(std::move(options), std::move(wake)));
}

SimulatedChip::SimulatedChip(Options options, sys_util::EventFd wake)
    : options_(std::move(options)), wake_(std::move(wake)), lines_(options_.lines) {}

std::string SimulatedChip::name(std::uint16_t line) const {
  return line < options_.names.size() ? options_.names[line] : std::string();
}

std::size_t SimulatedChip::partner(std::size_t line) const {
  const std::size_t partner = line ^ 1;
  return options_.wired && partner < options_.lines ? partner : line;
}

bool SimulatedChip::level(std::size_t line) const {
  if (lines_[line].direction == Direction::kOut) return lines_[line].output;
  const Line& other = lines_[partner(line)];
  return other.direction == Direction::kOut ? other.output : lines_[line].driven;
}

void SimulatedChip::settle_one(Line& line, bool level) {
  if (line.level == level) return;
  line.level = level;
  const Edges edge = level ? Edges::kRising : Edges::kFalling;
  if ((static_cast<unsigned>(line.watched) & static_cast<unsigned>(edge)) == 0) return;
  line.edge = true;
  (void)wake_.add().has_value();  // fails only when it is readable already
}

// After a change of `line`.
void SimulatedChip::settle(std::size_t line) {
  settle_one(lines_[line], level(line));
  const std::size_t other = partner(line);
  settle_one(lines_[other], level(other));
}

void SimulatedChip::drive(std::uint16_t line, bool high) {
  const MutexLock lock(mutex_);
  lines_[line].driven = high;
  settle(line);
}

Direction SimulatedChip::direction(std::uint16_t line) const {
  const MutexLock lock(mutex_);
  return lines_[line].direction;
}

Result<void> SimulatedChip::set_direction(std::uint16_t line, Direction direction, bool high) {
  const MutexLock lock(mutex_);
  lines_[line].direction = direction;
  lines_[line].output = high;
  lines_[line].watched = Edges::kNone;
  lines_[line].edge = false;
  settle(line);
  return {};
}

Result<bool> SimulatedChip::value(std::uint16_t line) {
  const MutexLock lock(mutex_);
  return level(line);
}

Result<void> SimulatedChip::set_value(std::uint16_t line, bool high) {
  const MutexLock lock(mutex_);
  if (lines_[line].direction != Direction::kOut) {
    return fail(Error::os(EPERM, "simulated GPIO line is no output"));
  }
  lines_[line].output = high;
  settle(line);
  return {};
}

Result<void> SimulatedChip::watch(std::uint16_t line, Edges edges) {
  const MutexLock lock(mutex_);
  if (lines_[line].direction != Direction::kIn) {
    return fail(Error::os(EPERM, "simulated GPIO line is no input"));
  }
  lines_[line].watched = edges;
  lines_[line].edge = false;
  return {};
}

std::size_t SimulatedChip::take_edges(std::span<std::uint16_t> lines) {
  const MutexLock lock(mutex_);
  (void)wake_.take().has_value();  // fails only when it is zero already
  std::size_t taken = 0;
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    if (!lines_[line].edge) continue;
    if (taken == lines.size()) {
      (void)wake_.add().has_value();
      break;
    }
    lines_[line].edge = false;
    lines[taken++] = static_cast<std::uint16_t>(line);
  }
  return taken;
}

}  // namespace vmm::virtio_gpio
