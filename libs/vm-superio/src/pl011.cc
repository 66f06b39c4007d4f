// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/pl011.h"

#include <algorithm>

#include "primecell.h"
#include "registers32.h"

namespace vmm::vm_superio {
namespace {

enum Register : std::uint64_t {
  kDr = 0x00,
  kRsr = 0x04,  // UARTECR when written
  kFr = 0x18,
  kIlpr = 0x20,
  kIbrd = 0x24,
  kFbrd = 0x28,
  kLcrH = 0x2c,
  kCr = 0x30,
  kIfls = 0x34,
  kImsc = 0x38,
  kRis = 0x3c,
  kMis = 0x40,
  kIcr = 0x44,
  kDmacr = 0x48,
};

constexpr std::uint32_t kFrRing = 1 << 8;
constexpr std::uint32_t kFrTxEmpty = 1 << 7;
constexpr std::uint32_t kFrRxFull = 1 << 6;
constexpr std::uint32_t kFrRxEmpty = 1 << 4;
constexpr std::uint32_t kFrConnected = 7;  // DCD, DSR, CTS

constexpr std::uint32_t kIntRx = 1 << 4;
constexpr std::uint32_t kIntTx = 1 << 5;
constexpr std::uint32_t kIntTimeout = 1 << 6;
constexpr std::uint32_t kIntOverrun = 1 << 10;
constexpr std::uint32_t kLatched = kIntTx | kIntOverrun;

constexpr std::uint32_t kCrLoopback = 1 << 7;
constexpr std::uint32_t kLcrHFifos = 1 << 4;
constexpr std::uint32_t kRsrOverrun = 1 << 3;
constexpr std::uint32_t kQuietPolls = 8;

// The implemented bits of each register.
constexpr std::uint32_t kIlprBits = 0xff;
constexpr std::uint32_t kIbrdBits = 0xffff;
constexpr std::uint32_t kFbrdBits = 0x3f;
constexpr std::uint32_t kLcrHBits = 0xff;
constexpr std::uint32_t kCrBits = 0xffff;
constexpr std::uint32_t kIflsBits = 0x3f;
constexpr std::uint32_t kIntBits = 0x7ff;
constexpr std::uint32_t kDmacrBits = 0x7;

// Revision 1: 16-byte FIFOs.
constexpr PrimeCellIds kIds = {0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

/// UARTFR in loopback: the modem outputs RTS, DTR, OUT1 and OUT2 come back as inputs.
std::uint32_t looped_modem_inputs(std::uint32_t cr) {
  const std::uint32_t cts = cr >> 11 & 1;
  const std::uint32_t dsr = cr >> 10 & 1;
  const std::uint32_t dcd = cr >> 12 & 1;
  const std::uint32_t ring = (cr >> 13 & 1) != 0 ? kFrRing : 0;
  return cts | dsr << 1 | dcd << 2 | ring;
}

/// The fill at which the receive interrupt comes.
std::uint32_t receive_level(std::uint32_t lcr_h, std::uint32_t ifls) {
  constexpr std::array<std::uint32_t, 8> kLevels = {2, 4, 8, 12, 14, 14, 14, 14};
  return (lcr_h & kLcrHFifos) != 0 ? kLevels[ifls >> 3 & 7] : 1;
}

}  // namespace

void Pl011::read(std::uint64_t offset, std::span<std::byte> data) {
  bool tell = false;
  {
    const MutexLock lock(mutex_);
    read_registers32(offset, data,
                     [this](std::uint64_t at) VMM_REQUIRES(mutex_) { return read_register(at); });
    tell = take_starved();
  }
  if (tell) listener_->input_space();
}

void Pl011::write(std::uint64_t offset, std::span<const std::byte> data) {
  bool tell = false;
  {
    const MutexLock lock(mutex_);
    write_registers32(offset, data,
                      [this](std::uint64_t at, std::uint32_t value)
                          VMM_REQUIRES(mutex_) { write_register(at, value); });
    tell = take_starved();
  }
  if (tell) listener_->input_space();
}

std::uint32_t Pl011::read_register(std::uint64_t offset) {
  switch (offset) {
    case kDr:
      return read_data();
    case kRsr:
      return regs_.overrun != 0 ? kRsrOverrun : 0;
    case kFr:
      return read_flags();
    case kIlpr:
      return regs_.ilpr;
    case kIbrd:
      return regs_.ibrd;
    case kFbrd:
      return regs_.fbrd;
    case kLcrH:
      return regs_.lcr_h;
    case kCr:
      return regs_.cr;
    case kIfls:
      return regs_.ifls;
    case kImsc:
      return regs_.imsc;
    case kRis:
      return raw_interrupts();
    case kMis:
      return raw_interrupts() & regs_.imsc;
    case kDmacr:
      return regs_.dmacr;
    default:
      return offset >= kPrimeCellIds && offset < kSize ? read_primecell_id(kIds, offset) : 0;
  }
}

void Pl011::write_register(std::uint64_t offset, std::uint32_t value) {
  switch (offset) {
    case kDr:
      write_data(static_cast<std::uint8_t>(value & 0xff));
      break;
    case kRsr:
      regs_.overrun = 0;
      break;
    case kLcrH:
      write_lcr_h(value & kLcrHBits);
      break;
    case kCr:
      regs_.cr = value & kCrBits;
      out_.flush();
      break;
    case kImsc:
      regs_.imsc = value & kIntBits;
      out_.flush();
      break;
    case kIcr:
      regs_.latched &= ~value;
      break;
    default:
      write_settings(offset, value);
      break;
  }
  update_irq();
}

/// The registers that only keep what is written.
void Pl011::write_settings(std::uint64_t offset, std::uint32_t value) {
  switch (offset) {
    case kIlpr:
      regs_.ilpr = value & kIlprBits;
      break;
    case kIbrd:
      regs_.ibrd = value & kIbrdBits;
      break;
    case kFbrd:
      regs_.fbrd = value & kFbrdBits;
      break;
    case kIfls:
      regs_.ifls = value & kIflsBits;
      break;
    case kDmacr:
      regs_.dmacr = value & kDmacrBits;
      break;
    default:
      break;
  }
}

std::uint32_t Pl011::read_data() {
  if (regs_.input_size == 0) return 0;
  const std::uint8_t value = regs_.input[head_];
  head_ = (head_ + 1) % kFifoSize;
  --regs_.input_size;
  update_irq();
  return value;
}

std::uint32_t Pl011::read_flags() {
  if (++quiet_polls_ == kQuietPolls) out_.flush();
  std::uint32_t flags = kFrTxEmpty;
  flags |= in_loopback() ? looped_modem_inputs(regs_.cr) : kFrConnected;
  if (regs_.input_size == 0) flags |= kFrRxEmpty;
  if (regs_.input_size == kFifoSize) flags |= kFrRxFull;
  return flags;
}

void Pl011::write_data(std::uint8_t value) {
  regs_.latched |= kIntTx;  // sent at once, so the transmit FIFO fell through its level
  if (!in_loopback()) {
    out_.put(value);
    quiet_polls_ = 0;
  } else if (room() != 0) {
    push(value);
  } else {
    regs_.latched |= kIntOverrun;
    regs_.overrun = 1;
  }
}

void Pl011::write_lcr_h(std::uint32_t value) {
  const bool fifos_off = (regs_.lcr_h & ~value & kLcrHFifos) != 0;
  regs_.lcr_h = value;
  if (fifos_off) regs_.input_size = 0;
}

std::uint32_t Pl011::raw_interrupts() const {
  if (regs_.input_size == 0) return regs_.latched;
  const bool reached = regs_.input_size >= receive_level(regs_.lcr_h, regs_.ifls);
  return regs_.latched | (reached ? kIntRx : kIntTimeout);
}

bool Pl011::in_loopback() const { return (regs_.cr & kCrLoopback) != 0; }

std::size_t Pl011::room() const { return kFifoSize - regs_.input_size; }

/// Precondition: room() is not 0.
void Pl011::push(std::uint8_t value) {
  regs_.input[(head_ + regs_.input_size) % kFifoSize] = value;
  ++regs_.input_size;
}

void Pl011::update_irq() {
  const bool level = (raw_interrupts() & regs_.imsc) != 0;
  if (level == asserted_) return;
  asserted_ = level;
  irq_.set(level);
}

/// Whether the listener is owed a call: once, when the FIFO has been emptied after a refusal.
bool Pl011::take_starved() {
  if (!starved_ || in_loopback() || regs_.input_size != 0) return false;
  starved_ = false;
  return listener_ != nullptr;
}

std::size_t Pl011::put(std::span<const std::byte> bytes) {
  const std::size_t taken = in_loopback() ? 0 : std::min(bytes.size(), room());
  for (const std::byte byte : bytes.first(taken)) push(std::to_integer<std::uint8_t>(byte));
  if (taken < bytes.size()) starved_ = true;
  update_irq();
  return taken;
}

std::size_t Pl011::look_for_space() {
  const std::size_t space = in_loopback() ? 0 : room();
  if (space == 0) starved_ = true;
  return space;
}

std::size_t Pl011::enqueue(std::span<const std::byte> bytes) {
  const MutexLock lock(mutex_);
  return put(bytes);
}

std::size_t Pl011::space() {
  const MutexLock lock(mutex_);
  return look_for_space();
}

std::optional<std::size_t> Pl011::try_enqueue(std::span<const std::byte> bytes) {
  if (!mutex_.try_lock()) return std::nullopt;
  const std::size_t taken = put(bytes);
  mutex_.unlock();
  return taken;
}

std::optional<std::size_t> Pl011::try_space() {
  if (!mutex_.try_lock()) return std::nullopt;
  const std::size_t space = look_for_space();
  mutex_.unlock();
  return space;
}

void Pl011::flush() {
  const MutexLock lock(mutex_);
  out_.flush();
}

std::uint64_t Pl011::lost_bytes() const {
  const MutexLock lock(mutex_);
  return out_.lost();
}

Pl011State Pl011::state() const {
  const MutexLock lock(mutex_);
  Pl011State state = regs_;
  std::ranges::rotate(state.input, state.input.begin() + head_);
  std::fill(state.input.begin() + state.input_size, state.input.end(), std::uint8_t{0});
  return state;
}

Result<void, StateError> Pl011::restore(const Pl011State& state) {
  if (state.input_size > kFifoSize) return fail(StateError::kTooMuchInput);
  const bool reserved = state.ilpr > kIlprBits || state.ibrd > kIbrdBits ||
                        state.fbrd > kFbrdBits || state.lcr_h > kLcrHBits || state.cr > kCrBits ||
                        state.ifls > kIflsBits || state.imsc > kIntBits ||
                        (state.latched & ~kLatched) != 0 || state.overrun > 1 ||
                        state.dmacr > kDmacrBits;
  if (reserved) return fail(StateError::kReservedBits);
  const MutexLock lock(mutex_);
  regs_ = state;
  head_ = 0;
  asserted_ = (raw_interrupts() & regs_.imsc) != 0;
  irq_.set(asserted_);  // always: the line itself may not have been restored
  return {};
}

}  // namespace vmm::vm_superio
