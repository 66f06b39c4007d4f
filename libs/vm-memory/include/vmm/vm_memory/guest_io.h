// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Files and sockets, straight from and to guest pages: no copy, no allocation.
//
// The lists are what a descriptor chain or SliceWalk yields. A transfer stops at the first short
// one, so that the bytes that moved are always the first ones of the list. EINTR is retried; all
// other errors are the errno of the system call, EAGAIN among them. What a read may have written
// is marked dirty; after a failed read that is the whole list, as the kernel does not say.

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/vm_memory/guest_slice.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::vm_memory {

/// The slices that one system call takes (IOV_MAX). Longer lists take several calls, where each
/// byte stream continues; a packet (tap, datagram socket) must stay within one.
inline constexpr std::size_t kMaxSlicesPerCall = 1024;

/// Reads at `offset` of a file, with preadv(2). Returns the bytes moved; 0 is the end of the file.
Result<std::size_t> read_at(int fd, std::uint64_t offset, std::span<const GuestSlice> to);
/// Writes at `offset` of a file, with pwritev(2).
Result<std::size_t> write_at(int fd, std::uint64_t offset, std::span<const GuestSlice> from);
/// Reads at the descriptor's own position (tap, pipe, stream), with readv(2).
Result<std::size_t> read_from(int fd, std::span<const GuestSlice> to);
/// Writes at the descriptor's own position, with writev(2).
Result<std::size_t> write_to(int fd, std::span<const GuestSlice> from);
/// Receives from a socket, with recvmsg(2) and MSG_* flags.
/// Errors: EMSGSIZE for more than kMaxSlicesPerCall slices.
Result<std::size_t> receive_from(int socket, std::span<const GuestSlice> to, int flags = 0);
/// Sends to a socket, with sendmsg(2); never raises SIGPIPE. Errors: as receive_from.
Result<std::size_t> send_to(int socket, std::span<const GuestSlice> from, int flags = 0);

/// Reads up to `bytes` bytes at the descriptor's position to guest memory, at most up to the first
/// hole. Errors: kUnmapped when `address` is not RAM (and nothing is read); an errno.
Result<std::size_t> read_some_from(int fd, MemoryView memory, GuestAddress address,
                                   std::uint64_t bytes);
/// Writes up to `bytes` bytes from guest memory. Errors: as read_some_from.
Result<std::size_t> write_some_to(int fd, MemoryView memory, GuestAddress address,
                                  std::uint64_t bytes);
/// Reads exactly `bytes` bytes, in as many calls as it takes.
/// Errors: a MemoryError before anything is read; ENODATA when the stream ends early; an errno.
Result<void> read_exactly_from(int fd, MemoryView memory, GuestAddress address,
                               std::uint64_t bytes);
/// Writes exactly `bytes` bytes. Errors: as read_exactly_from, with EIO for no progress.
Result<void> write_exactly_to(int fd, MemoryView memory, GuestAddress address, std::uint64_t bytes);

}  // namespace vmm::vm_memory
