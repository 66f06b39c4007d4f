// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm/vfio/address_space.h"
#include "vmm/vfio_user/client.h"
#include "vmm/vfio_user/remote_kernel.h"

namespace vmm::vfio_user {

/// The memory that devices of other processes see: vfio::AddressSpace, with vfio-user servers for
/// its devices, and paths of their sockets for those of sysfs. What a device is told of memory
/// comes from map(): give it the file behind the memory (DmaMemory::fd), else the device has to ask
/// for each byte.
///
/// A device keeps its conversation as long as it lives. One whose server has gone fails alone: the
/// memory of the others stays as it is.
///
/// Threads: any may map, unmap and ask; who asks waits for the servers' answers, and others for
/// that. Devices are connected and let go one at a time.
class RemoteSpace final : public vfio::AddressSpace {
 public:
  /// How devices are connected.
  struct Options {
    Client::Options client = {};  ///< of each conversation
    /// Called with each conversation, before there is a device: somebody has to wait on
    /// Client::fd() and call serve(), if memory is not all behind files or the server's end should
    /// be noticed at once.
    std::function<Result<void>(const std::shared_ptr<Client>& client)> on_connect = nullptr;
    /// For devices with interrupts that are unmasked by descriptors, as level-triggered ones are.
    /// nullptr: they have to be unmasked by calls.
    UnmaskHook on_unmask_fd = nullptr;
  };

  ///@{
  /// Without devices. `options` are those of all that come; none: the defaults.
  static std::shared_ptr<RemoteSpace> create(Options options);
  static std::shared_ptr<RemoteSpace> create();
  ///@}
  ~RemoteSpace() override;

  /// Always.
  [[nodiscard]] vfio::Interface interface() const override { return vfio::Interface::kUser; }

  /// Connects to the server that listens at a path.
  /// Errors: those of sys_util::connect_unix() and connect().
  Result<std::unique_ptr<vfio::Device>> attach(const std::string& socket_path) override;
  /// The device that is served on a connected socket. After an error the conversation is over.
  /// Errors: those of Client and vfio::Device::create().
  Result<std::unique_ptr<vfio::Device>> connect(UniqueFd socket);

 protected:
  /// Tells each server (VFIO_USER_DMA_MAP); if one refuses, those before it are told to forget it.
  Result<void> kernel_map(std::uint64_t iova, const Entry& entry) override VMM_REQUIRES(mutex_);
  /// Tells each server (VFIO_USER_DMA_UNMAP), also after an error; the last one is the answer.
  Result<void> kernel_unmap(vfio::DmaSpan range) override VMM_REQUIRES(mutex_);
  /// Everything: there is no hardware.
  Result<std::vector<vfio::DmaSpan>> kernel_usable() override VMM_REQUIRES(mutex_);
  /// Devices log what they write. Those without such a log fail it: their errno value.
  Result<void> kernel_set_dirty_tracking(bool on) override VMM_REQUIRES(mutex_);
  Result<void> kernel_read_dirty(vfio::DmaSpan range, std::uint64_t page_bytes,
                                 std::span<std::uint64_t> bitmap) override VMM_REQUIRES(mutex_);

 private:
  explicit RemoteSpace(Options options);
  static SharedMemory shared(std::uint64_t iova, const Entry& entry);
  /// The conversations that are not over. Forgets the others.
  std::vector<std::shared_ptr<Client>> clients() VMM_REQUIRES(mutex_);
  Result<std::unique_ptr<vfio::Device>> make_device(const std::shared_ptr<Client>& client,
                                                    UniqueFd fd);
  /// Tells it of all that is mapped, and from now on of changes.
  Result<void> take(const std::shared_ptr<Client>& client);

  Options user_options_;
  std::vector<std::weak_ptr<Client>> clients_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::vfio_user
