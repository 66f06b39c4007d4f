// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Input: two bytes (little-endian) for the size of a tree, the tree, and an overlay for it. Both
// are read and merged; a merged tree must be valid and hold its values within itself.

#include <cstdint>
#include <vector>

#include "fuzz_input.h"
#include "vmm/fdt/fdt_view.h"

namespace {

using vmm::fdt::FdtView;

void walk(const FdtView& view, FdtView::Node node, std::size_t depth, std::size_t* nodes) {
  require(depth < 64);
  require(++*nodes <= view.blob().size());
  for (const char* name : {"reg", "compatible", "phandle", ""}) {
    if (const auto value = view.property(node, name)) {
      const auto* const begin = view.blob().data();
      require(value->data() >= begin && value->size() <= view.blob().size());
      require(value->data() + value->size() <= begin + view.blob().size());
    }
    (void)view.u32(node, name);
    const auto cells = view.cells(node, name);
    require(cells[cells.size()] == 0);
    if (const auto text = view.string(node, name)) require(view.has_string(node, name, *text));
    (void)view.u64(node, name);
    (void)view.string(node, name);
  }
  for (auto child = view.first_child(node); child; child = view.next_sibling(*child)) {
    walk(view, *child, depth + 1, nodes);
  }
}

void read(std::span<const std::byte> blob) {
  const std::vector<std::byte> aligned(blob.begin(), blob.end());
  const auto view = FdtView::open(aligned);
  if (!view) return;
  require(view->blob().size() <= aligned.size());
  std::size_t nodes = 0;
  walk(*view, view->root(), 0, &nodes);
  (void)view->find("/chosen");
  (void)view->find("/cpus/cpu@0");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const std::size_t tree_bytes =
      std::min<std::size_t>(data[0] | std::size_t{data[1]} << 8, size - 2);
  const auto tree = bytes.subspan(2, tree_bytes);
  const auto overlay = bytes.subspan(2 + tree_bytes);
  read(tree);
  read(overlay);
  const auto merged = vmm::fdt::apply_overlay(tree, overlay);
  if (!merged) return 0;
  require(FdtView::open(*merged).has_value());
  read(*merged);
  return 0;
}
