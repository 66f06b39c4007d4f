// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <optional>
#include <vector>

#include "frontend_link.h"
#include "io_memory.h"
#include "postcopy.h"
#include "ring.h"
#include "state_transfer.h"
#include "vmm/event_manager/timer.h"
#include "vmm/vhost_user/dirty_log.h"
#include "vmm/vhost_user_backend/device_backend.h"
#include "written_config.h"

namespace vmm::vhost_user_backend {

/// One function for each request, named on().
class DeviceBackend::Impl {
 public:
  explicit Impl(Parts parts) : parts_(std::move(parts)), transfer_(parts_.control) {}
  ~Impl() { disconnect(); }
  Result<void> init();

  [[nodiscard]] std::uint64_t features() const;
  [[nodiscard]] std::uint64_t protocol_features() const;
  [[nodiscard]] std::uint32_t queue_count() const {
    return static_cast<std::uint32_t>(rings_.size());
  }
  Result<vhost_user::Reply> handle(vhost_user::FrontendRequest& request);
  void disconnect();
  [[nodiscard]] bool running() const { return running_; }

 private:
  using Reply = vhost_user::Reply;

  // What is not told apart below is refused.
  template <class Request>
  Result<Reply> on(Request&) {
    return fail(vhost_user::MessageError::kNotSupported);
  }
  Result<Reply> on(vhost_user::request::SetFeatures& request);
  Result<Reply> on(vhost_user::request::SetProtocolFeatures& request);
  Result<Reply> on(vhost_user::request::ResetOwner& request);
  Result<Reply> on(vhost_user::request::ResetDevice& request);
  Result<Reply> on(vhost_user::request::SetMemTable& request);
  Result<Reply> on(vhost_user::request::AddMemReg& request);
  Result<Reply> on(vhost_user::request::RemMemReg& request);
  Result<Reply> on(vhost_user::request::SetLogBase& request);
  Result<Reply> on(vhost_user::request::SetLogFd& request);
  Result<Reply> on(vhost_user::request::SetVringNum& request);
  Result<Reply> on(vhost_user::request::SetVringAddr& request);
  Result<Reply> on(vhost_user::request::SetVringBase& request);
  Result<Reply> on(vhost_user::request::GetVringBase& request);
  Result<Reply> on(vhost_user::request::SetVringKick& request);
  Result<Reply> on(vhost_user::request::SetVringCall& request);
  Result<Reply> on(vhost_user::request::SetVringErr& request);
  Result<Reply> on(vhost_user::request::SetVringEnable& request);
  Result<Reply> on(vhost_user::request::VringKick& request);
  Result<Reply> on(vhost_user::request::Iotlb& request);
  Result<Reply> on(vhost_user::request::SetBackendReqFd& request);
  Result<Reply> on(vhost_user::request::GetConfig& request);
  Result<Reply> on(vhost_user::request::SetConfig& request);
  Result<Reply> on(vhost_user::request::GetInflightFd& request);
  Result<Reply> on(vhost_user::request::SetInflightFd& request);
  Result<Reply> on(vhost_user::request::SetStatus& request);
  Result<Reply> on(vhost_user::request::GetStatus& request);

  Result<Reply> on(vhost_user::request::SetVringEndian& request);
  Result<Reply> on(vhost_user::request::SetDeviceStateFd& request);
  Result<Reply> on(vhost_user::request::CheckDeviceState& request);
  // What the device's extension does.
  Result<Reply> on(vhost_user::request::NetSetMtu& request);
  Result<Reply> on(vhost_user::request::SendRarp& request);
  Result<Reply> on(vhost_user::request::GetSharedObject& request);
  Result<Reply> on(vhost_user::request::GetShmemConfig& request);
  Result<Reply> on(vhost_user::request::GpuSetSocket& request);
  Result<Reply> on(vhost_user::request::CreateCryptoSession& request);
  Result<Reply> on(vhost_user::request::CloseCryptoSession& request);

  Result<Reply> on(vhost_user::request::PostcopyAdvise& request);
  Result<Reply> on(vhost_user::request::PostcopyListen& request);
  Result<Reply> on(vhost_user::request::PostcopyEnd& request);

  [[nodiscard]] bool has(vhost_user::ProtocolFeature feature) const {
    return (protocol_features_ & bit(feature)) != 0;
  }
  [[nodiscard]] bool packed() const;
  /// Whether the driver's addresses, and those of rings, are I/O addresses.
  [[nodiscard]] bool translated() const;
  [[nodiscard]] RingMemory ring_memory() const {
    return {.table = memory_, .io = translated() ? &io_->memory() : nullptr};
  }
  /// Whether all rings that are to run are mapped; what is missing is asked for.
  [[nodiscard]] bool rings_are_mapped();
  /// Whether a ring that runs has a part there.
  [[nodiscard]] bool rings_touch(vm_memory::IovaRange range) const;
  /// Guest memory has changed.
  void follow_memory();
  /// Has change() take memory away, without losing what the device wrote there.
  template <class Change>
  Result<void> change_memory(Change&& change);
  /// What the driver negotiated with the device.
  [[nodiscard]] std::uint64_t device_features() const {
    return features_ & ~(vhost_user::kFeatureLogAll | vhost_user::kFeatureProtocolFeatures);
  }
  [[nodiscard]] bool logging() const { return (features_ & vhost_user::kFeatureLogAll) != 0; }
  /// Whether the log that there is has a place for the region's pages.
  [[nodiscard]] Result<void> check_logged(const vhost_user::MemoryRegion& region) const;
  Result<void> set_log_timer(bool on);
  /// Notes writes from now on, or no longer. Precondition: the device does not run.
  Result<void> switch_log(bool on);
  /// Where this process has a region, which is watched from now on.
  Result<vhost_user::MemoryRegion> watch(const vhost_user::MemoryRegion& region);
  /// The front end's word that it knows of them now.
  Result<Reply> take_acknowledgement();

  /// Whether the front end has said all that there is to say.
  [[nodiscard]] bool may_run() const;
  /// Has the device run, soon or now, if it may.
  void run_soon();
  void run_now();
  Result<void> activate();
  Result<std::vector<virtio_device::ActiveQueue>> make_queues();
  /// Ends the device's activity with all requests answered; the rings say where they are.
  void pause();
  /// Ends it for good: the next driver finds a new device.
  void reset_device();
  /// Has the device remember its state for the next activation, or have it again.
  void keep_state();
  Result<void> restore_state();
  /// Kicks the rings that have no kick: they are polled.
  void poll_rings();
  /// Brings what the device wrote to the dirty log.
  void collect_log();

  Parts parts_;
  std::vector<Ring> rings_;
  std::shared_ptr<FrontendLink> link_;
  vhost_user::MemoryTable memory_;
  std::optional<IoMemory> io_;
  bool lacks_rings_ = false;  // it would run if the rings were mapped
  std::optional<vhost_user::DirtyLog> log_;
  UniqueFd log_fd_;
  std::optional<vhost_user::InflightMemory> inflight_;
  std::optional<Postcopy> postcopy_;
  bool listening_ = false;      // memory comes later
  bool acknowledging_ = false;  // the front end has something to say to an answer of ours
  bool has_userfaultfd_ = false;
  WrittenConfig written_;
  /// What the device saved when it ended its activity, or another one elsewhere.
  std::optional<std::vector<std::byte>> state_;
  StateTransfer transfer_;
  std::optional<event_manager::Timer> poll_timer_;
  std::optional<event_manager::Timer> start_timer_;
  std::optional<event_manager::Timer> log_timer_;
  std::uint64_t features_ = 0;
  std::uint64_t protocol_features_ = 0;
  std::uint8_t status_ = 0;
  bool running_ = false;
};

}  // namespace vmm::vhost_user_backend
