// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_net/net.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "net_worker.h"
#include "vmm/base/endian.h"

namespace vmm::virtio_net {
namespace {

constexpr std::uint16_t kControlQueueSize = 64;

struct Config {
  MacAddress mac;
  Le16 status;
  Le16 max_virtqueue_pairs;
  Le16 mtu;
};
static_assert(sizeof(Config) == 12);

constexpr std::uint16_t kLinkUp = 1;

std::uint64_t bits(std::initializer_list<NetFeature> features) {
  std::uint64_t all = 0;
  for (const NetFeature feature : features) all |= bit(feature);
  return all;
}

// What is offered: 5.1.3.1 says which features need which.
std::uint64_t offered(const NetOptions& options, bool tap, std::size_t pairs) {
  using enum NetFeature;
  std::uint64_t features = bits({kMac, kStatus, kMrgRxbuf, kCtrlVq, kCtrlRx, kCtrlMacAddr});
  if (pairs > 1) features |= bit(kMq);
  if (options.mtu) features |= bit(kMtu);
  if (!tap || !options.offload_csum) return features;
  features |= bits({kCsum, kGuestCsum, kCtrlGuestOffloads});
  if (options.offload_tso) {
    features |= bits({kGuestTso4, kGuestTso6, kGuestEcn, kHostTso4, kHostTso6, kHostEcn});
  }
  if (options.offload_ufo) features |= bits({kGuestUfo, kHostUfo});
  return features;
}

std::uint32_t offloads_of(std::uint64_t features) {
  using enum NetFeature;
  constexpr std::pair<NetFeature, Offload> kTable[] = {{kGuestCsum, kOffloadCsum},
                                                       {kGuestTso4, kOffloadTso4},
                                                       {kGuestTso6, kOffloadTso6},
                                                       {kGuestEcn, kOffloadTsoEcn},
                                                       {kGuestUfo, kOffloadUfo}};
  std::uint32_t offloads = 0;
  for (const auto& [feature, offload] : kTable) {
    if ((features & bit(feature)) != 0) offloads |= offload;
  }
  // The kernel takes no segmentation without checksums.
  return (offloads & kOffloadCsum) != 0 ? offloads : 0;
}

constexpr std::uint64_t guest_offload_bits() {
  using enum NetFeature;
  return bit(kGuestCsum) | bit(kGuestTso4) | bit(kGuestTso6) | bit(kGuestEcn) | bit(kGuestUfo);
}

}  // namespace

Net::Net(const NetOptions& options, std::vector<NetPort> ports)
    : options_(options),
      ports_(std::move(ports)),
      queue_sizes_(2 * ports_.size(), options.queue_size),
      features_(offered(options, ports_.front().has_header(), ports_.size())),
      mac_(options.mac) {
  queue_sizes_.push_back(kControlQueueSize);
}

Result<std::shared_ptr<Net>> Net::create(const NetOptions& options, std::vector<NetPort> ports) {
  const bool odd = ports.empty() || ports.size() > kMaxQueuePairs ||
                   !std::ranges::all_of(ports, [&](const NetPort& port) {
                     return port.has_header() == ports.front().has_header();
                   });
  if (odd) return fail(Error::os(EINVAL, "network device: ports"));
  if (options.queue_size < 2 || (options.queue_size & (options.queue_size - 1)) != 0 ||
      options.queue_size > virtio_queue::kMaxQueueSize) {
    return fail(Error::os(EINVAL, "network device: queue size"));
  }
  std::shared_ptr<Net> net(new Net(options, std::move(ports)));
  net->set_queue_pairs(1);
  return net;
}

std::size_t Net::config_bytes() const { return sizeof(Config); }

void Net::read_config(std::span<std::byte> config) {
  Config fields{};
  {
    const MutexLock lock(mutex_);
    fields.mac = mac_;
  }
  fields.status = Le16(kLinkUp);
  fields.max_virtqueue_pairs = Le16(queue_pairs());
  fields.mtu = Le16(options_.mtu.value_or(0));
  std::memcpy(config.data(), &fields, std::min(sizeof(fields), config.size()));
}

Result<virtio_device::WorkerList> Net::activate(virtio_device::Activation activation) {
  negotiated_ = activation.features;
  const bool multi = activation.has(bit(NetFeature::kMq));
  const std::size_t pairs = multi ? ports_.size() : 1;
  const auto control = static_cast<std::uint16_t>(2 * pairs);
  for (const NetPort& port : ports_) {
    VMM_TRY_DO(port.set_offloads(offloads_of(activation.features)));
  }
  std::vector<NetWorker::Parts> parts(pairs);
  for (virtio_device::ActiveQueue& queue : activation.queues) {
    const std::size_t pair = queue.index / 2u;
    if (queue.index == control) {
      if (activation.has(bit(NetFeature::kCtrlVq))) parts[0].control.emplace(std::move(queue));
    } else if (pair < pairs) {
      (queue.index % 2 == 0 ? parts[pair].receive : parts[pair].transmit).emplace(std::move(queue));
    }
  }
  virtio_device::WorkerList workers;
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    workers.push_back(std::make_unique<NetWorker>(*this, ports_[pair], std::move(parts[pair]),
                                                  activation.interrupt, activation.features));
  }
  return workers;
}

void Net::reset() {
  negotiated_ = 0;
  set_queue_pairs(1);
  for (const NetPort& port : ports_) (void)port.set_offloads(0);
  const MutexLock lock(mutex_);
  mac_ = options_.mac;
}

bool Net::set_queue_pairs(std::uint16_t pairs) {
  if (pairs == 0 || pairs > ports_.size()) return false;
  if (ports_.size() == 1) return true;
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    if (!ports_[i].set_enabled(i < pairs)) return false;
  }
  return true;
}

bool Net::set_guest_offloads(std::uint64_t features) {
  if ((features & ~(negotiated_ & guest_offload_bits())) != 0) return false;
  return std::ranges::all_of(ports_, [&](const NetPort& port) {
    return port.set_offloads(offloads_of(features)).has_value();
  });
}

void Net::set_mac(const MacAddress& mac) {
  const MutexLock lock(mutex_);
  mac_ = mac;
}

}  // namespace vmm::virtio_net
