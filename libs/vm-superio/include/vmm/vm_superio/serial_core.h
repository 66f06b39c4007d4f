// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The registers of a 16550A UART, for one thread. serial.h wraps them for a bus.
// Register names and rules: PC16550D data sheet, sections 8.1 to 8.7.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"
#include "vmm/vm_device/irq.h"
#include "vmm/vm_superio/byte_sink.h"
#include "vmm/vm_superio/state_error.h"

namespace vmm::vm_superio {

/// Everything a guest can see of a 16550A; plain data for snapshots.
struct SerialState {
  static constexpr std::size_t kFifoSize = 64;  ///< bytes of the receive FIFO

  std::uint8_t ier = 0;                         ///< bits 3:0
  std::uint8_t lcr = 0x03;                      ///< 8 data bits, no parity, one stop bit
  std::uint8_t mcr = 0x08;                      ///< bits 4:0
  std::uint8_t scr = 0;                         ///< the scratch register: any
  std::uint8_t dll = 0x0c;                      ///< divisor 12: 9600 baud
  std::uint8_t dlm = 0;                         ///< the divisor's upper half
  std::uint8_t fcr = 0x01;                      ///< bit 0: FIFOs on; bits 7:6: trigger level
  std::uint8_t msr_delta = 0;                   ///< bits 3:0 of MSR
  std::uint8_t overrun = 0;                     ///< LSR.OE, 0 or 1
  std::uint8_t thre_pending = 0;                ///< THR-empty interrupt not acknowledged, 0 or 1
  std::uint8_t input_size = 0;                  ///< bytes of `input` in use
  std::array<std::uint8_t, kFifoSize> input{};  ///< received and not yet read, oldest first

  friend bool operator==(const SerialState&, const SerialState&) = default;
};

/// A 16550A whose transmitter is infinitely fast and whose receive FIFO holds 64 bytes.
///
/// The interrupt output is a level: it is asserted exactly while an enabled condition holds, so a
/// guest that masks IER, and unmasks it later, finds what happened in between. Conditions, highest
/// priority first: overrun; received data (as character timeout while below the trigger level,
/// since four character times pass at once); THR empty; modem status.
///
/// Output is collected and written a line at a time; besides a newline, these end a burst: any IER
/// or MCR write (Linux writes IER at the end of each burst, console or tty), and eight LSR reads
/// with no output in between (a polling guest that waits for input).
///
/// Threads: one at a time.
class SerialCore {
 public:
  static constexpr std::size_t kFifoSize = SerialState::kFifoSize;  ///< bytes of the receive FIFO
  static constexpr std::uint8_t kRegisters = 8;                     ///< bytes of address space

  /// Borrows both, which must outlive this object.
  SerialCore(vm_device::IrqLine& irq, ByteSink& sink) : irq_(irq), out_(sink) {}

  /// Reads register `offset`; 0 for offsets from 8 up.
  [[nodiscard]] std::uint8_t read(std::uint64_t offset) {
    if (offset == kLsr) [[likely]]
      return read_lsr();
    return read_other(offset);
  }

  /// Writes register `offset`; ignored for offsets from 8 up and for LSR and MSR.
  void write(std::uint64_t offset, std::uint8_t value) {
    if (offset == kData && plain_thr_) [[likely]] {
      out_.put(value);
      polls_left_ = kQuietPolls;
      pending_ |= kIerThre;  // sent at once
      if ((ier_ & kIerThre) != 0) assert_irq();
      return;
    }
    write_other(offset, value);
  }

  /// Queues received bytes and returns how many were taken: never more than space().
  [[nodiscard]] std::size_t enqueue(std::span<const std::byte> bytes);
  /// How many bytes enqueue() would take now; 0 in loopback, where the line is cut off.
  [[nodiscard]] std::size_t space() const {
    return (mcr_ & kMcrLoop) != 0 ? 0 : kFifoSize - count_;
  }
  /// How many received bytes the guest has not read.
  [[nodiscard]] std::size_t queued() const { return count_; }

  /// Hands collected output to the sink.
  void flush() { out_.flush(); }
  /// How many output bytes the sink did not take.
  [[nodiscard]] std::uint64_t lost_bytes() const { return out_.lost(); }

  /// The state of the registers and the receive FIFO. Collected output is not part of it: flush()
  /// first.
  [[nodiscard]] SerialState state() const;
  /// Replaces the state and drives the interrupt line to match.
  ///
  /// Errors, without a change: kTooMuchInput, kReservedBits.
  Result<void, StateError> restore(const SerialState& state);

 private:
  enum Register : std::uint8_t { kData, kIer, kIir, kLcr, kMcr, kLsr, kMsr, kScr };
  // Bits of IER; pending_ has the same layout.
  static constexpr std::uint8_t kIerData = 1 << 0;
  static constexpr std::uint8_t kIerThre = 1 << 1;
  static constexpr std::uint8_t kIerLine = 1 << 2;
  static constexpr std::uint8_t kIerModem = 1 << 3;
  static constexpr std::uint8_t kMcrLoop = 1 << 4;
  static constexpr std::uint8_t kLcrDlab = 1 << 7;
  static constexpr std::uint8_t kLsrData = 1 << 0;
  static constexpr std::uint8_t kLsrOverrun = 1 << 1;
  static constexpr std::uint8_t kLsrSent = 3 << 5;  // THRE and TEMT: the transmitter is idle
  static constexpr std::uint8_t kQuietPolls = 8;

  [[nodiscard]] std::uint8_t read_lsr() {
    if (--polls_left_ == 0) [[unlikely]]
      out_.flush();
    const std::uint8_t lsr = lsr_;
    if ((lsr & kLsrOverrun) != 0) [[unlikely]]
      clear_overrun();
    return lsr;
  }
  void assert_irq() {
    if (asserted_) return;
    asserted_ = true;
    irq_.set(true);
  }
  void update_irq() {
    const bool level = (pending_ & ier_) != 0;
    if (level == asserted_) return;
    asserted_ = level;
    irq_.set(level);
  }
  void clear(std::uint8_t conditions) {
    pending_ &= static_cast<std::uint8_t>(~conditions);
    update_irq();
  }

  std::uint8_t read_other(std::uint64_t offset);
  void write_other(std::uint64_t offset, std::uint8_t value);
  std::uint8_t read_rbr();
  std::uint8_t read_iir();
  std::uint8_t read_msr();
  void write_ier(std::uint8_t value);
  void write_fcr(std::uint8_t value);
  void write_mcr(std::uint8_t value);
  void loop_back(std::uint8_t value);
  void push(std::uint8_t value);
  void clear_input();
  void clear_overrun();
  void update_plain_thr() { plain_thr_ = (lcr_ & kLcrDlab) == 0 && (mcr_ & kMcrLoop) == 0; }
  [[nodiscard]] std::uint8_t modem_inputs() const;
  [[nodiscard]] std::size_t trigger_level() const;

  vm_device::IrqLine& irq_;
  bool plain_thr_ = true;                  // offset 0 is THR and THR leaves the chip
  std::uint8_t polls_left_ = kQuietPolls;  // LSR reads until the output is flushed; may wrap
  std::uint8_t lsr_ = kLsrSent;
  bool asserted_ = false;
  std::uint8_t pending_ = 0;  // conditions that hold, laid out like IER
  std::uint8_t ier_ = 0;
  std::uint8_t lcr_ = 0x03;
  std::uint8_t mcr_ = 0x08;
  std::uint8_t scr_ = 0;
  std::uint8_t dll_ = 0x0c;
  std::uint8_t dlm_ = 0;
  std::uint8_t fcr_ = 0x01;
  std::uint8_t msr_delta_ = 0;
  std::uint8_t head_ = 0;   // index of the oldest byte
  std::uint8_t count_ = 0;  // at most kFifoSize
  std::array<std::uint8_t, kFifoSize> input_{};
  OutputBuffer out_;
};

}  // namespace vmm::vm_superio
