// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/guest_io.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "vmm/base/checked.h"

namespace vmm::vm_memory {
namespace {

static_assert(sizeof(IoVec) == sizeof(iovec) &&
              offsetof(IoVec, base) == offsetof(iovec, iov_base) &&
              offsetof(IoVec, bytes) == offsetof(iovec, iov_len));
static_assert(kMaxSlicesPerCall <= IOV_MAX);

using Slices = std::span<const GuestSlice>;

enum class Direction : bool { kFromGuest, kToGuest };

/// A range of guest memory in this many regions moves in one call.
constexpr std::size_t kRegionsPerCall = 16;

const char* name_of(Direction direction) {
  return direction == Direction::kToGuest ? "read into guest memory" : "write from guest memory";
}

void mark_dirty(Slices slices, std::size_t bytes) {
  for (const GuestSlice& slice : slices) {
    if (bytes == 0) return;
    const std::size_t n = std::min(bytes, slice.size());
    slice.mark_dirty(0, n);
    bytes -= n;
  }
}

std::size_t total_of(Slices slices) {
  std::size_t total = 0;
  for (const GuestSlice& slice : slices) total += slice.size();
  return total;
}

/// Repeats an interrupted call.
template <class Call>
inline ssize_t retry(Call&& call) {
  ssize_t done = call();
  while (done < 0 && errno == EINTR) [[unlikely]]
    done = call();
  return done;
}

/// The list in the form that the kernel wants. Only the part in use is ever touched.
template <std::size_t kCapacity>
struct IoVecs {
  std::size_t count = 0;
  std::array<iovec, kCapacity> list;

  IoVecs() {}  // NOLINT: leaves the list as it is
  void append(const GuestSlice& slice) {
    const IoVec piece = slice.unsafe_iovec();
    list[count++] = {piece.base, piece.bytes};
  }
};

/// One system call for one piece. `offset`: negative for the descriptor's own position.
template <Direction kDirection>
inline ssize_t call_one(int fd, off_t offset, IoVec piece) {
  return retry([&] {
    if constexpr (kDirection == Direction::kToGuest) {
      return offset < 0 ? ::read(fd, piece.base, piece.bytes)
                        : ::pread(fd, piece.base, piece.bytes, offset);
    } else {
      return offset < 0 ? ::write(fd, piece.base, piece.bytes)
                        : ::pwrite(fd, piece.base, piece.bytes, offset);
    }
  });
}

/// One system call for a list.
template <Direction kDirection>
inline ssize_t call_many(int fd, off_t offset, const iovec* list, std::size_t size) {
  const int count = static_cast<int>(size);
  return retry([&] {
    if constexpr (kDirection == Direction::kToGuest) {
      return offset < 0 ? ::readv(fd, list, count) : ::preadv(fd, list, count, offset);
    } else {
      return offset < 0 ? ::writev(fd, list, count) : ::pwritev(fd, list, count, offset);
    }
  });
}

Result<std::size_t> result_of(ssize_t done, Direction direction) {
  if (done < 0) [[unlikely]]
    return fail(Error::from_errno(name_of(direction)));
  return static_cast<std::size_t>(done);
}

/// What a call wrote; after a failed one that may be anything in the list.
std::size_t written_by(ssize_t done) {
  return done < 0 ? ~std::size_t{0} : static_cast<std::size_t>(done);
}

constexpr off_t kOwnPosition = -1;

Result<off_t> position(std::uint64_t offset, std::uint64_t moved, Direction direction) {
  const std::optional<std::uint64_t> sum = checked_add(offset, moved);
  const std::optional<off_t> at = sum ? checked_cast<off_t>(*sum) : std::nullopt;
  if (!at) return fail(Error::os(EINVAL, name_of(direction)));
  return *at;
}

/// One system call for at most kMaxSlicesPerCall slices.
template <Direction kDirection>
Result<std::size_t> move_batch(int fd, off_t offset, Slices slices) {
  ssize_t done = 0;
  if (slices.size() == 1) {
    done = call_one<kDirection>(fd, offset, slices.front().unsafe_iovec());
  } else {
    IoVecs<kMaxSlicesPerCall> vecs;
    for (const GuestSlice& slice : slices) vecs.append(slice);
    done = call_many<kDirection>(fd, offset, vecs.list.data(), vecs.count);
  }
  const Result<std::size_t> result = result_of(done, kDirection);
  if constexpr (kDirection == Direction::kToGuest) mark_dirty(slices, written_by(done));
  return result;
}

template <Direction kDirection>
Result<std::size_t> move(int fd, std::optional<std::uint64_t> offset, Slices slices) {
  std::size_t moved = 0;
  while (true) {
    const Slices batch = slices.first(std::min(slices.size(), kMaxSlicesPerCall));
    slices = slices.subspan(batch.size());
    off_t at = kOwnPosition;
    if (offset) {
      VMM_TRY(at, position(*offset, moved, kDirection));
    }
    const Result<std::size_t> done = move_batch<kDirection>(fd, at, batch);
    if (!done) {
      if (moved != 0) return moved;  // the caller meets the error again where it stopped
      return fail(done.error());
    }
    moved += *done;
    if (slices.empty() || *done < total_of(batch)) return moved;
  }
}

/// Moves a range that begins in `region` and goes on in others, up to the first hole, in one
/// system call.
template <Direction kDirection>
Result<std::size_t> move_pieces(int fd, off_t position, const MemoryView& memory,
                                const RegionSpan* region, std::uint64_t offset,
                                std::uint64_t bytes) {
  const GuestAddress address(region->base.raw() + offset);
  IoVecs<kRegionsPerCall> vecs;
  bool tracked = false;
  for (std::uint64_t left = bytes; vecs.count < kRegionsPerCall;) {
    const std::uint64_t n = std::min<std::uint64_t>(left, region->host.size() - offset);
    vecs.list[vecs.count++] = {region->host.data() + offset, n};
    tracked |= region->dirty != nullptr;
    left -= n;
    offset = 0;
    const std::uint64_t end = region->base.raw() + region->host.size();
    ++region;
    if (left == 0 || region == memory.end_region() || region->base.raw() != end) break;
  }
  const ssize_t done = call_many<kDirection>(fd, position, vecs.list.data(), vecs.count);
  const Result<std::size_t> result = result_of(done, kDirection);
  if (kDirection == Direction::kToGuest && tracked) {
    memory.mark_dirty(address, std::min<std::uint64_t>(bytes, written_by(done)));
  }
  return result;
}

template <Direction kDirection>
inline Result<std::size_t> move_some(int fd, off_t position, const MemoryView& memory,
                                     GuestAddress address, std::uint64_t bytes) {
  if (bytes == 0) [[unlikely]]
    return std::size_t{0};
  const RegionSpan* const region = memory.find_region(address);
  if (region == nullptr) [[unlikely]]
    return fail(MemoryError::kUnmapped);
  const std::uint64_t offset = address.raw() - region->base.raw();
  if (bytes > region->host.size() - offset) [[unlikely]] {
    return move_pieces<kDirection>(fd, position, memory, region, offset, bytes);
  }
  const ssize_t done = call_one<kDirection>(fd, position, {region->host.data() + offset, bytes});
  const Result<std::size_t> result = result_of(done, kDirection);
  if constexpr (kDirection == Direction::kToGuest) {
    DirtyWindow{region->dirty, offset}.mark(0, std::min<std::uint64_t>(bytes, written_by(done)));
  }
  return result;
}

Error nothing_moved(Direction direction) {
  return Error::os(direction == Direction::kToGuest ? ENODATA : EIO, name_of(direction));
}

/// What move_all() does, for what takes several calls or regions.
template <Direction kDirection>
[[gnu::noinline]] Result<void> move_in_steps(int fd, std::optional<std::uint64_t> offset,
                                             const MemoryView& memory, GuestAddress address,
                                             std::uint64_t bytes) {
  VMM_TRY_DO(memory.check(address, bytes));
  for (std::uint64_t moved = 0; moved < bytes;) {
    off_t at = kOwnPosition;
    if (offset) {
      VMM_TRY(at, position(*offset, moved, kDirection));
    }
    VMM_TRY(
        const std::size_t n,
        move_some<kDirection>(fd, at, memory, GuestAddress(address.raw() + moved), bytes - moved));
    if (n == 0) return fail(nothing_moved(kDirection));
    moved += n;
  }
  return {};
}

/// Nearly always it is one region and one call.
template <Direction kDirection>
Result<void> move_all(int fd, std::optional<std::uint64_t> offset, const MemoryView& memory,
                      GuestAddress address, std::uint64_t bytes) {
  const std::optional<off_t> at = offset ? checked_cast<off_t>(*offset) : kOwnPosition;
  const Result<GuestSlice, MemoryError> slice = memory.slice(address, bytes);
  if (!slice || !at || bytes == 0) [[unlikely]]
    return move_in_steps<kDirection>(fd, offset, memory, address, bytes);
  const ssize_t done = call_one<kDirection>(fd, *at, slice->unsafe_iovec());
  const Result<std::size_t> result = result_of(done, kDirection);
  if constexpr (kDirection == Direction::kToGuest) slice->mark_dirty(0, written_by(done));
  if (!result) [[unlikely]]
    return fail(result.error());
  const std::uint64_t moved = *result;
  if (moved == bytes) [[likely]]
    return {};
  if (moved == 0) return fail(nothing_moved(kDirection));
  if (offset) *offset += moved;
  return move_in_steps<kDirection>(fd, offset, memory, GuestAddress(address.raw() + moved),
                                   bytes - moved);
}

msghdr message_of(IoVecs<kMaxSlicesPerCall>& vecs, Slices slices) {
  for (const GuestSlice& slice : slices) vecs.append(slice);
  msghdr message = {};
  message.msg_iov = vecs.list.data();
  message.msg_iovlen = vecs.count;
  return message;
}

}  // namespace

Result<std::size_t> read_at(int fd, std::uint64_t offset, Slices to) {
  return move<Direction::kToGuest>(fd, offset, to);
}

Result<std::size_t> write_at(int fd, std::uint64_t offset, Slices from) {
  return move<Direction::kFromGuest>(fd, offset, from);
}

Result<std::size_t> read_from(int fd, Slices to) {
  return move<Direction::kToGuest>(fd, std::nullopt, to);
}

Result<std::size_t> write_to(int fd, Slices from) {
  return move<Direction::kFromGuest>(fd, std::nullopt, from);
}

Result<std::size_t> receive_from(int socket, Slices to, int flags) {
  if (to.size() > kMaxSlicesPerCall) return fail(Error::os(EMSGSIZE, "recvmsg"));
  IoVecs<kMaxSlicesPerCall> vecs;
  msghdr message = message_of(vecs, to);
  const ssize_t done = retry([&] { return ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC); });
  const Result<std::size_t> result = result_of(done, Direction::kToGuest);
  mark_dirty(to, written_by(done));
  return result;
}

Result<std::size_t> send_to(int socket, Slices from, int flags) {
  if (from.size() > kMaxSlicesPerCall) return fail(Error::os(EMSGSIZE, "sendmsg"));
  IoVecs<kMaxSlicesPerCall> vecs;
  const msghdr message = message_of(vecs, from);
  const ssize_t done = retry([&] { return ::sendmsg(socket, &message, flags | MSG_NOSIGNAL); });
  return result_of(done, Direction::kFromGuest);
}

Result<std::size_t> read_some_from(int fd, MemoryView memory, GuestAddress address,
                                   std::uint64_t bytes) {
  return move_some<Direction::kToGuest>(fd, kOwnPosition, memory, address, bytes);
}

Result<std::size_t> write_some_to(int fd, MemoryView memory, GuestAddress address,
                                  std::uint64_t bytes) {
  return move_some<Direction::kFromGuest>(fd, kOwnPosition, memory, address, bytes);
}

Result<void> read_exactly_from(int fd, MemoryView memory, GuestAddress address,
                               std::uint64_t bytes) {
  return move_all<Direction::kToGuest>(fd, std::nullopt, memory, address, bytes);
}

Result<void> write_exactly_to(int fd, MemoryView memory, GuestAddress address,
                              std::uint64_t bytes) {
  return move_all<Direction::kFromGuest>(fd, std::nullopt, memory, address, bytes);
}

Result<void> MemoryView::read_from_file(int fd, std::uint64_t file_offset, GuestAddress address,
                                        std::uint64_t bytes) const {
  return move_all<Direction::kToGuest>(fd, file_offset, *this, address, bytes);
}

Result<void> MemoryView::write_to_file(int fd, std::uint64_t file_offset, GuestAddress address,
                                       std::uint64_t bytes) const {
  return move_all<Direction::kFromGuest>(fd, file_offset, *this, address, bytes);
}

}  // namespace vmm::vm_memory
