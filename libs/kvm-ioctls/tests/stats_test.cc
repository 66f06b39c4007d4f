// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/stats.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "vmm/kvm_ioctls/error.h"

namespace vmm::kvm_ioctls {
namespace {

struct Descriptor {
  std::uint32_t flags;
  std::int16_t exponent;
  std::uint16_t values;
  std::uint32_t offset;
  std::uint32_t bucket;
  const char* name;
};

// A statistics file: header, id, descriptors, then 64 bytes of data.
struct File {
  static constexpr std::uint32_t kNameBytes = 16;
  std::vector<std::byte> bytes;

  explicit File(std::vector<Descriptor> descriptors) {
    const auto count = static_cast<std::uint32_t>(descriptors.size());
    put(0, std::uint32_t{0});
    put(4, kNameBytes);
    put(8, count);
    put(12, std::uint32_t{24});
    put(16, std::uint32_t{24 + kNameBytes});
    put(20, data_at(count));
    text(24, "kvm-42");
    std::size_t at = 24 + kNameBytes;
    for (const Descriptor& d : descriptors) {
      put(at, d.flags);
      put(at + 4, d.exponent);
      put(at + 6, d.values);
      put(at + 8, d.offset);
      put(at + 12, d.bucket);
      text(at + 16, d.name);
      at += 16 + kNameBytes;
    }
    for (std::uint64_t i = 0; i < 8; ++i) put(data_at(count) + 8 * i, 100 + i);
  }

  static std::uint32_t data_at(std::uint32_t count) { return 24 + 16 + count * (16 + kNameBytes); }
  template <class T>
  void put(std::size_t at, T value) {
    if (bytes.size() < at + sizeof(T)) bytes.resize(at + sizeof(T));
    std::memcpy(bytes.data() + at, &value, sizeof(value));
  }
  void text(std::size_t at, const char* value) {
    if (bytes.size() < at + kNameBytes) bytes.resize(at + kNameBytes);
    std::memcpy(bytes.data() + at, value, std::strlen(value));
  }
  [[nodiscard]] Result<StatsSchema> parse() const { return parse_stats(bytes); }
};

const Descriptor kExits{
    .flags = 0, .exponent = 0, .values = 1, .offset = 0, .bucket = 0, .name = "exits"};
// A logarithmic histogram in units of 10^-9 seconds.
const Descriptor kWait{.flags = 0x4 | 0x2 << 4,
                       .exponent = -9,
                       .values = 4,
                       .offset = 16,
                       .bucket = 0,
                       .name = "wait_hist"};

bool malformed(const Result<StatsSchema>& schema) {
  return !schema && schema.error().domain().name == "kvm" &&
         schema.error().code() == static_cast<int>(KvmError::kMalformedStats);
}

TEST_CASE("a statistics file yields its id and descriptors") {
  const auto schema = File({kExits, kWait}).parse();
  REQUIRE(schema);
  CHECK(schema->id == "kvm-42");
  REQUIRE(schema->descriptors.size() == 2);
  CHECK(schema->descriptors[0].name == "exits");
  CHECK(schema->descriptors[0].kind == StatsDescriptor::Kind::kCumulative);
  const StatsDescriptor& wait = schema->descriptors[1];
  CHECK(wait.kind == StatsDescriptor::Kind::kLogHistogram);
  CHECK(wait.unit == StatsDescriptor::Unit::kSeconds);
  CHECK_FALSE(wait.power_of_two);
  CHECK(wait.exponent == -9);
  CHECK(wait.values == 4);
  CHECK(wait.offset == 16);
  CHECK(schema->data_bytes == 48);
  CHECK(schema->data_offset == File::data_at(2));
}

TEST_CASE("every contradiction in a statistics file is refused", "[hostile]") {
  struct Row {
    const char* name;
    std::size_t at;
    std::uint32_t value;
  };
  const Row rows[] = {
      {"names of no bytes", 4, 0},
      {"names of a MiB", 4, 1 << 20},
      {"names longer than the file", 4, 1000},
      {"more descriptors than there are", 8, 3},
      {"very many descriptors", 8, 0xffffffff},
      {"an id outside of the file", 12, 0xfffffff0},
      {"descriptors outside of the file", 16, 0xfffffff0},
      {"descriptors in the last byte", 16, 167},
      {"an unknown kind", 40, 5},
      {"an unknown unit", 40, 5 << 4},
      {"an unknown base", 40, 2 << 8},
      {"a misaligned value", 48, 4},
      {"values beyond a MiB", 48, 1 << 20},
      {"values far away", 48, 0xfffffff8},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    File file({kExits, kWait});
    file.put(row.at, row.value);
    CHECK(malformed(file.parse()));
  }
}

TEST_CASE("a name without an end is refused", "[hostile]") {
  File file({kExits});
  for (std::size_t i = 0; i < File::kNameBytes; ++i) file.put(24 + i, 'x');
  CHECK(malformed(file.parse()));
  File other({kExits});
  for (std::size_t i = 0; i < File::kNameBytes; ++i) other.put(56 + i, 'x');
  CHECK(malformed(other.parse()));
}

TEST_CASE("any shortened statistics file is refused", "[hostile]") {
  const File file({kExits, kWait});
  for (std::size_t bytes = 0; bytes < File::data_at(2); ++bytes) {
    CHECK(malformed(parse_stats(std::span(file.bytes).first(bytes))));
  }
  CHECK(parse_stats(std::span(file.bytes).first(File::data_at(2))));
}

UniqueFd memory_file(const std::vector<std::byte>& bytes) {
  UniqueFd fd(::memfd_create("stats", MFD_CLOEXEC));
  REQUIRE(fd);
  REQUIRE(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return fd;
}

TEST_CASE("values are read in the order of the data") {
  const StatsFd stats = StatsFd::adopt(memory_file(File({kExits, kWait}).bytes));
  const auto schema = stats.schema();
  REQUIRE(schema);
  const auto values = stats.read(*schema);
  REQUIRE(values);
  REQUIRE(values->size() == 6);
  CHECK(values->at(0) == 100);
  CHECK(values->at(schema->descriptors[1].offset / 8) == 102);
}

TEST_CASE("a file that ends before its values, or claims to be huge, is refused", "[hostile]") {
  File file({kExits, kWait});
  file.bytes.resize(File::data_at(2) + 40);
  const StatsFd cut = StatsFd::adopt(memory_file(file.bytes));
  const auto schema = cut.schema();
  REQUIRE(schema);
  CHECK(cut.read(*schema).error().code() == static_cast<int>(KvmError::kMalformedStats));
  file.put(8, std::uint32_t{0xffffffff});
  CHECK(malformed(StatsFd::adopt(memory_file(file.bytes)).schema()));
  CHECK(cut.read({.id = "", .descriptors = {}, .data_offset = 0, .data_bytes = 2 << 20})
            .error()
            .code() == static_cast<int>(KvmError::kMalformedStats));
}

}  // namespace
}  // namespace vmm::kvm_ioctls
