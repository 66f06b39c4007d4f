// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/fdt/fdt_error.h"

namespace vmm::fdt {

/// A range of memory that the guest must leave alone, in guest-physical addresses.
struct Reservation {
  /// @{
  std::uint64_t address;  ///< guest-physical address, and size
  std::uint64_t bytes;
  /// @}
};

class Node;

/// Writes a flattened device tree, version 17 (devicetree spec 0.4, chapter 5).
///
///   FdtWriter writer({});
///   {
///     Node root = writer.root();
///     root.u32("#address-cells", 2);
///     Node memory = root.child("memory@80000000");
///     memory.string("device_type", "memory");
///     memory.cells64("reg", {0x80000000, 0x8000000});
///   }  // nodes close themselves, the innermost first
///   VMM_TRY(std::vector<std::byte> blob, writer.finish());
///
/// The first mistake is kept, later calls do nothing, and finish() answers with it; so the calls
/// in between need no check. One thread at a time.
class FdtWriter {
 public:
  /// What the blob's header says, and how large it may get.
  struct Options {
    std::span<const Reservation> reservations{};   ///< in any order
    std::uint32_t boot_cpu = 0;                    ///< the boot processor's reg value
    std::size_t max_bytes = std::size_t{2} << 20;  ///< of the whole blob; Linux takes 2 MiB
  };
  /// The most nodes within each other; one more is kTooDeep.
  static constexpr std::size_t kMaxDepth = 64;

  /// Copies the options. Errors (kept): kInvalidReservation, kOverlapReservations, kTooLarge.
  explicit FdtWriter(const Options& options);
  FdtWriter(const FdtWriter&) = delete;
  FdtWriter& operator=(const FdtWriter&) = delete;

  /// Opens the root node. The writer must outlive it.
  Node root();
  /// The blob. Errors: the first mistake made; kUnclosedNode, kNoRoot, kTooLarge, kFinished.
  [[nodiscard]] Result<std::vector<std::byte>, FdtError> finish();

 private:
  friend class Node;

  struct Name {
    std::uint32_t hash;
    std::uint32_t offset;  // in strings_, plus 1; 0: a free place
  };

  void stop(FdtError error) {
    if (ok_) error_ = error;
    ok_ = false;
  }
  void write_reservations(std::span<const Reservation> reservations);
  void begin(std::string_view name);
  void end(std::size_t depth);
  /// Checks the state and the name, writes a property's head; answers where its `bytes` bytes of
  /// value go, nullptr after a mistake.
  std::byte* property(std::size_t depth, std::string_view name, std::size_t bytes);
  std::byte* append(std::size_t bytes);
  std::uint32_t intern(std::string_view name, std::uint32_t hash);
  void rehash();
  void phandle(std::size_t depth, std::uint32_t value);

  std::vector<std::byte> blob_;  // its first used_ bytes: header, reservations, structure
  std::size_t used_ = 0;
  std::size_t max_bytes_;
  std::size_t structure_ = 0;  // where it begins
  std::vector<char> strings_;
  std::vector<Name> names_;  // a hash table over strings_; its size is a power of two
  std::size_t name_count_ = 0;
  std::vector<std::uint32_t> phandles_;  // sorted
  std::size_t depth_ = 0;                // open nodes
  std::uint64_t had_child_ = 0;          // a bit for each open node
  std::uint32_t boot_cpu_;
  FdtError error_{};
  bool ok_ = true;
  bool has_root_ = false;
};

/// An open node; closes itself. Properties come first, then children, one open at a time.
class Node {
 public:
  /// Leaves `other` without a node: it may only be destroyed.
  Node(Node&& other) noexcept : writer_(other.writer_), depth_(other.depth_) {
    other.writer_ = nullptr;
  }
  Node& operator=(Node&&) = delete;
  ~Node() {
    if (writer_ != nullptr) writer_->end(depth_);
  }

  /// Opens a child; one that is not kept is closed at once, empty. The name is 1 to 31 characters,
  /// with an optional "@unit-address"; "__symbols__" under the root, with a string of its path for
  /// each label, lets overlays name nodes by label.
  Node child(std::string_view name);

  /// A property without a value.
  void flag(std::string_view name);
  /// One cell.
  void u32(std::string_view name, std::uint32_t value);
  /// Two cells, the upper half first.
  void u64(std::string_view name, std::uint64_t value);
  /// Text with its NUL. Errors (kept): kInvalidString for a NUL inside.
  void string(std::string_view name, std::string_view value);
  /// @{
  /// Texts behind each other, each with its NUL. Errors (kept): as string().
  void strings(std::string_view name, std::span<const std::string_view> values);
  void strings(std::string_view name, std::initializer_list<std::string_view> values) {
    strings(name, std::span(values.begin(), values.size()));
  }
  /// @}
  /// An array of 32-bit cells.
  void cells(std::string_view name, std::span<const std::uint32_t> values);
  /// The same for a list in place.
  void cells(std::string_view name, std::initializer_list<std::uint32_t> values) {
    cells(name, std::span(values.begin(), values.size()));
  }
  /// An array of 64-bit numbers, two cells each.
  void cells64(std::string_view name, std::span<const std::uint64_t> values);
  /// The same for a list in place.
  void cells64(std::string_view name, std::initializer_list<std::uint64_t> values) {
    cells64(name, std::span(values.begin(), values.size()));
  }
  /// A value as it is.
  void bytes(std::string_view name, std::span<const std::byte> value);
  /// The phandle by which other nodes refer to this one; unique in the tree.
  void phandle(std::uint32_t value) { writer_->phandle(depth_, value); }

 private:
  friend class FdtWriter;
  Node(FdtWriter* writer, std::size_t depth) : writer_(writer), depth_(depth) {}

  FdtWriter* writer_;
  std::size_t depth_;  // how many nodes were open with this one
};

}  // namespace vmm::fdt
