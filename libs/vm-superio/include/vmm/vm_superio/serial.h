// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_device/irq.h"
#include "vmm/vm_superio/byte_sink.h"
#include "vmm/vm_superio/input_listener.h"
#include "vmm/vm_superio/serial_core.h"

namespace vmm::vm_superio {

/// A 16550A on a bus: 8 byte-wide registers, one byte apart (COM1: ports 0x3f8 to 0x3ff, IRQ 4).
///
/// An access of several bytes is as many accesses of one byte at rising offsets, as an 8-bit ISA
/// device sees it.
///
/// Threads: all functions may be called at once by vCPU and I/O threads. The lock is held while
/// the interrupt line and the sink are called, and not while the listener is.
class Serial final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = SerialCore::kRegisters;  ///< bytes of address space

  /// Borrows all three, which must outlive this object; `listener` may be null.
  Serial(vm_device::IrqLine& irq, ByteSink& sink, InputListener* listener = nullptr)
      : listener_(listener), core_(irq, sink) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override VMM_EXCLUDES(mutex_);
  void write(std::uint64_t offset, std::span<const std::byte> data) override VMM_EXCLUDES(mutex_);

  /// Queues received bytes and returns how many were taken. When that is not all, keep the rest
  /// and stop reading the source until the listener is told.
  [[nodiscard]] std::size_t enqueue(std::span<const std::byte> bytes) VMM_EXCLUDES(mutex_);
  /// How many bytes enqueue() would take now. 0 also arms the listener.
  [[nodiscard]] std::size_t space() VMM_EXCLUDES(mutex_);
  ///@{
  /// The same for who may not wait while the sink makes a vCPU wait: nullopt then.
  [[nodiscard]] std::optional<std::size_t> try_enqueue(std::span<const std::byte> bytes)
      VMM_EXCLUDES(mutex_);
  [[nodiscard]] std::optional<std::size_t> try_space() VMM_EXCLUDES(mutex_);
  ///@}

  /// Hands collected output to the sink: before a snapshot and when the VM ends.
  void flush() VMM_EXCLUDES(mutex_);
  /// How many output bytes the sink did not take.
  [[nodiscard]] std::uint64_t lost_bytes() const VMM_EXCLUDES(mutex_);

  /// @{
  /// As SerialCore's.
  [[nodiscard]] SerialState state() const VMM_EXCLUDES(mutex_);
  Result<void, StateError> restore(const SerialState& state) VMM_EXCLUDES(mutex_);
  /// @}

 private:
  [[nodiscard]] bool take_starved() VMM_REQUIRES(mutex_);
  [[nodiscard]] std::size_t put(std::span<const std::byte> bytes) VMM_REQUIRES(mutex_);
  [[nodiscard]] std::size_t look_for_space() VMM_REQUIRES(mutex_);

  InputListener* const listener_;
  mutable Mutex mutex_;
  SerialCore core_ VMM_GUARDED_BY(mutex_);
  bool starved_ VMM_GUARDED_BY(mutex_) = false;  // input was refused; tell the listener
};

}  // namespace vmm::vm_superio
