// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Makes the Nth system call of a test fail, or do only half of its work:
//
//   for (std::uint64_t nth = 1;; ++nth) {
//     faulty_calls::arm({.nth = nth, .error = EIO});
//     ... what is tested ...
//     if (!faulty_calls::disarm()) break;  // there were fewer calls than that
//   }
//
// It stands in front of functions of the C library: those of this program that the code under test
// calls. One source file of a test program may include it. What io_uring does are no such calls:
// faulty_rings.h. Under ThreadSanitizer kPlainRead, kPlainWrite, kSetUp, kOpen and kMap always
// work: it has to see these calls, as threads tell one another of events by them.

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "thread_sanitizer.h"

namespace vmm::faulty_calls {

/// The calls that there are, as bits.
enum Call : std::uint32_t {
  kRead = 1,      ///< readv, pread, preadv
  kWrite = 2,     ///< writev, pwrite, pwritev
  kSync = 4,      ///< fdatasync, fsync
  kSpace = 8,     ///< fallocate, ftruncate
  kReceive = 16,  ///< recv, recvmsg
  kSend = 32,     ///< send, sendmsg
  kTransfers = 63,
  kPlainRead = 64,    ///< read: also what takes events
  kPlainWrite = 128,  ///< write: also what makes events
  kSetUp = 256,       ///< eventfd, epoll_create1, epoll_ctl, timerfd_create, timerfd_settime
  kOpen = 512,        ///< open, memfd_create
  kMap = 1024,        ///< mmap
};

/// Whether kSetUp, kOpen and kMap can fail here.
#if defined(VMM_THREAD_SANITIZER)
inline constexpr bool kMakersFail = false;
#else
inline constexpr bool kMakersFail = true;
#endif

struct Fault {
  std::uint64_t nth = 1;             ///< of the calls that it is about
  int error = 0;                     ///< what errno says; 0: a transfer does only half of its bytes
  std::uint32_t calls = kTransfers;  ///< which calls count
  int fd = -1;                       ///< those on this descriptor; -1: on any
};

namespace detail {
inline Fault fault;
inline std::atomic<bool> armed{false};
inline std::atomic<std::uint64_t> counted{0};
inline std::atomic<bool> happened{false};
/// Whether something was written since the last call that made it durable.
inline std::atomic<bool> volatile_data{false};
inline std::atomic<std::uint32_t> failed_call{0};
inline std::atomic<std::int64_t> mapped_bytes{0};
}  // namespace detail

/// From now on the Nth call fails. Precondition: no other thread makes calls right now.
inline void arm(const Fault& fault) {
  detail::fault = fault;
  detail::counted = 0;
  detail::happened = false;
  detail::failed_call = 0;
  detail::armed = true;
}
/// No call fails any more. Whether one did.
inline bool disarm() {
  detail::armed = false;
  return detail::happened;
}
/// While it lives, calls work and are not counted: those of the test itself.
class Pause {
 public:
  Pause() : armed_(detail::armed.exchange(false)) {}
  ~Pause() { detail::armed = armed_; }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

 private:
  const bool armed_;
};
/// Whether one has failed since arm(), and of which kind it was; 0: none.
[[nodiscard]] inline std::uint32_t failed_call() { return detail::failed_call; }
/// Whether a file was changed since the last fdatasync(2) or fsync(2) that worked.
[[nodiscard]] inline bool has_volatile_data() { return detail::volatile_data; }
/// What was mapped and not unmapped: the same number before and after means that no mapping leaked.
[[nodiscard]] inline std::int64_t mapped_bytes() { return detail::mapped_bytes; }

namespace detail {

/// What becomes of a call.
enum class Fate { kWorks, kFails, kHalf };

inline Fate fate_of(Call call, int fd, bool divisible) {
  if (!armed || (fault.calls & call) == 0 || (fault.fd >= 0 && fault.fd != fd)) return Fate::kWorks;
  if (fault.error == 0 && !divisible) return Fate::kWorks;
  if (++counted != fault.nth) return Fate::kWorks;
  happened = true;
  failed_call = call;
  if (fault.error == 0) return Fate::kHalf;
  errno = fault.error;
  return Fate::kFails;
}

/// A transfer of `bytes` bytes that do(bytes) makes.
template <class Do>
ssize_t transfer(Call call, int fd, std::size_t bytes, Do&& work) {
  switch (fate_of(call, fd, bytes > 1)) {
    case Fate::kFails:
      return -1;
    case Fate::kHalf:
      return work(bytes / 2);
    default:
      return work(bytes);
  }
}

/// The same for several buffers.
template <class Do>
ssize_t transfer_list(Call call, int fd, const iovec* list, int count, Do&& work) {
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += list[i].iov_len;
  return transfer(call, fd, bytes, [&](std::size_t some) {
    if (some == bytes) return work(list, count);
    std::vector<iovec> shorter;
    for (int i = 0; i < count && some != 0; ++i) {
      shorter.push_back({list[i].iov_base, std::min(some, list[i].iov_len)});
      some -= shorter.back().iov_len;
    }
    return work(shorter.data(), static_cast<int>(shorter.size()));
  });
}

inline ssize_t changed(ssize_t done) {
  if (done > 0) volatile_data = true;
  return done;
}

}  // namespace detail
}  // namespace vmm::faulty_calls

// The C library's functions, as the code under test calls them.

extern "C" {

ssize_t pread64(int fd, void* to, size_t bytes, off64_t offset) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::transfer(faults::kRead, fd, bytes, [&](size_t some) -> ssize_t {
    return ::syscall(SYS_pread64, fd, to, some, offset);
  });
}
ssize_t pwrite64(int fd, const void* from, size_t bytes, off64_t offset) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::changed(faults::detail::transfer(
      faults::kWrite, fd, bytes,
      [&](size_t some) -> ssize_t { return ::syscall(SYS_pwrite64, fd, from, some, offset); }));
}
ssize_t preadv64(int fd, const iovec* list, int count, off64_t offset) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::transfer_list(faults::kRead, fd, list, count,
                                       [&](const iovec* some, int n) -> ssize_t {
                                         return ::syscall(SYS_preadv, fd, some, n, offset, 0);
                                       });
}
ssize_t pwritev64(int fd, const iovec* list, int count, off64_t offset) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::changed(faults::detail::transfer_list(
      faults::kWrite, fd, list, count, [&](const iovec* some, int n) -> ssize_t {
        return ::syscall(SYS_pwritev, fd, some, n, offset, 0);
      }));
}
ssize_t readv(int fd, const iovec* list, int count) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::transfer_list(
      faults::kRead, fd, list, count,
      [&](const iovec* some, int n) -> ssize_t { return ::syscall(SYS_readv, fd, some, n); });
}
ssize_t writev(int fd, const iovec* list, int count) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::transfer_list(
      faults::kWrite, fd, list, count,
      [&](const iovec* some, int n) -> ssize_t { return ::syscall(SYS_writev, fd, some, n); });
}
int fdatasync(int fd) {
  namespace faults = vmm::faulty_calls;
  if (faults::detail::fate_of(faults::kSync, fd, false) == faults::detail::Fate::kFails) return -1;
  const auto done = static_cast<int>(::syscall(SYS_fdatasync, fd));
  if (done == 0) faults::detail::volatile_data = false;
  return done;
}
int fsync(int fd) {
  namespace faults = vmm::faulty_calls;
  if (faults::detail::fate_of(faults::kSync, fd, false) == faults::detail::Fate::kFails) return -1;
  const auto done = static_cast<int>(::syscall(SYS_fsync, fd));
  if (done == 0) faults::detail::volatile_data = false;
  return done;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t bytes) {
  namespace faults = vmm::faulty_calls;
  if (faults::detail::fate_of(faults::kSpace, fd, false) == faults::detail::Fate::kFails) return -1;
  return static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, bytes));
}
int ftruncate64(int fd, off64_t bytes) noexcept {
  namespace faults = vmm::faulty_calls;
  if (faults::detail::fate_of(faults::kSpace, fd, false) == faults::detail::Fate::kFails) return -1;
  return static_cast<int>(::syscall(SYS_ftruncate, fd, bytes));
}
ssize_t recvmsg(int fd, msghdr* message, int flags) {
  namespace faults = vmm::faulty_calls;
  const auto count = static_cast<int>(message->msg_iovlen);
  return faults::detail::transfer_list(
      faults::kReceive, fd, message->msg_iov, count, [&](const iovec* some, int n) -> ssize_t {
        iovec* const all = message->msg_iov;
        message->msg_iov = const_cast<iovec*>(some);
        message->msg_iovlen = static_cast<decltype(message->msg_iovlen)>(n);
        const ssize_t done = ::syscall(SYS_recvmsg, fd, message, flags);
        message->msg_iov = all;
        message->msg_iovlen = static_cast<decltype(message->msg_iovlen)>(count);
        return done;
      });
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::transfer_list(
      faults::kSend, fd, message->msg_iov, static_cast<int>(message->msg_iovlen),
      [&](const iovec* some, int n) -> ssize_t {
        msghdr part = *message;
        part.msg_iov = const_cast<iovec*>(some);
        part.msg_iovlen = static_cast<decltype(part.msg_iovlen)>(n);
        return ::syscall(SYS_sendmsg, fd, &part, flags);
      });
}
ssize_t recv(int fd, void* to, size_t bytes, int flags) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::transfer(faults::kReceive, fd, bytes, [&](size_t some) -> ssize_t {
    return ::syscall(SYS_recvfrom, fd, to, some, flags, nullptr, nullptr);
  });
}
ssize_t send(int fd, const void* from, size_t bytes, int flags) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::transfer(faults::kSend, fd, bytes, [&](size_t some) -> ssize_t {
    return ::syscall(SYS_sendto, fd, from, some, flags, nullptr, 0);
  });
}

#if !defined(VMM_THREAD_SANITIZER)
ssize_t read(int fd, void* to, size_t bytes) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::transfer(faults::kPlainRead, fd, bytes, [&](size_t some) -> ssize_t {
    return ::syscall(SYS_read, fd, to, some);
  });
}
ssize_t write(int fd, const void* from, size_t bytes) {
  namespace faults = vmm::faulty_calls;
  return faults::detail::transfer(faults::kPlainWrite, fd, bytes, [&](size_t some) -> ssize_t {
    return ::syscall(SYS_write, fd, from, some);
  });
}
#endif

}  // extern "C"

#if !defined(VMM_THREAD_SANITIZER)
#include "faulty_makers.h"
#endif
