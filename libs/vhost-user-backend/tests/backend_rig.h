// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A back end on threads of its own, as in a daemon, and a front end with a driver.

#include <poll.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "errors.h"
#include "fd_pairs.h"
#include "vmm/event_manager/loop_thread.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vhost_user/frontend.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/vhost_user_backend/daemon.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_queue/driver/driver.h"
#include "vmm/virtio_queue/queue_config.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::vhost_user_backend {

/// Whether the back end has refused it.
template <class R>
bool refused(const R& result) {
  return is_error(result, vhost_user::MessageError::kRefused);
}

/// Whether it is a value, and this one.
template <class R>
bool gives(const R& result, std::uint64_t value) {
  return result && *result == value;
}

/// The back end's process.
class Process {
 public:
  explicit Process(std::shared_ptr<virtio_device::VirtioDevice> device, bool iommu = false,
                   std::shared_ptr<DeviceExtension> extension = nullptr)
      : workers_({&io_->loop()}) {
    control_->call([&] {
      backend_ = *DeviceBackend::create({.device = std::move(device),
                                         .workers = workers_,
                                         .control = control_->loop(),
                                         .iommu = iommu,
                                         .extension = std::move(extension)});
      daemon_ = std::make_unique<Daemon>(control_->loop(), *backend_);
    });
  }
  ~Process() {
    control_->call([&] {
      daemon_.reset();
      backend_.reset();
    });
  }
  /// Our end of a connection to it; nothing when it takes none. On any thread.
  UniqueFd connect() {
    auto ends = sys_util::unix_socket_pair();
    if (!ends) return {};
    bool taken = false;
    control_->call([&] { taken = daemon_->serve(std::move(ends->second)).has_value(); });
    return taken ? std::move(ends->first) : UniqueFd();
  }
  bool serving() {
    bool serving = false;
    control_->call([&] { serving = daemon_->serving(); });
    return serving;
  }
  bool running() {
    bool running = false;
    control_->call([&] { running = backend_->running(); });
    return running;
  }

 private:
  std::unique_ptr<event_manager::LoopThread> io_ = *event_manager::LoopThread::create("io");
  virtio_device::LoopWorkers workers_;
  std::unique_ptr<event_manager::LoopThread> control_ =
      *event_manager::LoopThread::create("control");
  std::unique_ptr<DeviceBackend> backend_;
  std::unique_ptr<Daemon> daemon_;
};

inline constexpr std::uint64_t kRamBytes = 1 << 20;
inline constexpr std::uint64_t kUser = 0x7000'0000'0000;  ///< where the front end "has" RAM
inline constexpr std::uint64_t kIo = 0x5'0000'0000;  ///< I/O addresses of RAM, as a driver maps it
inline constexpr std::uint16_t kQueueSize = 16;
inline constexpr int kPatienceMs = 60'000;  ///< for what has to come; machines may be busy

struct Setup {
  bool packed = false;
  bool iommu = false;
  bool status = true;
  bool protocol = true;
  std::uint64_t protocol_features = ~std::uint64_t{0};
};

/// RAM, a driver for each queue, and the front end.
class Guest {
 public:
  Guest(UniqueFd socket, std::uint32_t queues, const Setup& setup)
      : setup_(setup),
        frontend_(
            *vhost_user::Frontend::create(*vhost_user::Connection::adopt(std::move(socket)))) {
    for (std::uint32_t i = 0; i < queues; ++i) {
      rings_.push_back(std::make_unique<Ring>(shape(i), memory_.view()));
    }
  }

  vhost_user::Frontend& frontend() { return frontend_; }
  vm_memory::MemoryView view() { return memory_.view(); }
  int ram_fd() const { return ram_.fd(); }

  void negotiate() {
    using vhost_user::ProtocolFeature;
    if (setup_.protocol) {
      std::uint64_t features = frontend_.offered_protocol_features() & setup_.protocol_features;
      features &= ~bit(ProtocolFeature::kInbandNotifications);
      if (!setup_.status) features &= ~bit(ProtocolFeature::kStatus);
      REQUIRE(frontend_.negotiate(features));
    }
    REQUIRE(frontend_.set_features(features()));
  }
  std::uint64_t features() const {
    return virtio_device::kFeatureVersion1 | (setup_.packed ? virtio_queue::kFeaturePacked : 0) |
           (setup_.iommu ? virtio_device::kFeatureAccessPlatform : 0) |
           (setup_.protocol ? vhost_user::kFeatureProtocolFeatures : 0);
  }
  void share_memory() {
    const vhost_user::MemoryRegion region{
        .guest_address = 0, .bytes = kRamBytes, .user_address = kUser, .mmap_offset = 0};
    const int fd = ram_.fd();
    REQUIRE(frontend_.set_mem_table({&region, 1}, {&fd, 1}));
  }
  vhost_user::VringAddresses addresses(std::uint32_t queue) const {
    const auto rings = shape(queue).rings;
    const std::uint64_t base = setup_.iommu ? kIo : kUser;
    return {.index = queue,
            .descriptors = base + rings.descriptors.raw(),
            .used = base + rings.device.raw(),
            .available = base + rings.driver.raw()};
  }
  void set_up_ring(std::uint32_t queue, std::uint32_t base) {
    REQUIRE(frontend_.set_vring_num(queue, kQueueSize));
    REQUIRE(frontend_.set_vring_base(queue, base));
    REQUIRE(frontend_.set_vring_addr(addresses(queue)));
    REQUIRE(frontend_.set_vring_call(queue, rings_[queue]->call.fd()));
    REQUIRE(frontend_.set_vring_err(queue, rings_[queue]->error.fd()));
    REQUIRE(frontend_.set_vring_kick(queue, rings_[queue]->kick.fd()));
  }
  void enable(std::uint32_t queue) {
    if (setup_.protocol) REQUIRE(frontend_.set_vring_enable(queue, true));
  }
  void driver_ok() {
    if (setup_.status && setup_.protocol) REQUIRE(frontend_.set_status(0xf));
  }
  std::uint32_t start_base() const { return setup_.packed ? 0x8000'8000 : 0; }
  void start() {
    negotiate();
    share_memory();
    for (std::uint32_t i = 0; i < rings_.size(); ++i) set_up_ring(i, start_base());
    for (std::uint32_t i = 0; i < rings_.size(); ++i) enable(i);
    driver_ok();
  }

  /// Offers a request of text with room for an answer, without a kick.
  void offer(std::uint32_t queue, const std::string& text, std::uint64_t at = 0x8'0000) {
    REQUIRE(view().write_bytes(GuestAddress(at), std::as_bytes(std::span(text))));
    const std::array buffers = {
        virtio_queue::driver::Buffer{GuestAddress(at), static_cast<std::uint32_t>(text.size()),
                                     false},
        virtio_queue::driver::Buffer{GuestAddress(at + 0x1000), 64, true}};
    REQUIRE(rings_[queue]->driver.add(buffers));
    (void)rings_[queue]->driver.publish();
  }
  /// Offers a request of these parts, without a kick.
  void offer_parts(std::uint32_t queue, std::span<const virtio_queue::driver::Buffer> parts) {
    REQUIRE(rings_[queue]->driver.add(parts));
    (void)rings_[queue]->driver.publish();
  }
  std::optional<virtio_queue::driver::Used> reap(std::uint32_t queue) {
    const auto used = rings_[queue]->driver.reap();
    REQUIRE(used);
    return *used;
  }
  void kick(std::uint32_t queue) { REQUIRE(rings_[queue]->kick.add()); }
  /// The answer to the oldest request, if it comes in time and with an interrupt.
  std::optional<std::string> answer(std::uint32_t queue, int patience_ms = kPatienceMs,
                                    std::uint64_t at = 0x8'0000) {
    std::optional<virtio_queue::driver::Used> used;
    while (!used) {  // an interrupt may mean nothing
      if (!readable(rings_[queue]->call.fd(), patience_ms)) return std::nullopt;
      (void)rings_[queue]->call.take();
      used = reap(queue);
    }
    std::string text(used->written, '\0');
    REQUIRE(view().read_bytes(GuestAddress(at + 0x1000), std::as_writable_bytes(std::span(text))));
    return text;
  }
  std::optional<std::string> echo(std::uint32_t queue, const std::string& text) {
    offer(queue, text);
    kick(queue);
    return answer(queue);
  }
  int kick_fd(std::uint32_t queue) const { return rings_[queue]->kick.fd(); }
  int call_fd(std::uint32_t queue) const { return rings_[queue]->call.fd(); }
  bool error(std::uint32_t queue) { return readable(rings_[queue]->error.fd()); }
  static bool readable(int fd, int patience_ms = kPatienceMs) {
    pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&one, 1, patience_ms) == 1;
  }
  virtio_queue::QueueShape shape(std::uint32_t queue) const {
    const std::uint64_t base = 0x1'0000 + 0x3000 * std::uint64_t{queue};
    return {.rings = {GuestAddress(base), GuestAddress(base + 0x1000), GuestAddress(base + 0x2000)},
            .size = kQueueSize,
            .packed = setup_.packed,
            .event_idx = false,
            .in_order = false};
  }

 private:
  struct Ring {
    Ring(const virtio_queue::QueueShape& shape, vm_memory::MemoryView memory)
        : driver(*virtio_queue::driver::Driver::create(shape, memory)) {}
    virtio_queue::driver::Driver driver;
    sys_util::EventFd kick = *sys_util::EventFd::create();
    sys_util::EventFd call = *sys_util::EventFd::create();
    sys_util::EventFd error = *sys_util::EventFd::create();
  };
  vm_memory::GuestMemory map() {
    const vm_memory::RegionConfig config{.base = GuestAddress(0),
                                         .bytes = kRamBytes,
                                         .backing = vm_memory::Backing::kFile,
                                         .fd = ram_.fd()};
    return *vm_memory::GuestMemory::create({&config, 1});
  }

  Setup setup_;
  sys_util::MemFd ram_ = *sys_util::MemFd::create(kRamBytes);
  vm_memory::GuestMemory memory_ = map();
  vhost_user::Frontend frontend_;
  std::vector<std::unique_ptr<Ring>> rings_;
};

}  // namespace vmm::vhost_user_backend
