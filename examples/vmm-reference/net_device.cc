// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "net_device.h"

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "launcher.h"
#include "rate_limit.h"
#include "thread_filters.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/vhost_device/kernel_net.h"
#include "vmm/virtio_net/tap.h"

namespace vmm::reference {
namespace {

using net_user::NetUserProcess;
using virtio_net::NetPort;

// What was given stays open, for the next boot.
// The descriptors stay the configuration's, for the next boot.
Outcome<std::vector<NetPort>> adopt_taps(const NetConfig& config) {
  std::vector<NetPort> ports;
  for (const int fd : config.fds) {
    const std::string context = "--net: fd=" + std::to_string(fd);
    VMM_STEP(context, UniqueFd own, sys_util::duplicate(fd));
    VMM_STEP(context, auto port, NetPort::adopt_tap(std::move(own)));
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

// What the error of a program that could not be started means.
Failure user_network_failure(const Error& error) {
  const std::string program = net_user::kProgram;
  if (error.is_os(ENOENT)) {
    return runtime("--net: user: there is no program " + program +
                   " beside vmm-reference or in PATH");
  }
  if (error.is_os(ECHILD)) return runtime("--net: user: " + program + " ended before it was ready");
  return runtime("--net: user", error);
}

Outcome<std::vector<NetPort>> start_user_network(const NetConfig& config,
                                                 std::unique_ptr<NetUserProcess>& process) {
  UniqueFd socket;
  auto started = NetUserProcess::start({.mtu = config.mtu,
                                        .host_forwards = config.host_forwards,
                                        .seccomp = name_of(filters_mode())},
                                       socket);
  if (!started) return fail(user_network_failure(started.error()));
  process = std::move(*started);
  VMM_STEP("--net: user", auto port, NetPort::adopt_socket(std::move(socket), true));
  std::vector<NetPort> ports;
  ports.push_back(std::move(port));
  return ports;
}

using Engines = std::vector<std::unique_ptr<virtio_net::PacketEngine>>;

// One for each pair of queues.
Outcome<Engines> open_engines(const NetConfig& config, std::size_t pairs) {
  Engines engines;
  while (config.vhost && engines.size() < pairs) {
    VMM_STEP("--net: vhost=on: /dev/vhost-net", auto engine, vhost_device::KernelNet::open());
    engines.push_back(std::move(engine));
  }
  return engines;
}

}  // namespace

Outcome<NetDevice> make_net(const NetConfig& config) {
  NetDevice net;
  VMM_TRY(auto ports, config.user          ? start_user_network(config, net.process)
                      : config.fds.empty() ? open_taps(config)
                                           : adopt_taps(config));
  VMM_TRY(auto engines, open_engines(config, ports.size()));
  VMM_STEP("--net", net.device,
           virtio_net::Net::create({.mac = *config.mac,
                                    .mtu = config.mtu,
                                    .queue_size = config.queue_size,
                                    .offload_csum = config.offload_csum,
                                    .offload_tso = config.offload_tso,
                                    .offload_ufo = config.offload_ufo && !config.user,
                                    .receive_limit = make_limiter(config.rate_limit),
                                    .transmit_limit = make_limiter(config.rate_limit)},
                                   std::move(ports), std::move(engines)));
  return net;
}

}  // namespace vmm::reference
