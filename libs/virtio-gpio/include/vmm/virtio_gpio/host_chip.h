// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/epoll.h"
#include "vmm/virtio_gpio/chip.h"

namespace vmm::virtio_gpio {

/// A GPIO chip of the host, through /dev/gpiochipN (version 2 of that interface, Linux 5.10).
///
/// Each line is requested from the kernel when it is taken, and released when it is let go: lines
/// that others use fail with EBUSY and harm no others. The kernel shows "cpp-vmm" as the consumer.
///
/// Threads: as Chip.
class HostChip final : public Chip {
 public:
  /// Errors: those of open(2), GPIO_GET_CHIPINFO_IOCTL and GPIO_V2_GET_LINEINFO_IOCTL; ERANGE for
  /// more than 65535 lines.
  static Result<std::shared_ptr<HostChip>> open(const std::string& path);
  /// The same for /dev/gpiochip`number`.
  static Result<std::shared_ptr<HostChip>> open(unsigned number);

  [[nodiscard]] std::uint16_t lines() const override {
    return static_cast<std::uint16_t>(lines_.size());
  }
  [[nodiscard]] std::string name(std::uint16_t line) const override { return lines_[line].name; }

  /// Errors of all: those of the ioctls; ENODEV for a line that was not taken.
  Result<void> set_direction(std::uint16_t line, Direction direction, bool high) override;
  Result<bool> value(std::uint16_t line) override;
  Result<void> set_value(std::uint16_t line, bool high) override;
  Result<void> watch(std::uint16_t line, Edges edges) override;
  [[nodiscard]] int edges_fd() const override { return epoll_.fd(); }
  std::size_t take_edges(std::span<std::uint16_t> lines) override;

 private:
  struct Line {
    std::string name;
    UniqueFd file;  ///< what the kernel gave for it; empty: not taken
  };

  HostChip(UniqueFd file, sys_util::Epoll epoll)
      : file_(std::move(file)), epoll_(std::move(epoll)) {}
  Result<void> read_names(std::uint32_t lines);
  Result<void> take(std::uint16_t line, std::uint64_t flags, bool high);
  Result<void> configure(std::uint16_t line, std::uint64_t flags, bool high);
  void release(Line& line);

  UniqueFd file_;
  sys_util::Epoll epoll_;  ///< of the files of lines
  std::vector<Line> lines_;
};

}  // namespace vmm::virtio_gpio
