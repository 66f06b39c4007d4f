// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/patience.h"
#include "vmm/vhost_user/frontend.h"
#include "vmm/vhost_user_frontend/remote_device.h"
#include "vmm/virtio_queue/queue.h"

namespace vmm::vhost_user_frontend {

/// A ring as the driver set it up, and the descriptors that the back end gets.
struct RemoteRing {
  std::uint16_t index = 0;
  virtio_queue::QueueShape shape;
  virtio_queue::QueuePosition position;  ///< where it starts, or was left
  int kick_fd = -1;
  int call_fd = -1;
};

/// What the back end has to be told for a device to run.
struct RemoteStart {
  const vm_memory::GuestMemory& memory;
  std::uint64_t features = 0;
  std::vector<RemoteRing> rings;
  int channel_fd = -1;  ///< the back end's end of its channel
};

/// The connection to the back end, which the transport and the worker share.
///
/// Threads: any; a caller waits for the other one's conversation.
class RemoteDevice::Core {
 public:
  Core(RemoteOptions options, Connect connect)
      : options_(std::move(options)),
        connect_(std::move(connect)),
        config_patience_(options_.answer_patience) {}

  /// Connects to a back end, the first or the next one. Errors: as RemoteDevice::create(); EPROTO
  /// when the next one offers less than the first.
  Result<void> connect() VMM_EXCLUDES(mutex_);
  /// Whether there is a back end that answers.
  [[nodiscard]] bool connected() VMM_EXCLUDES(mutex_);
  /// For polling; -1 without a back end.
  [[nodiscard]] int fd() VMM_EXCLUDES(mutex_);
  void disconnect() VMM_EXCLUDES(mutex_);

  /// Has the back end serve the rings. Errors: those of vhost_user::Frontend; EINVAL for memory
  /// without a file, or in too many regions.
  Result<void> start(const RemoteStart& start) VMM_EXCLUDES(mutex_);
  /// The interrupts of rings that were started are others now. Errors: those of a back end that
  /// refuses them; one that has gone, or goes, is no error.
  Result<void> set_calls(std::span<const RemoteRing> rings) VMM_EXCLUDES(mutex_);
  /// Ends that; the rings say where they are.
  /// `meanwhile`: what the back end may want done before it answers.
  void stop(std::vector<RemoteRing>& rings, vhost_user::Frontend::Meanwhile meanwhile)
      VMM_EXCLUDES(mutex_);
  /// Whether the next back end can go on with these rings, which the last one had.
  [[nodiscard]] bool can_resume(const std::vector<RemoteRing>& rings) const;
  /// Tells the back end of what came to guest memory and what went. Errors: as start().
  Result<void> memory_changed(const vm_memory::GuestMemory& memory) VMM_EXCLUDES(mutex_);
  /// The driver has gone: nothing is in flight any more.
  void forget() VMM_EXCLUDES(mutex_);

  /// How many rings are enabled from the next start on.
  void set_enabled(std::uint16_t count) VMM_EXCLUDES(mutex_);
  /// The same now.
  Result<void> enable_queues(std::uint16_t count) VMM_EXCLUDES(mutex_);

  void read_config(std::span<std::byte> config) VMM_EXCLUDES(mutex_);
  void write_config(std::uint64_t offset, std::span<const std::byte> data) VMM_EXCLUDES(mutex_);

  [[nodiscard]] const RemoteOptions& options() const { return options_; }
  /// The shared memory; nullptr without. Does not change.
  [[nodiscard]] SharedWindow* window() const { return window_.get(); }
  /// What the first back end offers; does not change.
  [[nodiscard]] std::uint64_t offered() const { return offered_; }

 private:
  /// Of the back end.
  [[nodiscard]] std::size_t queue_count() const {
    return options_.queue_sizes.size() - (options_.own_queue != nullptr ? 1 : 0);
  }
  /// Makes the window, or checks that this back end has such a region too.
  Result<void> prepare_window(vhost_user::Frontend& frontend);
  /// How much of its configuration space, at most `most` bytes, the back end lets read.
  static Result<std::size_t> measure_config(vhost_user::Frontend& frontend, std::size_t most);
  /// The back end, with a limit to the conversation that begins; nullptr without one.
  vhost_user::Frontend* converse() VMM_REQUIRES(mutex_);
  /// The same for one about the configuration space, which a guest's CPU waits for, and its end.
  vhost_user::Frontend* converse_of_config() VMM_REQUIRES(mutex_);
  void end_of_config() VMM_REQUIRES(mutex_);
  /// How much of the configuration space is the back end's to tell; nothing where all is ours.
  [[nodiscard]] std::size_t told_most() const;
  /// Tells the worker of a back end that is lost in somebody else's conversation.
  void end_if_broken() VMM_REQUIRES(mutex_);
  /// A region as a back end is told of it.
  struct ToldRegion {
    vhost_user::MemoryRegion region;
    int fd;  ///< borrowed
  };
  /// Errors: EINVAL for memory without a file.
  static Result<ToldRegion> tell_of(const vm_memory::Region& region);
  /// All of guest memory, in place of what was told before.
  Result<void> share_memory(vhost_user::Frontend& frontend, const vm_memory::GuestMemory& memory)
      VMM_REQUIRES(mutex_);
  /// The same region by region: those that differ.
  Result<void> share_slots(vhost_user::Frontend& frontend, const vm_memory::RegionMap& map)
      VMM_REQUIRES(mutex_);
  Result<void> share_inflight(vhost_user::Frontend& frontend, const RemoteStart& start)
      VMM_REQUIRES(mutex_);
  static Result<void> start_ring(vhost_user::Frontend& frontend, const RemoteRing& ring);
  Result<void> start_rings(vhost_user::Frontend& frontend, const RemoteStart& start)
      VMM_REQUIRES(mutex_);

  RemoteOptions options_;  // constant after the first connection
  const Connect connect_;
  std::unique_ptr<SharedWindow> window_;
  std::uint64_t offered_ = 0;
  bool first_ = true;
  Mutex mutex_;
  std::optional<vhost_user::Frontend> frontend_ VMM_GUARDED_BY(mutex_);
  std::optional<vhost_user::InflightFile> inflight_ VMM_GUARDED_BY(mutex_);
  // What the back end was told of; it stays mapped until that has let it go.
  std::vector<std::shared_ptr<const vm_memory::Region>> shared_ VMM_GUARDED_BY(mutex_);
  bool inflight_kept_ = false;
  std::uint16_t enabled_ VMM_GUARDED_BY(mutex_) = vhost_user::kMaxQueues;
  std::size_t told_ VMM_GUARDED_BY(mutex_) = 0;           // bytes of the configuration space
  std::vector<std::byte> config_ VMM_GUARDED_BY(mutex_);  // as it was read last
  sys_util::Patience config_patience_ VMM_GUARDED_BY(mutex_);
  sys_util::Patience::Clock::time_point config_begun_ VMM_GUARDED_BY(mutex_){};
};

}  // namespace vmm::vhost_user_frontend
