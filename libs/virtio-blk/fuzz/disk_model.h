// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What a disk has to hold and to answer, as far as its driver's requests tell: a write that was
// answered with OK is on the disk, what nobody wrote stays, and reads show both. Of sectors with
// several writes in flight at once the order is not known: there the file's word is taken.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "device_fuzz.h"

class DiskModel final : public DriverWatch {
 public:
  explicit DiskModel(int file) : file_(file) {}

  void started(std::uint64_t) override {
    check();
    is_known_ = true;
    sectors_ = {};
    resized();
  }
  void lost() override { is_known_ = false; }
  std::uint64_t sent(std::uint16_t, const vmm::virtio_device::testing::Request& request) override {
    for (const Range& range : changes(Exchange{.request = request, .answer = {}}.sent())) {
      for_each(range, [](Sector& sector) { sector.is_disputed = sector.writes++ != 0; });
    }
    return ++now_;
  }
  void answered(const Exchange& exchange) override {
    ++now_;
    const auto sent = exchange.sent();
    const auto ranges = changes(sent);
    for (const Range& range : ranges) for_each(range, [](Sector& sector) { --sector.writes; });
    const bool is_ok = check_status(exchange, sent);
    for (const Range& range : ranges) settle(range, sent, is_ok);
    if (is_ok && kind_of(sent) == kIn) check_read(exchange, sent);
    if (is_ok && kind_of(sent) == kGetId) {
      require(exchange.room() == 21 &&
              std::memcmp(exchange.answer.bytes.data(), "fuzz\0\0\0", 8) == 0);
    }
  }

  /// The file has another length: what it says now is right, but for what is in flight.
  void resized() {
    ++now_;
    resized_at_ = now_;
    bytes_ = static_cast<std::uint64_t>(::lseek(file_, 0, SEEK_END));
    for (std::uint64_t i = 0; i < kMost; ++i) {
      sectors_[i].is_disputed = sectors_[i].writes != 0;
      load(i);
    }
  }
  /// Aborts unless the file is as it has to be.
  void check() const {
    if (!is_known_) return;
    for (std::uint64_t i = 0; i < bytes_ / 512; ++i) {
      const Sector& sector = sectors_[i];
      if (sector.writes == 0) require(on_disk(i) == sector.content);
    }
  }

 private:
  using Content = std::array<std::byte, 512>;
  static constexpr std::uint64_t kMost = 64;  // sectors
  static constexpr std::uint32_t kIn = 0, kOut = 1, kFlush = 4, kGetId = 8;
  static constexpr std::uint32_t kDiscard = 11, kZeroes = 13;

  struct Sector {
    Content content{};
    int writes = 0;            // in flight
    bool is_disputed = false;  // more than one was at once
    std::uint64_t changed = 0;
  };
  struct Range {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    std::size_t data = 0;  // where what is written stands in the request; 0: nowhere
    bool zeroes = false;
  };

  template <class T>
  static T at(const std::vector<std::byte>& bytes, std::size_t offset) {
    T value{};
    if (bytes.size() >= offset + sizeof(T)) std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
  }
  static std::uint32_t kind_of(const std::vector<std::byte>& sent) {
    return sent.size() < 16 ? ~std::uint32_t{0} : at<std::uint32_t>(sent, 0);
  }
  /// What a request may change, if it is a good one.
  static std::vector<Range> changes(const std::vector<std::byte>& sent) {
    std::vector<Range> all;
    const std::uint32_t kind = kind_of(sent);
    if (kind == kOut) {
      all.push_back({at<std::uint64_t>(sent, 8), (sent.size() - 16) / 512, 16, false});
    } else if (kind == kDiscard || kind == kZeroes) {
      for (std::size_t i = 16; i + 16 <= sent.size(); i += 16) {
        all.push_back(
            {at<std::uint64_t>(sent, i), at<std::uint32_t>(sent, i + 8), 0, kind == kZeroes});
      }
    }
    return all;
  }
  template <class Do>
  void for_each(const Range& range, Do&& work) {
    for (std::uint64_t i = 0; i < kMost; ++i) {
      if (i >= range.first && i - range.first < range.count) work(sectors_[i]);
    }
  }

  [[nodiscard]] Content on_disk(std::uint64_t sector) const {
    Content content{};
    (void)!::pread(file_, content.data(), content.size(), static_cast<off_t>(sector * 512));
    return content;
  }
  void load(std::uint64_t sector) {
    sectors_[sector].content = on_disk(sector);
    sectors_[sector].changed = now_;
  }
  void settle(const Range& range, const std::vector<std::byte>& sent, bool is_ok) {
    for (std::uint64_t i = 0; i < kMost; ++i) {
      if (i < range.first || i - range.first >= range.count) continue;
      Sector& sector = sectors_[i];
      if (!is_ok || sector.is_disputed || (range.data == 0 && !range.zeroes)) {
        load(i);
      } else {
        sector.content = {};
        if (range.data != 0) {
          const auto from =
              sent.begin() + static_cast<std::ptrdiff_t>(range.data + (i - range.first) * 512);
          std::copy_n(from, 512, sector.content.begin());
        }
      }
      sector.changed = now_;
      if (sector.writes == 0) sector.is_disputed = false;
    }
  }

  // Whether the request was done. OK is not said of what cannot be.
  bool check_status(const Exchange& exchange, const std::vector<std::byte>& sent) const {
    const std::size_t room = exchange.room();
    if (room == 0) {
      exchange.require_written(0);
      return false;
    }
    const auto status = std::to_integer<std::uint8_t>(exchange.answer.bytes.back());
    if (sent.size() < 16) return false;
    require(status <= 2 && exchange.answer.written <= room);
    if (status != 0) return false;
    const std::uint32_t kind = kind_of(sent);
    if (kind == kFlush && room != 1) {
      require(exchange.answer.written == 0);  // as nothing came before the status
    } else {
      exchange.require_written(room);
    }
    const std::uint64_t first = at<std::uint64_t>(sent, 8);
    if (kind == kIn) require((room - 1) % 512 == 0 && inside(exchange, first, (room - 1) / 512));
    if (kind == kOut) require(sent.size() % 512 == 16 && room == 1);
    for (const Range& range : changes(sent)) require(inside(exchange, range.first, range.count));
    return true;
  }
  bool inside(const Exchange& exchange, std::uint64_t first, std::uint64_t count) const {
    if (exchange.mark < resized_at_) return true;  // the disk had another size then
    return first <= bytes_ / 512 && count <= bytes_ / 512 - first;
  }
  void check_read(const Exchange& exchange, const std::vector<std::byte>& sent) const {
    const std::uint64_t first = at<std::uint64_t>(sent, 8);
    for (std::size_t i = 0; i < (exchange.room() - 1) / 512; ++i) {
      if (first + i >= kMost) return;
      const Sector& sector = sectors_[first + i];
      if (sector.writes != 0 || sector.changed > exchange.mark) continue;
      require(std::equal(sector.content.begin(), sector.content.end(),
                         exchange.answer.bytes.begin() + static_cast<std::ptrdiff_t>(i * 512)));
    }
  }

  const int file_;
  bool is_known_ = false;
  std::uint64_t bytes_ = 0;
  std::array<Sector, kMost> sectors_{};
  std::uint64_t now_ = 0;
  std::uint64_t resized_at_ = 0;
};
