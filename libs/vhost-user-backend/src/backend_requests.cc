// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What each request of a front end does.

#include <algorithm>
#include <chrono>
#include <cstring>

#include "backend_impl.h"
#include "vmm/base/checked.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/virtio_device/transport_core.h"

namespace vmm::vhost_user_backend {

using vhost_user::MessageError;
using vhost_user::ProtocolFeature;
using vhost_user::Reply;
namespace request = vhost_user::request;

namespace {

/// How often what was written is brought to the log of a migration.
constexpr std::chrono::milliseconds kLogInterval{50};

}  // namespace

Result<void> DeviceBackend::Impl::set_log_timer(bool on) {
  return on ? log_timer_->arm({.after = kLogInterval, .every = kLogInterval})
            : log_timer_->disarm();
}

// Whether writes are noted changes, and with it what is made of that. Nothing does with an error.
Result<void> DeviceBackend::Impl::switch_log(bool on) {
  VMM_TRY_DO(set_log_timer(on));
  if (logging()) collect_log();
  const Result<void> tracked = memory_.track_writes(on);
  if (!tracked) {
    (void)set_log_timer(logging());
    return tracked;
  }
  if (logging() && !on) log_.reset();  // of a migration that has ended, and of its memory
  return {};
}

// A migration switches the log on and off while the device runs. What is refused has changed
// nothing, and the device runs on.
Result<Reply> DeviceBackend::Impl::on(request::SetFeatures& request) {
  const bool log = (request.features & vhost_user::kFeatureLogAll) != 0;
  if (log && log_ && !log_->covers(*memory_.memory().snapshot())) {
    return fail(MessageError::kBadRange);
  }
  if (request.features != features_) {
    pause();
    const Result<void> switched = switch_log(log);
    if (!switched) run_soon();
    VMM_TRY_DO(switched);
    features_ = request.features;
    if (!translated()) io_->clear();
    parts_.device->set_features(device_features());
    follow_memory();
  }
  const bool protocol = (features_ & vhost_user::kFeatureProtocolFeatures) != 0;
  for (Ring& ring : rings_) {
    ring.set_features(features_);
    if (!protocol) ring.set_enabled(true);
  }
  run_soon();
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetProtocolFeatures& request) {
  protocol_features_ = request.features;
  link_->set_protocol_features(protocol_features_);
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::ResetOwner&) {
  reset_device();
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::ResetDevice&) {
  reset_device();
  return Reply::done();
}

// Queues that run look for their rings and buffers in the new memory from their next batch on.
// At I/O addresses a ring may not lose its memory while it runs.
void DeviceBackend::Impl::follow_memory() {
  if (!translated()) return;
  const bool was_running = running_;
  if (was_running) pause();
  io_->rebuild(memory_);
  if (was_running) run_now();
}

Result<void> DeviceBackend::Impl::check_logged(const vhost_user::MemoryRegion& region) const {
  const GuestAddress last(region.guest_address + (region.bytes - 1));
  if (logging() && log_ && !log_->covers(last)) return fail(MessageError::kBadRange);
  return {};
}

// What the device writes meanwhile would be noted in regions that nobody looks at any more.
template <class Change>
Result<void> DeviceBackend::Impl::change_memory(Change&& change) {
  const bool resume = running_ && logging();
  if (resume) {
    pause();
  } else {
    collect_log();
  }
  const Result<void> done = change();
  if (done) follow_memory();
  if (resume) run_now();
  return done;
}

Result<vhost_user::MemoryRegion> DeviceBackend::Impl::watch(
    const vhost_user::MemoryRegion& region) {
  const std::span<std::byte> host = memory_.host_of(region);
  if (host.empty()) return fail(MessageError::kNotFound);
  VMM_TRY_DO(postcopy_->watch(host));
  vhost_user::MemoryRegion here = region;
  here.user_address = reinterpret_cast<std::uintptr_t>(host.data());
  return here;
}

Result<Reply> DeviceBackend::Impl::take_acknowledgement() {
  if (!acknowledging_) return fail(MessageError::kBadState);
  acknowledging_ = false;
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetMemTable& request) {
  if (request.regions.empty()) return take_acknowledgement();
  for (const request::RegionFile& file : request.regions) VMM_TRY_DO(check_logged(file.region));
  VMM_TRY_DO(change_memory([&] { return memory_.set(request.regions); }));
  if (!listening_) return Reply::done();
  Reply reply = Reply::with(
      vhost_user::MemoryTableHeader{.count = static_cast<std::uint32_t>(request.regions.size())});
  for (const request::RegionFile& file : request.regions) {
    const auto here = watch(file.region);
    if (!here) {  // nobody would bring its pages
      (void)change_memory([&]() -> Result<void> {
        memory_.clear();
        return {};
      });
      return fail(here.error());
    }
    const auto bytes = bytes_of(*here);
    reply.payload.insert(reply.payload.end(), bytes.begin(), bytes.end());
  }
  acknowledging_ = true;
  return reply;
}

Result<Reply> DeviceBackend::Impl::on(request::AddMemReg& request) {
  if (!request.file.fd) return take_acknowledgement();
  VMM_TRY_DO(check_logged(request.file.region));
  VMM_TRY_DO(memory_.add(request.file));
  Result<vhost_user::MemoryRegion> here = request.file.region;
  if (listening_) here = watch(request.file.region);
  if (!here) (void)memory_.remove(request.file.region);
  follow_memory();
  VMM_TRY_DO(here);
  if (!listening_) return Reply::done();
  acknowledging_ = true;
  return Reply::with(vhost_user::SingleRegion{.region = *here});
}

Result<Reply> DeviceBackend::Impl::on(request::RemMemReg& request) {
  VMM_TRY_DO(change_memory([&] { return memory_.remove(request.region); }));
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetLogBase& request) {
  VMM_TRY(auto log, vhost_user::DirtyLog::map(request.area, request.fd));
  if (!log.covers(*memory_.memory().snapshot())) return fail(MessageError::kBadRange);
  collect_log();
  log_.emplace(std::move(log));
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetLogFd& request) {
  VMM_TRY_DO(sys_util::set_nonblocking(request.fd.get(), "log descriptor: fcntl"));
  log_fd_ = std::move(request.fd);
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetVringNum& request) {
  VMM_TRY_DO(rings_[request.index].set_size(request.size));
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetVringAddr& request) {
  VMM_TRY_DO(rings_[request.addresses.index].set_addresses(request.addresses, ring_memory()));
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetVringBase& request) {
  VMM_TRY_DO(rings_[request.index].set_base(request.base));
  return Reply::done();
}

// The others go on when nothing more is said for a moment: front ends stop all of them in a row.
Result<Reply> DeviceBackend::Impl::on(request::GetVringBase& request) {
  Ring& ring = rings_[request.index];
  if (ring.active()) pause();
  const std::uint32_t base = ring.stop();
  VMM_TRY_DO(link_->set_call(request.index, UniqueFd()));
  // Some front ends know no other reset than this.
  if (std::ranges::none_of(rings_, &Ring::started)) link_->forget_breakage();
  run_soon();
  return Reply::with(vhost_user::VringState{.index = request.index, .number = base});
}

Result<Reply> DeviceBackend::Impl::on(request::SetVringKick& request) {
  pause();
  const bool polled = !request.fd && !has(ProtocolFeature::kInbandNotifications);
  VMM_TRY_DO(rings_[request.index].start(std::move(request.fd)));
  rings_[request.index].set_polled(polled);
  run_soon();
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetVringCall& request) {
  VMM_TRY_DO(link_->set_call(request.index, request.fd));
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetVringErr& request) {
  EventLine& line = rings_[request.index].error;
  if (request.fd) {
    VMM_TRY_DO(line.connect(request.fd));
  } else {
    line.disconnect();
  }
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetVringEnable& request) {
  Ring& ring = rings_[request.index];
  if (ring.enabled() == request.enable) return Reply::done();
  if (running_) pause();
  ring.set_enabled(request.enable);
  run_soon();
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::VringKick& request) {
  if (!rings_[request.index].started()) pause();
  VMM_TRY_DO(rings_[request.index].kick());
  run_soon();
  return Reply::done();
}

// A ring that runs neither loses its memory nor gets other memory; whoever waited looks again.
Result<Reply> DeviceBackend::Impl::on(request::Iotlb& request) {
  if (!translated()) return fail(MessageError::kNotNegotiated);
  const vhost_user::IotlbMessage& message = request.message;
  const bool flush = message.type == vhost_user::IotlbMessage::kUpdate && io_->is_full();
  const bool stop =
      running_ && (flush || rings_touch({.start = Iova(message.iova), .bytes = message.bytes}));
  const bool lacked = lacks_rings_;
  if (stop) pause();
  if (flush) io_->flush(memory_);
  const Result<bool> awaited = io_->apply(message, memory_);
  if (stop || lacked) run_now();
  if (!awaited) return fail(awaited.error());
  if (*awaited && running_) {
    for (Ring& ring : rings_) {
      if (ring.active()) VMM_TRY_DO(ring.kick());
    }
  }
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SetBackendReqFd& request) {
  VMM_TRY(auto connection, vhost_user::Connection::adopt(std::move(request.fd)));
  link_->set_channel(
      std::make_shared<vhost_user::BackendChannel>(std::move(connection), protocol_features_));
  if (parts_.extension != nullptr) parts_.extension->set_services(link_);
  return Reply::done();
}

// Rings of VERSION_1 are little-endian, and there are no others here.
Result<Reply> DeviceBackend::Impl::on(request::SetVringEndian& request) {
  if (request.big) return fail(MessageError::kNotSupported);
  return Reply::done();
}

// A device is suspended when all of its rings are stopped.
Result<Reply> DeviceBackend::Impl::on(request::SetDeviceStateFd& request) {
  virtio_device::StateOwner* const owner = parts_.device->state_owner();
  if (owner == nullptr) return fail(MessageError::kNotSupported);
  if (running_ || std::ranges::any_of(rings_, &Ring::started)) return fail(MessageError::kBadState);
  if (request.transfer.direction == vhost_user::DeviceStateTransfer::kLoad) {
    VMM_TRY_DO(transfer_.load(std::move(request.fd)));
  } else {
    VMM_TRY_DO(transfer_.save(std::move(request.fd), state_ ? *state_ : owner->save_state()));
  }
  return Reply::with(std::uint64_t{vhost_user::DeviceStateTransfer::kReplyNoFd});
}

Result<Reply> DeviceBackend::Impl::on(request::CheckDeviceState&) {
  const bool load = transfer_.is_load();
  VMM_TRY(auto loaded, transfer_.finish());
  if (load) {
    if (running_) return fail(MessageError::kBadState);
    VMM_TRY_DO(parts_.device->state_owner()->load_state(loaded));
    state_ = std::move(loaded);
  }
  return Reply::with(std::uint64_t{0});
}

Result<Reply> DeviceBackend::Impl::on(request::NetSetMtu& request) {
  if (parts_.extension == nullptr) return fail(MessageError::kNotSupported);
  VMM_TRY_DO(parts_.extension->set_mtu(request.mtu));
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::SendRarp& request) {
  if (parts_.extension == nullptr) return fail(MessageError::kNotSupported);
  VMM_TRY_DO(parts_.extension->send_rarp(request.mac));
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::GetSharedObject& request) {
  if (parts_.extension == nullptr) return fail(MessageError::kNotSupported);
  VMM_TRY(UniqueFd object, parts_.extension->shared_object(request.id));
  return Reply::with_fd(std::move(object));
}

Result<Reply> DeviceBackend::Impl::on(request::GetShmemConfig&) {
  if (parts_.extension == nullptr) return fail(MessageError::kNotSupported);
  return Reply::with(parts_.extension->shmem_config());
}

Result<Reply> DeviceBackend::Impl::on(request::GpuSetSocket& request) {
  if (parts_.extension == nullptr) return fail(MessageError::kNotSupported);
  VMM_TRY_DO(parts_.extension->set_gpu_socket(std::move(request.fd)));
  return Reply::done();
}

// The answer is the question, with the number of the session in it.
Result<Reply> DeviceBackend::Impl::on(request::CreateCryptoSession& request) {
  if (parts_.extension == nullptr) return fail(MessageError::kNotSupported);
  const auto made = parts_.extension->create_crypto_session(request.session);
  const std::uint64_t number = made ? *made : ~std::uint64_t{0};
  Reply reply{
      .has_payload = true, .payload = {request.session.begin(), request.session.end()}, .fd = {}};
  std::memcpy(reply.payload.data() + vhost_user::crypto_session_number_at(reply.payload.size()),
              &number, sizeof(number));
  return reply;
}

Result<Reply> DeviceBackend::Impl::on(request::CloseCryptoSession& request) {
  if (parts_.extension == nullptr) return fail(MessageError::kNotSupported);
  VMM_TRY_DO(parts_.extension->close_crypto_session(request.session));
  return Reply::done();
}

// Front ends ask for as much as they know of; what the device does not have reads as zeros.
Result<Reply> DeviceBackend::Impl::on(request::GetConfig& request) {
  std::vector<std::byte> config(std::max<std::size_t>(parts_.device->config_bytes(),
                                                      request.part.offset + request.part.bytes));
  parts_.device->read_config(std::span(config).first(parts_.device->config_bytes()));
  Reply reply = Reply::with(request.part);
  const auto part = std::span(config).subspan(request.part.offset, request.part.bytes);
  reply.payload.insert(reply.payload.end(), part.begin(), part.end());
  return reply;
}

Result<Reply> DeviceBackend::Impl::on(request::SetConfig& request) {
  if (!fits<std::size_t>(request.part.offset, request.part.bytes, parts_.device->config_bytes())) {
    return fail(MessageError::kBadRange);
  }
  written_.note(request.part.offset, request.data);
  parts_.device->write_config(request.part.offset, request.data);
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::GetInflightFd& request) {
  if (request.queue_count > rings_.size()) return fail(MessageError::kBadQueue);
  VMM_TRY(auto made,
          vhost_user::InflightMemory::create(request.queue_count, request.queue_size, packed()));
  VMM_TRY(UniqueFd fd, sys_util::duplicate(made.fd(), "inflight memory: dup"));
  return Reply::with(made.area(), std::move(fd));
}

Result<Reply> DeviceBackend::Impl::on(request::SetInflightFd& request) {
  if (running_) return fail(MessageError::kBadState);
  VMM_TRY(inflight_,
          vhost_user::InflightMemory::open(request.area, std::move(request.fd), packed()));
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::PostcopyAdvise&) {
  VMM_TRY(auto opened, Postcopy::open());
  VMM_TRY(UniqueFd fd, sys_util::duplicate(opened.fd(), "userfaultfd: dup"));
  postcopy_.emplace(std::move(opened));
  return Reply::with_fd(std::move(fd));
}

// From here on memory is watched when it is told of; what is known already would have been touched.
Result<Reply> DeviceBackend::Impl::on(request::PostcopyListen&) {
  if (!postcopy_ || memory_.size() != 0) return fail(MessageError::kBadState);
  listening_ = true;
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::PostcopyEnd&) {
  postcopy_.reset();
  listening_ = false;
  return Reply::done();
}

// A status of 0 stops the device and no ring: QEMU asks for the rings' bases after it, and means
// the stop of a VM as well as a reset.
Result<Reply> DeviceBackend::Impl::on(request::SetStatus& request) {
  status_ = request.status;
  if ((status_ & virtio_device::kDriverOk) != 0) {
    run_now();
  } else {
    pause();
    if (status_ == 0) link_->forget_breakage();
    run_soon();
  }
  return Reply::done();
}

Result<Reply> DeviceBackend::Impl::on(request::GetStatus&) {
  const std::uint8_t broken = link_->wants_reset() ? virtio_device::kNeedsReset : 0;
  return Reply::with(static_cast<std::uint64_t>(status_ | broken));
}

}  // namespace vmm::vhost_user_backend
