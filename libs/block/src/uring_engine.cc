// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "uring_engine.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "operation.h"
#include "vmm/base/assert.h"

namespace vmm::block {
namespace {

/// Of completions that nobody waits for.
constexpr std::uint64_t kNobody = ~std::uint64_t{0};
/// The kernel's limit for one registered buffer.
constexpr std::size_t kMaxPinned = std::size_t{1} << 30;
constexpr std::size_t kMaxPinnedBuffers = 1024;
/// How often a kernel that is short of memory is asked again.
constexpr int kPatience = 10000;

int set_up(io_uring& ring, std::uint32_t entries) {
  // Completions are looked for after each system call anyway: no interrupt for them (Linux 5.19).
  const int error = io_uring_queue_init(entries, &ring, IORING_SETUP_COOP_TASKRUN);
  return error == -EINVAL ? io_uring_queue_init(entries, &ring, 0) : error;
}

}  // namespace

Result<std::unique_ptr<UringEngine>> UringEngine::create(const Options& options) {
  io_uring ring{};
  if (const int error = set_up(ring, options.depth); error < 0) {
    return fail(Error::os(-error, "set up io_uring"));
  }
  std::unique_ptr<UringEngine> engine(new UringEngine(ring));
  if ((ring.features & IORING_FEAT_SUBMIT_STABLE) == 0 || (ring.features & IORING_FEAT_NODROP) == 0)
    return fail(Error::os(ENOSYS, "set up io_uring"));
  engine->failed_.reserve(options.depth);
  VMM_TRY_DO(engine->try_out());
  engine->register_files(options.files);
  engine->pin(options.pinned_memory);
  return engine;
}

UringEngine::~UringEngine() {
  // The kernel may not touch buffers after us.
  cancel();
  Completion ended[16];
  while (in_flight_ != 0) {
    wait();
    (void)reap(ended);
  }
  io_uring_queue_exit(&ring_);
}

// The set-up may be permitted where its use is not.
Result<void> UringEngine::try_out() {
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) return fail(Error::os(ENOSYS, "use io_uring"));
  io_uring_prep_nop(entry);
  io_uring_sqe_set_data64(entry, kNobody);
  if (const int error = io_uring_submit(&ring_); error < 0) {
    return fail(Error::os(-error, "use io_uring"));
  }
  io_uring_cqe* completion = nullptr;
  if (const int error = io_uring_wait_cqe(&ring_, &completion); error < 0) {
    return fail(Error::os(-error, "use io_uring"));
  }
  io_uring_cqe_seen(&ring_, completion);
  return {};
}

void UringEngine::register_files(std::span<const int> files) {
  if (files.empty()) return;
  if (io_uring_register_files(&ring_, files.data(), static_cast<unsigned>(files.size())) == 0) {
    files_.assign(files.begin(), files.end());
    first_file_ = files.front();
  }
}

void UringEngine::pin(std::span<const IoVec> memory) {
  std::vector<IoVec> parts;
  for (const IoVec& region : memory) {
    for (std::size_t at = 0; at < region.bytes; at += kMaxPinned) {
      parts.push_back(
          {static_cast<std::byte*>(region.base) + at, std::min(kMaxPinned, region.bytes - at)});
    }
  }
  if (parts.empty() || parts.size() > kMaxPinnedBuffers) return;
  if (io_uring_register_buffers(&ring_, as_iovec(parts), static_cast<unsigned>(parts.size())) == 0)
    pinned_ = std::move(parts);
}

int UringEngine::pinned_index(const IoVec& buffer) {
  const auto holds = [&buffer](const IoVec& region) {
    const auto offset = reinterpret_cast<std::uintptr_t>(buffer.base) -
                        reinterpret_cast<std::uintptr_t>(region.base);
    return offset < region.bytes && buffer.bytes <= region.bytes - offset;
  };
  if (holds(pinned_[last_pinned_])) return static_cast<int>(last_pinned_);
  const auto found = std::find_if(pinned_.begin(), pinned_.end(), holds);
  if (found == pinned_.end()) return -1;
  last_pinned_ = static_cast<std::size_t>(found - pinned_.begin());
  return static_cast<int>(last_pinned_);
}

void UringEngine::use_other_file(io_uring_sqe& entry, int fd) const {
  for (std::size_t i = 1; i < files_.size(); ++i) {
    if (files_[i] != fd) continue;
    entry.fd = static_cast<int>(i);
    entry.flags |= IOSQE_FIXED_FILE;
    return;
  }
}

void UringEngine::prepare_transfer(io_uring_sqe& entry, const Operation& operation) {
  const bool read = operation.kind == Operation::Kind::kRead;
  const std::uint64_t offset = operation.offset;
  const int fd = operation.fd;
  if (operation.buffers.size() != 1) {
    const iovec* const list = as_iovec(operation.buffers);
    const unsigned count = buffer_count(operation.buffers);
    if (read) return io_uring_prep_readv(&entry, fd, list, count, offset);
    return io_uring_prep_writev(&entry, fd, list, count, offset);
  }
  const IoVec& buffer = operation.buffers.front();
  // What is more is a short transfer.
  const auto bytes = static_cast<unsigned>(std::min<std::size_t>(buffer.bytes, kMaxPinned));
  const int index = pinned_.empty() ? -1 : pinned_index(buffer);
  if (index >= 0) {
    if (read) return io_uring_prep_read_fixed(&entry, fd, buffer.base, bytes, offset, index);
    return io_uring_prep_write_fixed(&entry, fd, buffer.base, bytes, offset, index);
  }
  if (read) return io_uring_prep_read(&entry, fd, buffer.base, bytes, offset);
  io_uring_prep_write(&entry, fd, buffer.base, bytes, offset);
}

void UringEngine::prepare(io_uring_sqe& entry, const Operation& operation) {
  switch (operation.kind) {
    case Operation::Kind::kRead:
    case Operation::Kind::kWrite:
      prepare_transfer(entry, operation);
      break;
    case Operation::Kind::kSync:
      io_uring_prep_fsync(&entry, operation.fd, IORING_FSYNC_DATASYNC);
      break;
    case Operation::Kind::kPunchHole:
    case Operation::Kind::kZeroRange:
      // liburing 2.3 takes the length as off_t.
      io_uring_prep_fallocate(&entry, operation.fd, fallocate_mode(operation.kind),
                              static_cast<off_t>(operation.offset),
                              static_cast<off_t>(operation.bytes));
      break;
  }
  use_file(entry, operation.fd);
}

void UringEngine::submit(const Operation& operation) {
  if (broken_ != 0) [[unlikely]]
    return refuse(operation);
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  VMM_ASSERT_ALWAYS(entry != nullptr);  // the ring has room for `depth` of them
  prepare(*entry, operation);
  io_uring_sqe_set_data64(entry, operation.tag);
}

void UringEngine::refuse(const Operation& operation) {
  failed_.push_back({.tag = operation.tag, .result = -broken_});
}

// One system call but for kernels that are short of something.
void UringEngine::enter(unsigned wait_for) {
  for (int patience = kPatience; broken_ == 0; --patience) {
    const unsigned before = io_uring_sq_ready(&ring_);
    const int answer =
        wait_for == 0 ? io_uring_submit(&ring_) : io_uring_submit_and_wait(&ring_, wait_for);
    in_flight_ += before - io_uring_sq_ready(&ring_);
    if (answer >= 0 && io_uring_sq_ready(&ring_) == 0) return;
    if (answer == -EBUSY && io_uring_cq_ready(&ring_) != 0) return;  // reap() first
    if (answer >= 0 || answer == -EINTR) continue;
    if ((answer != -EAGAIN && answer != -EBUSY && answer != -ENOMEM) || patience <= 0) {
      return break_down(-answer);
    }
    ::sched_yield();
  }
}

void UringEngine::break_down(int error) {
  broken_ = error;
  const unsigned end = ring_.sq.sqe_tail;
  for (unsigned at = end - io_uring_sq_ready(&ring_); at != end; ++at) {
    const std::uint64_t tag = ring_.sq.sqes[at & ring_.sq.ring_mask].user_data;
    if (tag == kNobody) continue;
    failed_.push_back({.tag = static_cast<std::uint32_t>(tag), .result = -error});
  }
}

void UringEngine::kick() {
  if (broken_ == 0 && io_uring_sq_ready(&ring_) != 0) enter(0);
}

void UringEngine::wait() {
  if (!failed_.empty() || io_uring_cq_ready(&ring_) != 0) return;
  if (broken_ != 0) {
    ::sched_yield();  // what is in flight ends all the same
    return;
  }
  if (io_uring_sq_ready(&ring_) != 0 || in_flight_ != 0) enter(1);
}

void UringEngine::cancel() {
  kick();
  if (in_flight_ == 0 || broken_ != 0) return;
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) return;
  // A kernel before 5.19 refuses this, and everything is waited for.
  io_uring_prep_cancel64(entry, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
  io_uring_sqe_set_data64(entry, kNobody);
  enter(0);
}

std::size_t UringEngine::reap(std::span<Completion> out) {
  std::size_t count = 0;
  while (count < out.size() && !failed_.empty()) {
    out[count++] = failed_.back();
    failed_.pop_back();
  }
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_cqe* entry = nullptr;
  io_uring_for_each_cqe(&ring_, head, entry) {
    if (count == out.size()) break;
    ++seen;
    if (entry->user_data == kNobody) continue;
    out[count++] = {.tag = static_cast<std::uint32_t>(entry->user_data), .result = entry->res};
  }
  in_flight_ -= seen;
  io_uring_cq_advance(&ring_, seen);
  return count;
}

}  // namespace vmm::block
