// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What a disk may hold, sector by sector, as far as its requests tell: what a read may see, and
// what a reader after the next power cut may. Requests that change the same sectors at once are
// their driver's mistake: all that they are about may hold anything then.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fuzz_input.h"
#include "sector_stamp.h"

struct Sectors {
  std::uint64_t first = 0;
  std::uint64_t count = 0;

  friend bool operator==(const Sectors&, const Sectors&) = default;
};

class StampedDisk {
 public:
  /// The disk holds this now, and nothing else whatever happens.
  explicit StampedDisk(const std::vector<Stamp>& content) : size_(content.size()) {
    sectors_.resize(kMostSectors);
    for (std::uint64_t i = 0; i < content.size(); ++i) sectors_[i] = Sector(content[i]);
  }

  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// The stamps of the Nth write.
  [[nodiscard]] static Stamp stamp(std::uint32_t nth, std::uint64_t sector) {
    return nth == 0 ? 0 : make_stamp(nth, sector);
  }

  /// A change begins: the Nth write; 0: zeros.
  void begin(const Sectors& range, std::uint32_t nth) {
    ++time_;
    for_each(range, [&](std::uint64_t i, Sector& sector) {
      sector.may(stamp(nth, i));
      sector.changed = time_;
      ++sector.changes;
    });
    for (const Sectors& other : under_way_) {
      const bool apart =
          other.first + other.count <= range.first || range.first + range.count <= other.first;
      if (apart) continue;
      dispute(range);
      dispute(other);
    }
    under_way_.push_back(range);
  }
  /// It ends. `sure`: what it wrote is there, and else perhaps.
  void end(const Sectors& range, std::uint32_t nth, bool sure) {
    ++time_;
    under_way_.erase(std::find(under_way_.begin(), under_way_.end(), range));
    for_each(range, [&](std::uint64_t i, Sector& sector) {
      --sector.changes;
      if (sure && !sector.is_disputed) sector.now = {stamp(nth, i)};
      if (sector.changes == 0) sector.is_disputed = false;
      sector.changed = time_;
    });
  }
  /// What ended before is durable now.
  void flushed(const Sectors& range) {
    for_each(range, [](std::uint64_t, Sector& sector) { sector.durable = sector.now; });
  }
  void flushed() { flushed({.first = 0, .count = size_}); }
  /// The disk has another size, also after a power cut.
  void resized(std::uint64_t sectors) {
    ++time_;
    const std::uint64_t from = std::min(size_, sectors);
    for_each({.first = from, .count = kMostSectors - from}, [this](std::uint64_t, Sector& sector) {
      if (sector.changes == 0) {
        sector = Sector(0);
      } else {
        sector.is_disputed = true;
        sector.may(kAnything);
      }
      sector.changed = time_;
    });
    size_ = sectors;
    resized_at_ = time_;
  }
  /// The power has gone, and with it what was under way.
  void power_cut() {
    for (Sector& sector : sectors_) {
      sector.now = sector.durable;
      sector.changes = 0;
      sector.is_disputed = false;
    }
    under_way_.clear();
  }

  /// For read().
  [[nodiscard]] std::uint64_t time() const { return time_; }
  [[nodiscard]] std::uint64_t resized_at() const { return resized_at_; }
  /// Aborts unless a read that began at a time may see this. Of sectors that changed meanwhile it
  /// may see any content that was theirs.
  void read(std::uint64_t sector, const std::byte* bytes, std::uint64_t began) {
    Sector& it = sectors_[sector];
    if (it.may_be(kAnything)) return;
    const Stamp seen = stamp_of(bytes);
    require(is_for(seen, sector));
    if (it.changed > began) return;
    require(it.may_be(seen));
    if (it.changes == 0) it.now = {seen};
  }
  /// The same for what is known to be there.
  void has(std::uint64_t sector, Stamp stamp) const {
    require(sectors_[sector].may_be(kAnything) || sectors_[sector].may_be(stamp));
  }

 private:
  struct Sector {
    Sector() : Sector(0) {}
    explicit Sector(Stamp stamp) : now{stamp}, durable{stamp} {}
    void may(Stamp stamp) {
      now.push_back(stamp);
      durable.push_back(stamp);
    }
    [[nodiscard]] bool may_be(Stamp stamp) const {
      return std::find(now.begin(), now.end(), stamp) != now.end();
    }

    std::vector<Stamp> now;      // what a read may see
    std::vector<Stamp> durable;  // what one after a power cut may
    std::uint64_t changed = 0;   // when that was last
    int changes = 0;             // under way
    bool is_disputed = false;    // there were several at once
  };

  void dispute(const Sectors& range) {
    for_each(range, [](std::uint64_t, Sector& sector) {
      sector.is_disputed = true;
      sector.may(kAnything);
    });
  }
  template <class Do>
  void for_each(const Sectors& range, Do&& work) {
    for (std::uint64_t i = range.first; i < range.first + range.count; ++i) work(i, sectors_[i]);
  }

  std::uint64_t size_;
  std::uint64_t time_ = 0;
  std::uint64_t resized_at_ = 0;
  std::vector<Sector> sectors_;
  std::vector<Sectors> under_way_;  // changes
};
