// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/fd_passing.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace vmm::sys_util {
namespace {

constexpr std::size_t kMaxFdBytes = kMaxPassedFds * sizeof(int);
// Room for the descriptors and, on sockets with SO_PASSCRED, the sender's credentials.
constexpr std::size_t kControlBytes = CMSG_SPACE(kMaxFdBytes) + CMSG_SPACE(sizeof(ucred));

/// Storage for control messages; left uninitialized, as it is large and seldom filled.
struct Control {
  alignas(cmsghdr) std::byte bytes[kControlBytes];
};

template <class Byte>
std::size_t to_iovec(std::span<const std::span<Byte>> parts,
                     std::array<iovec, kMaxMessageParts>& out) {
  std::size_t count = 0;
  for (const std::span<Byte> part : parts) {
    auto* data = const_cast<std::byte*>(part.data());  // sendmsg() only reads through it
    out[count++] = {.iov_base = data, .iov_len = part.size()};
  }
  return count;
}

template <class Call>
ssize_t retry_eintr(Call call) {
  ssize_t answer = 0;
  do {
    answer = call();
  } while (answer < 0 && errno == EINTR);
  return answer;
}

/// Where received descriptors go: to the caller while there is room, else they are closed.
struct FdSink {
  std::span<UniqueFd> room;
  std::size_t filled = 0;
  bool overflow = false;

  void take(UniqueFd fd) {
    if (filled < room.size()) {
      room[filled++] = std::move(fd);
    } else {
      overflow = true;
    }
  }
  void close_all() {
    for (UniqueFd& fd : room.first(filled)) fd.reset();
  }
};

void collect_fds(msghdr& message, FdSink& sink) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t bytes = at->cmsg_len - CMSG_LEN(0);
    for (std::size_t offset = 0; offset + sizeof(int) <= bytes; offset += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(at) + offset, sizeof(fd));
      sink.take(UniqueFd(fd));
    }
  }
}

}  // namespace

Result<std::size_t> send_with_fds(int socket, std::span<const std::span<const std::byte>> parts,
                                  std::span<const int> fds) {
  if (parts.size() > kMaxMessageParts || fds.size() > kMaxPassedFds) {
    return fail(Error::os(EINVAL, "sendmsg"));
  }
  std::array<iovec, kMaxMessageParts> iov;
  msghdr message{};
  message.msg_iov = iov.data();
  message.msg_iovlen = to_iovec(parts, iov);
  Control control;
  if (!fds.empty()) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    std::memset(control.bytes, 0, message.msg_controllen);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  const ssize_t sent = retry_eintr([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL); });
  if (sent < 0) return fail(Error::from_errno("sendmsg"));
  return static_cast<std::size_t>(sent);
}

Result<std::size_t> send_with_fds(int socket, std::span<const std::byte> bytes,
                                  std::span<const int> fds) {
  return send_with_fds(socket, std::span(&bytes, 1), fds);
}

Result<ReceivedMessage> receive_with_fds(int socket, std::span<const std::span<std::byte>> parts,
                                         std::span<UniqueFd> fds) {
  if (parts.size() > kMaxMessageParts || fds.size() > kMaxPassedFds) {
    return fail(Error::os(EINVAL, "recvmsg"));
  }
  std::array<iovec, kMaxMessageParts> iov;
  msghdr message{};
  message.msg_iov = iov.data();
  message.msg_iovlen = to_iovec(parts, iov);
  Control control;
  message.msg_control = control.bytes;
  message.msg_controllen = CMSG_SPACE(fds.size_bytes()) + CMSG_SPACE(sizeof(ucred));
  const ssize_t bytes = retry_eintr([&] { return ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
  if (bytes < 0) return fail(Error::from_errno("recvmsg"));

  // Every descriptor the kernel installed gets an owner before anything can fail.
  FdSink sink{fds};
  collect_fds(message, sink);
  const bool fds_lost = sink.overflow || (message.msg_flags & MSG_CTRUNC) != 0;
  const bool bytes_lost = (message.msg_flags & MSG_TRUNC) != 0;
  if (fds_lost || bytes_lost) {
    sink.close_all();
    return fail(Error::os(fds_lost ? EOVERFLOW : EMSGSIZE, "recvmsg"));
  }
  return ReceivedMessage{.bytes = static_cast<std::size_t>(bytes), .fds = sink.filled};
}

Result<ReceivedMessage> receive_with_fds(int socket, std::span<std::byte> bytes,
                                         std::span<UniqueFd> fds) {
  return receive_with_fds(socket, std::span(&bytes, 1), fds);
}

}  // namespace vmm::sys_util
