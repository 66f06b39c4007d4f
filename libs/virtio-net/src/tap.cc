// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_net/tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace vmm::virtio_net {
namespace {

ifreq request_for(const std::string& name) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());  // shorter than IFNAMSIZ: checked
  return request;
}

Result<UniqueFd> open_queue(std::string& name, bool multi_queue) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail(Error::from_errno("open /dev/net/tun"));
  ifreq request = request_for(name);
  request.ifr_flags =
      static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi_queue ? IFF_MULTI_QUEUE : 0));
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) return fail(Error::from_errno("TUNSETIFF"));
  name.assign(request.ifr_name, ::strnlen(request.ifr_name, IFNAMSIZ));
  return fd;
}

/// A socket for the ioctls of interfaces.
class Interface {
 public:
  static Result<Interface> open(const std::string& name) {
    UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd) return fail(Error::from_errno("socket"));
    return Interface(std::move(fd), name);
  }

  Result<void> set_address(unsigned long ioctl, const char* what, std::uint32_t address) const {
    ifreq request = request_for(name_);
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = address;
    std::memcpy(&request.ifr_addr, &in, sizeof(in));
    return call(ioctl, what, request);
  }
  Result<void> set_mac(const MacAddress& mac) const {
    ifreq request = request_for(name_);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, mac.data(), mac.size());
    return call(SIOCSIFHWADDR, "SIOCSIFHWADDR", request);
  }
  Result<void> set_mtu(std::uint16_t mtu) const {
    ifreq request = request_for(name_);
    request.ifr_mtu = mtu;
    return call(SIOCSIFMTU, "SIOCSIFMTU", request);
  }
  Result<void> bring_up() const {
    ifreq request = request_for(name_);
    VMM_TRY_DO(call(SIOCGIFFLAGS, "SIOCGIFFLAGS", request));
    if ((request.ifr_flags & IFF_UP) != 0) return {};
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    return call(SIOCSIFFLAGS, "SIOCSIFFLAGS", request);
  }

 private:
  Interface(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Result<void> call(unsigned long ioctl, const char* what, ifreq& request) const {
    if (::ioctl(fd_.get(), ioctl, &request) == 0) return {};
    return fail(Error::from_errno(what));
  }

  UniqueFd fd_;
  std::string name_;
};

Result<void> configure(const Tap& tap, const TapOptions& options) {
  VMM_TRY(const Interface interface, Interface::open(tap.name));
  if (!options.ip.empty()) {
    VMM_TRY(const std::uint32_t ip, parse_ipv4(options.ip));
    VMM_TRY(const std::uint32_t mask, parse_ipv4(options.mask));
    VMM_TRY_DO(interface.set_address(SIOCSIFADDR, "SIOCSIFADDR", ip));
    VMM_TRY_DO(interface.set_address(SIOCSIFNETMASK, "SIOCSIFNETMASK", mask));
  }
  if (options.mac) VMM_TRY_DO(interface.set_mac(*options.mac));
  if (options.mtu) VMM_TRY_DO(interface.set_mtu(*options.mtu));
  return interface.bring_up();
}

}  // namespace

Result<std::uint32_t> parse_ipv4(const std::string& text) {
  in_addr address{};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1) {
    return fail(Error::os(EINVAL, "IPv4 address"));
  }
  return address.s_addr;
}

Result<Tap> open_tap(const TapOptions& options) {
  const bool odd_name = options.name.size() >= IFNAMSIZ ||
                        options.name.find('\0') != std::string::npos ||
                        options.name.find('/') != std::string::npos;
  if (odd_name) return fail(Error::os(EINVAL, "name of the tap"));
  if (options.queues == 0 || options.queues > 256) {
    return fail(Error::os(EINVAL, "number of queues of the tap"));
  }
  Tap tap{.name = options.name, .queues = {}};
  for (std::uint16_t i = 0; i < options.queues; ++i) {
    VMM_TRY(UniqueFd fd, open_queue(tap.name, options.queues > 1));
    VMM_TRY(NetPort port, NetPort::adopt_tap(std::move(fd)));
    tap.queues.push_back(std::move(port));
  }
  VMM_TRY_DO(configure(tap, options));
  return tap;
}

}  // namespace vmm::virtio_net
