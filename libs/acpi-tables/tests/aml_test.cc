// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/aml.h"

#include "tests/support.h"
#include "vmm/acpi_tables/aml_terms.h"
#include "vmm/acpi_tables/resources.h"

namespace vmm::acpi_tables {
namespace {

template <class Writer>
Bytes aml_of(const Writer& writer) {
  TableBuffer out;
  Aml aml(out);
  writer(aml);
  return written(out);
}

template <class... Terms>
Bytes term(const Terms&... terms) {
  return aml_of([&](Aml& aml) { aml.put(terms...); });
}

Bytes failed(AcpiError error) { return {0xbad, static_cast<unsigned>(error)}; }

TEST_CASE("an integer has its shortest form, whatever its type", "[aml]") {
  CHECK(term(0u) == Bytes{0});
  CHECK(term(std::uint64_t{0}) == Bytes{0});
  CHECK(term(std::uint8_t{1}) == Bytes{1});
  CHECK(term(2u) == Bytes{0x0a, 2});
  CHECK(term(std::uint64_t{0xff}) == Bytes{0x0a, 0xff});
  CHECK(term(0x100u) == Bytes{0x0b, 0, 1});
  CHECK(term(std::uint64_t{0xffff}) == Bytes{0x0b, 0xff, 0xff});
  CHECK(term(0x1'0000u) == Bytes{0x0c, 0, 0, 1, 0});
  CHECK(term(std::uint64_t{0xffff'ffff}) == Bytes{0x0c, 0xff, 0xff, 0xff, 0xff});
  CHECK(term(std::uint64_t{0x1'0000'0000}) == Bytes{0x0e, 0, 0, 0, 0, 1, 0, 0, 0});
  CHECK(term(Ones{}) == Bytes{0xff});
}

TEST_CASE("a package length counts itself and is as short as it can be", "[aml]") {
  struct Row {
    std::size_t content;
    Bytes length;
  };
  const Row rows[] = {
      {5, {0x06}},
      {62, {0x3f}},
      {63, {0x41, 0x04}},
      {64, {0x42, 0x04}},
      {4093, {0x4f, 0xff}},
      {4094, {0x81, 0x00, 0x01}},
      {4096, {0x83, 0x00, 0x01}},
      {1048572, {0x8f, 0xff, 0xff}},
      {1048573, {0xc1, 0x00, 0x00, 0x01}},
  };
  for (const Row& row : rows) {
    for (const bool wide : {false, true}) {  // blocks that keep one byte for it, and two
      TableBuffer out;
      Aml aml(out);
      {
        const Block block = wide ? aml.scope("ABCD") : aml.else_();
        std::vector<std::byte> filling(row.content - (wide ? 4 : 0), std::byte{0xa3});
        out.bytes(filling);
      }
      const Bytes bytes = written(out);
      INFO("content " << row.content << (wide ? " of a scope" : ""));
      REQUIRE(bytes.size() == 1 + row.length.size() + row.content);
      CHECK(Bytes(bytes.begin() + 1, bytes.begin() + 1 + static_cast<long>(row.length.size())) ==
            row.length);
      CHECK(bytes.back() == 0xa3);
      if (wide) CHECK(bytes[1 + row.length.size()] == 'A');
    }
  }
}

TEST_CASE("a package of 2^28 bytes cannot be encoded", "[aml][hostile]") {
  CHECK(package_length_bytes((1 << 28) - 5) == 4);
  CHECK(package_length_bytes((1 << 28) - 4) == 0);
  CHECK(package_length_bytes(~std::size_t{0}) == 0);
}

TEST_CASE("a path is made of four-character segments", "[aml]") {
  CHECK(term(Path{"_SB_"}) == Bytes{'_', 'S', 'B', '_'});
  CHECK(term(Path{"\\"}) == Bytes{'\\', 0});
  CHECK(term(Path{"\\_SB_"}) == Bytes{'\\', '_', 'S', 'B', '_'});
  CHECK(term(Path{"^AB12"}) == Bytes{'^', 'A', 'B', '1', '2'});
  CHECK(term(Path{"^^AB12"}) == Bytes{'^', '^', 'A', 'B', '1', '2'});
  CHECK(term(Path{"\\_SB_.PCI0"}) == Bytes{'\\', 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0'});
  CHECK(term(Path{"AAAA.BBBB.CCCC"}) ==
        Bytes{0x2f, 3, 'A', 'A', 'A', 'A', 'B', 'B', 'B', 'B', 'C', 'C', 'C', 'C'});
}

TEST_CASE("a path with any other form is refused", "[aml][hostile]") {
  for (const char* text :
       {"", "ABC", "ABCDE", "abcd", "1ABC", "AB D", "ABCD.", ".ABCD", "ABCD.EFG", "ABCD/EFGH", "^",
        "\\ABC", "\\\\ABCD", "ABCD..EFG", "ABCD.1BCD", "AB\\D", "ABC\xff"}) {
    INFO(text);
    CHECK(term(Path{text}) == failed(AcpiError::kBadName));
  }
  std::string many;
  for (int i = 0; i < 256; ++i) many += "ABCD.";
  CHECK(term(Path{std::string_view(many).substr(0, 5 * 256 - 1)}) ==
        failed(AcpiError::kTooManyElements));
  CHECK(term(Path{std::string_view(many).substr(0, 5 * 255 - 1)}).size() == 2 + 4 * 255);
}

TEST_CASE("an EISA id is compressed into an integer", "[aml]") {
  CHECK(term(EisaId{"PNP0501"}) == Bytes{0x0c, 0x41, 0xd0, 0x05, 0x01});
  CHECK(term(EisaId{"PNP0A08"}) == Bytes{0x0c, 0x41, 0xd0, 0x0a, 0x08});
  for (const char* text : {"", "PNP050", "PNP05011", "pNP0501", "PN10501", "PNP05G1", "PNP-501"}) {
    INFO(text);
    CHECK(term(EisaId{text}) == failed(AcpiError::kBadEisaId));
  }
}

TEST_CASE("a UUID becomes a buffer in mixed byte order", "[aml]") {
  const Bytes wanted{0x11, 0x13, 0x0a, 0x10, 0x33, 0x22, 0x11, 0x00, 0x55, 0x44,
                     0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
  CHECK(term(Uuid{"00112233-4455-6677-8899-aabbccddeeff"}) == wanted);
  CHECK(term(Uuid{"00112233-4455-6677-8899-AABBCCDDEEFF"}) == wanted);
  for (const char* text :
       {"", "00112233-4455-6677-8899-aabbccddeef", "00112233-4455-6677-8899-aabbccddeefff",
        "00112233x4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899xaabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeefg", "0011223-34455-6677-8899-aabbccddeeff"}) {
    INFO(text);
    CHECK(term(Uuid{text}) == failed(AcpiError::kBadUuid));
  }
}

TEST_CASE("a string ends with NUL and holds ASCII only", "[aml]") {
  CHECK(term("ACPI") == Bytes{0x0d, 'A', 'C', 'P', 'I', 0});
  CHECK(term(std::string_view("")) == Bytes{0x0d, 0});
  CHECK(term(std::string_view("a\0b", 3)) == failed(AcpiError::kBadString));
  CHECK(term("a\x80") == failed(AcpiError::kBadString));
}

TEST_CASE("there are eight locals and seven arguments", "[aml][hostile]") {
  CHECK(term(Local{0}, Local{7}, Arg{0}, Arg{6}) == Bytes{0x60, 0x67, 0x68, 0x6e});
  CHECK(term(Local{8}) == failed(AcpiError::kBadOperand));
  CHECK(term(Arg{7}) == failed(AcpiError::kBadOperand));
  CHECK(aml_of([](Aml& aml) { auto m = aml.method("ABCD", {.arguments = 8}); }) ==
        failed(AcpiError::kBadOperand));
  CHECK(aml_of([](Aml& aml) { auto m = aml.method("ABCD", {.sync_level = 16}); }) ==
        failed(AcpiError::kBadOperand));
  CHECK(aml_of([](Aml& aml) { aml.mutex("ABCD", 16); }) == failed(AcpiError::kBadOperand));
}

TEST_CASE("expressions nest, operands in the order of the specification", "[aml]") {
  CHECK(term(store(add(Arg{0}, 1u, NoTarget{}), Path{"COUN"})) ==
        Bytes{0x70, 0x72, 0x68, 1, 0, 'C', 'O', 'U', 'N'});
  CHECK(term(not_equal(Local{0}, 0u)) == Bytes{0x92, 0x93, 0x60, 0});
  CHECK(term(less_or_equal(Local{0}, 2u)) == Bytes{0x92, 0x94, 0x60, 0x0a, 2});
  CHECK(term(notify(Path{"PWRB"}, 0x80u)) == Bytes{0x86, 'P', 'W', 'R', 'B', 0x0a, 0x80});
  CHECK(term(acquire(Path{"MLCK"}, 0xffff)) == Bytes{0x5b, 0x23, 'M', 'L', 'C', 'K', 0xff, 0xff});
  CHECK(term(release(Path{"MLCK"})) == Bytes{0x5b, 0x27, 'M', 'L', 'C', 'K'});
  CHECK(term(call(Path{"WXYZ"}, 6u, Local{5})) == Bytes{'W', 'X', 'Y', 'Z', 0x0a, 6, 0x65});
  CHECK(term(returns("x")) == Bytes{0xa4, 0x0d, 'x', 0});
  CHECK(term(Debug{}) == Bytes{0x5b, 0x31});
  CHECK(term(mid(Local{0}, 0u, 1u, Local{1})) == Bytes{0x9e, 0x60, 0, 1, 0x61});
}

TEST_CASE("a package counts its elements and becomes a VarPackage above 255", "[aml]") {
  const auto package_of = [](unsigned count) {
    return aml_of([count](Aml& aml) {
      Package package = aml.package();
      for (unsigned i = 0; i < count; ++i) package.add(0u);
    });
  };
  CHECK(package_of(0) == Bytes{0x12, 0x02, 0});
  CHECK(package_of(2) == Bytes{0x12, 0x04, 2, 0, 0});
  const Bytes full = package_of(255);
  CHECK(Bytes(full.begin(), full.begin() + 5) == Bytes{0x12, 0x42, 0x10, 255, 0});
  const Bytes more = package_of(256);
  CHECK(Bytes(more.begin(), more.begin() + 7) == Bytes{0x13, 0x45, 0x10, 0x0b, 0, 1, 0});
  CHECK(more.size() == 6 + 256);
  CHECK(package_of(65535)[0] == 0x13);
  CHECK(package_of(65536) == failed(AcpiError::kTooManyElements));
}

TEST_CASE("packages and buffers nest", "[aml]") {
  const Bytes bytes = aml_of([](Aml& aml) {
    aml.name_op("ABCD");
    Package outer = aml.package();
    outer.add([](Aml& inner_aml) {
      Package inner = inner_aml.package();
      inner.add(0u);
      inner.add("A");
    });
    outer.add(Path{"EFGH"});
  });
  CHECK(bytes == Bytes{0x08, 'A', 'B', 'C', 'D', 0x12, 0x0d, 2, 0x12, 0x06, 2, 0, 0x0d, 'A', 0, 'E',
                       'F', 'G', 'H'});
  const std::array data{std::byte{1}, std::byte{2}};
  CHECK(term(std::span<const std::byte>(data)) == Bytes{0x11, 0x05, 0x0a, 2, 1, 2});
}

TEST_CASE("buffers and packages may have sizes that are computed", "[aml]") {
  CHECK(aml_of([](Aml& aml) { aml.buffer_of(Local{0}).close(); }) == Bytes{0x11, 2, 0x60});
  CHECK(aml_of([](Aml& aml) {
          const Block block = aml.buffer_of(add(Arg{1}, 1u, NoTarget{}));
          aml.out().put(std::uint8_t{0xab});
        }) == Bytes{0x11, 6, 0x72, 0x69, 1, 0, 0xab});
  CHECK(aml_of([](Aml& aml) {
          const Block block = aml.package_of(Arg{0});
          aml.put(7u);
        }) == Bytes{0x13, 4, 0x68, 0x0a, 7});
}

TEST_CASE("fields have lengths in bits", "[aml]") {
  const Bytes bytes = aml_of([](Aml& aml) {
    aml.operation_region("PRST", RegionSpace::kSystemIo, 0xcd8u, 0xcu);
    FieldList field =
        aml.field("PRST", {.access = FieldAccess::kByte, .update = FieldUpdate::kWriteAsZeros});
    field.reserved(32);
    field.named("CPEN", 1);
    field.reserved(64);
    field.named("CINS", 0x1000);
  });
  CHECK(bytes == Bytes{0x5b, 0x80, 'P',  'R',  'S', 'T', 1,    0x0b, 0xd8, 0x0c, 0x0a, 0x0c, 0x5b,
                       0x81, 0x17, 'P',  'R',  'S', 'T', 0x41, 0,    32,   'C',  'P',  'E',  'N',
                       1,    0,    0x40, 0x04, 'C', 'I', 'N',  'S',  0x80, 0x00, 0x01});
  CHECK(aml_of([](Aml& aml) { aml.field("PRST", {}).named("AB", 1); }) ==
        failed(AcpiError::kBadName));
  CHECK(aml_of([](Aml& aml) { aml.field("PRST", {}).named("ABCD", 1u << 28); }) ==
        failed(AcpiError::kBadPackageLength));
  CHECK(aml_of([](Aml& aml) { aml.field("PRST", {}).reserved(1u << 28); }) ==
        failed(AcpiError::kBadPackageLength));
}

TEST_CASE("blocks must close in the reverse order of their opening", "[aml][hostile]") {
  TableBuffer out;
  Aml aml(out);
  Block outer = aml.scope("ABCD");
  Block inner = aml.scope("EFGH");
  CHECK(out.finish().error() == AcpiError::kUnbalanced);
  outer.close();
  CHECK(out.finish().error() == AcpiError::kUnbalanced);
  inner.close();
  CHECK(out.finish().error() == AcpiError::kUnbalanced);
}

TEST_CASE("resources have the bytes of the specification", "[aml][resources]") {
  const Bytes bytes = aml_of([](Aml& aml) {
    Resources resources = aml.resources();
    resources.memory32_fixed(true, 0xe800'0000, 0x1000'0000);
    resources.io(0x3f8, 0x3f8, 0, 8);
    resources.irq({4, 3}, {.edge = true});
    resources.irq_no_flags({15});
    resources.interrupt({.edge = true}, 4);
  });
  CHECK(bytes == Bytes{0x11, 0x29, 0x0a, 0x26,                                   //
                       0x86, 9,    0,    1,    0,    0, 0, 0xe8, 0, 0, 0, 0x10,  //
                       0x47, 1,    0xf8, 0x03, 0xf8, 3, 0, 8,                    //
                       0x23, 0x18, 0,    1,                                      //
                       0x22, 0,    0x80,                                         //
                       0x89, 6,    0,    3,    1,    4, 0, 0,    0,              //
                       0x79, 0});
}

TEST_CASE("windows carry their length, and are refused when it does not fit", "[aml][resources]") {
  const Bytes bytes = aml_of([](Aml& aml) { aml.resources().bus_numbers({0, 0xff}); });
  CHECK(bytes == Bytes{0x11, 0x15, 0x0a, 0x12, 0x88, 0x0d, 0, 2, 0x0c, 0,    0,
                       0,    0,    0,    0xff, 0,    0,    0, 0, 1,    0x79, 0});
  const auto refused = [](auto&& write) {
    return aml_of([&](Aml& aml) {
             Resources resources = aml.resources();
             write(resources);
           }) == failed(AcpiError::kBadRange);
  };
  CHECK(refused([](Resources& r) { r.bus_numbers({1, 0}); }));
  CHECK(refused([](Resources& r) { r.bus_numbers({0, 0xffff}); }));
  CHECK(refused([](Resources& r) { r.memory_window32(Caching::kNone, true, {0, ~0u}); }));
  CHECK(refused(
      [](Resources& r) { r.memory_window64(Caching::kNone, true, {0, ~std::uint64_t{0}}); }));
  CHECK(refused([](Resources& r) { r.io_window32({0x1000, 0xfff}); }));
  CHECK(refused([](Resources& r) { r.memory32_fixed(true, 0xffff'f000, 0x1001); }));
  CHECK_FALSE(refused([](Resources& r) { r.memory32_fixed(true, 0xffff'f000, 0x1000); }));
  CHECK(refused([](Resources& r) { r.io(1, 0, 0, 1); }));
  CHECK(refused([](Resources& r) { r.io(0, 0xffff, 0, 2); }));
  CHECK_FALSE(refused([](Resources& r) { r.io(0, 0xffff, 0, 1); }));
}

TEST_CASE("interrupt resources refuse numbers they cannot hold", "[aml][resources][hostile]") {
  const auto refused = [](auto&& write) {
    return aml_of([&](Aml& aml) {
             Resources resources = aml.resources();
             write(resources);
           }) == failed(AcpiError::kBadInterrupt);
  };
  CHECK(refused([](Resources& r) { r.irq({16}, {}); }));
  CHECK(refused([](Resources& r) { r.irq({}, {}); }));
  CHECK(refused([](Resources& r) { r.irq_no_flags({1, 200}); }));
  CHECK(refused([](Resources& r) { r.interrupt({}, std::span<const std::uint32_t>{}); }));
  const std::vector<std::uint32_t> many(256);
  CHECK(refused([&](Resources& r) { r.interrupt({}, many); }));
  CHECK_FALSE(refused([&](Resources& r) { r.interrupt({}, std::span(many).first(255)); }));
}

TEST_CASE("connections have the bytes of the specification", "[aml][resources]") {
  const std::array<std::uint16_t, 2> pins{2, 0x0103};
  const auto body = [](auto&& write) {
    Bytes bytes = aml_of([&](Aml& aml) {
      Resources resources = aml.resources();
      write(resources);
    });
    REQUIRE(bytes.size() > 6);
    return Bytes(bytes.begin() + 4, bytes.end() - 2);
  };
  CHECK(body([&](Resources& r) {
          r.gpio_interrupt({.controller = "G", .pins = std::span(pins).last(1), .shared = true},
                           {.wake = true});
        }) == Bytes{0x8c, 24, 0, 1,  0, 1,  0, 0x18, 0, 0, 0, 0,   0, 0,
                    23,   0,  0, 25, 0, 27, 0, 0,    0, 3, 1, 'G', 0});
  CHECK(body([&](Resources& r) { r.gpio_io({.controller = "G", .pins = pins}, {.drive = 7}); }) ==
        Bytes{0x8c, 26, 0,  1, 1,  1, 0, 0, 0, 0, 7, 0, 0,   0, 23,
              0,    0,  27, 0, 29, 0, 0, 0, 2, 0, 3, 1, 'G', 0});
  CHECK(body([](Resources& r) { r.i2c({.controller = "I", .address = 0x7f}); }) ==
        Bytes{0x8e, 17, 0, 2, 0, 1, 2, 0, 0, 1, 6, 0, 0xa0, 0x86, 1, 0, 0x7f, 0, 'I', 0});
  CHECK(body([](Resources& r) { r.spi({.controller = "S", .select = 3}); }) ==
        Bytes{0x8e, 20, 0, 2, 0, 2, 2, 0, 0, 1, 9, 0, 0x40, 0x42, 0x0f, 0, 8, 0, 0, 3, 0, 'S', 0});
}

TEST_CASE("connections that cannot be are refused", "[aml][resources][hostile]") {
  const std::array<std::uint16_t, 1> pin{};
  const auto error = [](auto&& write) {
    return aml_of([&](Aml& aml) {
      Resources resources = aml.resources();
      write(resources);
    });
  };
  const Bytes bad_range = failed(AcpiError::kBadRange);
  const Bytes bad_path = failed(AcpiError::kBadString);
  CHECK(error([](Resources& r) { r.gpio_io({.controller = "G", .pins = {}}, {}); }) == bad_range);
  const std::array<std::uint16_t, 2> two{};
  CHECK(error([&](Resources& r) { r.gpio_interrupt({.controller = "G", .pins = two}, {}); }) ==
        bad_range);
  CHECK(error([](Resources& r) { r.i2c({.controller = "I", .address = 0x80}); }) == bad_range);
  CHECK(error([](Resources& r) {
          r.i2c({.controller = "I", .address = 0x400, .ten_bits = true});
        }) == bad_range);
  for (const std::string_view path : {std::string_view(), {"a b"}, {"\x7f"}, {"a\0", 2}}) {
    CHECK(error([&](Resources& r) { r.gpio_io({.controller = path, .pins = pin}, {}); }) ==
          bad_path);
    CHECK(error([&](Resources& r) { r.i2c({.controller = path, .address = 1}); }) == bad_path);
    CHECK(error([&](Resources& r) { r.spi({.controller = path, .select = 1}); }) == bad_path);
  }
  const Bytes too_many = failed(AcpiError::kTooManyElements);
  const std::vector<std::uint16_t> pins(32755);  // with 2 bytes of path, 65535 in all
  CHECK(error([&](Resources& r) { r.gpio_io({.controller = "G", .pins = pins}, {}); }) != too_many);
  CHECK(error([&](Resources& r) { r.gpio_io({.controller = "GG", .pins = pins}, {}); }) ==
        too_many);
  const std::string longest(65522, 'x');
  CHECK(error([&](Resources& r) { r.i2c({.controller = longest, .address = 1}); }) == too_many);
  CHECK(error([&](Resources& r) { r.spi({.controller = longest, .select = 1}); }) == too_many);
}

TEST_CASE("a large resource template has a wider size", "[aml][resources]") {
  for (const unsigned count : {20u, 21u, 5461u, 5462u}) {  // around 255 and 65535 bytes
    const Bytes bytes = aml_of([count](Aml& aml) {
      Resources resources = aml.resources();
      for (unsigned i = 0; i < count; ++i) resources.memory32_fixed(true, 0, 0);
    });
    const std::size_t size = 12 * count + 2;
    const std::size_t length = size + 2 < 63 ? 1 : size < 4000 ? 2 : 3;
    INFO(count);
    const unsigned prefix = size <= 0xff ? 0x0a : size <= 0xffff ? 0x0b : 0x0c;
    REQUIRE(bytes.size() > size);
    CHECK(bytes[1 + length] == prefix);
    CHECK(bytes[2 + length] == (size & 0xff));
    CHECK(bytes[bytes.size() - 2] == 0x79);
  }
}

}  // namespace
}  // namespace vmm::acpi_tables
