// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/pl061.h"

#include "primecell.h"
#include "registers32.h"

namespace vmm::vm_superio {
namespace {

enum Register : std::uint64_t {
  kDataEnd = 0x400,  // GPIODATA is below, once for each mask of lines
  kDir = 0x400,
  kIs = 0x404,
  kIbe = 0x408,
  kIev = 0x40c,
  kIe = 0x410,
  kRis = 0x414,
  kMis = 0x418,
  kIc = 0x41c,
  kAfsel = 0x420,
};

constexpr PrimeCellIds kIds = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

/// Address bits 9:2 of an access to GPIODATA: only these lines are read or written.
std::uint8_t data_mask(std::uint64_t offset) { return static_cast<std::uint8_t>(offset >> 2); }

/// For each line, one of two bits.
std::uint8_t choose(std::uint8_t which, std::uint8_t if_set, std::uint8_t if_clear) {
  return static_cast<std::uint8_t>((which & if_set) | (~which & if_clear));
}

}  // namespace

void Pl061::read(std::uint64_t offset, std::span<std::byte> data) {
  const MutexLock lock(mutex_);
  read_registers32(offset, data,
                   [this](std::uint64_t at) VMM_REQUIRES(mutex_) { return read_register(at); });
}

void Pl061::write(std::uint64_t offset, std::span<const std::byte> data) {
  const MutexLock lock(mutex_);
  write_registers32(offset, data,
                    [this](std::uint64_t at, std::uint32_t value)
                        VMM_REQUIRES(mutex_) { write_register(at, value); });
}

std::uint32_t Pl061::read_register(std::uint64_t offset) const {
  if (offset < kDataEnd) {
    return data_mask(offset) & choose(regs_.dir, regs_.output, regs_.input);
  }
  switch (offset) {
    case kDir:
      return regs_.dir;
    case kIs:
      return regs_.is;
    case kIbe:
      return regs_.ibe;
    case kIev:
      return regs_.iev;
    case kIe:
      return regs_.ie;
    case kRis:
      return raw_interrupts();
    case kMis:
      return raw_interrupts() & regs_.ie;
    case kAfsel:
      return regs_.afsel;
    default:
      return offset >= kPrimeCellIds && offset < kSize ? read_primecell_id(kIds, offset) : 0;
  }
}

void Pl061::write_register(std::uint64_t offset, std::uint32_t value) {
  const auto bits = static_cast<std::uint8_t>(value);
  if (offset < kDataEnd) {
    const auto written = static_cast<std::uint8_t>(data_mask(offset) & regs_.dir);
    regs_.output = choose(written, bits, regs_.output);
    return;
  }
  switch (offset) {
    case kDir:
      regs_.dir = bits;
      break;
    case kIs:
      regs_.is = bits;
      regs_.latched = choose(bits, 0, regs_.latched);
      break;
    case kIbe:
      regs_.ibe = bits;
      break;
    case kIev:
      regs_.iev = bits;
      break;
    case kIe:
      regs_.ie = bits;
      break;
    case kIc:
      regs_.latched = choose(bits, 0, regs_.latched);
      break;
    case kAfsel:
      regs_.afsel = bits;
      break;
    default:
      return;
  }
  update_irq();
}

std::uint8_t Pl061::raw_interrupts() const {
  const unsigned levels = ~(unsigned{regs_.input} ^ regs_.iev) & regs_.is & ~unsigned{regs_.dir};
  return static_cast<std::uint8_t>(regs_.latched | levels);
}

void Pl061::update_irq() {
  const bool level = (raw_interrupts() & regs_.ie) != 0;
  if (level == asserted_) return;
  asserted_ = level;
  irq_.set(level);
}

void Pl061::set_input(std::uint32_t line, bool high) {
  if (line >= kLines) return;
  const MutexLock lock(mutex_);
  const auto bit = static_cast<std::uint8_t>(1u << line);
  const bool was_high = (regs_.input & bit) != 0;
  if (was_high == high) return;
  regs_.input = choose(bit, high ? bit : 0, regs_.input);
  const bool detects = (regs_.ibe & bit) != 0 || ((regs_.iev & bit) != 0) == high;
  const bool is_edge_input = ((regs_.is | regs_.dir) & bit) == 0;
  if (detects && is_edge_input) regs_.latched = choose(bit, bit, regs_.latched);
  update_irq();
}

Pl061State Pl061::state() const {
  const MutexLock lock(mutex_);
  return regs_;
}

Result<void, StateError> Pl061::restore(const Pl061State& state) {
  if ((state.latched & state.is) != 0) return fail(StateError::kInconsistent);
  const MutexLock lock(mutex_);
  regs_ = state;
  asserted_ = (raw_interrupts() & regs_.ie) != 0;
  irq_.set(asserted_);  // always: the line itself may not have been restored
  return {};
}

}  // namespace vmm::vm_superio
