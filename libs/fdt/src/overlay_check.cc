// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// How an overlay lists what to patch: below /__local_fixups__ are the nodes and properties of the
// overlay again, with arrays of offsets as values; /__fixups__ has strings "path:property:offset"
// for each label of the tree. Nodes are looked up here by the calls that libfdt uses, so that both
// see the same.

#include "overlay_check.h"

#include <libfdt.h>

#include <charconv>
#include <string_view>

#include "vmm/base/checked.h"
#include "vmm/base/endian.h"

namespace vmm::fdt {
namespace {

constexpr int kPhandleBytes = 4;

bool fits_in(std::uint64_t offset, int property_bytes) {
  return property_bytes >= kPhandleBytes &&
         offset <= static_cast<std::uint64_t>(property_bytes - kPhandleBytes);
}

/// libfdt renumbers these wherever they are, also where they are offsets.
bool is_phandle(std::string_view name) { return name == "phandle" || name == "linux,phandle"; }

/// Nodes under the root that hold lists, not content.
bool is_list(const void* overlay, int node) {
  const char* const name = ::fdt_get_name(overlay, node, nullptr);
  return name == nullptr || std::string_view(name).starts_with("__");
}

bool local_property_is_valid(const void* overlay, int property, int tree_node) {
  int bytes = 0;
  const char* name = nullptr;
  const void* const list = ::fdt_getprop_by_offset(overlay, property, &name, &bytes);
  if (list == nullptr || name == nullptr || is_phandle(name) || bytes % kPhandleBytes != 0) {
    return false;
  }
  int target_bytes = 0;
  if (::fdt_getprop(overlay, tree_node, name, &target_bytes) == nullptr) return false;
  for (int at = 0; at < bytes; at += kPhandleBytes) {
    const auto* const from = static_cast<const std::byte*>(list) + at;
    if (!fits_in(detail::byte_swap(load_le<std::uint32_t>(from)), target_bytes)) return false;
  }
  return true;
}

/// The recursion is as deep as the tree, which is bounded.
bool local_node_is_valid(const void* overlay, int fixup_node, int tree_node, bool is_root) {
  int property = 0;
  fdt_for_each_property_offset(property, overlay, fixup_node) {
    if (!local_property_is_valid(overlay, property, tree_node)) return false;
  }
  int child = 0;
  fdt_for_each_subnode(child, overlay, fixup_node) {
    const char* const name = ::fdt_get_name(overlay, child, nullptr);
    if (name == nullptr) return false;
    const int tree_child = ::fdt_subnode_offset(overlay, tree_node, name);
    if (tree_child < 0 || (is_root && is_list(overlay, tree_child))) return false;
    if (!local_node_is_valid(overlay, child, tree_child, false)) return false;
  }
  return true;
}

/// One "path:property:offset".
bool fixup_is_valid(const void* overlay, std::string_view fixup) {
  const std::size_t first = fixup.find(':');
  if (first == std::string_view::npos) return false;
  const std::size_t second = fixup.find(':', first + 1);
  if (second == std::string_view::npos) return false;
  const std::string_view path = fixup.substr(0, first);
  const std::string_view name = fixup.substr(first + 1, second - first - 1);
  const std::string_view digits = fixup.substr(second + 1);
  std::uint32_t offset = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), offset);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return false;
  // "/__" leads to a list, and what is no path from the root may lead there by an alias.
  if (!path.starts_with('/')) return false;
  const std::size_t begin = path.find_first_not_of('/');
  if (begin == std::string_view::npos || path.substr(begin).starts_with("__")) return false;
  const int node = ::fdt_path_offset_namelen(overlay, path.data(), static_cast<int>(path.size()));
  int bytes = 0;
  return node >= 0 &&
         ::fdt_getprop_namelen(overlay, node, name.data(), static_cast<int>(name.size()), &bytes) !=
             nullptr &&
         fits_in(offset, bytes);
}

bool fixups_are_valid(const void* overlay, int property) {
  int bytes = 0;
  const char* name = nullptr;
  const auto* const value =
      static_cast<const char*>(::fdt_getprop_by_offset(overlay, property, &name, &bytes));
  if (value == nullptr || name == nullptr || is_phandle(name)) return false;
  std::string_view rest(value, static_cast<std::size_t>(bytes));
  while (!rest.empty()) {
    const std::size_t nul = rest.find('\0');
    if (nul == std::string_view::npos || !fixup_is_valid(overlay, rest.substr(0, nul))) {
      return false;
    }
    rest.remove_prefix(nul + 1);
  }
  return true;
}

}  // namespace

bool overlay_offsets_are_valid(const void* overlay) {
  const int local = ::fdt_path_offset(overlay, "/__local_fixups__");
  if (local >= 0 && !local_node_is_valid(overlay, local, 0, true)) return false;
  const int fixups = ::fdt_path_offset(overlay, "/__fixups__");
  if (fixups < 0) return true;
  int property = 0;
  fdt_for_each_property_offset(property, overlay, fixups) {
    if (!fixups_are_valid(overlay, property)) return false;
  }
  return true;
}

}  // namespace vmm::fdt
