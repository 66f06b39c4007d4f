// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Makes qcow2 images that are good, and of which it is known what they hold: clusters of all kinds,
// tables and counts of all sizes, a snapshot. What is not in use holds what no disk may show.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "sector_stamp.h"

struct ImageShape {
  std::uint32_t cluster_bits = 9;
  std::uint32_t version = 3;
  std::uint32_t refcount_order = 4;
  bool zstd = false;
  bool snapshot = false;
  std::uint64_t sectors = 1;
  std::uint32_t layer = 1;                // the number of its stamps
  std::array<std::uint8_t, 16> places{};  // of clusters, again and again

  [[nodiscard]] std::uint64_t cluster_bytes() const { return std::uint64_t{1} << cluster_bits; }
};

class Qcow2Maker {
 public:
  explicit Qcow2Maker(const ImageShape& shape) : shape_(shape), stamps_(shape.sectors) {}

  std::vector<std::byte> make() {
    take(1);  // the header
    l1_ = zeros_for(l1_entries() * 8);
    for (std::uint64_t i = 0; i < clusters(); ++i) place(i);
    if (shape_.snapshot) take_snapshot();
    count();
    mark_own();
    write_header();
    return file_;
  }
  /// By sector; nullopt where the image says nothing. After make().
  [[nodiscard]] const std::vector<std::optional<Stamp>>& stamps() const { return stamps_; }

 private:
  static constexpr std::uint64_t kCopied = std::uint64_t{1} << 63;
  static constexpr std::byte kGarbage{0xaa};

  [[nodiscard]] std::uint64_t up(std::uint64_t bytes) const {  // in clusters
    return (bytes + shape_.cluster_bytes() - 1) >> shape_.cluster_bits;
  }
  [[nodiscard]] std::uint64_t clusters() const { return up(shape_.sectors * kSectorBytes); }
  [[nodiscard]] std::uint64_t l2_entries() const { return shape_.cluster_bytes() / 8; }
  [[nodiscard]] std::uint64_t l1_entries() const {
    return (clusters() + l2_entries() - 1) / l2_entries();
  }

  template <class T>
  void put(std::uint64_t at, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      file_[at + i] = static_cast<std::byte>(value >> (8 * (sizeof(T) - 1 - i)));
    }
  }
  [[nodiscard]] std::uint64_t word(std::uint64_t at) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i)
      value = value << 8 | std::to_integer<unsigned>(file_[at + i]);
    return value;
  }

  /// Where the new clusters are, in bytes. They hold garbage.
  std::uint64_t take(std::uint64_t count, std::uint32_t users = 1) {
    const std::uint64_t at = file_.size();
    file_.resize(at + (count << shape_.cluster_bits), kGarbage);
    users_.resize(users_.size() + count, users);
    return at;
  }
  std::uint64_t zeros_for(std::uint64_t bytes) {
    const std::uint64_t at = take(up(bytes));
    std::fill(file_.begin() + static_cast<std::ptrdiff_t>(at), file_.end(), std::byte{0});
    return at;
  }

  void place(std::uint64_t cluster) {
    const std::uint8_t how = shape_.places[cluster % shape_.places.size()];
    if ((how & 0x40) != 0) take(1, 0);  // a free one in between
    switch (how % 8) {
      case 0:
      case 1:
        return;
      case 2:
        return zero(cluster, 0);
      case 3:
        return zero(cluster, take(1));
      case 4:
      case 5:
        return packed(cluster);
      default:
        return data(cluster);
    }
  }
  void set_entry(std::uint64_t cluster, std::uint64_t entry) {
    const std::uint64_t in_l1 = l1_ + cluster / l2_entries() * 8;
    if (word(in_l1) == 0) put(in_l1, zeros_for(shape_.cluster_bytes()));
    put(word(in_l1) + cluster % l2_entries() * 8, entry);
  }
  void zero(std::uint64_t cluster, std::uint64_t host) {
    if (shape_.version < 3) {
      if (host != 0) users_.back() = 0;
      return;
    }
    set_entry(cluster, host | 1);
    for_sectors(cluster, [this](std::uint64_t sector, std::uint64_t) { stamps_[sector] = 0; });
  }
  void data(std::uint64_t cluster) {
    const std::uint64_t host = take(1);
    set_entry(cluster, host);
    fill(cluster, host);
  }
  void fill(std::uint64_t cluster, std::uint64_t host) {
    for_sectors(cluster, [this, host](std::uint64_t sector, std::uint64_t inside) {
      stamps_[sector] = make_stamp(shape_.layer, sector);
      fill_sector(*stamps_[sector], &file_[host + inside]);
    });
  }
  template <class Do>
  void for_sectors(std::uint64_t cluster, Do&& work) {
    const std::uint64_t first = cluster * shape_.cluster_bytes() / kSectorBytes;
    for (std::uint64_t i = 0; i < shape_.cluster_bytes() / kSectorBytes; ++i) {
      if (first + i < shape_.sectors) work(first + i, i * kSectorBytes);
    }
  }

  /// Compressed data that takes more room than the plain one: a stored block of deflate, or a raw
  /// one of a zstd frame.
  [[nodiscard]] std::vector<std::byte> packing() const {
    const std::uint64_t bytes = shape_.cluster_bytes();
    const auto at = [](std::uint64_t value, int byte) {
      return static_cast<std::byte>(value >> (8 * byte));
    };
    if (!shape_.zstd) {
      return {std::byte{1}, at(bytes, 0), at(bytes, 1), at(~bytes, 0), at(~bytes, 1)};
    }
    const std::uint64_t size = bytes - 256;
    const std::uint64_t block = bytes << 3 | 1;
    return {std::byte{0x28}, std::byte{0xb5}, std::byte{0x2f}, std::byte{0xfd}, std::byte{0x60},
            at(size, 0),     at(size, 1),     at(block, 0),    at(block, 1),    at(block, 2)};
  }
  /// Where it goes: behind the one before, where the cluster may have several users.
  std::uint64_t place_of_packed(std::uint64_t bytes) {
    const bool follows = packed_end_ != 0 &&
                         up(packed_end_) << shape_.cluster_bits == file_.size() &&
                         packed_end_ % shape_.cluster_bytes() != 0;
    const bool fits = packed_end_ % kSectorBytes + bytes <= 2 * kSectorBytes;
    const bool shares = follows && shape_.refcount_order >= 3 && (fits || shape_.cluster_bits > 9);
    const std::uint64_t host = shares ? packed_end_ : take(1);
    if (shares) ++users_.back();
    const std::uint64_t end = (host + bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
    if (end > file_.size()) take(up(end - file_.size()));
    packed_end_ = host + bytes;
    return host;
  }
  void packed(std::uint64_t cluster) {
    const std::vector<std::byte> head = packing();
    const std::uint64_t bytes = head.size() + shape_.cluster_bytes();
    const std::uint64_t host = place_of_packed(bytes);
    std::copy(head.begin(), head.end(), file_.begin() + static_cast<std::ptrdiff_t>(host));
    const std::uint64_t sectors =
        (host % kSectorBytes + bytes + kSectorBytes - 1) / kSectorBytes - 1;
    set_entry(cluster, std::uint64_t{1} << 62 | sectors << (62 - (shape_.cluster_bits - 8)) | host);
    fill(cluster, host + head.size());
  }

  /// One that has all the disk has now: what the tables point to has two users.
  void take_snapshot() {
    for (std::uint64_t i = (l1_ >> shape_.cluster_bits) + up(l1_entries() * 8); i < users_.size();
         ++i) {
      users_[i] *= 2;
    }
    const std::uint64_t l1 = zeros_for(l1_entries() * 8);
    std::copy_n(&file_[l1_], l1_entries() * 8, &file_[l1]);
    snapshots_ = zeros_for(64);
    put(snapshots_, l1);
    put(snapshots_ + 8, static_cast<std::uint32_t>(l1_entries()));
    put(snapshots_ + 12, std::uint32_t{0x10001});  // the bytes of its id and its name
    put(snapshots_ + 36, std::uint32_t{16});       // those between
    put(snapshots_ + 48, shape_.sectors * kSectorBytes);
    put(snapshots_ + 56, std::uint16_t{0x3173});
  }

  [[nodiscard]] std::uint64_t counts_per_block() const {
    return shape_.cluster_bytes() * 8 >> shape_.refcount_order;
  }
  void count() {
    counts_ = zeros_for(shape_.cluster_bytes());
    for (std::uint64_t block = 0; block * counts_per_block() < users_.size(); ++block) {
      const std::uint64_t at = zeros_for(shape_.cluster_bytes());
      put(counts_ + block * 8, at);
    }
    for (std::uint64_t cluster = 0; cluster < users_.size(); ++cluster) put_count(cluster);
  }
  void put_count(std::uint64_t cluster) {
    const std::uint64_t block = word(counts_ + cluster / counts_per_block() * 8);
    const std::uint64_t index = cluster % counts_per_block();
    const std::uint64_t bits = std::uint64_t{1} << shape_.refcount_order;
    if (bits < 8) {
      file_[block + index * bits / 8] |=
          static_cast<std::byte>(users_[cluster] << (index * bits % 8));
    } else {
      // Its last byte is enough.
      file_[block + (index + 1) * bits / 8 - 1] = static_cast<std::byte>(users_[cluster]);
    }
  }
  /// Says of clusters with one user that they have.
  void mark_own() {
    for (std::uint64_t i = 0; i < l1_entries(); ++i) {
      const std::uint64_t table = word(l1_ + i * 8);
      if (table == 0) continue;
      for (std::uint64_t j = 0; j < l2_entries(); ++j) mark_own(table + j * 8);
      mark_own(l1_ + i * 8);
    }
  }
  void mark_own(std::uint64_t at) {
    const std::uint64_t host = word(at) & 0x00ff'ffff'ffff'fe00;
    const bool packed = (word(at) >> 62 & 1) != 0;
    if (host == 0 || packed || users_[host >> shape_.cluster_bits] != 1) return;
    put(at, word(at) | kCopied);
  }
  void write_header() {
    const std::uint32_t bytes = shape_.version < 3 ? 72 : 112;
    std::fill_n(file_.begin(), bytes + 8, std::byte{0});
    put(0, std::uint32_t{0x514649fb});
    put(4, shape_.version);
    put(20, shape_.cluster_bits);
    put(24, shape_.sectors * kSectorBytes);
    put(36, static_cast<std::uint32_t>(l1_entries()));
    put(40, l1_);
    put(48, counts_);
    put(56, std::uint32_t{1});
    put(60, std::uint32_t{shape_.snapshot ? 1u : 0u});
    put(64, snapshots_);
    if (shape_.version < 3) return;
    put(72, std::uint64_t{shape_.zstd ? 8u : 0u});
    put(96, shape_.refcount_order);
    put(100, bytes);
    file_[104] = std::byte{shape_.zstd};
  }

  const ImageShape shape_;
  std::vector<std::optional<Stamp>> stamps_;
  std::vector<std::byte> file_;
  std::vector<std::uint32_t> users_;  // of each cluster
  std::uint64_t l1_ = 0;              // in bytes, as all places
  std::uint64_t counts_ = 0;
  std::uint64_t snapshots_ = 0;
  std::uint64_t packed_end_ = 0;
};
