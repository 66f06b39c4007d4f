// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vhost_user_device.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "net_device.h"
#include "patience.h"
#include "remote_net_control.h"
#include "vhost_user_options.h"
#include "vmm/base/log.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/virtio_blk/layout.h"
#include "vmm/virtio_net/net.h"

namespace vmm::reference {
namespace {

using vhost_user_frontend::RemoteOptions;
using virtio_net::NetFeature;

/// The configuration space of a file system, without its feature for notifications: 5.11.4.
struct FsFields {
  std::array<char, 36> tag;  ///< not terminated when it is that long
  Le32 num_request_queues;
};
static_assert(sizeof(FsFields) == 40);
/// The shared memory of a file system: 5.11.5.
constexpr std::uint8_t kCacheRegion = 0;

/// Makes connections to the back end at a path, or from it.
Outcome<RemoteDevice::Connect> connector(const std::string& context, const std::string& path,
                                         bool server) {
  if (!server) {
    return RemoteDevice::Connect([path] { return sys_util::connect_unix(path); });
  }
  VMM_STEP(context, auto listener, sys_util::UnixListener::create(path));
  auto shared = std::make_shared<sys_util::UnixListener>(std::move(listener));
  return RemoteDevice::Connect([shared]() -> Result<UniqueFd> {
    VMM_TRY(auto socket, shared->accept());
    if (!socket) return fail(Error::os(EAGAIN, "no back end has connected"));
    return std::move(*socket);
  });
}

Outcome<std::shared_ptr<RemoteDevice>> make_remote(const std::string& context,
                                                   const RemoteOptions& options,
                                                   const RemoteDevice::Connect& connect) {
  VMM_STEP(context, auto device,
           patiently(kPatience, [&] { return RemoteDevice::create(options, connect); }));
  return device;
}

template <class T>
std::vector<std::byte> bytes_of(const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

template <class Config>
void tell_what_is_passed_over(const std::string& context, const Config& config) {
  const std::string keys = passed_over(config);
  if (keys.empty()) return;
  VMM_LOG(kWarn, "%s: the back end's business, passed over: %s", context.c_str(), keys.c_str());
}

}  // namespace

// The number of queues is ours to say, as the driver takes all that it is told of.
Outcome<std::shared_ptr<RemoteDevice>> make_remote_disk(const DiskConfig& config) {
  const std::string context = "--disk: socket=" + config.vhost_socket;
  tell_what_is_passed_over(context, config);
  virtio_blk::BlkConfig fields{};
  fields.num_queues = Le16(config.num_queues);
  VMM_TRY(const auto connect, connector(context, config.vhost_socket, false));
  return make_remote(
      context,
      {.type = virtio_device::DeviceType::kBlock,
       .queue_sizes = std::vector<std::uint16_t>(config.num_queues, config.queue_size),
       .config = bytes_of(fields),
       .own_config = {{.offset = offsetof(virtio_blk::BlkConfig, num_queues), .bytes = 2}}},
      connect);
}

// The control queue is ours, as the back end would not see it.
Outcome<std::shared_ptr<RemoteDevice>> make_remote_net(const NetConfig& config) {
  const std::string context = "--net: socket=" + config.vhost_socket;
  tell_what_is_passed_over(context, config);
  const virtio_net::MacAddress mac = *config.mac;
  std::vector<std::byte> fields(12);  // mac, status, max_virtqueue_pairs, mtu
  std::memcpy(fields.data(), mac.data(), mac.size());
  store_le<std::uint16_t>(fields.data() + 6, virtio_net::kLinkUp);
  const auto pairs = static_cast<std::uint16_t>(config.num_queues / 2);
  store_le<std::uint16_t>(fields.data() + 8, pairs);
  store_le<std::uint16_t>(fields.data() + 10, config.mtu.value_or(0));
  std::uint64_t features = 0;
  for (const NetFeature one :
       {NetFeature::kCsum, NetFeature::kGuestCsum, NetFeature::kGuestTso4, NetFeature::kGuestTso6,
        NetFeature::kGuestEcn, NetFeature::kGuestUfo, NetFeature::kHostTso4, NetFeature::kHostTso6,
        NetFeature::kHostEcn, NetFeature::kHostUfo, NetFeature::kMrgRxbuf}) {
    features |= bit(one);
  }
  if (pairs > 1) features |= bit(NetFeature::kMq);
  std::uint64_t own = bit(NetFeature::kMac) | bit(NetFeature::kStatus) | bit(NetFeature::kCtrlVq) |
                      bit(NetFeature::kCtrlRx);
  if (config.mtu) own |= bit(NetFeature::kMtu);
  VMM_TRY(const auto connect, connector(context, config.vhost_socket, config.vhost_server));
  std::vector<std::uint16_t> sizes(config.num_queues, config.queue_size);
  sizes.push_back(RemoteNetControl::kQueueSize);
  const auto control = std::make_shared<RemoteNetControl>(pairs);
  VMM_TRY(auto device, make_remote(context,
                                   {.type = virtio_device::DeviceType::kNet,
                                    .queue_sizes = sizes,
                                    .own_queue = control,
                                    .least_queues = pairs,
                                    .features = features,
                                    .own_features = own,
                                    .config = fields,
                                    .own_config = {{.offset = 0, .bytes = fields.size()}}},
                                   connect));
  control->serve(*device);
  return device;
}

// A back end need not know its own configuration space, nor its tag. What it knows of the guest's
// open files goes with it, so that the next one cannot go on.
Outcome<std::shared_ptr<RemoteDevice>> make_remote_fs(
    const FsConfig& config, std::shared_ptr<vhost_user_frontend::WindowSlot> window) {
  const std::string context = "--fs: socket=" + config.vhost_socket;
  FsFields fields{};
  std::memcpy(fields.tag.data(), config.tag.data(), std::min(config.tag.size(), fields.tag.size()));
  fields.num_request_queues = Le32(config.num_queues);
  VMM_TRY(const auto connect, connector(context, config.vhost_socket, false));
  RemoteOptions options{
      .type = virtio_device::DeviceType::kFs,
      .queue_sizes = std::vector<std::uint16_t>(config.num_queues + 1u, config.queue_size),
      .config = bytes_of(fields),
      .own_config = {{.offset = 0, .bytes = sizeof(fields)}},
      .resumable = false};
  if (window != nullptr) {
    options.window = RemoteOptions::Window{
        .id = kCacheRegion, .bytes = config.cache_bytes, .slot = std::move(window)};
  }
  return make_remote(context, options, connect);
}

Outcome<std::shared_ptr<RemoteDevice>> make_remote_generic(const GenericVhostUserConfig& config) {
  const std::string context = "--generic-vhost-user: socket=" + config.vhost_socket;
  VMM_TRY(const auto connect, connector(context, config.vhost_socket, false));
  return make_remote(context,
                     {.type = static_cast<virtio_device::DeviceType>(config.device_type),
                      .queue_sizes = config.queue_sizes,
                      .config_of_back_end = true},
                     connect);
}

}  // namespace vmm::reference
