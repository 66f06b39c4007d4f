// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user_frontend/shared_window.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::vhost_user_frontend {

/// The largest configuration space that a back end is asked for.
inline constexpr std::size_t kMostConfig = 256;

/// One queue of a device that this side serves, and not the back end: a network's control queue.
///
/// Threads: as VirtioDevice.
class OwnQueue {
 public:
  virtual ~OwnQueue() = default;
  /// Which one it is for a driver with these features; the back end has those before it.
  [[nodiscard]] virtual std::uint16_t index(std::uint64_t features) const = 0;
  /// How many of the back end's queues are enabled when the device starts; see
  /// RemoteDevice::enable_queues().
  [[nodiscard]] virtual std::uint16_t enabled_at_start(std::uint64_t features) const = 0;
  /// Serves it; `activation` has this queue alone.
  virtual std::unique_ptr<virtio_device::Worker> make_worker(
      virtio_device::Activation activation) = 0;
};

/// How a RemoteDevice looks to its driver.
struct RemoteOptions {
  virtio_device::DeviceType type = virtio_device::DeviceType::kBlock;  ///< what the driver sees
  std::vector<std::uint16_t> queue_sizes;  ///< the most entries of each, own_queue's included
  /// Serves the last one of these; nullptr: all are the back end's.
  std::shared_ptr<OwnQueue> own_queue = nullptr;
  /// How many queues the back end has to speak of; 0: as many as it gets. Some count pairs.
  std::size_t least_queues = 0;
  /// The bits of the device type that the driver may see, if the back end offers them.
  std::uint64_t features = ~std::uint64_t{0};
  /// Bits of the device type that this side serves, whatever the back end offers.
  std::uint64_t own_features = 0;
  /// The configuration space, for what the back end does not tell.
  std::vector<std::byte> config = {};
  /// Parts of it that are as in `config`, whatever the back end tells: what this side decides.
  struct Part {
    ///@{
    /// Bytes; inside of `config`.
    std::size_t offset = 0;
    std::size_t bytes = 0;
  };
  ///@}
  std::vector<Part> own_config = {};  ///< see Part
  /// The configuration space is what the back end says and as large as it lets read, at most
  /// kMostConfig; `config` is not looked at.
  bool config_of_back_end = false;
  /// A shared memory region into which the back end maps parts of files, which it has to be able
  /// to. All is unmapped when the back end goes, and when the driver resets the device.
  struct Window {
    std::uint8_t id = 0;  ///< shmid: as the back end and the driver number it
    /// A power of two of 4096 at least, and not more than the back end says that the region has;
    /// 0: as much as that.
    std::uint64_t bytes = 0;
    std::shared_ptr<WindowSlot> slot;  ///< not nullptr; shows the window to the guest
  };
  std::optional<Window> window = {};  ///< nullopt: no shared memory
  /// Whether the next back end can go on where the last one was lost. Not where a back end knows
  /// more of the driver than the rings say, as open files: then the driver has to reset the device.
  bool resumable = true;
  /// How long a back end that has gone is waited for, before the driver has to reset the device.
  std::chrono::seconds patience{60};
  /// How long the answers to all that is asked together are waited for: of a start, of one reading
  /// of the configuration space. Who has not answered by then has gone. Of all that is asked about
  /// the configuration space it is a sys_util::Patience.
  std::chrono::milliseconds answer_patience{10'000};
};

/// A virtio device that another process serves: the front end's side of vhost-user.
///
/// The driver's rings, kicks and interrupts go to the back end when the device is activated;
/// nothing of a request passes here. Guest memory has to be of files (Backing::kMemfd, or kFile and
/// shared). When the back end goes, a new one is asked for, and takes up the rings where they are:
/// from the memory that notes what is in flight, if both kept that; else a split ring goes on from
/// its used index, which does again what was in flight. With a packed ring and without such memory,
/// or when nobody comes, the driver is told that the device needs a reset.
///
/// With a window it is a SharedMemoryOwner.
///
/// Threads: as VirtioDevice. Its worker, and who reads the configuration space, wait for answers of
/// the back end, for a bounded time.
class RemoteDevice final : public virtio_device::VirtioDevice,
                           private virtio_device::SharedMemoryOwner {
 public:
  /// Makes a connection to the back end; EAGAIN, ENOENT and ECONNREFUSED mean that there is none
  /// yet. Called by create(), and by the worker.
  using Connect = std::function<Result<UniqueFd>()>;

  /// Connects, and asks the back end what it offers. Errors: those of `connect`; of
  /// vhost_user::Frontend; EINVAL for one that is no virtio 1 device, or has fewer queues, or no
  /// such shared memory; those of SharedWindow::create().
  static Result<std::shared_ptr<RemoteDevice>> create(RemoteOptions options, Connect connect);
  ~RemoteDevice() override;

  [[nodiscard]] virtio_device::DeviceType type() const override;
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override;
  [[nodiscard]] std::uint64_t features() const override;
  /// The features of rings that the back end has, for the transport to offer.
  [[nodiscard]] std::uint64_t ring_features() const;
  [[nodiscard]] std::size_t config_bytes() const override;
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;
  [[nodiscard]] virtio_device::SharedMemoryOwner* shared_memory_owner() override;

  /// Has the back end serve the first `count` queues and no others, from now on and until the
  /// device's next start. Errors: those of vhost_user::Frontend; none while there is no back end,
  /// as the next one is told. Threads: any, while the device is active.
  Result<void> enable_queues(std::uint16_t count);

  /// Tells a back end that serves the device of regions that were plugged or unplugged: after
  /// plug(), before the driver may use the memory; after unplug(), and it returns when the back end
  /// has let go of it. `memory` is that of the activation. Nothing happens before the device's
  /// first start, which tells all.
  /// Errors: those of vhost_user::Frontend; EINVAL for memory without a file, or in more regions
  /// than the back end takes. Threads: any.
  Result<void> memory_changed(const vm_memory::GuestMemory& memory);

 private:
  class Core;
  friend class RemoteWorker;
  explicit RemoteDevice(std::shared_ptr<Core> core);
  [[nodiscard]] virtio_device::SharedMemoryRegion shared_memory() const override;
  Result<void> place_shared_memory(const GuestAddress* address) override;

  std::shared_ptr<Core> core_;
};

}  // namespace vmm::vhost_user_frontend
