// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "remote_core.h"

#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "vmm/base/checked.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_device/transport_core.h"

namespace vmm::vhost_user_frontend {
namespace {

using vhost_user::Frontend;
using vhost_user::MemoryRegion;
using vhost_user::ProtocolFeature;

constexpr std::uint8_t kRunning = virtio_device::kAcknowledge | virtio_device::kDriver |
                                  virtio_device::kFeaturesOk | virtio_device::kDriverOk;

std::uint64_t wanted_protocol_features(bool window) {
  using enum ProtocolFeature;
  std::uint64_t wanted = window ? bit(kShmem) | bit(kBackendSendFd) : 0;
  for (const ProtocolFeature one : {kMq, kReplyAck, kBackendReq, kConfig, kInflightShmfd,
                                    kResetDevice, kConfigureMemSlots, kStatus}) {
    wanted |= bit(one);
  }
  return wanted;
}

}  // namespace

Result<void> RemoteDevice::Core::connect() {
  VMM_TRY(UniqueFd socket, connect_());
  VMM_TRY(auto connection, vhost_user::Connection::adopt(std::move(socket)));
  VMM_TRY(auto frontend, Frontend::create(std::move(connection)));
  frontend.limit(options_.answer_patience);
  VMM_TRY_DO(frontend.negotiate(wanted_protocol_features(options_.window.has_value())));
  if ((frontend.features() & virtio_device::kFeatureVersion1) == 0) {
    return fail(Error::os(EINVAL, "vhost-user back end: not of virtio 1"));
  }
  if (frontend.has(ProtocolFeature::kMq)) {
    VMM_TRY(const std::uint64_t queues, frontend.get_queue_num());
    if (queues < (options_.least_queues != 0 ? options_.least_queues : queue_count())) {
      return fail(Error::os(EINVAL, "vhost-user back end: too few queues"));
    }
  }
  VMM_TRY_DO(prepare_window(frontend));
  const bool measure_all = first_ && options_.config_of_back_end;
  VMM_TRY(const std::size_t told,
          measure_config(frontend, measure_all ? kMostConfig : told_most()));
  if (measure_all) options_.config.resize(told);
  if (first_) {
    offered_ = frontend.features();
    first_ = false;
  } else if ((offered_ & ~frontend.features()) != 0) {
    return fail(Error::os(EPROTO, "vhost-user back end: offers less than before"));
  }
  const MutexLock lock(mutex_);
  told_ = told;
  shared_.clear();
  frontend_.emplace(std::move(frontend));
  return {};
}

Result<void> RemoteDevice::Core::prepare_window(Frontend& frontend) {
  if (!options_.window) return {};
  if (!frontend.has(ProtocolFeature::kShmem) || !frontend.has(ProtocolFeature::kBackendReq)) {
    return fail(Error::os(EINVAL, "vhost-user back end: no shared memory"));
  }
  RemoteOptions::Window& wanted = *options_.window;
  VMM_TRY(const vhost_user::ShmemConfig config, frontend.get_shmem_config());
  const std::uint64_t told = config.bytes[wanted.id];
  if (wanted.bytes == 0) wanted.bytes = told;
  if (told < wanted.bytes || !std::has_single_bit(wanted.bytes)) {
    return fail(Error::os(EINVAL, "vhost-user back end: size of its shared memory"));
  }
  if (window_ != nullptr) return {};
  VMM_TRY(window_, SharedWindow::create(wanted.bytes));
  return {};
}

// It does not say; but what is within it can be read, and more is refused by those who know less of
// the specification than we do.
Result<std::size_t> RemoteDevice::Core::measure_config(Frontend& frontend, std::size_t most) {
  if (most == 0 || !frontend.has(ProtocolFeature::kConfig)) return std::size_t{0};
  std::vector<std::byte> room(most);
  std::size_t good = 0;
  std::size_t bad = most + 1;
  for (std::size_t tried = most; bad - good > 1; tried = good + (bad - good) / 2) {
    const auto read = frontend.get_config(0, std::span(room).first(tried));
    if (!read && frontend.broken()) return fail(read.error());
    (read ? good : bad) = tried;
  }
  return good;
}

Frontend* RemoteDevice::Core::converse() {
  if (!frontend_) return nullptr;
  frontend_->limit(options_.answer_patience);
  return &*frontend_;
}

Frontend* RemoteDevice::Core::converse_of_config() {
  if (!frontend_) return nullptr;
  config_begun_ = sys_util::Patience::Clock::now();
  const auto left = config_patience_.left(config_begun_);
  frontend_->limit(std::chrono::ceil<std::chrono::milliseconds>(left));
  return &*frontend_;
}

void RemoteDevice::Core::end_of_config() {
  config_patience_.spend(config_begun_, sys_util::Patience::Clock::now());
  end_if_broken();
}

void RemoteDevice::Core::end_if_broken() {
  if (frontend_ && frontend_->broken()) (void)::shutdown(frontend_->fd(), SHUT_RDWR);
}

bool RemoteDevice::Core::connected() {
  const MutexLock lock(mutex_);
  return frontend_.has_value() && !frontend_->broken();
}

int RemoteDevice::Core::fd() {
  const MutexLock lock(mutex_);
  return frontend_ ? frontend_->fd() : -1;
}

void RemoteDevice::Core::disconnect() {
  if (window_ != nullptr) window_->clear();
  const MutexLock lock(mutex_);
  frontend_.reset();
  shared_.clear();
}

Result<void> RemoteDevice::Core::start(const RemoteStart& start) {
  const MutexLock lock(mutex_);
  Frontend* const there = converse();
  if (there == nullptr) return fail(Error::os(ENOTCONN, "vhost-user back end"));
  Frontend& frontend = *there;
  std::uint64_t features = start.features & (frontend.features() | options_.own_features);
  features &= ~options_.own_features;
  VMM_TRY_DO(frontend.set_features(features |
                                   (frontend.features() & vhost_user::kFeatureProtocolFeatures)));
  if (start.channel_fd >= 0 && frontend.has(ProtocolFeature::kBackendReq)) {
    VMM_TRY_DO(frontend.set_backend_channel(start.channel_fd));
  }
  VMM_TRY_DO(share_inflight(frontend, start));
  VMM_TRY_DO(share_memory(frontend, start.memory));
  return start_rings(frontend, start);
}

// A front end's own addresses are only names: the guest's do as well, and tell less.
Result<RemoteDevice::Core::ToldRegion> RemoteDevice::Core::tell_of(
    const vm_memory::Region& region) {
  const auto file = region.file();
  if (!file) return fail(Error::os(EINVAL, "vhost-user: guest memory is not shared"));
  return ToldRegion{.region = {.guest_address = region.base().raw(),
                               .bytes = region.bytes(),
                               .user_address = region.base().raw(),
                               .mmap_offset = file->offset},
                    .fd = file->fd};
}

Result<void> RemoteDevice::Core::share_memory(Frontend& frontend,
                                              const vm_memory::GuestMemory& memory) {
  const auto map = memory.snapshot();
  const auto all = map->regions();
  if (all.size() > vhost_user::kBaselineRegions) return share_slots(frontend, *map);
  std::vector<MemoryRegion> regions;
  std::vector<int> fds;
  for (const auto& region : all) {
    VMM_TRY(const ToldRegion told, tell_of(*region));
    regions.push_back(told.region);
    fds.push_back(told.fd);
  }
  VMM_TRY_DO(frontend.set_mem_table(regions, fds));
  shared_.assign(all.begin(), all.end());
  return {};
}

// What has gone makes room first.
Result<void> RemoteDevice::Core::share_slots(Frontend& frontend, const vm_memory::RegionMap& map) {
  const auto all = map.regions();
  VMM_TRY(const std::uint64_t slots, frontend.get_max_mem_slots());
  if (all.size() > slots) return fail(Error::os(EINVAL, "vhost-user: too much memory"));
  for (std::size_t i = shared_.size(); i-- > 0;) {
    if (std::ranges::find(all, shared_[i]) != all.end()) continue;
    VMM_TRY(const ToldRegion told, tell_of(*shared_[i]));
    VMM_TRY_DO(frontend.remove_region(told.region));
    shared_.erase(shared_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (const auto& region : all) {
    if (std::ranges::find(shared_, region) != shared_.end()) continue;
    VMM_TRY(const ToldRegion told, tell_of(*region));
    VMM_TRY_DO(frontend.add_region(told.region, told.fd));
    shared_.push_back(region);
  }
  return {};
}

// Who was told of no memory yet is told of all of it at the device's start.
Result<void> RemoteDevice::Core::memory_changed(const vm_memory::GuestMemory& memory) {
  const MutexLock lock(mutex_);
  Frontend* const frontend = converse();
  if (frontend == nullptr || shared_.empty()) return {};
  const Result<void> done = frontend->has(ProtocolFeature::kConfigureMemSlots)
                                ? share_slots(*frontend, *memory.snapshot())
                                : share_memory(*frontend, memory);
  end_if_broken();
  return done;
}

Result<void> RemoteDevice::Core::share_inflight(Frontend& frontend, const RemoteStart& start) {
  if (!frontend.has(ProtocolFeature::kInflightShmfd) || start.rings.empty()) return {};
  if (!inflight_) {
    std::uint16_t size = 0;
    for (const RemoteRing& ring : start.rings) size = std::max(size, ring.shape.size);
    auto made = frontend.get_inflight(static_cast<std::uint16_t>(queue_count()), size);
    if (!made) {
      if (frontend.broken()) return fail(std::move(made).error());
      return {};  // it cannot, after all
    }
    inflight_.emplace(std::move(*made));
  }
  inflight_kept_ = true;
  return frontend.set_inflight(inflight_->area, inflight_->fd.get());
}

Result<void> RemoteDevice::Core::start_ring(Frontend& frontend, const RemoteRing& ring) {
  const std::uint32_t index = ring.index;
  std::uint32_t base = ring.position.next_avail;
  if (ring.shape.packed) base |= std::uint32_t{ring.position.next_used} << 16;
  VMM_TRY_DO(frontend.set_vring_num(index, ring.shape.size));
  VMM_TRY_DO(frontend.set_vring_base(index, base));
  VMM_TRY_DO(frontend.set_vring_addr({.index = index,
                                      .descriptors = ring.shape.rings.descriptors.raw(),
                                      .used = ring.shape.rings.device.raw(),
                                      .available = ring.shape.rings.driver.raw()}));
  VMM_TRY_DO(frontend.set_vring_call(index, ring.call_fd));
  return frontend.set_vring_kick(index, ring.kick_fd);
}

Result<void> RemoteDevice::Core::start_rings(Frontend& frontend, const RemoteStart& start) {
  for (const RemoteRing& ring : start.rings) VMM_TRY_DO(start_ring(frontend, ring));
  if ((frontend.features() & vhost_user::kFeatureProtocolFeatures) != 0) {
    for (const RemoteRing& ring : start.rings) {
      VMM_TRY_DO(frontend.set_vring_enable(ring.index, ring.index < enabled_));
    }
  }
  if (frontend.has(ProtocolFeature::kStatus)) VMM_TRY_DO(frontend.set_status(kRunning));
  return {};
}

void RemoteDevice::Core::set_enabled(std::uint16_t count) {
  const MutexLock lock(mutex_);
  enabled_ = count;
}

// A back end without protocol features has no disabled rings.
Result<void> RemoteDevice::Core::enable_queues(std::uint16_t count) {
  const MutexLock lock(mutex_);
  const std::uint16_t before = std::exchange(enabled_, count);
  Frontend* const frontend = converse();
  if (frontend == nullptr || (frontend->features() & vhost_user::kFeatureProtocolFeatures) == 0) {
    return {};
  }
  Result<void> done;
  for (std::uint16_t i = std::min(before, count); done && i < std::max(before, count); ++i) {
    done = frontend->set_vring_enable(i, i < count);
  }
  end_if_broken();
  return done;
}

Result<void> RemoteDevice::Core::set_calls(std::span<const RemoteRing> rings) {
  const MutexLock lock(mutex_);
  Frontend* const frontend = converse();
  if (frontend == nullptr || frontend->broken()) return {};
  Result<void> done;
  for (std::size_t i = 0; done && i < rings.size(); ++i) {
    done = frontend->set_vring_call(rings[i].index, rings[i].call_fd);
  }
  if (!frontend->broken()) return done;
  end_if_broken();
  return {};
}

void RemoteDevice::Core::stop(std::vector<RemoteRing>& rings,
                              vhost_user::Frontend::Meanwhile meanwhile) {
  const MutexLock lock(mutex_);
  Frontend* const frontend = converse();
  if (frontend == nullptr) return;
  frontend->set_meanwhile(std::move(meanwhile));
  for (RemoteRing& ring : rings) {
    const auto base = frontend->get_vring_base(ring.index);
    if (!base) break;
    ring.position.next_avail = static_cast<std::uint16_t>(*base);
    ring.position.next_used = static_cast<std::uint16_t>(ring.shape.packed ? *base >> 16 : *base);
  }
  frontend->set_meanwhile({});
}

bool RemoteDevice::Core::can_resume(const std::vector<RemoteRing>& rings) const {
  if (!options_.resumable) return false;
  return inflight_kept_ ||
         std::ranges::none_of(rings, [](const RemoteRing& ring) { return ring.shape.packed; });
}

void RemoteDevice::Core::forget() {
  if (window_ != nullptr) window_->clear();
  const MutexLock lock(mutex_);
  inflight_.reset();
  inflight_kept_ = false;
  Frontend* const frontend = converse();
  if (frontend == nullptr) return;
  if (frontend->has(ProtocolFeature::kStatus)) {
    (void)frontend->set_status(0);
  } else if (frontend->has(ProtocolFeature::kResetDevice)) {
    (void)frontend->reset_device();
  }
}

std::size_t RemoteDevice::Core::told_most() const {
  const auto& parts = options_.own_config;
  const std::size_t bytes = options_.config.size();
  const bool all_own = parts.size() == 1 && parts[0].offset == 0 && parts[0].bytes == bytes;
  return all_own ? 0 : bytes;
}

// What the back end does not tell, or cannot tell any more, is as it was.
void RemoteDevice::Core::read_config(std::span<std::byte> config) {
  const MutexLock lock(mutex_);
  if (config_.empty()) config_ = options_.config;
  Frontend* const frontend = converse_of_config();
  if (frontend != nullptr && told_ != 0) {
    std::vector<std::byte> fresh(config_);
    if (frontend->get_config(0, std::span(fresh).first(told_))) config_ = std::move(fresh);
    end_of_config();
  }
  for (const RemoteOptions::Part& part : options_.own_config) {
    // With config_of_back_end the size is the back end's word.
    if (!fits(part.offset, part.bytes, std::min(config_.size(), options_.config.size()))) continue;
    std::memcpy(config_.data() + part.offset, options_.config.data() + part.offset, part.bytes);
  }
  std::memcpy(config.data(), config_.data(), std::min(config.size(), config_.size()));
}

void RemoteDevice::Core::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  const MutexLock lock(mutex_);
  Frontend* const frontend = converse_of_config();
  if (frontend == nullptr || !frontend->has(ProtocolFeature::kConfig)) return;
  (void)frontend->set_config(static_cast<std::uint32_t>(offset), data);
  end_of_config();
}

}  // namespace vmm::vhost_user_frontend
