// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/fdt/fdt_view.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "benches/microvm_tree.h"
#include "vmm/base/endian.h"

namespace vmm::fdt {
namespace {

using Blob = std::vector<std::byte>;

Blob machine() {
  FdtWriter writer({});
  bench::microvm_tree(writer, 2, 2);
  const auto blob = writer.finish();
  REQUIRE(blob);
  return *blob;
}

void put_be32(Blob& blob, std::size_t at, std::uint32_t value) {
  const Be32 raw(value);
  std::memcpy(blob.data() + at, &raw, 4);
}

TEST_CASE("nodes and properties are found by path and name", "[fdt]") {
  const Blob blob = machine();
  const auto view = FdtView::open(blob);
  REQUIRE(view);
  CHECK(view->blob().size() == blob.size());
  const auto cpu = view->find("/cpus/cpu@1");
  REQUIRE(cpu);
  CHECK(view->name(*cpu) == "cpu@1");
  CHECK(view->u64(*cpu, "reg") == 1);
  CHECK(view->string(*cpu, "device_type") == "cpu");
  CHECK_FALSE(view->u32(*cpu, "reg"));  // 8 bytes
  CHECK_FALSE(view->property(*cpu, "absent"));
  CHECK_FALSE(view->string(*cpu, "absent"));
  const auto memory = view->find("/memory");
  REQUIRE(memory);
  CHECK(view->name(*memory) == "memory@80000000");
  CHECK(view->find("/") == view->root());
  for (const char* path : {"", "cpus", "/cpus/cpu@2", "/none", "//x"}) {
    CAPTURE(path);
    CHECK_FALSE(view->find(path));
  }
}

TEST_CASE("children are visited in order", "[fdt]") {
  const Blob blob = machine();
  const auto view = FdtView::open(blob);
  REQUIRE(view);
  std::vector<std::string> names;
  for (auto node = view->first_child(view->root()); node; node = view->next_sibling(*node)) {
    names.emplace_back(view->name(*node));
  }
  REQUIRE(names.size() == 10);
  CHECK(names[0] == "cpus");
  CHECK(names[9] == "virtio_mmio@40004000");
  const auto leaf = view->find("/psci");
  REQUIRE(leaf);
  CHECK_FALSE(view->first_child(*leaf));
}

TEST_CASE("a string without a NUL is none", "[fdt][hostile]") {
  FdtWriter writer({});
  {
    Node root = writer.root();
    root.u32("word", 0x61616161);
    root.flag("none");
  }
  const auto blob = writer.finish();
  REQUIRE(blob);
  const auto view = FdtView::open(*blob);
  REQUIRE(view);
  CHECK_FALSE(view->string(view->root(), "word"));
  CHECK_FALSE(view->string(view->root(), "none"));
}

TEST_CASE("a damaged blob is refused", "[fdt][hostile]") {
  struct Case {
    const char* name;
    std::size_t at;
    std::uint32_t value;
  };
  const auto c = GENERATE(values<Case>({
      {"magic", 0, 0xd00dfeee},
      {"size beyond the bytes", 4, 0x10000},
      {"size 0", 4, 0},
      {"structure outside", 8, 0xfffffff0},
      {"strings outside", 12, 0xfffffff0},
      {"reservations outside", 16, 0xfffffff0},
      {"last compatible version", 24, 99},
      {"bytes of strings", 32, 0xffffffff},
      {"bytes of structure", 36, 0xffffffff},
      {"a token", 56, 7},
      {"a property's size", 56 + 12, 0x7fffffff},
      {"a property's name", 56 + 16, 0x7fffffff},
  }));
  CAPTURE(c.name);
  Blob blob = machine();
  put_be32(blob, c.at, c.value);
  const auto view = FdtView::open(blob);
  REQUIRE_FALSE(view);
  CHECK(view.error() == FdtError::kBadBlob);
}

TEST_CASE("a blob cut at any byte is refused", "[fdt][hostile]") {
  const Blob blob = machine();
  for (std::size_t bytes = 0; bytes < blob.size(); ++bytes) {
    CHECK_FALSE(FdtView::open(std::span(blob).first(bytes)));
  }
}

/// A tree whose root has the property "x", whose name is then made this long. Its end is left to
/// the end of the blob unless `closed`.
Blob with_name(std::size_t bytes, bool closed = true) {
  FdtWriter writer({});
  writer.root().u32("x", 7);
  Blob blob = *writer.finish();
  const std::size_t name = blob.size() - 2;
  REQUIRE(blob[name] == std::byte{'x'});
  blob.resize(name);
  blob.resize(name + bytes, std::byte{'x'});
  if (closed) blob.push_back(std::byte{0});
  put_be32(blob, 4, static_cast<std::uint32_t>(blob.size()));
  put_be32(blob, 32, static_cast<std::uint32_t>(blob.size() - name));
  return blob;
}

TEST_CASE("a name of a property may be long, but not without end", "[fdt][hostile]") {
  for (const auto bytes : {1U, 31U, 32U, 255U}) {
    const Blob blob = with_name(bytes);
    const auto view = FdtView::open(blob);
    REQUIRE(view);
    CHECK(view->u32(view->root(), std::string(bytes, 'x')) == 7);
  }
  for (const auto bytes : {256U, 257U, 1U << 20}) {
    const auto view = FdtView::open(with_name(bytes));
    REQUIRE_FALSE(view);
    CHECK(view.error() == FdtError::kBadBlob);
  }
  CHECK_FALSE(FdtView::open(with_name(255, false)));
}

TEST_CASE("a blob whose strings are elsewhere is refused", "[fdt][hostile]") {
  const Blob good = machine();
  for (const auto at : {12U, 32U}) {
    for (const auto value : {static_cast<std::uint32_t>(good.size()) + 1, ~0U}) {
      Blob blob = good;
      put_be32(blob, at, value);
      const auto view = FdtView::open(blob);
      REQUIRE_FALSE(view);
      CHECK(view.error() == FdtError::kBadBlob);
    }
  }
}

TEST_CASE("a blob that is misaligned or too large is refused", "[fdt][hostile]") {
  Blob blob = machine();
  blob.insert(blob.begin(), 4, std::byte{0});
  const auto misaligned = FdtView::open(std::span(blob).subspan(4));
  REQUIRE_FALSE(misaligned);
  CHECK(misaligned.error() == FdtError::kMisaligned);
  Blob large = machine();
  large.resize(FdtView::kMaxBytes + 1);
  put_be32(large, 4, FdtView::kMaxBytes + 1);
  const auto refused = FdtView::open(large);
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == FdtError::kTooLarge);
}

/// A blob of `depth` nested nodes, which the writer would refuse to make.
Blob nested(std::size_t depth) {
  Blob blob(56);
  const auto add = [&blob](std::uint32_t value) {
    blob.resize(blob.size() + 4);
    put_be32(blob, blob.size() - 4, value);
  };
  for (std::size_t i = 0; i < depth; ++i) {
    add(1);
    add(i == 0 ? 0 : 0x6e000000);
  }
  for (std::size_t i = 0; i < depth; ++i) add(2);
  add(9);
  const auto total = static_cast<std::uint32_t>(blob.size());
  const std::uint32_t header[] = {0xd00dfeed, total, 56, total, 40, 17, 16, 0, 0, total - 56};
  for (std::size_t i = 0; i < 10; ++i) put_be32(blob, 4 * i, header[i]);
  return blob;
}

TEST_CASE("nodes nested deeper than 64 are refused, however many", "[fdt][hostile]") {
  CHECK(FdtView::open(nested(64)));
  for (const std::size_t depth : {std::size_t{65}, std::size_t{100000}}) {
    const Blob blob = nested(depth);
    const auto view = FdtView::open(blob);
    REQUIRE_FALSE(view);
    CHECK(view.error() == FdtError::kTooDeep);
    CHECK_FALSE(apply_overlay(machine(), blob));
  }
}

TEST_CASE("cells are read as far as they go", "[fdt]") {
  FdtWriter writer({});
  {
    Node root = writer.root();
    root.cells("cells", {1, 0x8000'0002});
    root.bytes("odd", std::as_bytes(std::span("\0\0\0\7..", 6)));
    root.flag("none");
  }
  const Blob blob = *writer.finish();
  const auto view = FdtView::open(blob);
  REQUIRE(view);
  const auto cells = view->cells(view->root(), "cells");
  REQUIRE(cells.size() == 2);
  CHECK(cells[0] == 1);
  CHECK(cells[1] == 0x8000'0002);
  CHECK(cells[2] == 0);
  CHECK(cells[~std::size_t{0}] == 0);
  const auto odd = view->cells(view->root(), "odd");
  REQUIRE(odd.size() == 1);
  CHECK(odd[0] == 7);
  CHECK(odd[1] == 0);
  CHECK(view->cells(view->root(), "none").empty());
  CHECK(view->cells(view->root(), "missing").empty());
  CHECK(FdtView::Cells()[0] == 0);
}

TEST_CASE("a string is found in a list of whole strings", "[fdt]") {
  FdtWriter writer({});
  {
    Node root = writer.root();
    root.strings("list", {"one", "", "three"});
    root.bytes("open", std::as_bytes(std::span("one\0two", 7)));
    root.flag("none");
  }
  const Blob blob = *writer.finish();
  const auto view = FdtView::open(blob);
  REQUIRE(view);
  struct Case {
    const char* name;
    const char* value;
    bool found;
  };
  const auto c = GENERATE(values<Case>({{"list", "one", true},
                                        {"list", "", true},
                                        {"list", "three", true},
                                        {"list", "thr", false},
                                        {"list", "hree", false},
                                        {"open", "one", true},
                                        {"open", "two", false},
                                        {"none", "", false},
                                        {"missing", "", false}}));
  CAPTURE(c.name, c.value);
  CHECK(view->has_string(view->root(), c.name, c.value) == c.found);
}

/// Names that begin with "xx" get the "__" of overlays, which are no names for the writer.
Blob with_overlay_names(Blob blob) {
  for (const std::string_view name : {"xxoverlay__", "xxfixups__", "xxlocal_fixups__"}) {
    const auto bytes = std::as_bytes(std::span(name));
    for (auto at = blob.begin();;) {
      at = std::search(at, blob.end(), bytes.begin(), bytes.end());
      if (at == blob.end()) break;
      std::fill_n(at, 2, std::byte{'_'});
    }
  }
  return blob;
}

/// A tree with a label for its chosen node, as dtc -@ makes it.
Blob labelled_machine(std::uint32_t phandle = 1) {
  FdtWriter writer({});
  {
    Node root = writer.root();
    {
      Node chosen = root.child("chosen");
      chosen.string("bootargs", "ro");
      chosen.phandle(phandle);
    }
    Node symbols = root.child("__symbols__");
    symbols.string("chosen", "/chosen");
  }
  return with_overlay_names(*writer.finish());
}

enum class Target { kPath, kLabel };

Blob overlay(Target how, std::string_view target) {
  FdtWriter writer({});
  {
    Node root = writer.root();
    {
      Node fragment = root.child("fragment@0");
      if (how == Target::kPath) fragment.string("target-path", target);
      if (how == Target::kLabel) fragment.u32("target", 0xffffffff);
      Node content = fragment.child("xxoverlay__");
      content.string("bootargs", "quiet");
      Node extra = content.child("extra");
      extra.u32("value", 42);
    }
    if (how == Target::kLabel) {
      Node fixups = root.child("xxfixups__");
      fixups.string(target, "/fragment@0:target:0");
    }
  }
  return with_overlay_names(*writer.finish());
}

TEST_CASE("an overlay is merged by path and by label", "[fdt][overlay]") {
  const Blob changes =
      GENERATE(overlay(Target::kPath, "/chosen"), overlay(Target::kLabel, "chosen"));
  const Blob tree = labelled_machine();
  const Blob tree_before = tree;
  const Blob changes_before = changes;
  const auto merged = apply_overlay(tree, changes);
  REQUIRE(merged);
  CHECK(tree == tree_before);
  CHECK(changes == changes_before);
  const auto view = FdtView::open(*merged);
  REQUIRE(view);
  const auto chosen = view->find("/chosen");
  const auto extra = view->find("/chosen/extra");
  REQUIRE(chosen);
  REQUIRE(extra);
  CHECK(view->string(*chosen, "bootargs") == "quiet");
  CHECK(view->u32(*extra, "value") == 42);
  CHECK(view->u32(*chosen, "phandle") == 1);
}

TEST_CASE("an overlay that cannot be merged is refused", "[fdt][overlay][hostile]") {
  const Blob tree = labelled_machine();
  Blob bad_tree = tree;
  bad_tree[0] = std::byte{0};
  Blob bad_overlay = overlay(Target::kPath, "/chosen");
  bad_overlay[0] = std::byte{0};
  Blob large = overlay(Target::kPath, "/chosen");
  large.resize(kMaxOverlayBytes + 1);
  struct Case {
    const char* name;
    Blob tree;
    Blob changes;
    FdtError expected;
  };
  const auto c = GENERATE_COPY(values<Case>({
      {"tree damaged", bad_tree, overlay(Target::kPath, "/chosen"), FdtError::kBadBlob},
      {"tree empty", {}, overlay(Target::kPath, "/chosen"), FdtError::kBadBlob},
      {"overlay damaged", tree, bad_overlay, FdtError::kBadOverlay},
      {"overlay empty", tree, {}, FdtError::kBadOverlay},
      {"overlay too large", tree, large, FdtError::kTooLarge},
      {"no such path", tree, overlay(Target::kPath, "/none"), FdtError::kOverlayTarget},
      {"no such label", tree, overlay(Target::kLabel, "none"), FdtError::kOverlayTarget},
  }));
  CAPTURE(c.name);
  const auto merged = apply_overlay(c.tree, c.changes);
  REQUIRE_FALSE(merged);
  CHECK(merged.error() == c.expected);
}

/// An overlay with two phandles of its own to renumber, and a label to fill in.
struct Patches {
  std::vector<std::uint32_t> local = {0, 4};        ///< offsets in "users" of /fragment@0
  std::string_view local_node = "fragment@0";       ///< where they are listed
  std::string_view local_property = "users";        ///< under which name
  std::string_view fixup = "/fragment@0:target:0";  ///< for the label "chosen"
  std::string_view label = "chosen";
};

Blob patched_overlay(const Patches& patches) {
  FdtWriter writer({});
  {
    Node root = writer.root();
    {
      Node fragment = root.child("fragment@0");
      fragment.u32("target", 0xffffffff);
      fragment.cells("users", {1, 1});
      fragment.phandle(2);
      fragment.u32("linux,phandle", 2);
      Node content = fragment.child("xxoverlay__");
      content.cells("extra-users", {1, 1});
      content.phandle(1);
    }
    {
      Node local = root.child("xxlocal_fixups__");
      Node fragment = local.child(patches.local_node);
      fragment.cells(patches.local_property, patches.local);
    }
    Node fixups = root.child("xxfixups__");
    fixups.string(patches.label, patches.fixup);
  }
  return with_overlay_names(*writer.finish());
}

TEST_CASE("versions before 17 are refused", "[fdt][hostile]") {
  for (const int version : {0, 1, 3, 15, 16, 17}) {
    CAPTURE(version);
    Blob blob = machine();
    blob[23] = static_cast<std::byte>(version);
    if (version < 16) blob[27] = static_cast<std::byte>(version);
    CHECK(FdtView::open(blob).has_value() == (version == 17));
  }
}

TEST_CASE("places to patch lie within their properties", "[fdt][overlay][hostile]") {
  using namespace std::string_view_literals;
  struct Case {
    const char* name;
    Patches patches;
    bool good;
  };
  const auto c = GENERATE(values<Case>({
      {"as a compiler makes it", {}, true},
      {"unaligned", {.local = {1, 4}}, true},
      {"no offsets", {.local = {}}, true},
      {"one byte past the end", {.local = {5}}, false},
      {"far past the end", {.local = {0x80'0000}}, false},
      {"just below 2^32", {.local = {0xffff'fffc}}, false},
      {"of a property that is not there", {.local_property = "none"}, false},
      {"of a node that is not there", {.local_node = "fragment@1"}, false},
      {"offsets that are renumbered themselves",
       {.local = {0}, .local_property = "phandle"},
       false},
      {"the same by its old name", {.local = {0}, .local_property = "linux,phandle"}, false},
      {"in the list itself", {.local_node = "xxfixups__", .local_property = "chosen"}, false},
      {"a label past the end", {.fixup = "/fragment@0:target:1"}, false},
      {"a label just below 2^32", {.fixup = "/fragment@0:target:4294967292"}, false},
      {"a label at -4", {.fixup = "/fragment@0:target:-4"}, false},
      {"a label beyond 2^64", {.fixup = "/fragment@0:target:99999999999999999999"}, false},
      {"a label without an offset", {.fixup = "/fragment@0:target"}, false},
      {"a label with an empty offset", {.fixup = "/fragment@0:target:"}, false},
      {"a label with words for an offset", {.fixup = "/fragment@0:target:0x0"}, false},
      {"a label of a property that is not there", {.fixup = "/fragment@0:none:0"}, false},
      {"a label of a node that is not there", {.fixup = "/fragment@1:target:0"}, false},
      {"a label in the list itself", {.fixup = "/xxfixups__:chosen:0"}, false},
      {"the same by more slashes", {.fixup = "//xxfixups__:chosen:0"}, false},
      {"a label by an alias", {.fixup = "fragment:target:0"}, false},
      {"a label of the root", {.fixup = "/:target:0"}, false},
      {"nothing for a label", {.fixup = ""}, false},
      {"a label that is renumbered", {.label = "phandle"}, false},
  }));
  CAPTURE(c.name);
  // A large phandle, by which the overlay's own grow, and its offsets if they were renumbered.
  const Blob tree = labelled_machine(0x4000'0000);
  const auto merged = apply_overlay(tree, patched_overlay(c.patches));
  REQUIRE(merged.has_value() == c.good);
  if (!merged) CHECK(merged.error() == FdtError::kBadOverlay);
}

}  // namespace
}  // namespace vmm::fdt
