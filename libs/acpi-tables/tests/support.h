// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "vmm/acpi_tables/table.h"
#include "vmm/acpi_tables/testing/iasl.h"

namespace vmm::acpi_tables {

inline constexpr Oem kOem{.id = {'V', 'M', 'M', 'T', 'S', 'T'},
                          .table_id = {'V', 'M', 'M', 'T', 'A', 'B', 'L', 'E'},
                          .revision = 1,
                          .creator_id = {'V', 'M', 'M', ' '},
                          .creator_revision = 1};

using Bytes = std::vector<unsigned>;

inline Bytes written(const TableBuffer& out) {
  const auto done = out.finish();
  if (!done) return {0xbad, static_cast<unsigned>(done.error())};
  Bytes bytes;
  for (const std::byte b : *done) bytes.push_back(std::to_integer<unsigned>(b));
  return bytes;
}

inline unsigned sum(std::span<const std::byte> bytes) {
  unsigned total = 0;
  for (const std::byte b : bytes) total += std::to_integer<unsigned>(b);
  return total & 0xff;
}

/// The table keeps the rules of its header: length and checksum.
inline void check_header(std::span<const std::byte> table) {
  REQUIRE(table.size() >= Table::kHeaderBytes);
  CHECK(load_le<std::uint32_t>(&table[4]) == table.size());
  CHECK(sum(table) == 0);
}

/// iasl reads the table without a complaint and gives it back from its source.
inline void check_with_iasl(std::span<const std::byte> table) {
  check_header(table);
  const testing::IaslVerdict verdict = testing::judge(table);
  if (!verdict.found) {
    WARN("skipped: there is no iasl here");
    return;
  }
  INFO(verdict.source);
  CHECK(verdict.complaints == "");
  CHECK(verdict.same_bytes);
}

}  // namespace vmm::acpi_tables
