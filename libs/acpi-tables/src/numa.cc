// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/numa.h"

#include "vmm/base/checked.h"

namespace vmm::acpi_tables {

void Srat::local_apic(std::uint32_t node, std::uint8_t apic_id) {
  out().put(std::uint8_t{0}, std::uint8_t{16}, static_cast<std::uint8_t>(node), apic_id, kUse,
            std::uint8_t{0}, static_cast<std::uint8_t>(node >> 8),
            static_cast<std::uint16_t>(node >> 16), std::uint32_t{0});
}

void Srat::local_x2apic(std::uint32_t node, std::uint32_t x2apic_id) {
  out().put(std::uint8_t{2}, std::uint8_t{24}, std::uint16_t{0}, node, x2apic_id, kUse,
            std::uint32_t{0}, std::uint32_t{0});
}

void Srat::gic_cpu(std::uint32_t node, std::uint32_t uid) {
  out().put(std::uint8_t{3}, std::uint8_t{18}, node, uid, kUse, std::uint32_t{0});
}

void Srat::gic_its(std::uint32_t node, std::uint32_t its_id) {
  out().put(std::uint8_t{4}, std::uint8_t{12}, node, std::uint16_t{0}, its_id);
}

void Srat::memory(std::uint32_t node, std::uint64_t base, std::uint64_t bytes,
                  std::uint32_t flags) {
  if (bytes != 0 && !checked_add(base, bytes - 1)) return out().fail(AcpiError::kBadRange);
  out().put(std::uint8_t{1}, std::uint8_t{40}, node, std::uint16_t{0}, base, bytes,
            std::uint32_t{0}, flags, std::uint64_t{0});
}

void Srat::generic_initiator(std::uint32_t node, const PciFunction& function) {
  if (!function.valid()) return out().fail(AcpiError::kBadDevice);
  constexpr std::uint8_t kPciHandle = 1;
  // The bus is the first byte, where other tables have it in the upper half of 16 bits.
  const auto bus_and_function = static_cast<std::uint16_t>(function.bdf() << 8 | function.bus);
  out().put(std::uint8_t{5}, std::uint8_t{32}, std::uint8_t{0}, kPciHandle, node, function.segment,
            bus_and_function);
  out().zeros(12);
  out().put(kUse, std::uint32_t{0});
}

void write_slit(TableBuffer& out, const Oem& oem, std::size_t nodes,
                std::span<const std::uint8_t> distances) {
  constexpr std::uint8_t kLocal = 10;
  constexpr std::size_t kMaxNodes = 1024;
  const Table table(out, "SLIT", 1, oem);
  if (nodes > kMaxNodes || distances.size() != nodes * nodes) {
    return out.fail(AcpiError::kBadRange);
  }
  out.put(std::uint64_t{nodes});
  for (std::size_t i = 0; i < distances.size(); ++i) {
    const bool to_itself = i / nodes == i % nodes;
    if (to_itself ? distances[i] != kLocal : distances[i] <= kLocal) {
      return out.fail(AcpiError::kBadRange);
    }
  }
  out.bytes(std::as_bytes(distances));
}

std::uint32_t Pptt::processor(std::uint32_t flags, std::uint32_t parent, std::uint32_t uid,
                              std::span<const std::uint32_t> caches) {
  TableBuffer& out = table_.out();
  const auto node = static_cast<std::uint32_t>(out.size() - table_.offset());
  constexpr std::size_t kFixedBytes = 20;
  if (caches.size() > (0xff - kFixedBytes) / 4) {
    out.fail(AcpiError::kTooManyElements);
    return node;
  }
  out.put(std::uint8_t{0}, static_cast<std::uint8_t>(kFixedBytes + 4 * caches.size()),
          std::uint16_t{0}, flags, parent, uid, static_cast<std::uint32_t>(caches.size()));
  for (const std::uint32_t cache : caches) out.put(cache);
  return node;
}

std::uint32_t Pptt::cache(const Cache& cache) {
  TableBuffer& out = table_.out();
  constexpr std::uint32_t kAllValid = 0x7f;
  const auto node = static_cast<std::uint32_t>(out.size() - table_.offset());
  out.put(std::uint8_t{1}, std::uint8_t{24}, std::uint16_t{0}, kAllValid, cache.next_level,
          cache.bytes, cache.sets, cache.ways, cache.attributes, cache.line_bytes);
  return node;
}

}  // namespace vmm::acpi_tables
