// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any sequence of changes and accesses (a guest moves its PCI BARs at will) against a model that
// has one entry for each address.

#include <array>
#include <memory>

#include "fuzz_input.h"
#include "vmm/vm_device/bus.h"

namespace {

using namespace vmm;
using namespace vmm::vm_device;

class Probe final : public BusDevice {
 public:
  void read(std::uint64_t offset, std::span<std::byte> data) override {
    at = offset;
    ++calls;
    std::ranges::fill(data, std::byte{0});
  }
  void write(std::uint64_t offset, std::span<const std::byte>) override {
    at = offset;
    ++calls;
  }
  std::uint64_t at = 0;
  std::size_t calls = 0;
};

/// What each of the first addresses holds: 0, or a range's number; and where ranges begin.
struct Model {
  static constexpr std::size_t kSize = 256;
  struct Range {
    std::size_t base = 0, size = 0;
  };
  std::array<std::uint8_t, kSize> owner{};
  std::array<Range, 256> ranges{};

  bool is_free(std::size_t base, std::size_t size, std::uint8_t except) const {
    for (std::size_t i = base; i < base + size; ++i) {
      if (owner[i] != 0 && owner[i] != except) return false;
    }
    return true;
  }
  void set(std::uint8_t number, Range range) {
    for (auto& entry : owner) entry = entry == number ? 0 : entry;
    for (std::size_t i = 0; i < range.size; ++i) owner[range.base + i] = number;
    ranges[number] = range;
  }
};

constexpr std::uint16_t kBase = 0xff00;  // so that the model ends where port space ends
PioAddress port(std::size_t index) { return PioAddress(static_cast<std::uint16_t>(kBase + index)); }

void access(PioCaller& caller, Model& model, Probe& probe, Input& in, bool is_write) {
  const std::size_t at = in.byte();
  std::vector<std::byte> data(in.byte() % 12, std::byte{0});
  const std::size_t calls = probe.calls;
  const auto done = is_write ? caller.write(port(at), data) : caller.read(port(at), data);
  const std::uint8_t owner = model.owner[at];
  const Model::Range range = model.ranges[owner];
  const bool fits = owner != 0 && !data.empty() && at + data.size() <= range.base + range.size;
  require(done.has_value() == fits);
  require(probe.calls == calls + (fits ? 1 : 0));
  if (fits) require(probe.at == at - range.base);
  if (!fits && !is_write) {
    for (const std::byte value : data) require(value == std::byte{0xff});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  PioBus bus;
  PioCaller caller(bus);
  Model model;
  const auto probe = std::make_shared<Probe>();
  std::size_t registered = 0;
  for (std::uint8_t number = 1; !in.empty();) {
    switch (in.byte() & 3) {
      case 0: {
        if (number == 255) return 0;
        const std::size_t base = in.byte();
        const std::size_t length = in.byte();
        const bool fits = length != 0 && base + length <= Model::kSize;
        const bool expected = fits && model.is_free(base, length, 0);
        require(bus.add(port(base), length, probe).has_value() == expected);
        if (expected) model.set(number++, {.base = base, .size = length});
        registered += expected ? 1 : 0;
        break;
      }
      case 1: {
        const std::uint8_t owner = model.owner[in.byte()];
        const std::size_t inside = model.ranges[owner].base;
        const auto removed = bus.remove(port(inside));
        require(removed.has_value() == (model.owner[inside] != 0));
        if (removed.has_value()) model.set(model.owner[inside], {});
        registered -= removed.has_value() ? 1 : 0;
        break;
      }
      case 2: {
        const std::size_t from = in.byte();
        const std::size_t to = in.byte();
        const std::uint8_t owner = model.owner[from];
        const Model::Range range = model.ranges[owner];
        const bool expected = owner != 0 && range.base == from && to + range.size <= Model::kSize &&
                              model.is_free(to, range.size, owner);
        require(bus.move(port(from), port(to)).has_value() == expected);
        if (expected) model.set(owner, {.base = to, .size = range.size});
        break;
      }
      default:
        access(caller, model, *probe, in, (in.byte() & 1) != 0);
        break;
    }
    require(bus.size() == registered);
  }
  return 0;
}
