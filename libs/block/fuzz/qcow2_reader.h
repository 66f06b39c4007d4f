// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Reads a qcow2 file with none of the library's code, and aborts where it is not a good one: tables
// that are not where they can be, users that are not counted. Compressed clusters are those that
// Qcow2Maker makes.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "sector_stamp.h"

class Qcow2Reader {
 public:
  /// Whose table of clusters is read.
  enum class Table { kDisk, kSnapshot };

  explicit Qcow2Reader(std::vector<std::byte> file) : file_(std::move(file)) {
    require(file_.size() >= 104 && number(0, 4) == 0x514649fb);
    bits_ = number(20, 4);
    version_ = number(4, 4);
    if (version_ == 3) {
      features_ = number(72, 8);
      order_ = number(96, 4);
    }
    l1_ = {.at = number(40, 8), .entries = number(36, 4)};
    counts_ = {.at = number(48, 8), .entries = (number(56, 4) << bits_) / 8};
    if (number(60, 4) == 0) return;
    snapshots_ = number(64, 8);
    snapshot_ = {.at = number(snapshots_, 8), .entries = number(snapshots_ + 8, 4)};
  }

  [[nodiscard]] std::uint64_t sectors() const { return number(24, 8) / kSectorBytes; }
  [[nodiscard]] bool is_dirty() const { return (features_ & 1) != 0; }
  [[nodiscard]] bool is_corrupt() const { return (features_ & 2) != 0; }
  [[nodiscard]] bool has_snapshot() const { return snapshots_ != 0; }

  /// nullopt where the image says nothing.
  [[nodiscard]] std::optional<Stamp> stamp(Table table, std::uint64_t sector) const {
    const std::uint64_t at = sector * kSectorBytes;
    const std::uint64_t entry = entry_of(table == Table::kDisk ? l1_ : snapshot_, at >> bits_);
    if ((entry & kPacked) != 0) return content(packed_host(entry) + head_bytes(), at);
    if ((entry & 1) != 0) return Stamp{0};
    if ((entry & kPlace) == 0) return std::nullopt;
    return content(entry & kPlace, at);
  }

  /// Each use of a cluster is counted; when `exact`, nothing else is.
  void check_counts(bool exact) {
    users_.assign(up(file_.size()), 0);
    use(0, 1);
    use(l1_.at, l1_.entries * 8);
    use(counts_.at, counts_.entries * 8);
    for (std::uint64_t i = 0; i < counts_.entries; ++i) {
      if (number(counts_.at + i * 8, 8) != 0) use(number(counts_.at + i * 8, 8), 1);
    }
    use_table(l1_);
    if (has_snapshot()) {
      use(snapshots_, 64);
      use(snapshot_.at, snapshot_.entries * 8);
      use_table(snapshot_);
    }
    for (std::uint64_t cluster = 0; cluster < users_.size(); ++cluster) {
      require(exact ? count_of(cluster) == users_[cluster] : count_of(cluster) >= users_[cluster]);
    }
    check_own(exact);
  }

 private:
  struct L1 {
    std::uint64_t at = 0;
    std::uint64_t entries = 0;
  };
  static constexpr std::uint64_t kOwn = std::uint64_t{1} << 63;
  static constexpr std::uint64_t kPacked = std::uint64_t{1} << 62;
  static constexpr std::uint64_t kPlace = 0x00ff'ffff'ffff'fe00;

  [[nodiscard]] std::uint64_t up(std::uint64_t bytes) const {  // in clusters
    return (bytes + (std::uint64_t{1} << bits_) - 1) >> bits_;
  }
  [[nodiscard]] std::uint64_t l2_entries() const { return (std::uint64_t{1} << bits_) / 8; }
  /// Big-endian. A file reads as zeros beyond its end.
  [[nodiscard]] std::uint64_t number(std::uint64_t at, std::uint64_t bytes) const {
    std::array<std::byte, 8> found{};
    if (at < file_.size()) {
      std::memcpy(&found[8 - bytes], &file_[at], std::min(bytes, file_.size() - at));
    }
    std::uint64_t value = 0;
    for (const std::byte byte : found) value = value << 8 | std::to_integer<std::uint64_t>(byte);
    return value;
  }
  [[nodiscard]] std::uint64_t entry_of(const L1& l1, std::uint64_t cluster) const {
    require(cluster / l2_entries() < l1.entries);
    const std::uint64_t table = number(l1.at + cluster / l2_entries() * 8, 8) & kPlace;
    return table == 0 ? 0 : number(table + cluster % l2_entries() * 8, 8);
  }
  [[nodiscard]] std::uint64_t packed_host(std::uint64_t entry) const {
    return entry & ((std::uint64_t{1} << (62 - (bits_ - 8))) - 1);
  }
  [[nodiscard]] std::uint64_t packed_sectors(std::uint64_t entry) const {
    return ((entry & (kPacked - 1)) >> (62 - (bits_ - 8))) + 1;
  }
  [[nodiscard]] std::uint64_t head_bytes() const { return (features_ & 8) != 0 ? 10 : 5; }
  [[nodiscard]] Stamp content(std::uint64_t host, std::uint64_t at) const {
    host += at & ((std::uint64_t{1} << bits_) - 1);
    std::array<std::byte, kSectorBytes> sector{};
    if (host < file_.size()) {
      std::memcpy(sector.data(), &file_[host], std::min(kSectorBytes, file_.size() - host));
    }
    return stamp_of(sector.data());
  }

  void use(std::uint64_t at, std::uint64_t bytes) {
    for (std::uint64_t i = at >> bits_; i < up(at + bytes); ++i) {
      if (i >= users_.size()) users_.resize(i + 1);  // data of zeros at the end
      ++users_[i];
    }
  }
  /// Calls with each entry, of L2 tables and of clusters.
  template <class Do>
  void for_entries(const L1& l1, Do&& work) const {
    for (std::uint64_t i = 0; i < l1.entries; ++i) {
      const std::uint64_t table = number(l1.at + i * 8, 8);
      if (table == 0) continue;
      work(table);
      for (std::uint64_t j = 0; j < l2_entries(); ++j) {
        const std::uint64_t entry = number((table & kPlace) + j * 8, 8);
        if (entry != 0) work(entry);
      }
    }
  }
  void use_table(const L1& l1) {
    for_entries(l1, [this](std::uint64_t entry) {
      if ((entry & kPacked) != 0) {
        const std::uint64_t host = packed_host(entry);
        use(host, packed_sectors(entry) * kSectorBytes - host % kSectorBytes);
      } else if ((entry & kPlace) != 0) {
        require((entry & kPlace & ((std::uint64_t{1} << bits_) - 1)) == 0);
        use(entry & kPlace, 1);
      }
    });
  }
  [[nodiscard]] std::uint64_t count_of(std::uint64_t cluster) const {
    const std::uint64_t bits = std::uint64_t{1} << order_;
    const std::uint64_t per_block = (std::uint64_t{8} << bits_) / bits;
    if (cluster / per_block >= counts_.entries) return 0;
    const std::uint64_t block = number(counts_.at + cluster / per_block * 8, 8);
    if (block == 0) return 0;
    const std::uint64_t at = cluster % per_block * bits;
    if (bits >= 8) return number(block + at / 8, bits / 8);
    return number(block + at / 8, 1) >> at % 8 & ((std::uint64_t{1} << bits) - 1);
  }
  /// Clusters that may be written in place have one user; when `exact`, these are all of them.
  void check_own(bool exact) const {
    for_entries(l1_, [this, exact](std::uint64_t entry) {
      if ((entry & kPacked) != 0 || (entry & kPlace) == 0) return require((entry & kOwn) == 0);
      const bool has_one = count_of((entry & kPlace) >> bits_) == 1;
      require(exact ? has_one == ((entry & kOwn) != 0) : has_one || (entry & kOwn) == 0);
    });
  }

  std::vector<std::byte> file_;
  std::uint64_t bits_ = 0;
  std::uint64_t version_ = 0;
  std::uint64_t features_ = 0;
  std::uint64_t order_ = 4;
  L1 l1_;
  L1 counts_;
  L1 snapshot_;
  std::uint64_t snapshots_ = 0;
  std::vector<std::uint64_t> users_;
};
