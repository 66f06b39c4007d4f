// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "bus.h"

#include <algorithm>

#include "vmm/base/checked.h"

namespace vmm::arch::aarch64::tree {
namespace {

using fdt::FdtView;

// What bounds the time that a hostile tree can cost.
constexpr std::size_t kMaxRanges = 32;
constexpr std::uint32_t kMaxDepth = 8;
constexpr std::uint32_t kMaxCells = 2;  // a bus with larger addresses (PCI) is not looked into

/// The number of `count` cells at `at`: at most kMaxCells.
std::uint64_t number(const FdtView::Cells& cells, std::size_t at, std::uint32_t count) {
  std::uint64_t value = 0;
  for (std::uint32_t i = 0; i < count; ++i) value = value << 32 | cells[at + i];
  return value;
}

}  // namespace

Bus::Bus(const FdtView& view)
    : address_cells_(view.u32(view.root(), "#address-cells").value_or(2)),
      size_cells_(view.u32(view.root(), "#size-cells").value_or(1)) {
  mapped_ = address_cells_ != 0 && address_cells_ <= kMaxCells && size_cells_ <= kMaxCells;
}

Bus::Bus(const FdtView& view, FdtView::Node node, const Bus& parent)
    : parent_(&parent),
      depth_(parent.depth_ + 1),
      address_cells_(view.u32(node, "#address-cells").value_or(2)),
      size_cells_(view.u32(node, "#size-cells").value_or(1)),
      mapped_(parent.mapped_ && view.property(node, "ranges").has_value()),
      ranges_(view.cells(node, "ranges")) {
  if (address_cells_ > kMaxCells || size_cells_ > kMaxCells || depth_ > kMaxDepth) mapped_ = false;
  // Without addresses on either side there is nothing to translate.
  if (address_cells_ == 0 || parent.address_cells_ == 0) mapped_ = false;
}

std::vector<std::optional<AddressRange>> Bus::registers(const FdtView& view,
                                                        FdtView::Node child) const {
  std::vector<std::optional<AddressRange>> list;
  if (address_cells_ > kMaxCells || size_cells_ > kMaxCells || address_cells_ == 0) return list;
  const FdtView::Cells reg = view.cells(child, "reg");
  const std::size_t step = address_cells_ + size_cells_;
  const std::size_t count = std::min(reg.size() / step, kMaxRegisters);
  list.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = i * step;
    list.push_back(translate({GuestAddress(number(reg, at, address_cells_)),
                              number(reg, at + address_cells_, size_cells_)}));
  }
  return list;
}

std::optional<AddressRange> Bus::translate(AddressRange range) const {
  if (!mapped_ || !range.base.checked_add(range.size)) return std::nullopt;
  if (parent_ == nullptr) return range;
  if (ranges_.empty()) return parent_->translate(range);  // the same addresses as outside
  const std::size_t step = address_cells_ + parent_->address_cells_ + size_cells_;
  const std::size_t count = std::min(ranges_.size() / step, kMaxRanges);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = i * step;
    const GuestAddress inside(number(ranges_, at, address_cells_));
    const GuestAddress outside(number(ranges_, at + address_cells_, parent_->address_cells_));
    const std::uint64_t size = number(ranges_, at + step - size_cells_, size_cells_);
    const auto offset = range.base.offset_from(inside);
    if (!offset || !fits(*offset, range.size, size)) continue;
    const auto base = outside.checked_add(*offset);
    if (!base) return std::nullopt;
    return parent_->translate({*base, range.size});
  }
  return std::nullopt;
}

}  // namespace vmm::arch::aarch64::tree
