// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "buffers.h"
#include "vmm/block/disk_queue.h"
#include "vmm/sys_util/mapping.h"

namespace vmm::block {

/// A request is done in steps; a step is over when none of its operations is pending. A transfer
/// takes as many steps as the image has answers for it, of up to kParts extents each.
class DiskQueue::Impl {
 public:
  static constexpr std::size_t kParts = 4;
  static constexpr std::size_t kBounceBytes = 128 * 1024;

  struct Room {
    sys_util::Mapping lists;   // of buffers, for each slot
    sys_util::Mapping bounce;  // for what the kernel cannot move by itself
  };

  Impl(std::shared_ptr<Image> image, std::unique_ptr<Engine> engine, const Options& options,
       Room room);

  [[nodiscard]] bool is_full() const { return outstanding_ == slots_.size(); }
  void submit(const DiskRequest& request);
  void kick();
  [[nodiscard]] std::size_t reap(std::span<EndedRequest> out);
  void drain();

  [[nodiscard]] Image& image() const { return *image_; }
  [[nodiscard]] const Engine& engine() const { return *engine_; }

  [[nodiscard]] static std::size_t list_room(std::uint32_t max_buffers) {
    return max_buffers + 2 * kParts;
  }

 private:
  enum class Step : std::uint8_t { kMove, kRange, kSync, kEnd };

  /// One operation of a step.
  struct Part {
    Operation operation;
    std::uint64_t at = 0;    // in the step, in bytes
    std::uint64_t left = 0;  // to be moved
    bool zeros_past_end = false;
    bool own_list = false;  // the list of buffers is in the slot's room and may be changed
  };
  struct Slot {
    DiskRequest request;
    Step step = Step::kEnd;
    int error = 0;
    std::uint32_t pending = 0;
    std::uint32_t retries = 0;
    std::uint64_t done = 0;  // by the steps before
    ByteRange asked;         // of the image, in this step
    std::uint64_t step_bytes = 0;
    std::uint64_t good = 0;   // of step_bytes, from the start
    std::uint64_t token = 0;  // of Image::map() or prepare_write()
    BufferCursor cursor{{}};
    std::span<IoVec> list_left;  // room that this step did not use
    std::array<Part, kParts> parts;
  };

  void advance(Slot& slot);
  void end(Slot& slot);
  void fail_step(Slot& slot, int error, std::uint64_t good);

  void start_move(Slot& slot);
  void start_read(Slot& slot);
  void start_write(Slot& slot);
  void end_move(Slot& slot);
  void write_first_sector(Slot& slot);
  void start_extent(Slot& slot, std::size_t index, const Extent& extent, std::uint64_t at);
  void start_transfer(Slot& slot, std::size_t index, const Extent& extent, std::uint64_t at);
  void start_range(Slot& slot);
  void start_sync(Slot& slot);
  void start_part(Slot& slot, std::size_t index);

  void complete(const Completion& completion);
  void complete_move(Slot& slot, Part& part, std::int32_t result);
  void complete_range(Slot& slot, const Part& part, std::int32_t result);
  void complete_sync(Slot& slot, std::int32_t result);
  void go_on(Slot& slot, Part& part, std::uint64_t moved);

  [[nodiscard]] bool fits_direct(const Extent& extent, std::span<const IoVec> buffers) const;
  [[nodiscard]] int bounce_read(const Extent& extent, BufferCursor cursor);
  [[nodiscard]] int bounce_write(const Extent& extent, BufferCursor cursor);
  [[nodiscard]] int read_slow(std::uint64_t offset, std::uint64_t bytes, BufferCursor cursor);

  [[nodiscard]] std::size_t index_of(const Slot& slot) const {
    return static_cast<std::size_t>(&slot - slots_.data());
  }
  [[nodiscard]] std::span<IoVec> list_of(const Slot& slot) const;
  /// A place of the ring ended_, `n` places after its first one; at most as many as it has.
  [[nodiscard]] std::size_t ended_at(std::size_t n) const {
    const std::size_t at = ended_first_ + n;
    return at < ended_.size() ? at : at - ended_.size();
  }

  std::shared_ptr<Image> image_;
  std::unique_ptr<Engine> engine_;
  std::size_t list_room_;
  Room room_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;  // slots; the last one given back is used first
  // What one call fills and uses, here so that it is not cleared for each.
  std::array<Extent, kParts> extents_;
  std::array<Completion, 32> completions_;
  std::vector<EndedRequest> ended_;  // a ring as long as slots_
  std::size_t ended_first_ = 0;
  std::size_t ended_count_ = 0;
  std::size_t outstanding_ = 0;  // submitted and not reaped
  std::size_t active_ = 0;       // submitted and not ended
  bool stopping_ = false;
};

}  // namespace vmm::block
