// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_net/net_port.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <utility>

#include "vmm/virtio_net/net.h"

namespace vmm::virtio_net {
namespace {

static_assert(kOffloadCsum == TUN_F_CSUM && kOffloadTso4 == TUN_F_TSO4 &&
              kOffloadTso6 == TUN_F_TSO6 && kOffloadTsoEcn == TUN_F_TSO_ECN &&
              kOffloadUfo == TUN_F_UFO);

Result<void> make_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail(Error::from_errno("fcntl O_NONBLOCK"));
  }
  return {};
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
  VMM_TRY_DO(make_nonblocking(fd.get()));
  NetPort port(std::move(fd), true);
  VMM_TRY_DO(port.set_offloads(0));
  return port;
}

Result<NetPort> NetPort::adopt_socket(UniqueFd fd) {
  VMM_TRY_DO(make_nonblocking(fd.get()));
  return NetPort(std::move(fd), false);
}

Result<void> NetPort::set_offloads(std::uint32_t offloads) const {
  if (!is_tap_) return {};
  if (::ioctl(fd_.get(), TUNSETOFFLOAD, static_cast<unsigned long>(offloads)) == 0) return {};
  // Kernels that have no UFO any more refuse the flag.
  if (errno == EINVAL && (offloads & kOffloadUfo) != 0) {
    return set_offloads(offloads & ~std::uint32_t{kOffloadUfo});
  }
  return fail(Error::from_errno("TUNSETOFFLOAD"));
}

Result<void> NetPort::set_enabled(bool enabled) const {
  if (!is_tap_) return {};
  ifreq request{};
  request.ifr_flags = static_cast<short>(enabled ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
  // EINVAL: it is so already, or the tap has one queue only.
  if (::ioctl(fd_.get(), TUNSETQUEUE, &request) == 0 || errno == EINVAL) return {};
  return fail(Error::from_errno("TUNSETQUEUE"));
}

}  // namespace vmm::virtio_net
