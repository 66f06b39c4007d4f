// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A small VHDX image of known places, which tests may spoil before its checksums are made.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

class VhdxMaker {
 public:
  using Bytes = std::vector<std::byte>;
  static constexpr std::uint64_t kMiB = 1 << 20;
  static constexpr std::uint64_t kDisk = 5 * kMiB + 512;
  static constexpr std::uint64_t kBlock = kMiB;
  static constexpr std::size_t kHeaders[] = {64 << 10, 128 << 10};
  static constexpr std::size_t kRegions[] = {192 << 10, 256 << 10};
  static constexpr std::size_t kLog = kMiB;
  static constexpr std::size_t kTable = 2 * kMiB;
  static constexpr std::size_t kMetadata = 3 * kMiB;
  static constexpr std::size_t kItems = kMetadata + (64 << 10);
  static constexpr std::size_t kEnd = 4 * kMiB;  // where the first block goes

  VhdxMaker() : bytes(kEnd) {
    text(0, "vhdxfile");
    for (const std::size_t at : kHeaders) {
      text(at, "head");
      put(at + 8, at == kHeaders[0] ? 7u : 6u, 8);
      put(at + 66, 1, 2);
      put(at + 68, kMiB, 4);
      put(at + 72, kLog, 8);
    }
    for (const std::size_t at : kRegions) {
      text(at, "regi");
      put(at + 8, 2, 4);
      guid(at + 16, "2dc27766f62342009d64115e9bfd4a08");
      put(at + 32, kTable, 8);
      put(at + 40, kMiB, 4);
      put(at + 44, 1, 4);
      guid(at + 48, "8b7ca20647904b9ab8fe575f050f886e");
      put(at + 64, kMetadata, 8);
      put(at + 72, kMiB, 4);
      put(at + 76, 1, 4);
    }
    text(kMetadata, "metadata");
    put(kMetadata + 10, 5, 2);
    item(0, "caa16737fa364d43b3b633f0aa44e76b", 0, 8);
    item(1, "2fa54224cd1b4876b2115dbed83bf4b8", 8, 8);
    item(2, "8141bf1da96f4709ba47f233a8faab5f", 16, 4);
    item(3, "cda348c7445d44719cc9e9885251c556", 20, 4);
    item(4, "beca12abb2e6452393efc309e000c746", 24, 16);
    put(kItems, kBlock, 4);
    put(kItems + 8, kDisk, 8);
    put(kItems + 16, 512, 4);
    put(kItems + 20, 4096, 4);
  }

  /// A number of so many bytes.
  void put(std::size_t at, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
    }
  }
  /// The same in both copies of a header or of the list of regions.
  void put(const std::size_t (&places)[2], std::size_t at, std::uint64_t value, std::size_t size) {
    for (const std::size_t place : places) put(place + at, value, size);
  }
  /// Says in the table of blocks where a block is.
  void block(std::size_t index, std::uint64_t state, std::uint64_t at) {
    put(kTable + 8 * index, at | state, 8);
  }
  /// As it is written, first three parts little-endian.
  void guid(std::size_t at, const std::string& digits) {
    constexpr std::size_t kOrder[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (std::size_t i = 0; i < 16; ++i) {
      put(at + kOrder[i], std::stoul(digits.substr(2 * i, 2), nullptr, 16), 1);
    }
  }
  /// Makes the checksums.
  void sign() {
    for (const std::size_t at : kHeaders) sign(at, 4096);
    for (const std::size_t at : kRegions) sign(at, 64 << 10);
  }

  Bytes bytes;

 private:
  void text(std::size_t at, const std::string& mark) {
    std::memcpy(bytes.data() + at, mark.data(), mark.size());
  }
  void item(std::size_t index, const std::string& id, std::size_t at, std::size_t size) {
    const std::size_t entry = kMetadata + 32 * (index + 1);
    guid(entry, id);
    put(entry + 16, (64 << 10) + at, 4);
    put(entry + 20, size, 4);
    put(entry + 24, 4, 4);
  }
  static const std::array<std::uint32_t, 256>& crc_table() {
    static const std::array<std::uint32_t, 256> kMade = [] {
      std::array<std::uint32_t, 256> table{};
      for (std::uint32_t i = 0; i < table.size(); ++i) {
        table[i] = i;
        for (int bit = 0; bit < 8; ++bit) {
          table[i] = (table[i] >> 1) ^ ((table[i] & 1) != 0 ? 0x82f63b78u : 0);
        }
      }
      return table;
    }();
    return kMade;
  }
  void sign(std::size_t at, std::size_t size) {
    put(at + 4, 0, 4);
    std::uint32_t sum = ~0u;
    for (std::size_t i = at; i < at + size; ++i) {
      sum = sum >> 8 ^ crc_table()[(sum ^ std::to_integer<std::uint32_t>(bytes[i])) & 0xff];
    }
    put(at + 4, ~sum, 4);
  }
};
