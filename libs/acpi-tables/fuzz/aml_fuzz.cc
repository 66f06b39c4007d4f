// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any sequence of calls of the AML writer, with operands from the input: it ends, stays within its
// limit, and what it finishes is well formed as far as lengths go: the table's length and checksum
// are right, and each block ends where its package length says.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "fuzz_input.h"
#include "vmm/acpi_tables/aml_terms.h"
#include "vmm/acpi_tables/resources.h"
#include "vmm/acpi_tables/table.h"

namespace {

using namespace vmm::acpi_tables;

constexpr std::size_t kLimit = 1 << 20;
constexpr unsigned kMaxDepth = 32;

std::string_view text(Input& input) { return input.text(input.byte()); }

/// Names are often good ones, so that the writer gets past them.
std::string_view name(Input& input) {
  return (input.byte() & 3) != 0 ? "\\_SB_.ABCD" : text(input);
}

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
  for (unsigned n = input.byte() % 8; n != 0; --n) {
    switch (input.byte() % 8) {
      case 0:
        resources.memory32_fixed(true, input.take<std::uint32_t>(), input.take<std::uint32_t>());
        break;
      case 1:
        resources.io(input.take<std::uint16_t>(), input.take<std::uint16_t>(), 0, input.byte());
        break;
      case 2:
        resources.irq({input.byte()}, {});
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
  switch (input.byte() % 12) {
    case 0:
      return aml.put(input.take<std::uint64_t>());
    case 1:
      return aml.put(text(input));
    case 2:
      return aml.put(Path{name(input)});
    case 3:
      return aml.put(EisaId{text(input)});
    case 4:
      return aml.put(Uuid{text(input)});
    case 5:
      return aml.put(Local{static_cast<std::uint8_t>(input.byte() % 9)});
    case 6:
      return aml.put(Arg{static_cast<std::uint8_t>(input.byte() % 8)});
    case 7:
      return aml.buffer(std::vector<std::byte>(input.take<std::uint16_t>()));
    case 8:
      return aml.put(store(add(input.take<std::uint32_t>(), Local{0}, NoTarget{}), Ones{}));
    case 9:
      return aml.put(call(Path{name(input)}, input.byte()));
    case 10:
      return aml.name(name(input), input.take<std::uint16_t>());
    default:
      return put_resources(input, aml);
  }
}

void put_package(Input& input, Aml& aml) {
  Package package = aml.package();
  for (unsigned n = input.take<std::uint16_t>() % 600; n != 0; --n) package.add(n);
}

void put_field(Input& input, Aml& aml) {
  FieldList field = aml.field(name(input), {});
  for (unsigned n = input.byte() % 8; n != 0; --n) {
    field.reserved(input.take<std::uint32_t>() >> (input.byte() & 31));
    field.named("ABCD", input.take<std::uint16_t>());
  }
}

Block open_block(Input& input, Aml& aml) {
  switch (input.byte() % 6) {
    case 0:
      return aml.scope(name(input));
    case 1:
      return aml.device(name(input));
    case 2:
      return aml.method(name(input), {.arguments = static_cast<std::uint8_t>(input.byte() % 9)});
    case 3:
      return aml.if_(equal(Local{0}, input.take<std::uint16_t>()));
    case 4:
      return aml.while_(less(Local{0}, input.take<std::uint16_t>()));
    default:
      return aml.power_resource(name(input), 0, input.take<std::uint16_t>());
  }
}

/// Writes terms until the input says to go up again.
void put_block(Input& input, Aml& aml, unsigned depth) {
  while (!input.empty() && !aml.out().failed()) {
    const auto what = input.byte() % 8;
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
  Input input(data, size);
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
