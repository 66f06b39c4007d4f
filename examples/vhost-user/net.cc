// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-net: a tap, a user-mode network, or a socket that carries frames, for a VM of another
// program.

#include "vmm/virtio_net/net.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon_program.h"
#include "host_forward.h"
#include "net_user_process.h"
#include "vmm/sys_util/random.h"
#include "vmm/virtio_net/tap.h"

namespace {

using namespace vmm;
using vhost_user_daemon::parse_number;

/// The front end says how long its rings are, and nobody tells it what is too long; QEMU has none
/// that are longer.
constexpr std::uint16_t kQueueSize = 1024;

/// What a front end says of the network.
class NetExtension final : public vhost_user_backend::DeviceExtension {
 public:
  explicit NetExtension(std::shared_ptr<virtio_net::Net> net) : net_(std::move(net)) {}

  std::uint64_t protocol_features() const override {
    using enum vhost_user::ProtocolFeature;
    return bit(kRarp) | bit(kMtu);
  }
  Result<void> set_mtu(std::uint16_t mtu) override { return net_->set_mtu(mtu); }
  Result<void> send_rarp(const std::array<std::uint8_t, 6>& mac) override {
    if (!net_->send_rarp(mac)) return fail(Error::os(EAGAIN, "send a RARP packet"));
    return {};
  }

 private:
  std::shared_ptr<virtio_net::Net> net_;
};

struct PortOptions {
  virtio_net::TapOptions tap;
  int socket = -1;
  bool user = false;
  net_user::NetUserOptions user_network;
};

/// `network` is the process of a user-mode network, which has to outlive the ports.
Result<std::vector<virtio_net::NetPort>> open_ports(
    const PortOptions& options, std::unique_ptr<net_user::NetUserProcess>& network) {
  if (options.socket < 0 && !options.user) {
    VMM_TRY(auto tap, virtio_net::open_tap(options.tap));
    return std::move(tap.queues);
  }
  UniqueFd socket(options.socket);
  if (options.user) {
    VMM_TRY(network, net_user::NetUserProcess::start(options.user_network, socket));
  }
  VMM_TRY(auto port, virtio_net::NetPort::adopt_socket(std::move(socket), options.user));
  std::vector<virtio_net::NetPort> ports;
  ports.push_back(std::move(port));
  return ports;
}

}  // namespace

int main(int argc, char** argv) {
  PortOptions ports;
  std::unique_ptr<net_user::NetUserProcess> network;
  virtio_net::NetOptions options;
  options.queue_size = kQueueSize;
  const auto text = [](std::string& to) {
    return [&to](std::string_view value) {
      to = value;
      return !value.empty();
    };
  };
  vhost_user_daemon::Program program{
      .name = "vhost-user-net",
      .type = "net",
      .features = {},
      .options =
          {{"tap", "NAME", "the tap to open or make (default: a new one)", text(ports.tap.name)},
           {"ip", "ADDRESS", "of the tap on the host", text(ports.tap.ip)},
           {"mask", "MASK", "with --ip", text(ports.tap.mask)},
           {"queue-pairs", "N", "queues of the tap, with a thread each (default 1)",
            [&](std::string_view value) {
              return parse_number(value, ports.tap.queues) && ports.tap.queues != 0;
            }},
           {"socket-fd", "N", "a socket that carries one frame a message, instead of a tap",
            [&](std::string_view value) { return parse_number(value, ports.socket); }},
           {"user", nullptr, "a user-mode network instead, by vmm-net-user: needs no privilege",
            [&](std::string_view) { return ports.user = true; }},
           {"hostfwd", "RULE", "with --user: tcp:[ADDRESS:]PORT:PORT, of the host and of the guest",
            [&](std::string_view value) {
              ports.user_network.host_forwards.emplace_back(value);
              return net_user::parse_host_forward(value).has_value();
            }},
           {"mtu", "N", "offered to the driver (default: none is)",
            [&](std::string_view value) {
              std::uint16_t mtu = 0;
              if (!parse_number(value, mtu)) return false;
              options.mtu = mtu;
              return true;
            }},
           {"queue-size", "N", "most entries of a queue (default 1024)",
            [&](std::string_view value) { return parse_number(value, options.queue_size); }}},
      .make_device = {}};
  program.make_device =
      [&](event_manager::EventLoop&) -> Result<std::shared_ptr<virtio_device::VirtioDevice>> {
    VMM_TRY(auto opened, open_ports(ports, network));
    options.offload_ufo = !ports.user;
    program.threads = opened.size();
    VMM_TRY(auto net, virtio_net::Net::create(options, std::move(opened)));
    program.extension = std::make_shared<NetExtension>(net);
    return std::shared_ptr<virtio_device::VirtioDevice>(std::move(net));
  };
  return vhost_user_daemon::run(program, argc, argv);
}
