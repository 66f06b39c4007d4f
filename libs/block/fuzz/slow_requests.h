// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Requests for an image beside what a disk may hold: whole ones of a queue, and slow ones, whose
// data moves when a script says so.

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "stamped_disk.h"
#include "vmm/block/disk_queue.h"
#include "vmm/block/image.h"
#include "vmm/sys_util/file_io.h"

inline vmm::block::ByteRange bytes_of(const Sectors& range) {
  return {.offset = range.first * kSectorBytes, .bytes = range.count * kSectorBytes};
}
inline std::vector<std::byte> stamped(const Sectors& range, std::uint32_t nth) {
  std::vector<std::byte> data(range.count * kSectorBytes);
  for (std::uint64_t i = 0; i < range.count; ++i) {
    fill_sector(StampedDisk::stamp(nth, range.first + i), &data[i * kSectorBytes]);
  }
  return data;
}

/// Requests of a queue. They begin with submit() and end with reap(); in between they are under
/// way.
class Requests {
 public:
  Requests(std::shared_ptr<vmm::block::Image> image, StampedDisk& disk, std::uint32_t& writes)
      : disk_(disk),
        writes_(writes),
        queue_(*vmm::block::DiskQueue::create(
            std::move(image),
            {.engine = vmm::block::EngineKind::kSync, .depth = kDepth, .max_buffers = 3})) {}

  /// Bits 0 to 2 of `how`: the kind, bits 3 and 4: durable, may_unmap, the others: buffers.
  void submit(std::uint8_t how, const Sectors& range) {
    static constexpr Kind kKinds[] = {Kind::kRead,    Kind::kWrite,       Kind::kWrite,
                                      Kind::kDiscard, Kind::kWriteZeroes, Kind::kWriteZeroes,
                                      Kind::kRead,    Kind::kWrite};
    Asked& asked = free_one();
    asked.range = range;
    asked.request = {.kind = kKinds[how % 8],
                     .durable = (how & 8) != 0 && kKinds[how % 8] != Kind::kRead,
                     .may_unmap = (how & 16) != 0,
                     .tag = static_cast<std::uint32_t>(&asked - asked_.data()),
                     .range = bytes_of(range)};
    asked.nth = asked.request.kind == Kind::kWrite ? ++writes_ : 0;
    asked.began = disk_.time();
    if (asked.request.kind == Kind::kRead || asked.request.kind == Kind::kWrite) {
      asked.data = stamped(range, asked.nth);
      cut_up(asked, how >> 5);
    }
    if (asked.request.kind != Kind::kRead) disk_.begin(range, asked.nth);
    queue_->submit(asked.request);
  }
  void flush() {
    begin_flush();
    disk_.flushed();
    reap();
  }
  /// One whose end nobody hears of.
  void flush_in_vain() { begin_flush(); }
  void reap() {
    queue_->kick();
    vmm::block::EndedRequest ended;
    while (queue_->reap({&ended, 1}) == 1) end(ended);
  }

 private:
  using Kind = vmm::block::DiskRequest::Kind;
  static constexpr std::uint32_t kDepth = 4;

  struct Asked {
    vmm::block::DiskRequest request;
    Sectors range;
    std::uint32_t nth = 0;  // of all writes; 0: zeros
    std::uint64_t began = 0;
    std::vector<std::byte> data;
    std::array<vmm::IoVec, 3> list{};
    bool is_used = false;
  };

  void begin_flush() {
    Asked& asked = free_one();
    asked.request = {.kind = Kind::kFlush,
                     .tag = static_cast<std::uint32_t>(&asked - asked_.data())};
    queue_->submit(asked.request);
  }
  Asked& free_one() {
    if (queue_->is_full()) reap();
    for (Asked& asked : asked_) {
      if (std::exchange(asked.is_used, true)) continue;
      return asked;
    }
    std::abort();
  }
  /// Buffers that are no whole sectors.
  static void cut_up(Asked& asked, std::size_t how) {
    const std::size_t first = how % 5 * 77;
    const std::size_t second = how % 5 * 31;
    static_assert(4 * (77 + 31) < kSectorBytes);
    std::byte* const data = asked.data.data();
    asked.list = {{{data, first},
                   {data + first, second},
                   {data + first + second, asked.data.size() - first - second}}};
    asked.request.buffers = std::span(asked.list).last(how % 5 == 0 ? 1 : 3);
  }
  void end(const vmm::block::EndedRequest& ended) {
    Asked& asked = asked_.at(ended.tag);
    require(std::exchange(asked.is_used, false));
    const bool ok = ended.error == 0;
    // A disk that got smaller meanwhile has no place for it.
    require(ok || (ended.error == ERANGE && asked.began < disk_.resized_at()));
    switch (asked.request.kind) {
      case Kind::kRead:
        require(!ok || ended.bytes == asked.data.size());
        for (std::uint64_t i = 0; i < ended.bytes / kSectorBytes; ++i) {
          disk_.read(asked.range.first + i, &asked.data[i * kSectorBytes], asked.began);
        }
        return;
      case Kind::kDiscard:
        disk_.end(asked.range, 0, false);
        break;
      case Kind::kWrite:
      case Kind::kWriteZeroes:
        disk_.end(asked.range, asked.nth, ok);
        break;
      case Kind::kFlush:
        return;
    }
    if (ok && asked.request.durable) disk_.flushed(asked.range);
  }

  StampedDisk& disk_;
  std::uint32_t& writes_;
  std::array<Asked, kDepth> asked_;
  std::unique_ptr<vmm::block::DiskQueue> queue_;
};

/// Requests in their parts: a place, the data, the end.
class SlowRequests {
 public:
  SlowRequests(vmm::block::Image& image, StampedDisk& disk, std::uint32_t& writes)
      : image_(image), disk_(disk), writes_(writes) {}

  void begin_write(const Sectors& range) {
    Write& write = writes_under_way_[next_write_++ % kMost];
    end(write, true);
    const auto plan = image_.prepare_write(bytes_of(range), write.extents);
    require(plan && plan->count != 0 && plan->bytes % kSectorBytes == 0);
    write.count = plan->count;
    write.token = plan->token;
    write.range = {.first = range.first, .count = plan->bytes / kSectorBytes};
    require(write.range.count != 0 && write.range.count <= range.count);
    write.nth = ++writes_;
    write.is_moved = false;
    disk_.begin(write.range, write.nth);
  }
  void move(std::uint8_t which) {
    Write& write = writes_under_way_[which % kMost];
    if (write.count == 0 || write.is_moved) return;
    const std::vector<std::byte> data = stamped(write.range, write.nth);
    std::span<const std::byte> rest = data;
    for (const auto& extent : std::span(write.extents).first(write.count)) {
      require(vmm::sys_util::pwrite_all(extent.fd, rest.first(extent.bytes), extent.file_offset)
                  .has_value());
      rest = rest.subspan(extent.bytes);
    }
    require(rest.empty());
    write.is_moved = true;
  }
  void end_write(std::uint8_t which) { end(writes_under_way_[which % kMost], (which & 0x40) == 0); }
  void begin_read(const Sectors& range) {
    Read& read = reads_under_way_[next_read_++ % kMost];
    end(read);
    const auto plan = image_.map(bytes_of(range), read.extents);
    require(plan && plan->count != 0);
    read.count = plan->count;
    read.token = plan->token;
    read.first = range.first;
    read.began = disk_.time();
  }
  void end_read(std::uint8_t which) { end(reads_under_way_[which % kMost]); }
  void end_all() {
    for (Write& write : writes_under_way_) end(write, true);
    for (Read& read : reads_under_way_) end(read);
  }
  /// Ends them for the image, of which nobody hears any more.
  void abandon() {
    for (Write& write : writes_under_way_) {
      if (write.count != 0 && write.token != 0) (void)image_.finish_write(write.token, false);
    }
    for (Read& read : reads_under_way_) {
      if (read.count != 0 && read.token != 0) image_.end_read(read.token);
    }
  }

 private:
  static constexpr std::size_t kMost = 3;
  struct Write {
    std::array<vmm::block::Extent, 3> extents{};
    std::size_t count = 0;  // of extents; 0: there is none
    std::uint64_t token = 0;
    Sectors range;
    std::uint32_t nth = 0;
    bool is_moved = false;
  };
  struct Read {
    std::array<vmm::block::Extent, 3> extents{};
    std::size_t count = 0;
    std::uint64_t token = 0;
    std::uint64_t first = 0;
    std::uint64_t began = 0;
  };

  /// `good`: its data is there, if it was moved.
  void end(Write& write, bool good) {
    if (std::exchange(write.count, 0) == 0) return;
    const bool written = good && write.is_moved;
    if (write.token != 0) require(image_.finish_write(write.token, written).has_value());
    disk_.end(write.range, write.nth, written);
  }
  void end(Read& read) {
    const std::size_t count = std::exchange(read.count, 0);
    std::uint64_t sector = read.first;
    for (const auto& extent : std::span(read.extents).first(count)) {
      const std::vector<std::byte> data = content(extent, sector * kSectorBytes);
      for (std::uint64_t i = 0; i < extent.bytes / kSectorBytes; ++i) {
        disk_.read(sector++, &data[i * kSectorBytes], read.began);
      }
    }
    if (count != 0 && read.token != 0) image_.end_read(read.token);
  }
  [[nodiscard]] std::vector<std::byte> content(const vmm::block::Extent& extent,
                                               std::uint64_t offset) {
    std::vector<std::byte> data(extent.bytes);
    if (extent.kind == vmm::block::Extent::Kind::kSlow) {
      require(image_.read_slow(offset, data).has_value());
    } else if (extent.kind == vmm::block::Extent::Kind::kData) {
      const auto got = vmm::sys_util::pread_full(extent.fd, data, extent.file_offset);
      require(got && (*got == data.size() || extent.zeros_past_end));
    }
    return data;
  }

  vmm::block::Image& image_;
  StampedDisk& disk_;
  std::uint32_t& writes_;
  std::array<Write, kMost> writes_under_way_;
  std::array<Read, kMost> reads_under_way_;
  std::size_t next_write_ = 0;
  std::size_t next_read_ = 0;
};
