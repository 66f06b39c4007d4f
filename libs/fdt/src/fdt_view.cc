// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/fdt/fdt_view.h"

#include <libfdt.h>

#include <algorithm>
#include <cstring>

#include "vmm/base/checked.h"
#include "vmm/base/endian.h"
#include "vmm/fdt/fdt_writer.h"

namespace vmm::fdt {
namespace {

constexpr std::size_t kHeaderBytes = 40;
constexpr std::size_t kStringsAt = 12;
constexpr std::size_t kVersionAt = 20;
constexpr std::size_t kStringsSizeAt = 32;
constexpr std::uint32_t kVersion = 17;  // of 2006; libfdt's check is not safe with some older ones

std::uint32_t load_be32(const std::byte* at) {
  return detail::byte_swap(load_le<std::uint32_t>(at));
}

/// Whether no name in the strings block is longer than kMaxName. libfdt looks for the end of a
/// property's name with each use of it, so that many properties with one long name would take time
/// by the square of the blob's size.
bool names_are_short(std::span<const std::byte> blob) {
  const std::size_t at = load_be32(blob.data() + kStringsAt);
  const std::size_t size = load_be32(blob.data() + kStringsSizeAt);
  if (!fits(at, size, blob.size())) return false;
  std::size_t run = 0;
  for (const std::byte byte : blob.subspan(at, size)) {
    run = byte == std::byte{0} ? 0 : run + 1;
    if (run > FdtView::kMaxName) return false;
  }
  return true;
}

std::optional<int> found(int offset) {
  if (offset < 0) return std::nullopt;
  return offset;
}

/// libfdt's merge recurses into nodes, so their depth is bounded before it is used.
bool too_deep(const void* blob) {
  int depth = 0;
  for (int node = 0; node >= 0; node = ::fdt_next_node(blob, node, &depth)) {
    if (depth >= static_cast<int>(FdtWriter::kMaxDepth)) return true;
    if (depth < 0) return false;
  }
  return false;
}

}  // namespace

Result<FdtView, FdtError> FdtView::open(std::span<const std::byte> blob) {
  if (blob.size() < kHeaderBytes) return fail(FdtError::kBadBlob);
  if ((reinterpret_cast<std::uintptr_t>(blob.data()) & 7) != 0) return fail(FdtError::kMisaligned);
  const std::uint32_t total = load_be32(blob.data() + 4);
  if (total > blob.size()) return fail(FdtError::kBadBlob);
  if (total > kMaxBytes) return fail(FdtError::kTooLarge);
  if (total < kHeaderBytes) return fail(FdtError::kBadBlob);
  if (load_be32(blob.data() + kVersionAt) < kVersion) return fail(FdtError::kBadBlob);
  if (!names_are_short(blob.first(total))) return fail(FdtError::kBadBlob);
  if (::fdt_check_full(blob.data(), total) != 0) return fail(FdtError::kBadBlob);
  if (too_deep(blob.data())) return fail(FdtError::kTooDeep);
  return FdtView(blob.first(total));
}

std::optional<FdtView::Node> FdtView::find(std::string_view path) const {
  if (path.empty() || path[0] != '/' || path.size() > blob_.size()) return std::nullopt;
  const auto offset =
      found(::fdt_path_offset_namelen(blob_.data(), path.data(), static_cast<int>(path.size())));
  if (!offset) return std::nullopt;
  return Node(*offset);
}

std::optional<FdtView::Node> FdtView::first_child(Node node) const {
  const auto offset = found(::fdt_first_subnode(blob_.data(), node.offset_));
  if (!offset) return std::nullopt;
  return Node(*offset);
}

std::optional<FdtView::Node> FdtView::next_sibling(Node node) const {
  const auto offset = found(::fdt_next_subnode(blob_.data(), node.offset_));
  if (!offset) return std::nullopt;
  return Node(*offset);
}

std::string_view FdtView::name(Node node) const {
  int bytes = 0;
  const char* const text = ::fdt_get_name(blob_.data(), node.offset_, &bytes);
  if (text == nullptr) return {};
  return {text, static_cast<std::size_t>(bytes)};
}

std::optional<std::span<const std::byte>> FdtView::property(Node node,
                                                            std::string_view name) const {
  if (name.size() > blob_.size()) return std::nullopt;
  int bytes = 0;
  const void* const value = ::fdt_getprop_namelen(blob_.data(), node.offset_, name.data(),
                                                  static_cast<int>(name.size()), &bytes);
  if (value == nullptr || bytes < 0) return std::nullopt;
  return std::span(static_cast<const std::byte*>(value), static_cast<std::size_t>(bytes));
}

std::uint32_t FdtView::Cells::operator[](std::size_t i) const {
  return i < size() ? load_be32(bytes_.data() + 4 * i) : 0;
}

FdtView::Cells FdtView::cells(Node node, std::string_view name) const {
  return Cells(property(node, name).value_or(std::span<const std::byte>()));
}

bool FdtView::has_string(Node node, std::string_view name, std::string_view value) const {
  const auto bytes = property(node, name);
  if (!bytes) return false;
  std::string_view rest(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  for (;;) {
    const std::size_t nul = rest.find('\0');
    if (nul == std::string_view::npos) return false;  // what is left is no string
    if (rest.substr(0, nul) == value) return true;
    rest.remove_prefix(nul + 1);
  }
}

std::optional<std::uint32_t> FdtView::u32(Node node, std::string_view name) const {
  const auto value = property(node, name);
  if (!value || value->size() != 4) return std::nullopt;
  return load_be32(value->data());
}

std::optional<std::uint64_t> FdtView::u64(Node node, std::string_view name) const {
  const auto value = property(node, name);
  if (!value || value->size() != 8) return std::nullopt;
  return std::uint64_t{load_be32(value->data())} << 32 | load_be32(value->data() + 4);
}

std::optional<std::string_view> FdtView::string(Node node, std::string_view name) const {
  const auto value = property(node, name);
  if (!value || value->empty()) return std::nullopt;
  const void* const nul = std::memchr(value->data(), 0, value->size());
  if (nul == nullptr) return std::nullopt;
  return std::string_view(
      reinterpret_cast<const char*>(value->data()),
      static_cast<std::size_t>(static_cast<const std::byte*>(nul) - value->data()));
}

}  // namespace vmm::fdt
