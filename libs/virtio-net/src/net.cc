// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_net/net.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "net_worker.h"
#include "pair_counters.h"
#include "vmm/base/endian.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_net {
namespace {

using enum NetFeature;

constexpr std::uint16_t kControlQueueSize = 64;
constexpr std::uint16_t kLeastMtu = 68;

struct Config {
  MacAddress mac;
  Le16 status;
  Le16 max_virtqueue_pairs;
  Le16 mtu;
};
static_assert(sizeof(Config) == 12);

constexpr std::uint64_t bits(std::initializer_list<NetFeature> features) {
  std::uint64_t all = 0;
  for (const NetFeature feature : features) all |= bit(feature);
  return all;
}

constexpr std::pair<NetFeature, Offload> kGuestOffloads[] = {
    {kGuestCsum, kOffloadCsum},  {kGuestTso4, kOffloadTso4}, {kGuestTso6, kOffloadTso6},
    {kGuestEcn, kOffloadTsoEcn}, {kGuestUfo, kOffloadUfo},   {kGuestUso4, kOffloadUso4},
    {kGuestUso6, kOffloadUso6},
};
constexpr std::uint64_t kGuestOffloadBits =
    bits({kGuestCsum, kGuestTso4, kGuestTso6, kGuestEcn, kGuestUfo, kGuestUso4, kGuestUso6});

std::uint32_t offloads_of(std::uint64_t features) {
  std::uint32_t offloads = 0;
  for (const auto& [feature, offload] : kGuestOffloads) {
    if ((features & bit(feature)) != 0) offloads |= offload;
  }
  return offloads;
}

// 5.1.3.1 says which features need which. `known` is a set of Offload, which all ports have.
std::uint64_t offered_offloads(const NetOptions& options, std::uint32_t known) {
  if (!options.offload_csum || (known & kOffloadCsum) == 0) return 0;
  std::uint64_t features = bits({kCsum, kGuestCsum, kCtrlGuestOffloads});
  if (options.offload_tso) {
    features |= bits({kGuestTso4, kGuestTso6, kGuestEcn, kHostTso4, kHostTso6, kHostEcn});
  }
  if (options.offload_ufo && (known & kOffloadUfo) != 0) features |= bits({kGuestUfo, kHostUfo});
  if (options.offload_ufo && (known & kOffloadUso4) != 0) {
    features |= bits({kGuestUso4, kGuestUso6, kHostUso});
  }
  return features;
}

std::uint64_t offered(const NetOptions& options, const std::vector<NetPort>& ports) {
  std::uint64_t features =
      bits({kMac, kStatus, kMrgRxbuf, kCtrlVq, kCtrlRx, kCtrlMacAddr, kGuestAnnounce}) |
      virtio_queue::kFeatureRingReset;
  if (ports.size() > 1) features |= bit(kMq);
  if (options.mtu) features |= bit(kMtu);
  std::uint32_t known = ~std::uint32_t{0};
  for (const NetPort& port : ports) known &= port.known_offloads();
  return features | offered_offloads(options, known);
}

bool ports_fit(const std::vector<NetPort>& ports) {
  return !ports.empty() && ports.size() <= kMaxQueuePairs &&
         std::ranges::all_of(ports, [&](const NetPort& port) {
           return port.has_header() == ports.front().has_header();
         });
}

std::uint64_t common_features(const std::vector<std::unique_ptr<PacketEngine>>& engines) {
  std::uint64_t features = ~std::uint64_t{0};
  for (const auto& engine : engines) features &= engine->features();
  return features;
}

// An engine for each port, which knows no limits.
bool engines_fit(const std::vector<std::unique_ptr<PacketEngine>>& engines,
                 const std::vector<NetPort>& ports, const NetOptions& options) {
  if (engines.empty()) return true;
  return engines.size() == ports.size() && options.receive_limit == nullptr &&
         options.transmit_limit == nullptr;
}

}  // namespace

Net::Net(const NetOptions& options, std::vector<NetPort> ports,
         std::vector<std::unique_ptr<PacketEngine>> engines)
    : options_(options),
      ports_(std::move(ports)),
      engines_(std::move(engines)),
      engine_features_(common_features(engines_)),
      queue_sizes_(2 * ports_.size(), options.queue_size),
      features_(offered(options, ports_) & engine_features_),
      enabled_pairs_(queue_pairs()),
      mtu_(options.mtu.value_or(0)),
      mac_(options.mac) {
  queue_sizes_.push_back(kControlQueueSize);
  while (counters_.size() < ports_.size()) counters_.push_back(std::make_unique<PairCounters>());
}

Net::~Net() = default;

Result<std::shared_ptr<Net>> Net::create(const NetOptions& options, std::vector<NetPort> ports,
                                         std::vector<std::unique_ptr<PacketEngine>> engines) {
  if (!ports_fit(ports)) return fail(Error::os(EINVAL, "network device: ports"));
  if (!engines_fit(engines, ports, options)) {
    return fail(Error::os(EINVAL, "network device: engines"));
  }
  if (options.queue_size < 2 || (options.queue_size & (options.queue_size - 1)) != 0 ||
      options.queue_size > virtio_queue::kMaxQueueSize) {
    return fail(Error::os(EINVAL, "network device: queue size"));
  }
  if (options.mtu.value_or(kLeastMtu) < kLeastMtu) {
    return fail(Error::os(EINVAL, "network device: MTU"));
  }
  std::shared_ptr<Net> net(new Net(options, std::move(ports), std::move(engines)));
  if (!net->enable_pairs(1)) return fail(Error::os(EIO, "network device: queues of the tap"));
  return net;
}

Result<void> Net::set_mtu(std::uint16_t mtu) {
  if (mtu < kLeastMtu) return fail(Error::os(EINVAL, "network device: MTU"));
  mtu_.store(mtu, std::memory_order_relaxed);
  return {};
}

std::uint16_t Net::driver_mtu() {
  const MutexLock lock(mutex_);
  return told_mtu_.value_or(mtu());
}

bool Net::send_rarp(const MacAddress& mac) const {
  // RFC 903: a request of the address itself, to all; as long as a frame is at least.
  std::array<std::uint8_t, kNetHeaderBytes + 60> packet{};
  const std::span frame = std::span(packet).subspan(kNetHeaderBytes);
  constexpr std::array<std::uint8_t, 10> kTypes{0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
  std::ranges::fill(frame.first(6), std::uint8_t{0xff});
  std::ranges::copy(mac, frame.begin() + 6);
  std::ranges::copy(kTypes, frame.begin() + 12);
  std::ranges::copy(mac, frame.begin() + 22);
  std::ranges::copy(mac, frame.begin() + 32);
  const NetPort& port = ports_.front();
  const std::span sent = port.has_header() ? std::span(packet) : frame;
  const virtio_queue::IoVec piece{sent.data(), sent.size()};
  return port.send({&piece, 1}) == NetPort::Sent::kDone;
}

std::size_t Net::config_bytes() const { return sizeof(Config); }

void Net::read_config(std::span<std::byte> config) {
  Config fields{};
  {
    const MutexLock lock(mutex_);
    fields.mac = mac_;
    fields.status = Le16(status_);
  }
  fields.max_virtqueue_pairs = Le16(queue_pairs());
  fields.mtu = Le16(driver_mtu());
  std::memcpy(config.data(), &fields, std::min(sizeof(fields), config.size()));
}

std::uint16_t Net::pairs_in_use() const { return negotiated(kMq) ? queue_pairs() : 1; }

Result<virtio_device::WorkerList> Net::activate(virtio_device::Activation activation) {
  negotiated_ = activation.features;
  {
    const MutexLock lock(mutex_);
    told_mtu_ = mtu();  // for good: 5.1.4.1
  }
  for (const NetPort& port : ports_) {
    VMM_TRY_DO(port.set_offloads(offloads_of(negotiated_)));
  }
  std::vector<Pair> pairs = sort_queues(std::move(activation.queues));
  if (negotiated(kMq) && !negotiated(kCtrlVq) && !enable_pairs(pairs_with_queues(pairs))) {
    return fail(Error::os(EIO, "network device: queues of the tap"));
  }
  virtio_device::WorkerList workers;
  for (std::uint16_t pair = 0; pair < pairs.size(); ++pair) {
    VMM_TRY(auto worker, make_worker(pair, std::move(pairs[pair]), activation));
    workers.push_back(std::move(worker));
  }
  const MutexLock lock(mutex_);
  interrupt_ = std::move(activation.interrupt);
  return workers;
}

// Behind the control queue there is none when the driver does not use all pairs.
std::vector<Net::Pair> Net::sort_queues(std::vector<virtio_device::ActiveQueue> queues) const {
  std::vector<Pair> pairs(pairs_in_use());
  for (virtio_device::ActiveQueue& queue : queues) {
    const std::size_t pair = queue.index / 2u;
    if (pair < pairs.size()) {
      pairs[pair].packets.push_back(std::move(queue));
    } else if (queue.index == 2 * pairs.size()) {
      pairs[0].others.push_back(std::move(queue));
    }
  }
  return pairs;
}

NetCounters Net::counters() const {
  NetCounters sum;
  for (const auto& pair : counters_) {
    pair->received.add_to(sum.received);
    pair->transmitted.add_to(sum.transmitted);
  }
  return sum;
}

// Where somebody else has the control queue, as a front end of vhost-user, he says by the queues
// that there are how many pairs are in use.
std::uint16_t Net::pairs_with_queues(const std::vector<Pair>& pairs) {
  std::uint16_t last = 1;
  for (std::uint16_t i = 0; i < pairs.size(); ++i) {
    if (!pairs[i].packets.empty()) last = static_cast<std::uint16_t>(i + 1);
  }
  return last;
}

Result<std::unique_ptr<virtio_device::Worker>> Net::make_worker(
    std::uint16_t pair, Pair queues, const virtio_device::Activation& activation) {
  NetWorker::Parts parts{.net = *this,
                         .port = ports_[pair],
                         .pair = pair,
                         .pairs = pairs_in_use(),
                         .features = negotiated_,
                         .interrupt = activation.interrupt};
  std::vector<virtio_device::ActiveQueue> own = std::move(queues.others);
  if (engines_.empty()) {
    std::ranges::move(queues.packets, std::back_inserter(own));
  } else {
    const PacketEngine::Pair packets{.port = ports_[pair],
                                     .first_queue = static_cast<std::uint16_t>(2 * pair)};
    VMM_TRY(parts.engine, engines_[pair]->activate(packets, {.memory = activation.memory,
                                                             .features = negotiated_,
                                                             .queues = std::move(queues.packets),
                                                             .interrupt = activation.interrupt}));
  }
  return std::unique_ptr<virtio_device::Worker>(
      std::make_unique<NetWorker>(std::move(parts), std::move(own)));
}

void Net::reset() {
  (void)enable_pairs(1);
  for (const NetPort& port : ports_) (void)port.set_offloads(0);
  const MutexLock lock(mutex_);
  negotiated_ = 0;
  mac_ = options_.mac;
  status_ = static_cast<std::uint16_t>(status_ & ~kAnnounce);
  interrupt_.reset();
  told_mtu_.reset();
}

bool Net::set_queue_pairs(std::uint16_t pairs) {
  return negotiated(kMq) && pairs != 0 && pairs <= ports_.size() && enable_pairs(pairs);
}

bool Net::enable_pairs(std::uint16_t pairs) {
  if (ports_.size() == 1) return true;
  for (; enabled_pairs_ < pairs; ++enabled_pairs_) {
    if (!ports_[enabled_pairs_].set_enabled(true)) return false;
  }
  for (; enabled_pairs_ > pairs; --enabled_pairs_) {
    if (!ports_[enabled_pairs_ - 1u].set_enabled(false)) return false;
  }
  return true;
}

bool Net::set_guest_offloads(std::uint64_t features) {
  if (!negotiated(kCtrlGuestOffloads)) return false;
  if ((features & ~(negotiated_ & kGuestOffloadBits)) != 0) return false;
  return std::ranges::all_of(ports_, [&](const NetPort& port) {
    return port.set_offloads(offloads_of(features)).has_value();
  });
}

bool Net::set_mac(const MacAddress& mac) {
  if (!negotiated(kCtrlMacAddr)) return false;
  const MutexLock lock(mutex_);
  mac_ = mac;
  return true;
}

bool Net::end_announcement() {
  if (!negotiated(kGuestAnnounce)) return false;
  const MutexLock lock(mutex_);
  status_ = static_cast<std::uint16_t>(status_ & ~kAnnounce);
  return true;
}

bool Net::announce() {
  {
    const MutexLock lock(mutex_);
    if (interrupt_ == nullptr || !negotiated(kGuestAnnounce)) return false;
  }
  change_status(kAnnounce, 0);
  return true;
}

void Net::set_link_up(bool up) { change_status(up ? kLinkUp : 0, up ? 0 : kLinkUp); }

// The interrupt reads the configuration space, and so needs the mutex itself.
void Net::change_status(std::uint16_t set, std::uint16_t clear) {
  std::shared_ptr<virtio_device::Interrupt> interrupt;
  {
    const MutexLock lock(mutex_);
    const auto status = static_cast<std::uint16_t>((status_ & ~clear) | set);
    if (status == status_) return;
    status_ = status;
    interrupt = interrupt_;
  }
  if (interrupt != nullptr) interrupt->config_changed();
}

}  // namespace vmm::virtio_net
