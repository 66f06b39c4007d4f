// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "net_device.h"

#include <span>
#include <utility>
#include <vector>

#include "rate_limit.h"
#include "vmm/sys_util/random.h"
#include "vmm/virtio_net/tap.h"

namespace vmm::reference {
namespace {

using virtio_net::NetPort;

// A unicast address that no maker of hardware has.
Outcome<virtio_net::MacAddress> mac_of(const NetConfig& config) {
  if (config.mac) return *config.mac;
  virtio_net::MacAddress mac{};
  VMM_STEP_DO("--net: mac", sys_util::fill_random(std::as_writable_bytes(std::span(mac))));
  mac[0] = static_cast<std::uint8_t>((mac[0] & 0xfc) | 2);
  return mac;
}

Outcome<std::vector<NetPort>> adopt_taps(const NetConfig& config) {
  std::vector<NetPort> ports;
  for (const int fd : config.fds) {
    const std::string context = "--net: fd=" + std::to_string(fd);
    VMM_STEP(context, auto port, NetPort::adopt_tap(UniqueFd(fd)));
    ports.push_back(std::move(port));
  }
  return ports;
}

Outcome<std::vector<NetPort>> open_taps(const NetConfig& config) {
  const std::string context = config.tap.empty() ? "--net" : "--net: tap=" + config.tap;
  VMM_STEP(context, auto tap,
           virtio_net::open_tap({.name = config.tap,
                                 .queues = static_cast<std::uint16_t>(config.num_queues / 2),
                                 .ip = config.ip,
                                 .mask = config.mask,
                                 .mac = config.host_mac,
                                 .mtu = config.mtu}));
  return std::move(tap.queues);
}

Outcome<std::vector<NetPort>> start_user_network(const NetConfig& config,
                                                 std::unique_ptr<NetUserProcess>& process) {
  UniqueFd socket;
  VMM_TRY(process, NetUserProcess::start(config, socket));
  VMM_STEP("--net: user", auto port, NetPort::adopt_socket(std::move(socket)));
  std::vector<NetPort> ports;
  ports.push_back(std::move(port));
  return ports;
}

}  // namespace

Outcome<NetDevice> make_net(const NetConfig& config) {
  NetDevice net;
  VMM_TRY(const virtio_net::MacAddress mac, mac_of(config));
  VMM_TRY(auto ports, config.user          ? start_user_network(config, net.process)
                      : config.fds.empty() ? open_taps(config)
                                           : adopt_taps(config));
  VMM_STEP("--net", net.device,
           virtio_net::Net::create({.mac = mac,
                                    .mtu = config.mtu,
                                    .queue_size = config.queue_size,
                                    .offload_csum = config.offload_csum,
                                    .offload_tso = config.offload_tso,
                                    .offload_ufo = config.offload_ufo,
                                    .receive_limit = make_limiter(config.rate_limit),
                                    .transmit_limit = make_limiter(config.rate_limit)},
                                   std::move(ports)));
  return net;
}

}  // namespace vmm::reference
