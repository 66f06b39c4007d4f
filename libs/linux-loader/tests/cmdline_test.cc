// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/linux_loader/cmdline.h"

#include <catch2/catch.hpp>
#include <vector>

#include "builders.h"
#include "errors.h"

namespace vmm::linux_loader {
namespace {

using namespace testing;
using namespace std::string_view_literals;

Cmdline make(std::size_t capacity, std::string_view boot = {}) {
  auto cmdline = Cmdline::create(capacity);
  REQUIRE(cmdline);
  REQUIRE(cmdline->append(boot));
  return *cmdline;
}

void check_refused(const Result<void, CmdlineError>& result, CmdlineError expected) {
  REQUIRE_FALSE(result);
  CHECK(result.error() == expected);
}

TEST_CASE("parameters are joined with one space each", "[cmdline]") {
  Cmdline cmdline = make(100);
  REQUIRE(cmdline.insert("console", "ttyS0"));
  REQUIRE(cmdline.append("  quiet ro "));
  REQUIRE(cmdline.append(""));
  const std::string_view values[] = {"a", "b=c", "\"d e\""};
  REQUIRE(cmdline.insert_list("list", values));
  CHECK(cmdline.text() == "console=ttyS0 quiet ro list=a,b=c,\"d e\"");
  CHECK(cmdline.size() == cmdline.text().size());
  CHECK(cmdline.boot_args() == cmdline.text());
}

TEST_CASE("the capacity counts the NUL, and what is too long changes nothing", "[cmdline]") {
  CHECK(Cmdline::create(0).error() == CmdlineError::kCapacity);
  Cmdline cmdline = make(10, "abc");
  check_refused(cmdline.insert("d", "efgh"), CmdlineError::kTooLong);
  check_refused(cmdline.append("defghi"), CmdlineError::kTooLong);
  check_refused(cmdline.append_init("efg"), CmdlineError::kTooLong);
  const std::string_view values[] = {"e", "fg"};
  check_refused(cmdline.insert_list("d", values), CmdlineError::kTooLong);
  CHECK(cmdline.text() == "abc");
  REQUIRE(cmdline.insert("d", "efg"));
  CHECK(cmdline.text() == "abc d=efg");
  check_refused(cmdline.append("x"), CmdlineError::kTooLong);
  Cmdline one = make(1);
  check_refused(one.append("x"), CmdlineError::kTooLong);
  CHECK(one.text().empty());
}

TEST_CASE("bad keys and values are refused and change nothing", "[cmdline][hostile]") {
  struct Case {
    const char* name;
    std::string_view key;
    std::string_view value;
    std::optional<CmdlineError> expected;
  };
  const auto c = GENERATE(values<Case>({
      {"empty key", "", "v", CmdlineError::kKey},
      {"space in key", "a b", "v", CmdlineError::kKey},
      {"equals in key", "a=b", "v", CmdlineError::kKey},
      {"newline in key", "a\n", "v", CmdlineError::kNotPrintable},
      {"NUL in value", "a", "v\0w"sv, CmdlineError::kNotPrintable},
      {"DEL in value", "a", "\x7f", CmdlineError::kNotPrintable},
      {"UTF-8 in value", "a", "\xc3\xa9", CmdlineError::kNotPrintable},
      {"bare space in value", "a", "v w", CmdlineError::kQuoting},
      {"half quoted", "a", "\"v w", CmdlineError::kQuoting},
      {"the other half quoted", "a", "v w\"", CmdlineError::kQuoting},
      {"one quote", "a", "\"", CmdlineError::kQuoting},
      {"quote inside", "a", "\"v\"w\"", CmdlineError::kQuoting},
      {"quote in a bare word", "a", "v\"w", CmdlineError::kQuoting},
      {"quoted", "a", "\"v w\"", std::nullopt},
      {"empty value", "a", "", std::nullopt},
      {"equals in value", "a", "b=c", std::nullopt},
  }));
  CAPTURE(c.name);
  Cmdline cmdline = make(100, "ro");
  const auto result = cmdline.insert(c.key, c.value);
  CHECK(result.has_value() == !c.expected);
  if (c.expected && !result) {
    CHECK(result.error() == *c.expected);
    CHECK(cmdline.text() == "ro");
  }
}

TEST_CASE("an empty list of values is refused", "[cmdline][hostile]") {
  Cmdline cmdline = make(100);
  check_refused(cmdline.insert_list("a", {}), CmdlineError::kMissingValue);
  const std::string_view values[] = {"b", "c d"};
  check_refused(cmdline.insert_list("a", values), CmdlineError::kQuoting);
  CHECK(cmdline.text().empty());
}

TEST_CASE("arguments for init follow a separator", "[cmdline]") {
  Cmdline cmdline = make(32);
  check_refused(cmdline.append_init("x"), CmdlineError::kNoBootArgs);
  REQUIRE(cmdline.append_init(""));
  REQUIRE(cmdline.append("ro"));
  REQUIRE(cmdline.append_init(" "));
  CHECK(cmdline.text() == "ro");
  REQUIRE(cmdline.append_init("one"));
  REQUIRE(cmdline.append_init(" "));
  REQUIRE(cmdline.append_init(" two "));
  REQUIRE(cmdline.append("quiet"));  // boot parameters may still come
  CHECK(cmdline.text() == "ro quiet -- one two");
  CHECK(cmdline.size() == 19);
  check_refused(cmdline.append_init("a\x01"), CmdlineError::kNotPrintable);
  check_refused(cmdline.append("a\x01"), CmdlineError::kNotPrintable);
  REQUIRE(cmdline.append_init("12345678901"));
  CHECK(cmdline.size() == 31);
  check_refused(cmdline.append_init("x"), CmdlineError::kTooLong);
}

TEST_CASE("boot parameters cannot smuggle the separator in", "[cmdline][hostile]") {
  const std::string_view text = GENERATE("--", "-- x", "x --", "x -- y");
  Cmdline cmdline = make(100, "ro");
  check_refused(cmdline.append(text), CmdlineError::kSeparator);
  CHECK(cmdline.text() == "ro");
  REQUIRE(cmdline.append("--x x-- a=\"b -- c\""));
}

TEST_CASE("a whole command line is split at the first separator outside quotes", "[cmdline]") {
  struct Case {
    std::string_view text;
    std::string_view boot;
    std::string_view init;
  };
  const auto c = GENERATE(values<Case>({
      {"", "", ""},
      {" a  b \n", "a  b", ""},
      {"a -- b", "a", "b"},
      {"a -- b -- c", "a", "b -- c"},
      {"a --  b ", "a", "b"},
      {"a -- ", "a", ""},
      {"a --b c-- d", "a --b c-- d", ""},
      {"a=\"b -- c\" -- d", "a=\"b -- c\"", "d"},
      {"a --", "a", ""},
      {"a -- -- b", "a", "-- b"},
      {"a=\"b --", "a=\"b --", ""},
      {"--", "", ""},
      {" -- ", "", ""},
      {"-- \n", "", ""},
      {"--x", "--x", ""},
      {"x--", "x--", ""},
      {"--x -- y", "--x", "y"},
      {"--- a", "--- a", ""},
      {"a\n--\tb", "a", "b"},
      {"a --\r", "a", ""},
  }));
  CAPTURE(c.text);
  const auto cmdline = Cmdline::parse(c.text, 100);
  REQUIRE(cmdline);
  CHECK(cmdline->boot_args() == c.boot);
  CHECK(cmdline->init_args() == c.init);
}

TEST_CASE("a bad whole command line is refused", "[cmdline][hostile]") {
  struct Case {
    std::string_view text;
    std::size_t capacity;
    CmdlineError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"a", 0, CmdlineError::kCapacity},
      {"a", 1, CmdlineError::kTooLong},
      {"a -- b", 6, CmdlineError::kTooLong},
      {"abcd -- b", 5, CmdlineError::kTooLong},
      {"a\tb", 100, CmdlineError::kNotPrintable},
      {"a -- b\x80", 100, CmdlineError::kNotPrintable},
      {" -- b", 100, CmdlineError::kNoBootArgs},
      {"-- b", 100, CmdlineError::kNoBootArgs},
      {"-- --", 100, CmdlineError::kNoBootArgs},
      {"--\r -- b", 100, CmdlineError::kNoBootArgs},
      {"a\t-- b -- c\n\xff", 100, CmdlineError::kNotPrintable},
  }));
  CAPTURE(c.text, c.capacity);
  const auto cmdline = Cmdline::parse(c.text, c.capacity);
  REQUIRE_FALSE(cmdline);
  CHECK(cmdline.error() == c.expected);
  CHECK(Cmdline::parse("a -- b", 7));
}

TEST_CASE("virtio-mmio devices are named as the kernel parses them", "[cmdline]") {
  struct Case {
    VirtioMmioDevice device;
    std::string_view text;
  };
  const auto at = GuestAddress(0xd0000000);
  const auto c = GENERATE_COPY(values<Case>({
      {{4096, at, 5, std::nullopt}, "virtio_mmio.device=4K@0xd0000000:5"},
      {{4096, at, 5, 42}, "virtio_mmio.device=4K@0xd0000000:5:42"},
      {{1, GuestAddress(0), 0, 0}, "virtio_mmio.device=1@0x0:0:0"},
      {{1025, at, 5, {}}, "virtio_mmio.device=1025@0xd0000000:5"},
      {{3 << 20, at, 5, {}}, "virtio_mmio.device=3M@0xd0000000:5"},
      {{1 << 30, at, 5, {}}, "virtio_mmio.device=1G@0xd0000000:5"},
      {{std::uint64_t{1} << 40, at, 5, {}}, "virtio_mmio.device=1024G@0xd0000000:5"},
      {{kTop, GuestAddress(kTop), ~0u, ~0u},
       "virtio_mmio.device=18446744073709551615@0xffffffffffffffff:4294967295:4294967295"},
  }));
  Cmdline cmdline = make(100);
  REQUIRE(cmdline.add_virtio_mmio(c.device));
  CHECK(cmdline.text() == c.text);
  check_refused(cmdline.add_virtio_mmio({0, at, 5, {}}), CmdlineError::kDeviceSize);
  Cmdline small = make(34);
  check_refused(small.add_virtio_mmio({4096, at, 5, {}}), CmdlineError::kTooLong);
  CHECK(small.text().empty());
}

TEST_CASE("a command line is written with its NUL, or not at all", "[cmdline]") {
  const Ram ram(0x1000);
  const Cmdline cmdline = make(10, "1=2 3");  // 6 bytes
  REQUIRE(load_cmdline(ram.view(), GuestAddress(0x1000 - 6), cmdline));
  CHECK(ram.at(0x1000 - 6) == std::byte{'1'});
  CHECK(ram.at(0xffe) == std::byte{'3'});
  CHECK(ram.at(0xfff) == std::byte{0});
  CHECK(ram.untouched(0, 0x1000 - 6));
  const Ram other(0x1000);
  for (const std::uint64_t at : {std::uint64_t{0x1000 - 5}, std::uint64_t{0x1000}, kTop - 2}) {
    check_refused(load_cmdline(other.view(), GuestAddress(at), cmdline), CmdlineError::kOutsideRam);
  }
  CHECK(other.untouched());
}

TEST_CASE("every command line error has words of its own", "[cmdline]") {
  check_words(CmdlineError::kOutsideRam, CmdlineError::kCapacity);
}

}  // namespace
}  // namespace vmm::linux_loader
