// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/vhost_user/payload.h"
#include "vmm/vhost_user/protocol.h"

namespace vmm::vhost_user_backend {

/// What a device may ask of the front end that it serves.
///
/// Errors of all: kNotNegotiated when the front end does not do that, or has gone; those of
/// vhost_user::BackendChannel.
///
/// Threads: any but the session's, as each call waits for an answer, which the front end may give
/// only when it has one itself.
class FrontendServices {
 public:
  virtual ~FrontendServices() = default;
  FrontendServices(const FrontendServices&) = delete;
  FrontendServices& operator=(const FrontendServices&) = delete;

  /// Where in the file `fd` the driver may notify a queue without the front end; fd -1: nowhere.
  virtual Result<void> set_host_notifier(const vhost_user::VringArea& area, int fd) = 0;
  ///@{
  /// Maps a part of a file into a shared memory region that the driver sees, or unmaps it.
  virtual Result<void> map_shmem(const vhost_user::ShmemArea& area, int fd) = 0;
  virtual Result<void> unmap_shmem(const vhost_user::ShmemArea& area) = 0;
  ///@}
  /// Offers an object to other back ends, which get it by DeviceExtension::shared_object().
  virtual Result<void> add_shared_object(const vhost_user::SharedObjectId& id) = 0;
  /// Takes back what add_shared_object() offered.
  virtual Result<void> remove_shared_object(const vhost_user::SharedObjectId& id) = 0;
  /// The object of another back end. Errors: also kRefused when there is none.
  virtual Result<UniqueFd> look_up_shared_object(const vhost_user::SharedObjectId& id) = 0;

 protected:
  FrontendServices() = default;
};

/// What a device does of the protocol that is not virtio. Whatever it does not override is refused.
///
/// Threads: the session's.
class DeviceExtension {
 public:
  /// Which of these it may serve.
  static constexpr std::uint64_t kKnown =
      bit(vhost_user::ProtocolFeature::kRarp) | bit(vhost_user::ProtocolFeature::kMtu) |
      bit(vhost_user::ProtocolFeature::kCryptoSession) |
      bit(vhost_user::ProtocolFeature::kHostNotifier) |
      bit(vhost_user::ProtocolFeature::kSharedObject) | bit(vhost_user::ProtocolFeature::kShmem) |
      bit(vhost_user::ProtocolFeature::kPrivateShmem);

  virtual ~DeviceExtension() = default;
  DeviceExtension(const DeviceExtension&) = delete;
  DeviceExtension& operator=(const DeviceExtension&) = delete;

  /// Those of kKnown that it serves. Constant.
  [[nodiscard]] virtual std::uint64_t protocol_features() const = 0;
  /// The way to the front end, once that has agreed to features and given a channel; nullptr: it
  /// has gone. Whoever kept it gets errors then.
  virtual void set_services(std::shared_ptr<FrontendServices> /*services*/) {}

  /// NET_SET_MTU: of the network, not 0.
  virtual Result<void> set_mtu(std::uint16_t /*mtu*/) { return refuse(); }
  /// SEND_RARP: tells the network that this address is here now.
  virtual Result<void> send_rarp(const std::array<std::uint8_t, 6>& /*mac*/) { return refuse(); }
  /// GET_SHARED_OBJECT: the file of an object that this device has added.
  virtual Result<UniqueFd> shared_object(const vhost_user::SharedObjectId& /*id*/) {
    return fail(vhost_user::MessageError::kNotFound);
  }
  /// GET_SHMEM_CONFIG.
  [[nodiscard]] virtual vhost_user::ShmemConfig shmem_config() const { return {}; }
  /// GPU_SET_SOCKET: where to show what is drawn; see vhost_user::gpu.
  virtual Result<void> set_gpu_socket(UniqueFd /*socket*/) { return refuse(); }
  /// CREATE_CRYPTO_SESSION: the number of a session as it is described.
  virtual Result<std::uint64_t> create_crypto_session(std::span<const std::byte> /*session*/) {
    return fail(vhost_user::MessageError::kNotSupported);
  }
  /// CLOSE_CRYPTO_SESSION: one that create_crypto_session() gave.
  virtual Result<void> close_crypto_session(std::uint64_t /*session*/) { return refuse(); }

 protected:
  DeviceExtension() = default;

 private:
  static Result<void> refuse() { return fail(vhost_user::MessageError::kNotSupported); }
};

}  // namespace vmm::vhost_user_backend
