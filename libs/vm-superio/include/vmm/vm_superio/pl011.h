// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
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
#include "vmm/vm_superio/state_error.h"

namespace vmm::vm_superio {

/// Everything a guest can see of a Pl011; plain data for snapshots.
struct Pl011State {
  static constexpr std::size_t kFifoSize = 16;  ///< bytes of the receive FIFO

  std::uint32_t ilpr = 0;                       ///< bits 7:0
  std::uint32_t ibrd = 0;                       ///< bits 15:0
  std::uint32_t fbrd = 0;                       ///< bits 5:0
  std::uint32_t lcr_h = 0;                      ///< bits 7:0
  std::uint32_t cr = 0x300;                     ///< bits 15:0; transmit and receive enabled
  std::uint32_t ifls = 0x12;                    ///< bits 5:0; half full
  std::uint32_t imsc = 0;                       ///< bits 10:0
  std::uint32_t latched = 0;                    ///< RIS bits that ICR clears: transmit and overrun
  std::uint32_t overrun = 0;                    ///< UARTRSR.OE, 0 or 1
  std::uint32_t dmacr = 0;                      ///< bits 2:0; there is no DMA
  std::uint32_t input_size = 0;                 ///< bytes of `input` in use
  std::array<std::uint8_t, kFifoSize> input{};  ///< received and not yet read, oldest first

  friend bool operator==(const Pl011State&, const Pl011State&) = default;
};

/// An Arm PrimeCell PL011 UART (DDI 0183): 4 KiB of MMIO, 16-byte FIFOs.
///
/// The transmitter is infinitely fast. The receive interrupt (at or above the UARTIFLS level) and
/// the receive timeout (below it, since its time passes at once) are levels that hold while there
/// is unread input, also across masking and UARTICR, so no input goes unnoticed. Input is accepted
/// whatever UARTCR says, as guests without a driver for it expect. There is no DMA and no modem
/// status interrupt.
///
/// Output is collected and written a line at a time; besides a newline, a write to UARTCR or
/// UARTIMSC ends a burst (Linux does one of them after each), and so do eight reads of UARTFR with
/// no output in between.
///
/// Threads: any, at once. The lock is held while the interrupt line and the sink are called, and
/// not while the listener is.
class Pl011 final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = 0x1000;                   ///< bytes
  static constexpr std::size_t kFifoSize = Pl011State::kFifoSize;  ///< bytes of the receive FIFO

  /// Borrows all three, which must outlive this object; `listener` may be null.
  Pl011(vm_device::IrqLine& irq, ByteSink& sink, InputListener* listener = nullptr)
      : irq_(irq), listener_(listener), out_(sink) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override VMM_EXCLUDES(mutex_);
  void write(std::uint64_t offset, std::span<const std::byte> data) override VMM_EXCLUDES(mutex_);

  /// Queues received bytes and returns how many were taken. When that is not all, keep the rest
  /// and stop reading the source until the listener is told.
  [[nodiscard]] std::size_t enqueue(std::span<const std::byte> bytes) VMM_EXCLUDES(mutex_);
  /// How many bytes enqueue() would take now; 0 in loopback. 0 also arms the listener.
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

  /// For a snapshot, after flush(): collected output is not part of it.
  [[nodiscard]] Pl011State state() const VMM_EXCLUDES(mutex_);
  /// Replaces the state and drives the interrupt line to match.
  ///
  /// Errors, without a change: kTooMuchInput, kReservedBits.
  Result<void, StateError> restore(const Pl011State& state) VMM_EXCLUDES(mutex_);

 private:
  [[nodiscard]] std::uint32_t read_register(std::uint64_t offset) VMM_REQUIRES(mutex_);
  void write_register(std::uint64_t offset, std::uint32_t value) VMM_REQUIRES(mutex_);
  void write_settings(std::uint64_t offset, std::uint32_t value) VMM_REQUIRES(mutex_);
  [[nodiscard]] std::uint32_t read_data() VMM_REQUIRES(mutex_);
  [[nodiscard]] std::uint32_t read_flags() VMM_REQUIRES(mutex_);
  void write_data(std::uint8_t value) VMM_REQUIRES(mutex_);
  void write_lcr_h(std::uint32_t value) VMM_REQUIRES(mutex_);
  [[nodiscard]] std::uint32_t raw_interrupts() const VMM_REQUIRES(mutex_);
  [[nodiscard]] bool in_loopback() const VMM_REQUIRES(mutex_);
  [[nodiscard]] std::size_t room() const VMM_REQUIRES(mutex_);
  [[nodiscard]] bool take_starved() VMM_REQUIRES(mutex_);
  [[nodiscard]] std::size_t put(std::span<const std::byte> bytes) VMM_REQUIRES(mutex_);
  [[nodiscard]] std::size_t look_for_space() VMM_REQUIRES(mutex_);
  void push(std::uint8_t value) VMM_REQUIRES(mutex_);
  void update_irq() VMM_REQUIRES(mutex_);

  vm_device::IrqLine& irq_;
  InputListener* const listener_;
  mutable Mutex mutex_;
  Pl011State regs_ VMM_GUARDED_BY(mutex_);  // its input is a ring that starts at head_
  std::uint32_t head_ VMM_GUARDED_BY(mutex_) = 0;
  std::uint32_t quiet_polls_ VMM_GUARDED_BY(mutex_) = 0;
  bool asserted_ VMM_GUARDED_BY(mutex_) = false;
  bool starved_ VMM_GUARDED_BY(mutex_) = false;  // input was refused; tell the listener
  OutputBuffer out_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::vm_superio
