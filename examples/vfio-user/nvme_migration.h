// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/vfio_user/migration.h"

namespace vmm::nvme {

class Controller;

/// What a controller knows of its driver, as it goes from one program to another. The disk is not
/// in it: both have the same file, or the other a copy of it as it was when the controller stopped.
struct ControllerState {
  static constexpr std::uint64_t kMagic = 0x31656d766e6d6d76;  // "vmmnvme1"
  static constexpr std::size_t kQueues = 9;

  struct Submissions {
    std::uint64_t base = 0;
    std::uint32_t entries = 0;  // 0: there is no such queue
    std::uint32_t head = 0;
    std::uint32_t tail = 0;
    std::uint32_t completions = 0;
  };
  struct Completions {
    std::uint64_t base = 0;
    std::uint32_t entries = 0;  // 0: there is no such queue
    std::uint32_t head = 0;
    std::uint32_t tail = 0;
    std::uint16_t vector = 0;
    std::uint8_t phase = 0;       // 0 or 1
    std::uint8_t interrupts = 0;  // 0 or 1
  };

  std::uint64_t magic = kMagic;
  std::uint64_t blocks = 0;
  std::array<std::uint32_t, 16> registers{};
  std::array<char, 20> serial{};
  std::uint16_t command = 0;  // of configuration space
  std::uint16_t events = 0;
  std::array<Submissions, kQueues> submissions{};
  std::array<Completions, kQueues> completions{};
};
static_assert(std::has_unique_object_representations_v<ControllerState>);

/// A controller's state as vfio-user moves it: stopped, it does no commands; doorbells are noted.
/// What comes is not trusted.
///
/// Threads: that of the session.
class ControllerMigration final : public vfio_user::Migration {
 public:
  explicit ControllerMigration(Controller& controller) : controller_(controller) {}

  Result<std::size_t> save(std::span<std::byte> to) override;
  /// Errors: EINVAL for more than there is in a state.
  Result<void> restore(std::span<const std::byte> from) override;

 protected:
  /// Errors: EINVAL for a state that is not whole, or of another disk, or makes no sense; those of
  /// fdatasync(2), when the controller stops.
  Result<void> step(State from, State to) override;

 private:
  Controller& controller_;
  std::vector<std::byte> bytes_;
  std::size_t saved_ = 0;  // of them
};

}  // namespace vmm::nvme
