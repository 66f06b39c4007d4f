// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Places for the guest's writes.

#include <algorithm>
#include <cerrno>

#include "extents.h"
#include "file_parts.h"
#include "qcow2_image.h"
#include "vmm/base/assert.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/file_space.h"

namespace vmm::block::qcow2 {
namespace {

constexpr std::size_t kCopyBytes = 64 * 1024;

/// Zeros that have a place of their own all the same.
bool has_spare_place(const Cluster& cluster) {
  return cluster.kind == Cluster::Kind::kZero && cluster.copied;
}
bool is_in_place(const Cluster& cluster) {
  return cluster.kind == Cluster::Kind::kData && cluster.copied;
}

ByteRange overlap(const ByteRange& a, const ByteRange& b) {
  const std::uint64_t from = std::max(a.offset, b.offset);
  const std::uint64_t to = std::min(a.offset + a.bytes, b.offset + b.bytes);
  return {.offset = from, .bytes = to > from ? to - from : 0};
}

}  // namespace

Result<void> Qcow2Image::ready_to_write(const ByteRange& range) {
  if (!file_.writable()) return fail(Error::os(EROFS, "write to a read-only disk"));
  if (!holds(range)) return fail(Error::os(ERANGE, "write beyond the end of the disk"));
  return flush_if_crowded();
}

Result<WritePlan> Qcow2Image::prepare_write(ByteRange range, std::span<Extent> out) {
  WritePlan plan;
  Fills fills;
  {
    const MutexLock lock(mutex_);
    VMM_TRY_DO(ready_to_write(range));
    VMM_TRY(plan, plan_in_place(range, out));
    if (plan.count != 0) return plan;
    if (const auto index = pending_.find(cluster_of(range.offset))) {
      return plan_joining(*index, range, out.front());
    }
    VMM_TRY(plan, plan_new(range, out.front(), fills));
    if (fills.count == 0) return plan;
  }
  const Result<void> done = fill(fills);
  const MutexLock lock(mutex_);
  Allocation& allocation = pending_.at(pending_.writer(plan.token).allocation);
  allocation.state = done ? Allocation::State::kReady : Allocation::State::kFailed;
  filled_.notify_all();
  if (done) return plan;
  (void)end_write(plan.token);
  return fail(done.error());
}

/// Clusters that are the disk's alone: the data goes where the old data is.
Result<WritePlan> Qcow2Image::plan_in_place(ByteRange range, std::span<Extent> out) {
  WritePlan plan;
  bool more = true;
  while (more && range.bytes != 0) {
    auto found = entries_from(cluster_of(range.offset));
    if (!found && plan.count != 0) break;
    VMM_TRY(const Entries entries, std::move(found));
    more = entries.words != nullptr;
    for (std::uint64_t i = 0; more && i < entries.count && range.bytes != 0; ++i) {
      const auto cluster = decode_cluster(header_, entries[i]);
      if (!cluster && plan.count == 0) return fail(cluster.error());
      const std::uint64_t bytes =
          std::min(range.bytes, header_.cluster_bytes() - inside(range.offset));
      more = cluster && is_in_place(*cluster) &&
             append_extent(out, plan.count,
                           {.fd = file_.fd(),
                            .file_offset = cluster->host + inside(range.offset),
                            .bytes = bytes});
      if (!more) break;
      range.offset += bytes;
      range.bytes -= bytes;
      plan.bytes += bytes;
    }
  }
  for (const Extent& extent : out.first(plan.count)) {
    VMM_TRY_DO(check_place(extent.file_offset, extent.bytes));
  }
  if (plan.count != 0) plan.token = epochs_.begin();
  return plan;
}

/// Another write has got a place for this cluster, and no table points to it yet.
Result<WritePlan> Qcow2Image::plan_joining(std::uint32_t index, ByteRange range, Extent& out) {
  range.bytes = std::min(range.bytes, header_.cluster_bytes() - inside(range.offset));
  const std::uint64_t token =
      pending_.begin({.allocation = index, .epoch = epochs_.begin(), .range = range});
  // What is around the other one's data must not come after this one's.
  while (pending_.at(index).state == Allocation::State::kFilling) filled_.wait(mutex_);
  const Allocation& allocation = pending_.at(index);
  if (allocation.state == Allocation::State::kFailed) {
    (void)end_write(token);
    return fail(Error::os(EIO, "read what a cluster had"));
  }
  out = {
      .fd = file_.fd(),
      .file_offset = allocation.host + (range.offset - (allocation.first << header_.cluster_bits)),
      .bytes = range.bytes};
  return WritePlan{.count = 1, .bytes = range.bytes, .token = token};
}

Result<WritePlan> Qcow2Image::plan_new(ByteRange range, Extent& out, Fills& fills) {
  const std::uint64_t cluster = cluster_of(range.offset);
  VMM_TRY_DO(own_l2_table(cluster));
  VMM_TRY(Allocation allocation,
          allocate(cluster, cluster_of(range.offset + range.bytes - 1) - cluster + 1));
  range.bytes =
      std::min(range.bytes, (allocation.count << header_.cluster_bits) - inside(range.offset));
  fills = fills_around(allocation, range);
  if (fills.count != 0) allocation.state = Allocation::State::kFilling;
  const std::uint32_t index = pending_.add(allocation);
  out = {.fd = file_.fd(),
         .file_offset = allocation.host + inside(range.offset),
         .bytes = range.bytes};
  return WritePlan{
      .count = 1,
      .bytes = range.bytes,
      .token = pending_.begin({.allocation = index, .epoch = epochs_.begin(), .range = range})};
}

/// Finds a place for one cluster at least, and for those behind it that need one as well.
Result<Allocation> Qcow2Image::allocate(std::uint64_t cluster, std::uint64_t wanted) {
  VMM_TRY(const Entries entries, entries_from(cluster));
  VMM_ASSERT_ALWAYS(entries.words != nullptr);
  Allocation allocation{.first = cluster, .count = 1};
  VMM_TRY(allocation.old_first, decode_cluster(header_, entries[0]));
  allocation.old_last = allocation.old_first;
  if (has_spare_place(allocation.old_first)) {
    allocation.host = allocation.old_first.host;
    allocation.own_place = false;
    VMM_TRY_DO(check_place(allocation.host, header_.cluster_bytes()));
    return allocation;
  }
  wanted = std::min({wanted, entries.count, Allocation::kMaxCount});
  std::uint64_t count = 1;
  for (; count < wanted; ++count) {
    const auto next = decode_cluster(header_, entries[count]);
    if (!next || is_in_place(*next) || has_spare_place(*next)) break;
    if (pending_.find(cluster + count)) break;
  }
  VMM_TRY(const Refcounts::Run run, refcounts_->allocate(count));
  allocation.count = run.count;
  allocation.host = run.first << header_.cluster_bits;
  allocation.fresh = run.fresh;
  VMM_TRY(allocation.old_last, decode_cluster(header_, entries[run.count - 1]));
  return allocation;
}

/// The first and the last cluster, as far as a write leaves out parts of them. They are filled as a
/// whole: another write that joins in may be done first, and then the tables point to where the
/// data of this one is not yet.
Qcow2Image::Fills Qcow2Image::fills_around(const Allocation& allocation,
                                           const ByteRange& range) const {
  Fills fills;
  const std::uint64_t start = allocation.first << header_.cluster_bits;
  const std::uint64_t bytes = header_.cluster_bytes();
  const auto add = [&](std::uint64_t from, const Cluster& old) {
    const bool all_new = overlap(range, {.offset = from, .bytes = bytes}).bytes == bytes;
    if (all_new || (allocation.fresh && is_zero(old, from))) return;
    fills.add({.range = {.offset = from, .bytes = bytes},
               .host = allocation.host + (from - start),
               .old = old,
               .fresh = allocation.fresh});
  };
  add(start, allocation.old_first);
  if (allocation.count > 1) {
    add(start + ((allocation.count - 1) << header_.cluster_bits), allocation.old_last);
  }
  return fills;
}

Result<void> Qcow2Image::fill(const Fills& fills) {
  for (std::size_t i = 0; i < fills.count; ++i) VMM_TRY_DO(copy_old(fills.list[i]));
  return {};
}

Result<void> Qcow2Image::copy_old(const Fill& fill) {
  const int fd = file_.buffered_fd();
  if (is_zero(fill.old, fill.range.offset)) {
    if (fill.fresh) return {};
    return sys_util::write_zeroes(fd, {.offset = fill.host, .length = fill.range.bytes});
  }
  std::vector<std::byte> buffer(
      static_cast<std::size_t>(std::min<std::uint64_t>(fill.range.bytes, kCopyBytes)));
  for (std::uint64_t at = 0; at < fill.range.bytes; at += buffer.size()) {
    const std::span<std::byte> part = std::span(buffer).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), fill.range.bytes - at)));
    VMM_TRY_DO(read_cluster(fill.old, fill.range.offset + at, part));
    VMM_TRY_DO(sys_util::pwrite_all(fd, part, fill.host + at));
  }
  return {};
}

Result<void> Qcow2Image::finish_write(std::uint64_t token, bool written) {
  if (token <= Epochs::kTokens) {
    epochs_.end(token);
    return {};
  }
  Result<void> done = written ? Result<void>() : put_back(token);
  const MutexLock lock(mutex_);
  if (written) done = link(pending_.writer(token));
  const Result<void> ended = end_write(token);
  return done ? ended : done;
}

/// After a write that failed, in a place that others write to as well: what was there before.
Result<void> Qcow2Image::put_back(std::uint64_t token) {
  Fills fills;
  {
    const MutexLock lock(mutex_);
    const Writer& writer = pending_.writer(token);
    const Allocation& allocation = pending_.at(writer.allocation);
    const auto add = [&](std::uint64_t cluster, const Cluster& old) {
      const std::uint64_t start = cluster << header_.cluster_bits;
      const ByteRange part =
          overlap(writer.range, {.offset = start, .bytes = header_.cluster_bytes()});
      const bool linked = (allocation.linked & allocation.bit(cluster)) != 0;
      if (part.bytes == 0 || (!linked && allocation.writers == 1)) return;
      fills.add(
          {.range = part,
           .host = allocation.host + (part.offset - (allocation.first << header_.cluster_bits)),
           .old = old});
    };
    add(allocation.first, allocation.old_first);
    if (allocation.count > 1) add(allocation.first + allocation.count - 1, allocation.old_last);
  }
  return fill(fills);
}

/// Lets the table point to where the data is.
Result<void> Qcow2Image::link(const Writer& writer) {
  VMM_TRY_DO(flush_if_crowded());
  Allocation& allocation = pending_.at(writer.allocation);
  const std::uint64_t first = cluster_of(writer.range.offset);
  const std::uint64_t last = cluster_of(writer.range.offset + writer.range.bytes - 1);
  VMM_TRY(const Entries entries, entries_from(first));
  VMM_ASSERT_ALWAYS(entries.words != nullptr && last - first < entries.count);
  for (std::uint64_t cluster = first; cluster <= last; ++cluster) {
    if (((allocation.linked | allocation.dropped) & allocation.bit(cluster)) != 0) continue;
    const std::uint64_t host =
        allocation.host + ((cluster - allocation.first) << header_.cluster_bits);
    const auto old = decode_cluster(header_, entries[cluster - first]);
    store_be(entries.words + (cluster - first) * kWord, host | kEntryCopied);
    l2_.mark_dirty();
    allocation.linked |= allocation.bit(cluster);
    if (old && old->host != host) give_up(*old);
  }
  return {};
}

Result<void> Qcow2Image::end_write(std::uint64_t token) {
  const Writer writer = pending_.writer(token);
  Result<void> done;
  if (pending_.end(token)) {
    const Allocation& allocation = pending_.at(writer.allocation);
    for (std::uint64_t i = 0; allocation.own_place && i < allocation.count && done; ++i) {
      if ((allocation.linked >> i & 1) != 0) continue;
      const auto freed = refcounts_->release((allocation.host >> header_.cluster_bits) + i);
      if (!freed) done = fail(freed.error());
    }
    pending_.remove(writer.allocation);
  }
  epochs_.end(writer.epoch);
  return done;
}

}  // namespace vmm::block::qcow2
