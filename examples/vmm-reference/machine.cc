// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "machine.h"

#include "boot.h"
#include "vmm/base/log.h"
#include "vmm/vm_superio/acpi.h"
#include "vmm/vm_superio/debug_port.h"
#include "vmm/vm_superio/i8042.h"

namespace vmm::reference {
namespace {

using vm_device::PioAddress;

constexpr std::uint16_t kSerialPort = 0x3f8;
constexpr kvm_ioctls::Gsi kSerialGsi{4};
constexpr std::uint16_t kI8042Port = 0x60;
constexpr std::uint16_t kPostPort = 0x80;
constexpr std::uint16_t kAcpiPort = 0x600;

}  // namespace

Machine::Machine(const VmConfig& config, const Host& host, vm_memory::GuestMemory memory,
                 kvm_ioctls::Vm vm, kvm_ioctls::MemorySlots slots)
    : config_(config),
      host_(host),
      memory_(std::move(memory)),
      vm_(std::move(vm)),
      slots_(std::move(slots)) {}

Machine::~Machine() {
  for (const auto& vcpu : vcpus_) vcpu->request_stop();
  for (const auto& vcpu : vcpus_) vcpu->join();
  if (serial_ != nullptr) serial_->flush();
}

void Machine::start() {
  for (const auto& vcpu : vcpus_) vcpu->start();
}

Outcome<void> Machine::map_memory() {
  const auto map = memory_.snapshot();
  for (const auto& region : map->regions()) {
    VMM_STEP("guest memory", auto slot,
             slots_.add({.address = region->base(), .host = region->host()}, region));
    slots_in_use_.push_back(std::move(slot));
  }
  return {};
}

Outcome<void> Machine::add_devices() {
  VmEvents& events = host_.events;
  const auto power_off = [&events] { events.report(VmEnd::kPowerOff); };
  const auto reset = [&events] { events.report(VmEnd::kReset); };
  const auto log_code = [](std::uint8_t code, std::chrono::nanoseconds elapsed) {
    VMM_LOG_GUEST(kDebug, "POST code 0x%02x after %.3f ms", code,
                  static_cast<double>(elapsed.count()) / 1e6);
  };
  std::vector<vm_device::BusRange<PioAddress>> ranges{
      {PioAddress(kAcpiPort), vm_superio::AcpiShutdown::kSize,
       std::make_shared<vm_superio::AcpiShutdown>(
           vm_superio::AcpiShutdown::Callbacks{.on_reset = reset, .on_power_off = power_off})},
      {PioAddress(kI8042Port), vm_superio::I8042::kSize,
       std::make_shared<vm_superio::I8042>(reset)},
      {PioAddress(kPostPort), vm_superio::DebugPort::kSize,
       std::make_shared<vm_superio::DebugPort>(log_code)},
  };
  if (host_.debug.present()) {
    ranges.push_back({PioAddress(config_.debug_console_port), vm_superio::DebugConsole::kSize,
                      std::make_shared<vm_superio::DebugConsole>(host_.debug)});
  }
  VMM_STEP_DO("I/O ports", ports_.add_all(std::move(ranges)));
  if (host_.serial.present()) return add_serial();
  return {};
}

Outcome<void> Machine::add_serial() {
  VmEvents& events = host_.events;
  VMM_TRY(serial_irq_, IrqFd::create(vm_, kSerialGsi));
  serial_line_ = std::make_unique<vm_device::EdgeLine>(*serial_irq_);
  serial_input_ = std::make_unique<SerialInput>(host_.serial, host_.loop,
                                                [&events] { events.report(VmEnd::kStopped); });
  serial_ = std::make_shared<vm_superio::Serial>(*serial_line_, host_.serial, serial_input_.get());
  VMM_STEP_DO("--serial", ports_.add(PioAddress(kSerialPort), vm_superio::Serial::kSize, serial_));
  return serial_input_->start(*serial_);
}

}  // namespace vmm::reference
