// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/fdt/fdt_writer.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "benches/microvm_tree.h"
#include "errors.h"
#include "vmm/fdt/fdt_view.h"

namespace vmm::fdt {
namespace {

using namespace std::string_view_literals;
using Blob = std::vector<std::byte>;

std::uint32_t word(const Blob& blob, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<unsigned>(blob[at + i]);
  return value;
}

TEST_CASE("a blob has the layout of the specification", "[fdt]") {
  const Reservation reserved[] = {{0x3000, 0x10}, {0x1000, 0x1000}};
  FdtWriter writer({.reservations = reserved, .boot_cpu = 7});
  {
    Node root = writer.root();
    root.string("compatible", "abc");
    Node child = root.child("n");
    child.u32("compatible", 0x01020304);
    child.flag("f");
  }
  const auto blob = writer.finish();
  REQUIRE(blob);
  struct Case {
    const char* name;
    std::size_t at;
    std::uint32_t value;
  };
  const std::size_t structure = 40 + 3 * 16;
  const Case cases[] = {
      {"magic", 0, 0xd00dfeed},
      {"size", 4, static_cast<std::uint32_t>(blob->size())},
      {"structure", 8, structure},
      {"strings", 12, structure + 72},
      {"reservations", 16, 40},
      {"version", 20, 17},
      {"last compatible version", 24, 16},
      {"boot cpu", 28, 7},
      {"bytes of strings", 32, 11 + 2},  // each name once
      {"bytes of structure", 36, 72},
      {"first reservation, sorted", 44, 0x1000},
      {"its size", 52, 0x1000},
      {"second reservation", 60, 0x3000},
      {"end of reservations", 76, 0},
      {"end of reservations", 84, 0},
      {"begin root", structure, 1},
      {"its name", structure + 4, 0},
      {"property", structure + 8, 3},
      {"bytes", structure + 12, 4},
      {"name", structure + 16, 0},
      {"value", structure + 20, 0x61626300},
      {"begin node", structure + 24, 1},
      {"its name", structure + 28, 0x6e000000},
      {"property", structure + 32, 3},
      {"bytes", structure + 36, 4},
      {"name again", structure + 40, 0},
      {"value", structure + 44, 0x01020304},
      {"property", structure + 48, 3},
      {"no bytes", structure + 52, 0},
      {"second name", structure + 56, 11},
      {"end node", structure + 60, 2},
      {"end root", structure + 64, 2},
      {"end", structure + 68, 9},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name, c.at);
    CHECK(word(*blob, c.at) == c.value);
  }
  CHECK(blob->size() == structure + 72 + 13);
}

TEST_CASE("properties read back as they were written", "[fdt]") {
  FdtWriter writer({});
  {
    Node root = writer.root();
    root.flag("none");
    root.u32("u32", 0x12345678);
    root.u64("u64", 0x123456789abcdef0);
    root.string("string", "one");
    root.string("empty", "");
    root.strings("strings", {"one", "", "three"});
    root.strings("no-strings", {});
    root.cells("cells", {1, 2});
    root.cells64("cells64", {1, 2});
    root.bytes("bytes", std::as_bytes(std::span("abcde", 5)));
    root.phandle(9);
  }
  const auto blob = writer.finish();
  REQUIRE(blob);
  const auto view = FdtView::open(*blob);
  REQUIRE(view);
  const auto value = [&](std::string_view name) {
    const auto bytes = view->property(view->root(), name);
    REQUIRE(bytes);
    return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  };
  CHECK(value("none").empty());
  CHECK(view->u32(view->root(), "u32") == 0x12345678);
  CHECK(view->u64(view->root(), "u64") == 0x123456789abcdef0);
  CHECK(value("string") == "one\0"sv);
  CHECK(value("empty") == "\0"sv);
  CHECK(value("strings") == "one\0\0three\0"sv);
  CHECK(value("no-strings").empty());
  CHECK(value("cells") == "\0\0\0\1\0\0\0\2"sv);
  CHECK(value("cells64") == "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2"sv);
  CHECK(value("bytes") == "abcde");
  CHECK(view->u32(view->root(), "phandle") == 9);
}

TEST_CASE("every property name is stored once, however many there are", "[fdt]") {
  FdtWriter writer({});
  {
    Node root = writer.root();
    for (std::uint32_t i = 0; i < 1000; ++i) {
      // "p1" and "p10" share a beginning; all come twice.
      const std::string name = "p" + std::to_string(i % 500);
      root.u32(name, i);
    }
  }
  const auto blob = writer.finish();
  REQUIRE(blob);
  CHECK(word(*blob, 32) == 10 * 3 + 90 * 4 + 400 * 5);
  const auto view = FdtView::open(*blob);
  REQUIRE(view);
  CHECK(view->u32(view->root(), "p499") == 499);
}

FdtError error_of(const std::function<void(FdtWriter&)>& build) {
  FdtWriter writer({.max_bytes = 4096});
  build(writer);
  const auto blob = writer.finish();
  REQUIRE_FALSE(blob);
  return blob.error();
}

TEST_CASE("64 nested nodes are accepted, the 65th is not", "[fdt]") {
  const auto nest = [](std::size_t depth) {
    FdtWriter writer({});
    {
      std::vector<Node> nodes;
      nodes.reserve(depth);
      nodes.push_back(writer.root());
      while (nodes.size() < depth) nodes.push_back(nodes.back().child("n"));
      while (!nodes.empty()) nodes.pop_back();
    }
    return writer.finish();
  };
  const auto deepest = nest(64);
  REQUIRE(deepest);
  CHECK(FdtView::open(*deepest));
  const auto deeper = nest(65);
  REQUIRE_FALSE(deeper);
  CHECK(deeper.error() == FdtError::kTooDeep);
}

TEST_CASE("mistakes in the order of calls are reported", "[fdt]") {
  CHECK(error_of([](FdtWriter&) {}) == FdtError::kNoRoot);
  CHECK(error_of([](FdtWriter& w) {
          w.root();
          w.root();
        }) == FdtError::kSecondRoot);
  CHECK(error_of([](FdtWriter& w) {
          Node root = w.root();
          root.child("a");
          root.flag("late");
        }) == FdtError::kPropertyAfterChild);
  CHECK(error_of([](FdtWriter& w) {
          Node root = w.root();
          Node child = root.child("a");
          root.flag("outer");
        }) == FdtError::kNotInnermost);
  CHECK(error_of([](FdtWriter& w) {
          Node root = w.root();
          Node a = root.child("a");
          Node b = root.child("b");
        }) == FdtError::kNotInnermost);
  CHECK(error_of([](FdtWriter& w) {
          auto root = std::make_unique<Node>(w.root());
          const Node child = root->child("a");
          root.reset();
        }) == FdtError::kNotInnermost);
  FdtWriter open({});
  const Node root = open.root();
  const auto unclosed = open.finish();
  REQUIRE_FALSE(unclosed);
  CHECK(unclosed.error() == FdtError::kUnclosedNode);
  FdtWriter twice({});
  twice.root();
  REQUIRE(twice.finish());
  const auto again = twice.finish();
  REQUIRE_FALSE(again);
  CHECK(again.error() == FdtError::kFinished);
}

TEST_CASE("a property of a sibling's child does not close its parent's", "[fdt]") {
  FdtWriter writer({});
  {
    Node root = writer.root();
    {
      const Node a = root.child("a");
    }
    Node b = root.child("b");  // takes a's place in the stack
    b.flag("fine");
    Node c = b.child("c");
    c.flag("fine");
  }
  CHECK(writer.finish());
}

TEST_CASE("the first mistake is the one that is reported", "[fdt]") {
  CHECK(error_of([](FdtWriter& w) {
          Node root = w.root();
          root.flag("bad!");
          root.phandle(0);
          Node child = root.child("1bad");
          child.flag("x");
        }) == FdtError::kPropertyName);
}

TEST_CASE("node names follow the specification", "[fdt]") {
  struct Case {
    std::string_view name;
    std::optional<FdtError> expected;
  };
  const auto c = GENERATE(values<Case>({
      {"abcdef", {}},
      {"a", {}},
      {"abcdef@1000", {}},
      {"A,b.c_d+e-f@1,2.3_4+5-z", {}},
      {"abcdefghijklmnopqrstuvwxyz12345", {}},
      {"abcdefghijklmnopqrstuvwxyz12345@123456789", {}},
      {"", FdtError::kNodeName},
      {"abcdefghijklmnopqrstuvwxyz123456", FdtError::kNodeName},
      {"abcdef@1000#", FdtError::kNodeName},
      {"@1000", FdtError::kNodeName},
      {"abc@", FdtError::kNodeName},
      {"abc@1@2", FdtError::kNodeName},
      {"1abc", FdtError::kNodeName},
      {"abc/def", FdtError::kNodeName},
      {"abc def", FdtError::kNodeName},
      {"abc\0def"sv, FdtError::kInvalidString},
      {"abc@1\0"sv, FdtError::kInvalidString},
  }));
  CAPTURE(c.name);
  FdtWriter writer({});
  {
    Node root = writer.root();
    const Node child = root.child(c.name);
  }
  const auto blob = writer.finish();
  REQUIRE(blob.has_value() == !c.expected);
  if (!blob) CHECK(blob.error() == *c.expected);
}

TEST_CASE("property names follow the specification", "[fdt]") {
  struct Case {
    std::string_view name;
    std::optional<FdtError> expected;
  };
  const auto c = GENERATE(values<Case>({
      {"01234", {}},
      {"#address-cells", {}},
      {"a,b.c_d+e?f#-9Z", {}},
      {"abcdefghijklmnopqrstuvwxyz12345", {}},
      {"", FdtError::kPropertyName},
      {"abcdefghijklmnopqrstuvwxyz123456", FdtError::kPropertyName},
      {"abc@1", FdtError::kPropertyName},
      {"abc!", FdtError::kPropertyName},
      {"abc\x80", FdtError::kPropertyName},
      {"abc\0"sv, FdtError::kInvalidString},
  }));
  CAPTURE(c.name);
  FdtWriter writer({});
  writer.root().flag(c.name);
  const auto blob = writer.finish();
  REQUIRE(blob.has_value() == !c.expected);
  if (!blob) CHECK(blob.error() == *c.expected);
}

TEST_CASE("strings hold no NUL", "[fdt]") {
  CHECK(error_of([](FdtWriter& w) { w.root().string("a", "b\0"sv); }) == FdtError::kInvalidString);
  CHECK(error_of([](FdtWriter& w) { w.root().strings("a", {"b", "c\0d"sv}); }) ==
        FdtError::kInvalidString);
}

TEST_CASE("the node of labels has its name under the root only", "[fdt]") {
  const auto with = [](bool below) {
    FdtWriter w({});
    {
      Node root = w.root();
      if (below) {
        Node a = root.child("a");
        a.child("__symbols__");
      } else {
        Node symbols = root.child("__symbols__");
        symbols.string("label", "/a");
      }
    }
    return w.finish();
  };
  CHECK(with(false));
  const auto refused = with(true);
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == FdtError::kNodeName);
  FdtWriter root({});
  root.root().child("__overlay__");
  CHECK_FALSE(root.finish());
}

TEST_CASE("a phandle is unique and none of the reserved values", "[fdt]") {
  const auto with = [](std::uint32_t value) {
    return error_of([value](FdtWriter& w) {
      Node root = w.root();
      root.phandle(5);
      {
        Node a = root.child("a");
        a.phandle(3);
      }
      Node b = root.child("b");
      b.phandle(value);
    });
  };
  CHECK(with(5) == FdtError::kDuplicatePhandle);
  CHECK(with(3) == FdtError::kDuplicatePhandle);
  CHECK(with(0) == FdtError::kInvalidPhandle);
  CHECK(with(~0u) == FdtError::kInvalidPhandle);
}

TEST_CASE("memory reservations are valid ranges without overlap", "[fdt]") {
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  struct Case {
    const char* name;
    std::vector<Reservation> list;
    std::optional<FdtError> expected;
  };
  const auto c = GENERATE(values<Case>({
      {"touching", {{0, 1}, {1, 1}, {2, 2}}, {}},
      {"touching, unsorted", {{2, 2}, {0, 1}, {1, 1}}, {}},
      {"the last byte but one", {{kMax - 1, 1}}, {}},
      {"empty", {{1, 0}}, FdtError::kInvalidReservation},
      {"to 2^64", {{1, kMax}}, FdtError::kInvalidReservation},
      {"past 2^64", {{kMax, 2}}, FdtError::kInvalidReservation},
      {"overlap", {{3, 1}, {0, 1}, {2, 2}}, FdtError::kOverlapReservations},
      {"the same twice", {{3, 1}, {3, 1}}, FdtError::kOverlapReservations},
  }));
  CAPTURE(c.name);
  FdtWriter writer({.reservations = c.list});
  writer.root();
  const auto blob = writer.finish();
  REQUIRE(blob.has_value() == !c.expected);
  if (!blob) CHECK(blob.error() == *c.expected);
}

TEST_CASE("a blob grows up to its budget and no further", "[fdt]") {
  const auto build = [](std::size_t max_bytes) {
    FdtWriter writer({.max_bytes = max_bytes});
    {
      Node root = writer.root();
      const Blob value(10000);
      for (int i = 0; i < 3; ++i) root.bytes("p" + std::to_string(i), value);
    }
    return writer.finish();
  };
  const auto blob = build(1 << 20);
  REQUIRE(blob);
  CHECK(build(blob->size()));
  for (std::size_t bytes = 0; bytes < blob->size(); bytes += bytes < 100 ? 1 : 501) {
    const auto smaller = build(bytes);
    REQUIRE_FALSE(smaller);
    CHECK(smaller.error() == FdtError::kTooLarge);
  }
  CHECK_FALSE(build(blob->size() - 1));
}

/// Runs dtc over a blob, answers its output and messages; nullopt where there is no dtc.
std::optional<std::string> decompile(const Blob& blob) {
  if (std::system("command -v dtc >/dev/null 2>&1") != 0) return std::nullopt;
  char name[] = "/tmp/vmm-fdt-XXXXXX";
  const int fd = ::mkstemp(name);
  REQUIRE(fd >= 0);
  REQUIRE(::write(fd, blob.data(), blob.size()) == static_cast<ssize_t>(blob.size()));
  ::close(fd);
  const std::string command = std::string("dtc -I dtb -O dts ") + name + " 2>&1";
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char chunk[4096];
  for (std::size_t n = 0; (n = std::fread(chunk, 1, sizeof(chunk), pipe)) != 0;) {
    text.append(chunk, n);
  }
  CHECK(::pclose(pipe) == 0);
  ::unlink(name);
  return text;
}

TEST_CASE("dtc reads a whole machine without a warning", "[fdt]") {
  struct Case {
    std::uint32_t cpus;
    std::uint32_t devices;
  };
  const auto c = GENERATE(values<Case>({{1, 4}, {16, 32}}));
  FdtWriter writer({});
  bench::microvm_tree(writer, c.cpus, c.devices);
  const auto blob = writer.finish();
  REQUIRE(blob);
  CHECK(FdtView::open(*blob));
  const auto text = decompile(*blob);
  if (!text) {
    WARN("dtc is not installed: its check is left out");
    return;
  }
  CHECK(text->find("arm,gic-v3") != std::string::npos);
  INFO(*text);
  CHECK(text->find("Warning") == std::string::npos);
}

TEST_CASE("every device tree error has words of its own", "[fdt]") {
  check_words(FdtError::kOverlayTarget, FdtError::kNodeName);
}

}  // namespace
}  // namespace vmm::fdt
