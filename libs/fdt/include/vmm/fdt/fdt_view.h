// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/fdt/fdt_error.h"

namespace vmm::fdt {

/// Reads a flattened device tree that was checked as a whole once. Borrows the blob, which must
/// stay as it is; a value, safe to use from several threads.
class FdtView {
 public:
  /// The largest blob: what a guest's kernel maps of it.
  static constexpr std::size_t kMaxBytes = std::size_t{2} << 20;
  /// Longest name of a property. The specification allows 31; tools make longer ones of labels.
  static constexpr std::size_t kMaxName = 255;

  /// Errors: kMisaligned unless the blob starts at a multiple of 8; kTooLarge over kMaxBytes;
  /// kTooDeep; kBadBlob for everything else, a total size beyond the span, versions before 17 and
  /// names over kMaxName included.
  static Result<FdtView, FdtError> open(std::span<const std::byte> blob);

  /// A node of this tree.
  class Node {
   public:
    friend bool operator==(Node, Node) = default;

   private:
    friend class FdtView;
    explicit Node(int offset) : offset_(offset) {}
    int offset_;
  };

  /// A property's value as 32-bit numbers; a rest of less than 4 bytes is left out.
  class Cells {
   public:
    Cells() = default;
    /// @{
    /// Whole cells in the value.
    [[nodiscard]] std::size_t size() const { return bytes_.size() / 4; }
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// @}
    /// Cell `i`; 0 past the end.
    [[nodiscard]] std::uint32_t operator[](std::size_t i) const;

   private:
    friend class FdtView;
    explicit Cells(std::span<const std::byte> bytes) : bytes_(bytes) {}
    std::span<const std::byte> bytes_;
  };

  /// The whole blob, as long as its header says.
  [[nodiscard]] std::span<const std::byte> blob() const { return blob_; }
  /// The root node, which every tree has.
  [[nodiscard]] Node root() const { return Node(0); }
  /// The node at a path such as "/cpus/cpu@0"; nullopt when there is none. Without its unit
  /// address, a component finds the first node of that base name.
  [[nodiscard]] std::optional<Node> find(std::string_view path) const;
  /// @{
  /// In the order of the blob; nullopt when there is none.
  [[nodiscard]] std::optional<Node> first_child(Node node) const;
  [[nodiscard]] std::optional<Node> next_sibling(Node node) const;
  /// @}
  /// The name with its unit address.
  [[nodiscard]] std::string_view name(Node node) const;

  /// A property's value; nullopt when the node has no such property.
  [[nodiscard]] std::optional<std::span<const std::byte>> property(Node node,
                                                                   std::string_view name) const;
  /// A property's cells; none when the node has no such property.
  [[nodiscard]] Cells cells(Node node, std::string_view name) const;
  /// Whether `value` is one of a property's strings, as "compatible" holds them.
  [[nodiscard]] bool has_string(Node node, std::string_view name, std::string_view value) const;
  /// A property of exactly 4 bytes; nullopt for any other.
  [[nodiscard]] std::optional<std::uint32_t> u32(Node node, std::string_view name) const;
  /// A property of exactly 8 bytes; nullopt for any other.
  [[nodiscard]] std::optional<std::uint64_t> u64(Node node, std::string_view name) const;
  /// The first string of a property; nullopt when it holds no NUL.
  [[nodiscard]] std::optional<std::string_view> string(Node node, std::string_view name) const;

 private:
  explicit FdtView(std::span<const std::byte> blob) : blob_(blob) {}

  std::span<const std::byte> blob_;
};

/// Largest overlay that apply_overlay() takes, in bytes; it bounds the time that a hostile one
/// can cost, as each of its properties may move the whole tree.
inline constexpr std::size_t kMaxOverlayBytes = 64 << 10;

/// Merges an overlay (a compiled dtbo) into a tree and answers with the new tree, packed.
///
/// Neither input is changed, whatever happens. Errors: kBadBlob, kBadOverlay, kOverlayTarget,
/// kTooDeep, kTooLarge (an overlay over kMaxOverlayBytes, a result over FdtView::kMaxBytes).
Result<std::vector<std::byte>, FdtError> apply_overlay(std::span<const std::byte> tree,
                                                       std::span<const std::byte> overlay);

}  // namespace vmm::fdt
