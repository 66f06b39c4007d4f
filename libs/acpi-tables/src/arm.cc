// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/arm.h"

namespace vmm::acpi_tables {
namespace {

constexpr std::size_t kIortNodeCountAt = 36;
constexpr std::uint32_t kIortFirstNode = 48;
constexpr std::size_t kMaxNodeBytes = 0xffff;

}  // namespace

void write_gtdt(TableBuffer& out, const Oem& oem, const Gtdt& gtdt) {
  constexpr std::uint64_t kNoControlFrame = ~std::uint64_t{0};
  const Table table(out, "GTDT", 3, oem);
  out.put(kNoControlFrame, std::uint32_t{0});
  const auto timer = [&out](const TimerInterrupt& t) { out.put(t.gsi, t.flags); };
  timer(gtdt.secure_el1);
  timer(gtdt.non_secure_el1);
  timer(gtdt.virtual_el1);
  timer(gtdt.el2);
  out.put(kNoControlFrame, std::uint32_t{0}, std::uint32_t{0});  // no platform timers
  timer(gtdt.virtual_el2);
}

Iort::Iort(TableBuffer& out, const Oem& oem) : table_(out, "IORT", 0, oem) {
  out.put(std::uint32_t{0}, kIortFirstNode, std::uint32_t{0});
}

void Iort::close() {
  table_.out().patch(table_.offset() + kIortNodeCountAt, nodes_);
  table_.close();
}

std::uint32_t Iort::its_group(std::span<const std::uint32_t> its_ids) {
  TableBuffer& out = table_.out();
  const auto node = static_cast<std::uint32_t>(out.size() - table_.offset());
  constexpr std::size_t kFixedBytes = 20;
  if (its_ids.empty()) out.fail(AcpiError::kBadRange);
  if (its_ids.size() > (kMaxNodeBytes - kFixedBytes) / 4) out.fail(AcpiError::kTooManyElements);
  if (out.failed()) return node;
  ++nodes_;
  out.put(std::uint8_t{0}, static_cast<std::uint16_t>(kFixedBytes + 4 * its_ids.size()),
          std::uint8_t{0}, std::uint32_t{0}, std::uint32_t{0}, std::uint32_t{0},
          static_cast<std::uint32_t>(its_ids.size()));
  for (const std::uint32_t id : its_ids) out.put(id);
  return node;
}

std::uint32_t Iort::root_complex(std::uint32_t segment, std::span<const Mapping> mappings) {
  TableBuffer& out = table_.out();
  const auto node = static_cast<std::uint32_t>(out.size() - table_.offset());
  constexpr std::uint32_t kFixedBytes = 36;
  constexpr std::uint8_t kNodeRevision = 1;
  constexpr std::uint8_t kAddressBits = 64;
  constexpr std::size_t kMappingBytes = 20;
  if (mappings.size() > (kMaxNodeBytes - kFixedBytes) / kMappingBytes) {
    out.fail(AcpiError::kTooManyElements);
    return node;
  }
  ++nodes_;
  constexpr std::uint32_t kCoherent = 1;
  constexpr std::uint8_t kCpm = 1;   // the path to memory is coherent
  constexpr std::uint8_t kDacs = 2;  // and so are device attributes
  out.put(std::uint8_t{2},
          static_cast<std::uint16_t>(kFixedBytes + kMappingBytes * mappings.size()), kNodeRevision,
          std::uint32_t{0}, static_cast<std::uint32_t>(mappings.size()),
          mappings.empty() ? 0u : kFixedBytes, kCoherent, std::uint8_t{0}, std::uint16_t{0},
          static_cast<std::uint8_t>(kCpm | kDacs), std::uint32_t{0}, segment, kAddressBits);
  out.zeros(3);
  for (const Mapping& mapping : mappings) {
    if (mapping.count == 0) return out.fail(AcpiError::kBadRange), node;
    // The table holds the number of ids minus one.
    out.put(mapping.input, mapping.count - 1, mapping.output, mapping.to, std::uint32_t{0});
  }
  return node;
}

}  // namespace vmm::acpi_tables
