// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver and a host at the two ends of a network device. No header reaches the host that was not
// checked; make_seeds.py writes the seeds.

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "device_fuzz.h"
#include "src/vnet_header.h"
#include "vmm/virtio_net/net.h"

namespace {

using namespace vmm;
using namespace vmm::virtio_net;

constexpr std::size_t kLargestMessage = kNetHeaderBytes + kMaxPacketBytes;

/// The host's end of the port.
class Host {
 public:
  Host(UniqueFd fd, bool has_header) : fd_(std::move(fd)), has_header_(has_header) {}

  void send(const std::vector<std::byte>& packet) const {
    if (!packet.empty()) (void)::send(fd_.get(), packet.data(), packet.size(), MSG_DONTWAIT);
  }
  void receive_all() {
    for (;;) {
      const ssize_t got =
          ::recv(fd_.get(), packet_.data(), packet_.size(), MSG_DONTWAIT | MSG_TRUNC);
      if (got < 0) return;
      const auto bytes = static_cast<std::size_t>(got);
      require(bytes >= 14 && bytes <= kLargestMessage);
      if (has_header_) check_header(bytes);
    }
  }

 private:
  void check_header(std::size_t bytes) const {
    require(bytes >= kNetHeaderBytes + 14);
    VnetHeader header;
    std::memcpy(&header, packet_.data(), sizeof(header));
    require((header.flags & ~kNeedsCsum) == 0 && header.buffers.get() == 0);
    require(header.gso_type == kGsoNone || header.gso_bytes.get() != 0);
    require(header.csum_start.get() + header.csum_offset.get() + kNetHeaderBytes <= bytes);
    require(header.header_bytes.get() + kNetHeaderBytes <= bytes);
  }

  UniqueFd fd_;
  bool has_header_;
  std::vector<std::uint8_t> packet_ = std::vector<std::uint8_t>(kLargestMessage + 1);
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const bool has_header = (input.byte() & 1) != 0;
  std::array<int, 2> fds{-1, -1};
  require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) == 0);
  Host host(UniqueFd(fds[1]), has_header);
  std::vector<NetPort> ports;
  ports.push_back(*NetPort::adopt_socket(UniqueFd(fds[0]), has_header));
  const auto net = *Net::create({.mtu = 1500}, std::move(ports));
  fuzz_device(net, input, [&](Input& script) {
    switch (script.byte() % 4) {
      case 0:
        net->set_link_up((script.byte() & 1) != 0);
        return;
      case 1:
        (void)net->announce();
        return;
      default:
        host.receive_all();
        host.send(script.bytes(script.take<std::uint16_t>() % 2048u));
    }
  });
  host.receive_all();
  return 0;
}
