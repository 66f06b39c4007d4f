// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/pl031.h"

#include "primecell.h"
#include "registers32.h"
#include "vmm/base/checked.h"

namespace vmm::vm_superio {
namespace {

enum Register : std::uint64_t {
  kDr = 0x00,
  kMr = 0x04,
  kLr = 0x08,
  kCr = 0x0c,
  kImsc = 0x10,
  kRis = 0x14,
  kMis = 0x18,
  kIcr = 0x1c,
};
constexpr std::uint32_t kMatchBit = 1;
constexpr PrimeCellIds kIds = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

std::uint32_t Pl031::read_register(std::uint64_t offset) const {
  switch (offset) {
    case kDr: {
      const std::int64_t host = clock_.seconds();
      const auto guest = checked_add(host, offset_s_.load(kRelaxed));
      return static_cast<std::uint32_t>(guest.value_or(host));
    }
    case kMr:
      return match_.load(kRelaxed);
    case kLr:
      return load_.load(kRelaxed);
    case kCr:
      return 1;
    case kImsc:
      return imsc_.load(kRelaxed);
    case kRis:
      return ris_.load(kRelaxed);
    case kMis:
      return ris_.load(kRelaxed) & imsc_.load(kRelaxed);
    default:
      return offset >= kPrimeCellIds && offset < kSize ? read_primecell_id(kIds, offset) : 0;
  }
}

void Pl031::write_register(std::uint64_t offset, std::uint32_t value) {
  switch (offset) {
    case kMr:
      match_.store(value, kRelaxed);
      break;
    case kLr:
      load_.store(value, kRelaxed);
      offset_s_.store(checked_sub(std::int64_t{value}, clock_.seconds()).value_or(0), kRelaxed);
      break;
    case kCr:
      if (value == 1) {
        load_.store(0, kRelaxed);
        offset_s_.store(0, kRelaxed);
      }
      break;
    case kImsc:
      imsc_.store(value & kMatchBit, kRelaxed);
      break;
    case kIcr:
      ris_.fetch_and(~value, kRelaxed);
      break;
    default:
      break;
  }
}

void Pl031::read(std::uint64_t offset, std::span<std::byte> data) {
  read_registers32(offset, data, [this](std::uint64_t at) { return read_register(at); });
}

void Pl031::write(std::uint64_t offset, std::span<const std::byte> data) {
  write_registers32(offset, data,
                    [this](std::uint64_t at, std::uint32_t value) { write_register(at, value); });
}

Pl031State Pl031::state() const {
  return {.load = load_.load(kRelaxed),
          .match = match_.load(kRelaxed),
          .imsc = imsc_.load(kRelaxed),
          .ris = ris_.load(kRelaxed),
          .offset_s = offset_s_.load(kRelaxed)};
}

Result<void, StateError> Pl031::restore(const Pl031State& state) {
  if ((state.imsc & ~kMatchBit) != 0 || (state.ris & ~kMatchBit) != 0) {
    return fail(StateError::kReservedBits);
  }
  load_.store(state.load, kRelaxed);
  match_.store(state.match, kRelaxed);
  imsc_.store(state.imsc, kRelaxed);
  ris_.store(state.ris, kRelaxed);
  offset_s_.store(state.offset_s, kRelaxed);
  return {};
}

}  // namespace vmm::vm_superio
