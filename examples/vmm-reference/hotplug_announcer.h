// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "pci_board.h"
#include "vmm/pci/function.h"
#include "vmm/pci/hotplug.h"

namespace vmm::reference {

/// How the guest of a machine hears of devices that come and of those that it is asked for. What it
/// gives back goes to the EjectListener that the machine's announcer was made with.
///
/// Threads: one at a time.
class HotplugAnnouncer {
 public:
  virtual ~HotplugAnnouncer() = default;
  HotplugAnnouncer(const HotplugAnnouncer&) = delete;
  HotplugAnnouncer& operator=(const HotplugAnnouncer&) = delete;

  /// The device is in its slot.
  virtual void came(const pci::FunctionAddress& slot) = 0;
  /// Also when it was asked for before.
  virtual void ask_for(const pci::FunctionAddress& slot) = 0;
  /// The slot is empty again.
  virtual void forget(const pci::FunctionAddress& slot) = 0;

 protected:
  HotplugAnnouncer() = default;
};

/// By the registers that an ACPI guest's methods read, and an event that makes it call them.
class AcpiAnnouncer final : public HotplugAnnouncer {
 public:
  AcpiAnnouncer(std::shared_ptr<pci::HotplugRegisters> registers, std::function<void()> interrupt)
      : registers_(std::move(registers)), interrupt_(std::move(interrupt)) {}

  void came(const pci::FunctionAddress& slot) override {
    (void)registers_->plugged(slot);
    interrupt_();
  }
  void ask_for(const pci::FunctionAddress& slot) override {
    (void)registers_->ask_for(slot);
    interrupt_();
  }
  void forget(const pci::FunctionAddress& slot) override { registers_->forget(slot); }

 private:
  const std::shared_ptr<pci::HotplugRegisters> registers_;
  const std::function<void()> interrupt_;
};

/// By the ports of the board, which tell of their devices themselves.
class PortAnnouncer final : public HotplugAnnouncer {
 public:
  /// Both outlive this object.
  PortAnnouncer(PciBoard& board, pci::EjectListener& listener) : board_(board) {
    board_.listen_to_ports(&listener);
  }
  ~PortAnnouncer() override { board_.listen_to_ports(nullptr); }

  void came(const pci::FunctionAddress&) override {}
  void ask_for(const pci::FunctionAddress& slot) override { board_.ask_at_port(slot); }
  void forget(const pci::FunctionAddress&) override {}

 private:
  PciBoard& board_;
};

}  // namespace vmm::reference
