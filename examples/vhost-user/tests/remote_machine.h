// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "remote_rig.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vhost_user_backend/daemon.h"
#include "vmm/virtio_device/testing/echo_device.h"
#include "vmm/virtio_queue/driver/driver.h"

namespace vmm::vhost_user_frontend {

/// What a daemon is, with an end that can be brought about.
class BackEnd {
 public:
  explicit BackEnd(std::shared_ptr<virtio_device::testing::EchoDevice> device)
      : workers_({&io_->loop()}) {
    control_->call([&] {
      backend_ = *vhost_user_backend::DeviceBackend::create(
          {.device = std::move(device), .workers = workers_, .control = control_->loop()});
      daemon_.emplace(control_->loop(), *backend_);
    });
  }
  ~BackEnd() {
    control_->call([&] {
      daemon_.reset();
      backend_.reset();
    });
  }
  /// Answers nothing before `end`.
  void hang(std::shared_future<void> end) {
    control_->loop().post([end = std::move(end)] { end.wait(); });
  }
  /// On any thread.
  Result<UniqueFd> connect() {
    VMM_TRY(auto ends, sys_util::unix_socket_pair());
    bool taken = false;
    control_->call(
        [&] { taken = !daemon_->serving() && daemon_->serve(std::move(ends.second)).has_value(); });
    if (!taken) return fail(Error::os(ECONNREFUSED, "test"));
    return std::move(ends.first);
  }

 private:
  std::unique_ptr<event_manager::LoopThread> io_ = *event_manager::LoopThread::create("io");
  virtio_device::LoopWorkers workers_;
  std::unique_ptr<event_manager::LoopThread> control_ =
      *event_manager::LoopThread::create("control");
  std::unique_ptr<vhost_user_backend::DeviceBackend> backend_;
  std::optional<vhost_user_backend::Daemon> daemon_;
};

/// A driver of a device with one queue, which echoes, in a back end that can end and come back.
struct Machine : RemoteRig {
  static constexpr std::uint16_t kQueueSize = 16;

  static RemoteOptions options() {
    return {.queue_sizes = {kQueueSize}, .config = std::vector<std::byte>(12)};
  }
  explicit Machine(bool use_packed = false, bool direct = false,
                   const RemoteOptions& chosen = options())
      : packed(use_packed) {
    sink.direct = direct;
    back_end = std::make_unique<BackEnd>(echo);
    put_in(RemoteDevice::create(chosen, [this]() -> Result<UniqueFd> {
      const std::scoped_lock lock(mutex);
      if (!back_end) return fail(Error::os(ECONNREFUSED, "test"));
      return back_end->connect();
    }));
  }
  ~Machine() { end(); }

  std::uint64_t features() const {
    return virtio_device::kFeatureVersion1 | virtio_device::testing::EchoDevice::kFeature |
           (packed ? virtio_queue::kFeaturePacked : 0);
  }
  bool start() {
    negotiate(features());
    const virtio_queue::QueueShape shape{
        .rings = {GuestAddress(0x1'0000), GuestAddress(0x1'1000), GuestAddress(0x1'2000)},
        .size = kQueueSize,
        .packed = packed};
    for (std::uint64_t page = 0x1'0000; page < 0x1'3000; page += 8) {
      (void)memory.view().write(GuestAddress(page), Le64(0));
    }
    driver.emplace(*virtio_queue::driver::Driver::create(shape, memory.view()));
    virtio_queue::QueueConfig* const queue = core->editable_queue(0);
    if (queue == nullptr) return false;
    (void)queue->set_size(kQueueSize);
    (void)queue->set_descriptors(shape.rings.descriptors);
    (void)queue->set_driver(shape.rings.driver);
    (void)queue->set_device(shape.rings.device);
    core->enable_queue(0);
    if (with_own_queue) enable_own_queue();
    core->set_status(15);
    return core->status() == 15;
  }
  void enable_own_queue() {
    virtio_queue::QueueConfig* const queue = core->editable_queue(1);
    REQUIRE(queue != nullptr);
    (void)queue->set_size(kQueueSize);
    (void)queue->set_descriptors(GuestAddress(0x3'0000));
    (void)queue->set_driver(GuestAddress(0x3'1000));
    (void)queue->set_device(GuestAddress(0x3'2000));
    core->enable_queue(1);
  }
  void offer(const std::string& text, std::uint64_t at = 0x2'0000) {
    REQUIRE(memory.view().write_bytes(GuestAddress(at), std::as_bytes(std::span(text))));
    const std::array buffers = {
        virtio_queue::driver::Buffer{GuestAddress(at), static_cast<std::uint32_t>(text.size()),
                                     false},
        virtio_queue::driver::Buffer{GuestAddress(0x2'1000), 64, true}};
    REQUIRE(driver->add(buffers));
    (void)driver->publish();
    core->kick(0);
  }
  std::optional<std::string> answer(int patience_ms = 60'000) {
    for (int i = 0; i < patience_ms; ++i) {
      const auto used = driver->reap();
      REQUIRE(used);
      if (*used) {
        std::string text((*used)->written, '\0');
        (void)memory.view().read_bytes(GuestAddress(0x2'1000),
                                       std::as_writable_bytes(std::span(text)));
        return text;
      }
      ::usleep(1000);
    }
    return std::nullopt;
  }
  Result<void> plug(std::uint64_t base) {
    VMM_TRY_DO(memory.plug(
        {.base = GuestAddress(base), .bytes = 1 << 16, .backing = vm_memory::Backing::kMemfd}));
    return device->memory_changed(memory);
  }
  Result<void> unplug(std::uint64_t base) {
    VMM_TRY_DO(memory.unplug(GuestAddress(base), 1 << 16));
    return device->memory_changed(memory);
  }
  std::optional<std::string> echo_of(const std::string& text, std::uint64_t at = 0x2'0000) {
    offer(text, at);
    return answer();
  }
  void end_back_end() {
    std::unique_ptr<BackEnd> old;
    const std::scoped_lock lock(mutex);
    old.swap(back_end);
  }
  void next_back_end() {
    const std::scoped_lock lock(mutex);
    back_end = std::make_unique<BackEnd>(echo);
  }

  bool packed;
  bool with_own_queue = false;
  std::shared_ptr<virtio_device::testing::EchoDevice> echo =
      std::make_shared<virtio_device::testing::EchoDevice>(1);
  std::mutex mutex;
  std::unique_ptr<BackEnd> back_end;
  std::optional<virtio_queue::driver::Driver> driver;
};

}  // namespace vmm::vhost_user_frontend
