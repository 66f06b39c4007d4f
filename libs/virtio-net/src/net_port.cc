// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_net/net_port.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <utility>

#include "vmm/sys_util/fd_flags.h"
#include "vmm/virtio_net/net.h"

namespace vmm::virtio_net {
namespace {

using virtio_queue::IoVec;

static_assert(sizeof(IoVec) == sizeof(iovec));
static_assert(kOffloadCsum == TUN_F_CSUM && kOffloadTso4 == TUN_F_TSO4 &&
              kOffloadTso6 == TUN_F_TSO6 && kOffloadTsoEcn == TUN_F_TSO_ECN &&
              kOffloadUfo == TUN_F_UFO);

constexpr std::uint32_t kUso = kOffloadUso4 | kOffloadUso6;
constexpr std::uint32_t kTcp = kOffloadTso4 | kOffloadTso6;
constexpr std::uint32_t kAll = kOffloadCsum | kTcp | kOffloadTsoEcn | kOffloadUfo | kUso;

// Descriptors that were inherited have neither flag.
Result<void> make_ours(int fd) {
  VMM_TRY_DO(sys_util::set_nonblocking(fd, "fcntl O_NONBLOCK"));
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return fail(Error::from_errno("fcntl FD_CLOEXEC"));
  return {};
}

// The kernel wants both kinds of USO or neither, no ECN without TSO, and nothing without CSUM.
std::uint32_t that_go_together(std::uint32_t offloads) {
  if ((offloads & kOffloadCsum) == 0) return 0;
  if ((offloads & kUso) != kUso) offloads &= ~kUso;
  if ((offloads & kTcp) == 0) offloads &= ~std::uint32_t{kOffloadTsoEcn};
  return offloads;
}

bool try_offloads(int fd, std::uint32_t offloads) {
  return ::ioctl(fd, TUNSETOFFLOAD, static_cast<unsigned long>(offloads)) == 0;
}

std::uint32_t find_offloads(int fd) {
  constexpr std::uint32_t kSets[] = {kAll, kAll & ~kUso, kAll & ~(kUso | kOffloadUfo)};
  for (const std::uint32_t offloads : kSets) {
    if (try_offloads(fd, offloads)) return offloads;
  }
  return 0;
}

msghdr message(std::span<const IoVec> pieces) {
  msghdr header{};
  // The kernel does not write to the list.
  header.msg_iov = const_cast<iovec*>(reinterpret_cast<const iovec*>(pieces.data()));
  header.msg_iovlen = pieces.size();
  return header;
}

ssize_t send_once(int fd, bool is_tap, std::span<const IoVec> pieces) {
  if (is_tap) {
    return ::writev(fd, reinterpret_cast<const iovec*>(pieces.data()),
                    static_cast<int>(pieces.size()));
  }
  const msghdr header = message(pieces);
  return ::sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t receive_once(int fd, bool is_tap, std::span<const IoVec> pieces) {
  if (is_tap) {
    return ::readv(fd, reinterpret_cast<const iovec*>(pieces.data()),
                   static_cast<int>(pieces.size()));
  }
  msghdr header = message(pieces);
  return ::recvmsg(fd, &header, MSG_DONTWAIT);
}

// What a socket tells of something that was sent before, once. Those that stay are not among them.
bool is_told_once(int error) {
  switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case EMSGSIZE:
    case ENOPROTOOPT:
    case EPROTO:
    case EACCES:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<NetPort> NetPort::adopt_tap(UniqueFd fd) {
  ifreq request{};
  if (::ioctl(fd.get(), TUNGETIFF, &request) != 0) return fail(Error::from_errno("TUNGETIFF"));
  if ((request.ifr_flags & IFF_VNET_HDR) == 0) {
    return fail(Error::os(EINVAL, "tap: it has no IFF_VNET_HDR"));
  }
  int bytes = kNetHeaderBytes;
  if (::ioctl(fd.get(), TUNSETVNETHDRSZ, &bytes) != 0) {
    return fail(Error::from_errno("TUNSETVNETHDRSZ"));
  }
  int little = 1;  // also where the host is not
  if (::ioctl(fd.get(), TUNSETVNETLE, &little) != 0) return fail(Error::from_errno("TUNSETVNETLE"));
  VMM_TRY_DO(make_ours(fd.get()));
  NetPort port(std::move(fd), true, true);
  port.known_offloads_ = find_offloads(port.fd());
  VMM_TRY_DO(port.set_offloads(0));
  return port;
}

Result<NetPort> NetPort::adopt_socket(UniqueFd fd, bool has_header) {
  int type = 0;
  socklen_t bytes = sizeof(type);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_TYPE, &type, &bytes) != 0) {
    return fail(Error::from_errno("SO_TYPE"));
  }
  if (type == SOCK_STREAM) return fail(Error::os(EINVAL, "socket: it does not keep packets apart"));
  VMM_TRY_DO(make_ours(fd.get()));
  NetPort port(std::move(fd), false, has_header);
  port.has_end_ = type == SOCK_SEQPACKET;
  if (has_header) port.known_offloads_ = kAll;
  return port;
}

Result<void> NetPort::set_offloads(std::uint32_t offloads) const {
  if (!is_tap_ || try_offloads(fd(), that_go_together(offloads & known_offloads_))) return {};
  return fail(Error::from_errno("TUNSETOFFLOAD"));
}

Result<void> NetPort::set_enabled(bool enabled) const {
  if (!is_tap_) return {};
  ifreq request{};
  request.ifr_flags = static_cast<short>(enabled ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
  // EINVAL: it is so already, or the tap has one queue only.
  if (::ioctl(fd(), TUNSETQUEUE, &request) == 0 || errno == EINVAL) return {};
  return fail(Error::from_errno("TUNSETQUEUE"));
}

// Only EAGAIN ends by itself: the descriptor becomes writable. ENOBUFS, for one, does not.
NetPort::Sent NetPort::send(std::span<const IoVec> pieces) const {
  for (;;) {
    if (send_once(fd(), is_tap_, pieces) >= 0) return Sent::kDone;
    if (errno != EINTR) return errno == EAGAIN ? Sent::kFull : Sent::kRefused;
  }
}

// What met EFAULT, is empty, or is an error that a socket tells once, was taken off the port; the
// packet behind it brings no event of its own.
NetPort::Received NetPort::receive(std::span<const IoVec> pieces, std::size_t& bytes) const {
  for (;;) {
    const ssize_t got = receive_once(fd(), is_tap_, pieces);
    if (got > 0) {
      bytes = static_cast<std::size_t>(got);
      return Received::kPacket;
    }
    if (got == 0) return is_tap_ || has_end_ ? Received::kNothing : Received::kLost;
    if (errno == EINTR) continue;
    const bool taken = errno == EFAULT || (!is_tap_ && is_told_once(errno));
    return taken ? Received::kLost : Received::kNothing;
  }
}

}  // namespace vmm::virtio_net
