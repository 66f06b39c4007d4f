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

/// Repeats an interrupted call, and marks what it wrote.
template <Direction kDirection, class Call>
Result<std::size_t> transfer(Slices slices, Call&& call) {
  ssize_t done = 0;
  do {
    done = call();
  } while (done < 0 && errno == EINTR);
  const int error = done < 0 ? errno : 0;
  if constexpr (kDirection == Direction::kToGuest) {
    // A failed read may have written anywhere in the list.
    mark_dirty(slices, done < 0 ? ~std::size_t{0} : static_cast<std::size_t>(done));
  }
  if (done < 0) return fail(Error::os(error, name_of(kDirection)));
  return static_cast<std::size_t>(done);
}

/// The list in the form that the kernel wants. Only the part in use is ever touched.
struct IoVecs {
  explicit IoVecs(Slices slices) : count(slices.size()) {
    for (std::size_t i = 0; i < count; ++i) {
      const IoVec piece = slices[i].unsafe_iovec();
      list[i] = {piece.base, piece.bytes};
    }
  }
  std::size_t count;
  std::array<iovec, kMaxSlicesPerCall> list;
};

template <class One, class Many>
ssize_t call_for(Slices slices, One&& one, Many&& many) {
  if (slices.size() == 1) return one(slices.front().unsafe_iovec());
  const IoVecs vecs(slices);
  return many(vecs.list.data(), static_cast<int>(vecs.count));
}

/// One system call for at most kMaxSlicesPerCall slices. `offset`: nullopt for the own position.
template <Direction kDirection>
Result<std::size_t> move_batch(int fd, std::optional<off_t> offset, Slices slices) {
  return transfer<kDirection>(slices, [&] {
    if constexpr (kDirection == Direction::kToGuest) {
      if (!offset) {
        return call_for(
            slices, [&](IoVec to) { return ::read(fd, to.base, to.bytes); },
            [&](const iovec* list, int count) { return ::readv(fd, list, count); });
      }
      return call_for(
          slices, [&](IoVec to) { return ::pread(fd, to.base, to.bytes, *offset); },
          [&](const iovec* list, int count) { return ::preadv(fd, list, count, *offset); });
    } else {
      if (!offset) {
        return call_for(
            slices, [&](IoVec from) { return ::write(fd, from.base, from.bytes); },
            [&](const iovec* list, int count) { return ::writev(fd, list, count); });
      }
      return call_for(
          slices, [&](IoVec from) { return ::pwrite(fd, from.base, from.bytes, *offset); },
          [&](const iovec* list, int count) { return ::pwritev(fd, list, count, *offset); });
    }
  });
}

template <Direction kDirection>
Result<std::size_t> move(int fd, std::optional<std::uint64_t> offset, Slices slices) {
  std::size_t moved = 0;
  do {
    const Slices batch = slices.first(std::min(slices.size(), kMaxSlicesPerCall));
    slices = slices.subspan(batch.size());
    std::optional<off_t> at;
    if (offset) {
      const std::optional<std::uint64_t> sum = checked_add(*offset, moved);
      at = sum ? checked_cast<off_t>(*sum) : std::nullopt;
      if (!at) return fail(Error::os(EINVAL, name_of(kDirection)));
    }
    const Result<std::size_t> done = move_batch<kDirection>(fd, at, batch);
    if (!done) {
      if (moved != 0) return moved;  // the caller meets the error again where it stopped
      return fail(done.error());
    }
    moved += *done;
    if (slices.empty() || *done < total_of(batch)) return moved;
  } while (true);
}

/// Moves the first regions of a range, up to the first hole, in one system call.
template <Direction kDirection>
Result<std::size_t> move_some(int fd, std::optional<std::uint64_t> offset, MemoryView memory,
                              GuestAddress address, std::uint64_t bytes) {
  if (bytes == 0) return std::size_t{0};
  const Result<GuestSlice, MemoryError> whole = memory.slice(address, bytes);
  if (whole) return move<kDirection>(fd, offset, {&*whole, 1});
  std::array<GuestSlice, kRegionsPerCall> list;
  std::size_t count = 0;
  for (SliceWalk walk = memory.slices(address, bytes); !walk.done() && count < list.size();) {
    const Result<GuestSlice, MemoryError> piece = walk.next();
    if (piece) {
      list[count++] = *piece;
    } else if (count == 0) {
      return fail(piece.error());
    }
  }
  return move<kDirection>(fd, offset, Slices(list).first(count));
}

template <Direction kDirection>
Result<void> move_all(int fd, std::optional<std::uint64_t> offset, MemoryView memory,
                      GuestAddress address, std::uint64_t bytes) {
  VMM_TRY_DO(memory.check(address, bytes));
  while (bytes != 0) {
    VMM_TRY(const std::size_t n, move_some<kDirection>(fd, offset, memory, address, bytes));
    if (n == 0) {
      const int error = kDirection == Direction::kToGuest ? ENODATA : EIO;
      return fail(Error::os(error, name_of(kDirection)));
    }
    bytes -= n;
    address = GuestAddress(address.raw() + n);
    if (offset) offset = *offset + n;
  }
  return {};
}

msghdr message_of(IoVecs& vecs) {
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
  IoVecs vecs(to);
  msghdr message = message_of(vecs);
  return transfer<Direction::kToGuest>(
      to, [&] { return ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC); });
}

Result<std::size_t> send_to(int socket, Slices from, int flags) {
  if (from.size() > kMaxSlicesPerCall) return fail(Error::os(EMSGSIZE, "sendmsg"));
  IoVecs vecs(from);
  const msghdr message = message_of(vecs);
  return transfer<Direction::kFromGuest>(
      from, [&] { return ::sendmsg(socket, &message, flags | MSG_NOSIGNAL); });
}

Result<std::size_t> read_some_from(int fd, MemoryView memory, GuestAddress address,
                                   std::uint64_t bytes) {
  return move_some<Direction::kToGuest>(fd, std::nullopt, memory, address, bytes);
}

Result<std::size_t> write_some_to(int fd, MemoryView memory, GuestAddress address,
                                  std::uint64_t bytes) {
  return move_some<Direction::kFromGuest>(fd, std::nullopt, memory, address, bytes);
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
