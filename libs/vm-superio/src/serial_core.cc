// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/serial_core.h"

#include <algorithm>

namespace vmm::vm_superio {
namespace {

constexpr std::uint8_t kIirModem = 0x00;
constexpr std::uint8_t kIirNone = 0x01;
constexpr std::uint8_t kIirThre = 0x02;
constexpr std::uint8_t kIirData = 0x04;
constexpr std::uint8_t kIirLine = 0x06;
constexpr std::uint8_t kIirTimeout = 0x0c;
constexpr std::uint8_t kIirFifosOn = 0xc0;

// IIR for each set of enabled pending conditions: the highest priority wins.
constexpr std::array<std::uint8_t, 16> kIdentify = {
    kIirNone,  kIirData, kIirThre, kIirData, kIirLine, kIirLine, kIirLine, kIirLine,
    kIirModem, kIirData, kIirThre, kIirData, kIirLine, kIirLine, kIirLine, kIirLine};

constexpr std::uint8_t kFcrEnable = 1 << 0;
constexpr std::uint8_t kFcrClearInput = 1 << 1;
constexpr std::uint8_t kFcrTrigger = 3 << 6;
constexpr std::uint8_t kFcrKept = kFcrEnable | kFcrTrigger;
constexpr std::uint8_t kMcrBits = 0x1f;
constexpr std::uint8_t kMsrRing = 1 << 6;
// Carrier, data set ready, clear to send: a cable with someone at its other end.
constexpr std::uint8_t kMsrConnected = 0xb0;

}  // namespace

std::uint8_t SerialCore::read_other(std::uint64_t offset) {
  switch (offset) {
    case kData:
      return (lcr_ & kLcrDlab) != 0 ? dll_ : read_rbr();
    case kIer:
      return (lcr_ & kLcrDlab) != 0 ? dlm_ : ier_;
    case kIir:
      return read_iir();
    case kLcr:
      return lcr_;
    case kMcr:
      return mcr_;
    case kMsr:
      return read_msr();
    case kScr:
      return scr_;
    default:
      return 0;
  }
}

void SerialCore::write_other(std::uint64_t offset, std::uint8_t value) {
  switch (offset) {
    case kData:
      if ((lcr_ & kLcrDlab) != 0) {
        dll_ = value;
      } else {
        loop_back(value);
      }
      break;
    case kIer:
      if ((lcr_ & kLcrDlab) != 0) {
        dlm_ = value;
      } else {
        write_ier(value);
      }
      break;
    case kIir:
      write_fcr(value);
      break;
    case kLcr:
      lcr_ = value;
      update_plain_thr();
      break;
    case kMcr:
      write_mcr(value);
      break;
    case kScr:
      scr_ = value;
      break;
    default:  // LSR and MSR are read-only
      break;
  }
}

std::uint8_t SerialCore::read_rbr() {
  if (count_ == 0) return 0;
  const std::uint8_t value = input_[head_];
  head_ = (head_ + 1) % kFifoSize;
  if (--count_ == 0) clear_input();
  return value;
}

std::uint8_t SerialCore::read_iir() {
  const std::uint8_t fifos = (fcr_ & kFcrEnable) != 0 ? kIirFifosOn : 0;
  std::uint8_t id = kIdentify[pending_ & ier_ & 0x0f];
  if (id == kIirThre) {
    clear(kIerThre);  // reading its identification acknowledges it
  } else if (id == kIirData && count_ < trigger_level()) {
    id = kIirTimeout;
  }
  return id | fifos;
}

std::uint8_t SerialCore::read_msr() {
  const auto msr = static_cast<std::uint8_t>(modem_inputs() | msr_delta_);
  msr_delta_ = 0;
  clear(kIerModem);
  return msr;
}

void SerialCore::write_ier(std::uint8_t value) {
  const std::uint8_t enabled = static_cast<std::uint8_t>(value & ~ier_);
  ier_ = value & 0x0f;
  // The holding register is always empty, so enabling its interrupt raises it.
  if ((enabled & kIerThre) != 0) pending_ |= kIerThre;
  update_irq();
  out_.flush();
}

void SerialCore::write_fcr(std::uint8_t value) {
  const bool toggled = ((value ^ fcr_) & kFcrEnable) != 0;
  // The other bits only count while bit 0 is written as 1.
  const bool enable = (value & kFcrEnable) != 0;
  fcr_ = enable ? value & kFcrKept : 0;
  if (toggled || (enable && (value & kFcrClearInput) != 0)) clear_input();
}

void SerialCore::write_mcr(std::uint8_t value) {
  const std::uint8_t before = modem_inputs();
  mcr_ = value & kMcrBits;
  update_plain_thr();
  const std::uint8_t after = modem_inputs();
  const auto changed = static_cast<std::uint8_t>(before ^ after);
  // CTS, DSR and DCD report any change; RI only its trailing edge.
  auto delta = static_cast<std::uint8_t>((changed & ~kMsrRing) >> 4);
  if ((changed & before & kMsrRing) != 0) delta |= kMsrRing >> 4;
  msr_delta_ |= delta;
  if (msr_delta_ != 0) pending_ |= kIerModem;
  update_irq();
  out_.flush();
}

void SerialCore::loop_back(std::uint8_t value) {
  pending_ |= kIerThre;
  if (count_ < kFifoSize) {
    push(value);
  } else {
    pending_ |= kIerLine;  // the byte is lost, as in hardware
    lsr_ |= kLsrOverrun;
  }
  update_irq();
}

std::size_t SerialCore::enqueue(std::span<const std::byte> bytes) {
  const std::size_t taken = std::min(bytes.size(), space());
  for (const std::byte byte : bytes.first(taken)) push(std::to_integer<std::uint8_t>(byte));
  update_irq();
  return taken;
}

/// Precondition: the FIFO has room.
void SerialCore::push(std::uint8_t value) {
  input_[(head_ + count_) % kFifoSize] = value;
  ++count_;
  pending_ |= kIerData;
  lsr_ |= kLsrData;
}

void SerialCore::clear_input() {
  head_ = 0;
  count_ = 0;
  lsr_ &= static_cast<std::uint8_t>(~kLsrData);
  clear(kIerData);
}

void SerialCore::clear_overrun() {
  lsr_ &= static_cast<std::uint8_t>(~kLsrOverrun);
  clear(kIerLine);
}

/// Bits 7:4 of MSR: the cable, or in loopback the modem control outputs.
std::uint8_t SerialCore::modem_inputs() const {
  if ((mcr_ & kMcrLoop) == 0) return kMsrConnected;
  const unsigned dtr = mcr_ & 1u;
  const unsigned rts = (mcr_ >> 1) & 1u;
  const unsigned outs = (mcr_ >> 2) & 3u;  // OUT1 to RI, OUT2 to DCD
  return static_cast<std::uint8_t>(rts << 4 | dtr << 5 | outs << 6);
}

std::size_t SerialCore::trigger_level() const {
  constexpr std::array<std::uint8_t, 4> kLevels = {1, 4, 8, 14};
  return kLevels[fcr_ >> 6];
}

SerialState SerialCore::state() const {
  SerialState state{.ier = ier_,
                    .lcr = lcr_,
                    .mcr = mcr_,
                    .scr = scr_,
                    .dll = dll_,
                    .dlm = dlm_,
                    .fcr = fcr_,
                    .msr_delta = msr_delta_,
                    .overrun = static_cast<std::uint8_t>((pending_ & kIerLine) != 0),
                    .thre_pending = static_cast<std::uint8_t>((pending_ & kIerThre) != 0),
                    .input_size = count_};
  const std::size_t straight = std::min<std::size_t>(count_, kFifoSize - head_);
  std::copy_n(input_.begin() + head_, straight, state.input.begin());
  std::copy_n(input_.begin(), count_ - straight,
              state.input.begin() + static_cast<std::ptrdiff_t>(straight));
  return state;
}

Result<void, StateError> SerialCore::restore(const SerialState& state) {
  if (state.input_size > kFifoSize) return fail(StateError::kTooMuchInput);
  const bool reserved = state.ier > 0x0f || state.mcr > kMcrBits || state.msr_delta > 0x0f ||
                        (state.fcr & ~kFcrKept) != 0 || state.overrun > 1 || state.thre_pending > 1;
  if (reserved) return fail(StateError::kReservedBits);
  ier_ = state.ier;
  lcr_ = state.lcr;
  mcr_ = state.mcr;
  scr_ = state.scr;
  dll_ = state.dll;
  dlm_ = state.dlm;
  fcr_ = state.fcr;
  msr_delta_ = state.msr_delta;
  input_ = state.input;
  head_ = 0;
  count_ = state.input_size;
  const unsigned pending =
      (count_ != 0 ? kIerData : 0u) | (state.thre_pending != 0 ? kIerThre : 0u) |
      (state.overrun != 0 ? kIerLine : 0u) | (msr_delta_ != 0 ? kIerModem : 0u);
  pending_ = static_cast<std::uint8_t>(pending);
  const unsigned lsr =
      kLsrSent | (count_ != 0 ? kLsrData : 0u) | (state.overrun != 0 ? kLsrOverrun : 0u);
  lsr_ = static_cast<std::uint8_t>(lsr);
  update_plain_thr();
  asserted_ = (pending_ & ier_) != 0;
  irq_.set(asserted_);  // always: the line itself may not have been restored
  return {};
}

}  // namespace vmm::vm_superio
