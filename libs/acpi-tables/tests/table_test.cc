// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/table.h"

#include <numeric>

#include "errors.h"
#include "tests/support.h"
#include "vmm/acpi_tables/numa.h"

namespace vmm::acpi_tables {
namespace {

TEST_CASE("a checksum makes the sum of all bytes zero", "[table]") {
  CHECK(checksum({}) == 0);
  std::vector<std::byte> bytes{std::byte{1}};
  CHECK(checksum(bytes) == 255);
  bytes.push_back(std::byte{1});
  CHECK(checksum(bytes) == 254);
  bytes.insert(bytes.end(), {std::byte{255}, std::byte{1}});
  CHECK(checksum(bytes) == 254);

  for (std::size_t size = 0; size < 100; ++size) {
    std::vector<std::byte> any(size);
    unsigned total = 0;
    for (std::size_t i = 0; i < size; ++i) {
      any[i] = static_cast<std::byte>(i * 37 + 200);
      total += std::to_integer<unsigned>(any[i]);
    }
    CHECK(((total + checksum(any)) & 0xff) == 0);
  }
}

TEST_CASE("a root pointer has both checksums, and points to the XSDT", "[table]") {
  const auto pointer = rsdp(kOem.id, 0x1122'3344'5566'7788);
  CHECK(std::string(reinterpret_cast<const char*>(pointer.data()), 8) == "RSD PTR ");
  CHECK(std::string(reinterpret_cast<const char*>(&pointer[9]), 6) == "VMMTST");
  CHECK(pointer[15] == std::byte{2});
  CHECK(load_le<std::uint32_t>(&pointer[16]) == 0);
  CHECK(load_le<std::uint32_t>(&pointer[20]) == 36);
  CHECK(load_le<std::uint64_t>(&pointer[24]) == 0x1122'3344'5566'7788);
  CHECK(sum(std::span(pointer).first(20)) == 0);
  CHECK(sum(pointer) == 0);
}

TEST_CASE("an XSDT lists the addresses of tables", "[table]") {
  for (const std::size_t count : std::initializer_list<std::size_t>{0, 1, 8, 100}) {
    std::vector<std::uint64_t> tables(count);
    std::iota(tables.begin(), tables.end(), 0xa'0000u);
    TableBuffer out;
    write_xsdt(out, kOem, tables);
    const auto xsdt = out.finish();
    REQUIRE(xsdt.has_value());
    check_header(*xsdt);
    CHECK(xsdt->size() == 36 + 8 * count);
    for (std::size_t i = 0; i < count; ++i) {
      CHECK(load_le<std::uint64_t>(&(*xsdt)[36 + 8 * i]) == tables[i]);
    }
  }
}

TEST_CASE("a generic initiator's PCI handle is segment, bus, device and function", "[table]") {
  TableBuffer out;
  {
    Srat srat(out, kOem);
    srat.generic_initiator(1, {.segment = 0x0304, .bus = 2, .device = 3, .function = 4});
  }
  const Bytes srat = written(out);
  constexpr std::size_t kEntry = Table::kHeaderBytes + 12;
  REQUIRE(srat.size() == kEntry + 32);
  CHECK(Bytes(srat.begin() + kEntry + 8, srat.begin() + kEntry + 14) ==
        Bytes{0x04, 0x03, 0x02, 0x1c, 0, 0});
}

TEST_CASE("a table keeps its length and checksum with every entry more", "[table]") {
  for (std::size_t entries = 0; entries < 40; ++entries) {
    TableBuffer out;
    {
      const Table table(out, "TEST", 3, kOem);
      for (std::size_t i = 0; i < entries; ++i) out.put(static_cast<std::uint16_t>(0xfff0 + i));
    }
    const auto table = out.finish();
    REQUIRE(table.has_value());
    CHECK(table->size() == 36 + 2 * entries);
    check_header(*table);
    CHECK((*table)[8] == std::byte{3});
    CHECK(std::string(reinterpret_cast<const char*>(&(*table)[16]), 8) == "VMMTABLE");
  }
}

TEST_CASE("tables follow each other in one buffer", "[table]") {
  TableBuffer out;
  out.zeros(5);
  out.align(16);
  const std::size_t first = out.size();
  CHECK(first == 16);
  write_xsdt(out, kOem, {});
  out.align(64);
  const std::size_t second = out.size();
  CHECK(second == 64);
  write_xsdt(out, kOem, std::array<std::uint64_t, 1>{1});
  const auto all = out.finish();
  REQUIRE(all.has_value());
  check_header(all->subspan(first, 36));
  check_header(all->subspan(second));
}

TEST_CASE("an open table, and tables inside each other, are refused", "[table][hostile]") {
  TableBuffer out;
  {
    const Table table(out, "TEST", 1, kOem);
    CHECK(out.finish().error() == AcpiError::kUnbalanced);
  }
  CHECK(out.finish().has_value());
  {
    const Table outer(out, "TEST", 1, kOem);
    const Table inner(out, "TEST", 1, kOem);
  }
  CHECK(out.finish().error() == AcpiError::kUnbalanced);
}

TEST_CASE("a growing buffer stops at its limit, and its error sticks", "[buffer][hostile]") {
  TableBuffer out(10000);
  out.zeros(4096);
  out.zeros(5904);
  CHECK(out.finish().has_value());
  out.put(std::uint8_t{1});
  CHECK(out.finish().error() == AcpiError::kTooLarge);
  CHECK(out.size() == 10000);
  out.fail(AcpiError::kBadName);  // later errors do not hide the first
  CHECK(out.finish().error() == AcpiError::kTooLarge);
  out.clear();
  CHECK(out.finish()->empty());
  out.put(std::uint32_t{7});
  CHECK(written(out) == Bytes{7, 0, 0, 0});
}

TEST_CASE("a buffer on borrowed storage never leaves it", "[buffer][hostile]") {
  std::array<std::byte, 16> storage{};
  TableBuffer out(std::span<std::byte>(storage).first(8));
  out.put(std::uint32_t{0x0102'0304}, std::uint16_t{0x0506});
  CHECK(written(out) == Bytes{4, 3, 2, 1, 6, 5});
  out.put(std::uint32_t{0});
  CHECK(out.finish().error() == AcpiError::kTooLarge);
  CHECK(storage[8] == std::byte{0});
}

TEST_CASE("a moved buffer takes its content with it", "[buffer]") {
  TableBuffer from;
  from.put(std::uint16_t{0x1234});
  TableBuffer to = std::move(from);
  CHECK(written(to) == Bytes{0x34, 0x12});
  TableBuffer again;
  again.put(std::uint8_t{9});
  again = std::move(to);
  CHECK(written(again) == Bytes{0x34, 0x12});
}

TEST_CASE("patches outside of what is written do nothing", "[buffer][hostile]") {
  TableBuffer out;
  out.put(std::uint32_t{0});
  out.patch(2, std::uint32_t{~0u});
  out.patch(~std::size_t{0}, std::uint8_t{1});
  out.patch_bytes(3, std::array{std::byte{1}, std::byte{1}});
  out.resize_gap(5, 0, 4);
  CHECK(written(out) == Bytes{0, 0, 0, 0});
  CHECK(out.from(4).empty());
  CHECK(out.from(5).empty());
  out.patch(3, std::uint8_t{1});
  CHECK(written(out) == Bytes{0, 0, 0, 1});
}

TEST_CASE("every error has a message of its own", "[error]") {
  check_words(AcpiError::kUnbalanced);
}

}  // namespace
}  // namespace vmm::acpi_tables
