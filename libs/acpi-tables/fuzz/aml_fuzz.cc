// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any sequence of calls of the AML writer, with operands from the input: it ends, stays within its
// limit, and what it finishes is well formed as far as lengths go: the table's length and checksum
// are right, and each block ends where its package length says.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "vmm/acpi_tables/aml_terms.h"
#include "vmm/acpi_tables/resources.h"
#include "vmm/acpi_tables/table.h"

namespace {

using namespace vmm::acpi_tables;

constexpr std::size_t kLimit = 1 << 20;
constexpr unsigned kMaxDepth = 32;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Input {
  const std::uint8_t* data;
  std::size_t size;

  template <class T>
  T take() {
    T value{};
    const std::size_t n = std::min(size, sizeof value);
    if (n != 0) std::memcpy(&value, data, n);
    data += n;
    size -= n;
    return value;
  }
  std::string_view text() {
    const std::size_t n = std::min<std::size_t>(take<std::uint8_t>(), size);
    const std::string_view value(reinterpret_cast<const char*>(data), n);
    data += n;
    size -= n;
    return value;
  }
  /// Names are often good ones, so that the writer gets past them.
  std::string_view name() { return (take<std::uint8_t>() & 3) != 0 ? "\\_SB_.ABCD" : text(); }
};

std::size_t decode_length(std::span<const std::byte> at) {
  require(!at.empty());
  const auto lead = std::to_integer<std::size_t>(at[0]);
  const std::size_t more = lead >> 6;
  if (more == 0) return lead;
  require(at.size() > more && (lead & 0x30) == 0);
  std::size_t length = lead & 0xf;
  for (std::size_t i = 1; i <= more; ++i) {
    length |= std::to_integer<std::size_t>(at[i]) << (8 * i - 4);
  }
  return length;
}

void put_resources(Input& input, Aml& aml) {
  Resources resources = aml.resources();
  for (unsigned n = input.take<std::uint8_t>() % 8; n != 0; --n) {
    switch (input.take<std::uint8_t>() % 8) {
      case 0:
        resources.memory32_fixed(true, input.take<std::uint32_t>(), input.take<std::uint32_t>());
        break;
      case 1:
        resources.io(input.take<std::uint16_t>(), input.take<std::uint16_t>(), 0,
                     input.take<std::uint8_t>());
        break;
      case 2:
        resources.irq({input.take<std::uint8_t>()}, {});
        break;
      case 3:
        resources.interrupt({}, std::vector<std::uint32_t>(input.take<std::uint16_t>() % 300));
        break;
      case 4:
        resources.bus_numbers({input.take<std::uint16_t>(), input.take<std::uint16_t>()});
        break;
      case 5:
        resources.memory_window32(Caching::kNone, true,
                                  {input.take<std::uint32_t>(), input.take<std::uint32_t>()});
        break;
      case 6:
        resources.memory_window64(Caching::kCacheable, true,
                                  {input.take<std::uint64_t>(), input.take<std::uint64_t>()});
        break;
      default:
        resources.register_at({.address = input.take<std::uint64_t>()});
    }
  }
}

void put_term(Input& input, Aml& aml) {
  switch (input.take<std::uint8_t>() % 12) {
    case 0:
      return aml.put(input.take<std::uint64_t>());
    case 1:
      return aml.put(input.text());
    case 2:
      return aml.put(Path{input.name()});
    case 3:
      return aml.put(EisaId{input.text()});
    case 4:
      return aml.put(Uuid{input.text()});
    case 5:
      return aml.put(Local{static_cast<std::uint8_t>(input.take<std::uint8_t>() % 9)});
    case 6:
      return aml.put(Arg{static_cast<std::uint8_t>(input.take<std::uint8_t>() % 8)});
    case 7:
      return aml.buffer(std::vector<std::byte>(input.take<std::uint16_t>()));
    case 8:
      return aml.put(store(add(input.take<std::uint32_t>(), Local{0}, NoTarget{}), Ones{}));
    case 9:
      return aml.put(call(Path{input.name()}, input.take<std::uint8_t>()));
    case 10:
      return aml.name(input.name(), input.take<std::uint16_t>());
    default:
      return put_resources(input, aml);
  }
}

void put_package(Input& input, Aml& aml) {
  Package package = aml.package();
  for (unsigned n = input.take<std::uint16_t>() % 600; n != 0; --n) package.add(n);
}

void put_field(Input& input, Aml& aml) {
  FieldList field = aml.field(input.name(), {});
  for (unsigned n = input.take<std::uint8_t>() % 8; n != 0; --n) {
    field.reserved(input.take<std::uint32_t>() >> (input.take<std::uint8_t>() & 31));
    field.named("ABCD", input.take<std::uint16_t>());
  }
}

Block open_block(Input& input, Aml& aml) {
  switch (input.take<std::uint8_t>() % 6) {
    case 0:
      return aml.scope(input.name());
    case 1:
      return aml.device(input.name());
    case 2:
      return aml.method(input.name(),
                        {.arguments = static_cast<std::uint8_t>(input.take<std::uint8_t>() % 9)});
    case 3:
      return aml.if_(equal(Local{0}, input.take<std::uint16_t>()));
    case 4:
      return aml.while_(less(Local{0}, input.take<std::uint16_t>()));
    default:
      return aml.power_resource(input.name(), 0, input.take<std::uint16_t>());
  }
}

/// Writes terms until the input says to go up again.
void put_block(Input& input, Aml& aml, unsigned depth) {
  while (input.size != 0 && !aml.out().failed()) {
    const auto what = input.take<std::uint8_t>() % 8;
    if (what == 0) return;
    if (what == 1 && depth < kMaxDepth) {
      // All openers write one or two bytes of opcode before the length.
      const std::size_t at = aml.out().size();
      {
        const Block block = open_block(input, aml);
        put_block(input, aml, depth + 1);
      }
      if (aml.out().failed()) return;
      const auto bytes = aml.out().from(at);
      const std::size_t opcode = bytes[0] == std::byte{0x5b} ? 2 : 1;
      require(decode_length(bytes.subspan(opcode)) == bytes.size() - opcode);
    } else if (what == 2) {
      put_package(input, aml);
    } else if (what == 3) {
      put_field(input, aml);
    } else {
      put_term(input, aml);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input{data, size};
  TableBuffer out(kLimit);
  {
    const Table table(out, "DSDT", 2, {});
    Aml aml(out);
    put_block(input, aml, 0);
  }
  require(out.size() <= kLimit);
  const auto table = out.finish();
  if (!table) return 0;
  require(vmm::load_le<std::uint32_t>(&(*table)[4]) == table->size());
  require(checksum(*table) == 0);
  return 0;
}
