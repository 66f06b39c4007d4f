// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "backend_impl.h"

#include <cerrno>
#include <chrono>
#include <utility>

#include "vmm/base/log.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_device/transport_core.h"

namespace vmm::vhost_user_backend {
namespace {

using event_manager::Timer;
using vhost_user::MessageError;
using vhost_user::ProtocolFeature;

/// How long nothing more is said about rings before the device starts, when nobody says that this
/// was all.
constexpr std::chrono::milliseconds kSettled{2};
/// The same where a status is told but DRIVER_OK does not come: QEMU 7.2 never says it for
/// entropy and sockets, and starts their rings all the same.
constexpr std::chrono::milliseconds kUntold{50};

/// How often a ring is looked at whose driver cannot kick.
constexpr std::chrono::milliseconds kPollInterval{1};

/// Of rings; the device's own part of the feature bits is its.
constexpr std::uint64_t kRingFeatures = virtio_device::TransportCore::kQueueFeatures |
                                        virtio_device::kFeatureVersion1 |
                                        vhost_user::kFeatureLogAll;

}  // namespace

Result<void> DeviceBackend::Impl::init() {
  const auto sizes = parts_.device->queue_sizes();
  if (sizes.size() > vhost_user::kMaxQueues) {
    return fail(Error::os(EINVAL, "vhost-user back end: number of queues"));
  }
  VMM_TRY(link_, FrontendLink::create(static_cast<std::uint32_t>(sizes.size())));
  rings_.reserve(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    VMM_TRY(Ring ring, Ring::create(static_cast<std::uint16_t>(i), sizes[i]));
    rings_.push_back(std::move(ring));
  }
  for (const Ring& ring : rings_) link_->add_error_line(ring.error);
  io_.emplace(link_);
  has_userfaultfd_ = Postcopy::open().has_value();
  VMM_TRY(start_timer_, Timer::create(parts_.control, [this](std::uint64_t) { run_now(); }));
  VMM_TRY(poll_timer_, Timer::create(parts_.control, [this](std::uint64_t) { poll_rings(); }));
  VMM_TRY(log_timer_, Timer::create(parts_.control, [this](std::uint64_t) { collect_log(); }));
  return {};
}

// The reset of a ring is that of GET_VRING_BASE here.
std::uint64_t DeviceBackend::Impl::features() const {
  constexpr std::uint64_t kNot =
      virtio_queue::kFeatureRingReset | virtio_device::kFeatureAccessPlatform;
  return (parts_.device->features() & ~kNot) | kRingFeatures |
         (parts_.iommu ? virtio_device::kFeatureAccessPlatform : 0);
}

std::uint64_t DeviceBackend::Impl::protocol_features() const {
  using enum ProtocolFeature;
  std::uint64_t features = 0;
  for (const ProtocolFeature one :
       {kMq, kLogShmfd, kReplyAck, kBackendReq, kInflightShmfd, kResetDevice, kInbandNotifications,
        kConfigureMemSlots, kStatus, kCrossEndian}) {
    features |= bit(one);
  }
  if (parts_.device->state_owner() != nullptr) features |= bit(kDeviceState);
  if (parts_.extension != nullptr) {
    constexpr std::uint64_t kSendFds =
        bit(kHostNotifier) | bit(kSharedObject) | bit(kShmem) | bit(kPrivateShmem);
    features |= parts_.extension->protocol_features() & DeviceExtension::kKnown;
    if ((features & kSendFds) != 0) features |= bit(kBackendSendFd);
  }
  if (parts_.device->config_bytes() != 0) features |= bit(kConfig);
  if (has_userfaultfd_) features |= bit(kPagefault);
  return features;
}

bool DeviceBackend::Impl::packed() const { return (features_ & virtio_queue::kFeaturePacked) != 0; }

bool DeviceBackend::Impl::translated() const {
  return (features_ & virtio_device::kFeatureAccessPlatform) != 0;
}

bool DeviceBackend::Impl::rings_are_mapped() {
  bool all = true;
  for (const Ring& ring : rings_) {
    if (!ring.ready()) continue;
    for (const RingPart& part : ring.parts()) all = io_->holds(part.range, part.access) && all;
  }
  return all;
}

bool DeviceBackend::Impl::rings_touch(vm_memory::IovaRange range) const {
  const std::uint64_t last = range.start.raw() + (range.bytes - 1);
  return std::ranges::any_of(rings_, [&](const Ring& ring) {
    return ring.active() && std::ranges::any_of(ring.parts(), [&](const RingPart& part) {
             const std::uint64_t first = part.range.start.raw();
             return first <= last && range.start.raw() <= first + (part.range.bytes - 1);
           });
  });
}

bool DeviceBackend::Impl::may_run() const {
  if ((features_ & virtio_device::kFeatureVersion1) == 0 || link_->wants_reset()) return false;
  constexpr std::uint8_t kChosen = virtio_device::kFeaturesOk | virtio_device::kDriverOk;
  if (has(ProtocolFeature::kStatus) && (status_ & kChosen) == 0) return false;
  return std::ranges::any_of(rings_, &Ring::ready);
}

void DeviceBackend::Impl::run_soon() {
  if (running_ || !may_run()) return;
  (void)start_timer_->arm({.after = has(ProtocolFeature::kStatus) ? kUntold : kSettled});
}

void DeviceBackend::Impl::run_now() {
  (void)start_timer_->disarm();
  if (running_ || !may_run()) return;
  lacks_rings_ = translated() && !rings_are_mapped();
  if (lacks_rings_) return;
  const Result<void> started = activate();
  if (started) return;
  VMM_LOG_GUEST(kWarn, "vhost-user back end: device %u does not start: %s",
                static_cast<unsigned>(parts_.device->type()), to_string(started.error()).c_str());
  link_->needs_reset();
  link_->close();
  for (Ring& ring : rings_) ring.deactivate();
  parts_.device->reset();
}

Result<std::vector<virtio_device::ActiveQueue>> DeviceBackend::Impl::make_queues() {
  std::vector<virtio_device::ActiveQueue> queues;
  for (std::uint32_t i = 0; i < rings_.size(); ++i) {
    if (!rings_[i].ready()) continue;
    std::optional<vm_memory::GuestSlice> inflight;
    if (inflight_) inflight = inflight_->queue(i);
    VMM_TRY(auto queue, rings_[i].activate(ring_memory(), inflight));
    queues.push_back(std::move(queue));
  }
  return queues;
}

Result<void> DeviceBackend::Impl::activate() {
  link_->open();
  VMM_TRY(auto queues, make_queues());
  parts_.device->set_features(device_features());
  VMM_TRY_DO(restore_state());
  written_.replay(*parts_.device);
  VMM_TRY(auto workers, parts_.device->activate({.memory = ring_memory().memory(),
                                                 .features = device_features(),
                                                 .queues = std::move(queues),
                                                 .interrupt = link_}));
  VMM_TRY_DO(parts_.workers.start(std::move(workers)));
  running_ = true;
  if (std::ranges::any_of(rings_,
                          [](const Ring& ring) { return ring.active() && ring.polled(); })) {
    VMM_TRY_DO(poll_timer_->arm({.after = kPollInterval, .every = kPollInterval}));
  }
  return {};
}

void DeviceBackend::Impl::keep_state() {
  virtio_device::StateOwner* const owner = parts_.device->state_owner();
  if (owner != nullptr) state_ = owner->save_state();
}

Result<void> DeviceBackend::Impl::restore_state() {
  virtio_device::StateOwner* const owner = parts_.device->state_owner();
  if (owner == nullptr || !state_) return {};
  return owner->load_state(*state_);
}

void DeviceBackend::Impl::poll_rings() {
  for (Ring& ring : rings_) {
    if (ring.active() && ring.polled()) (void)ring.kick();
  }
}

void DeviceBackend::Impl::pause() {
  (void)start_timer_->disarm();
  lacks_rings_ = false;
  if (!running_) return;
  running_ = false;
  parts_.workers.drain();
  parts_.workers.stop();
  link_->close();
  (void)poll_timer_->disarm();
  for (Ring& ring : rings_) ring.deactivate();
  keep_state();
  parts_.device->reset();
  collect_log();
}

void DeviceBackend::Impl::reset_device() {
  pause();
  for (Ring& ring : rings_) ring.reset();
  written_.clear();
  state_.reset();
  transfer_.cancel();
  io_->clear();
  link_->forget_breakage();
  parts_.device->reset();
  parts_.device->set_features(0);
  features_ = 0;
  status_ = 0;
}

void DeviceBackend::Impl::collect_log() {
  if (!log_ || !logging()) return;
  log_->collect(*memory_.memory().snapshot());
  if (!log_fd_) return;
  const std::uint64_t one = 1;
  (void)!::write(log_fd_.get(), &one, sizeof(one));
}

void DeviceBackend::Impl::disconnect() {
  if (link_ == nullptr || !log_timer_) return;  // init() failed
  // First, as the device may wait for a page that nobody brings any more.
  postcopy_.reset();
  listening_ = false;
  reset_device();
  if (parts_.extension != nullptr) parts_.extension->set_services(nullptr);
  link_->disconnect();
  for (Ring& ring : rings_) ring.error.disconnect();
  (void)log_timer_->disarm();
  log_.reset();
  log_fd_.reset();
  inflight_.reset();
  acknowledging_ = false;
  (void)memory_.track_writes(false);
  memory_.clear();
  protocol_features_ = 0;
}

Result<vhost_user::Reply> DeviceBackend::Impl::handle(vhost_user::FrontendRequest& request) {
  return std::visit([this](auto& one) { return on(one); }, request);
}

// The face.

DeviceBackend::DeviceBackend(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DeviceBackend::~DeviceBackend() = default;

Result<std::unique_ptr<DeviceBackend>> DeviceBackend::create(Parts parts) {
  auto impl = std::make_unique<Impl>(std::move(parts));
  VMM_TRY_DO(impl->init());
  return std::unique_ptr<DeviceBackend>(new DeviceBackend(std::move(impl)));
}

std::uint64_t DeviceBackend::features() const { return impl_->features(); }
std::uint64_t DeviceBackend::protocol_features() const { return impl_->protocol_features(); }
std::uint32_t DeviceBackend::queue_count() const { return impl_->queue_count(); }
bool DeviceBackend::running() const { return impl_->running(); }
void DeviceBackend::disconnect() { impl_->disconnect(); }
Result<vhost_user::Reply> DeviceBackend::handle(vhost_user::FrontendRequest& request) {
  return impl_->handle(request);
}

}  // namespace vmm::vhost_user_backend
