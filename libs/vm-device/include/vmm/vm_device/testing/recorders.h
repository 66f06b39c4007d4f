// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Fakes of the interrupt interfaces that remember what they were told. Not thread-safe: for tests
// with one thread.

#include <cstddef>
#include <vector>

#include "vmm/vm_device/irq.h"

namespace vmm::vm_device::testing {

/// An interrupt line that shows its level and counts its rising edges.
class FakeLine final : public IrqLine {
 public:
  void set(bool asserted) override {
    if (asserted && !level_) ++rises_;
    level_ = asserted;
    ++calls_;
  }

  /// @{
  /// The level of now, how often it rose, and how often set() was called.
  [[nodiscard]] bool level() const { return level_; }
  [[nodiscard]] std::size_t rises() const { return rises_; }
  [[nodiscard]] std::size_t calls() const { return calls_; }
  /// @}

 private:
  bool level_ = false;
  std::size_t rises_ = 0;
  std::size_t calls_ = 0;
};

/// Counts events.
class FakeTrigger final : public IrqTrigger {
 public:
  void trigger() override { ++count_; }
  /// Events so far.
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  std::size_t count_ = 0;
};

/// Keeps every message in order.
class FakeMsi final : public MsiSender {
 public:
  void send(const MsiMessage& message) override { sent_.push_back(message); }
  /// @{
  /// All messages, until they are cleared.
  [[nodiscard]] const std::vector<MsiMessage>& sent() const { return sent_; }
  void clear() { sent_.clear(); }
  /// @}

 private:
  std::vector<MsiMessage> sent_;
};

}  // namespace vmm::vm_device::testing
