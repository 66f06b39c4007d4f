// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user/connection.h"
#include "vmm/vhost_user/payload.h"
#include "vmm/vhost_user/protocol.h"

namespace vmm::vhost_user {

/// Memory that a back end made to note what is in flight, to be kept for its successor.
struct InflightFile {
  InflightArea area;  ///< the queues it is for, and where it is in the file
  UniqueFd fd;        ///< of the file
};

/// The front end's side of a conversation: one function for each request, which returns when the
/// back end has done it, where that can be known (REPLY_ACK), or has answered.
///
///   VMM_TRY(Frontend backend, Frontend::create(std::move(connection)));
///   VMM_TRY_DO(backend.negotiate(wanted));
///   VMM_TRY_DO(backend.set_mem_table(regions, fds)); ...
///
/// Errors of all functions: those of Connection; ETIMEDOUT after kPatience; kRefused when the back
/// end said that it failed; kBadReply for an answer that fits no question. After these but kRefused
/// all functions return the same: the back end is lost. What cannot be sent is refused without
/// sending anything, and the conversation goes on: kNotNegotiated without the feature that the
/// request needs, kBadQueue for a queue above 255, kBadFdCount for a negative descriptor, and the
/// errors that a function names.
///
/// Threads: one at a time.
class Frontend {
 public:
  static constexpr Connection::Milliseconds kPatience{10'000};  ///< for one answer

  /// Asks for the features of the back end, and becomes its owner.
  static Result<Frontend> create(Connection connection);

  /// For polling: readable, while no function is waiting, means that the back end has gone.
  [[nodiscard]] int fd() const { return connection_.fd(); }
  /// From now on all waiting takes this long together, until the next such call: then ETIMEDOUT.
  /// Without one, only each wait has an end.
  void limit(Connection::Milliseconds all) { deadline_ = Clock::now() + all; }
  /// While an answer is waited for, serve() is called whenever `fd` is readable, until it says no:
  /// for the requests of a back end that answers when its own were answered.
  struct Meanwhile {
    int fd = -1;                            ///< borrowed; -1: nothing
    std::function<bool()> serve = nullptr;  ///< false: not to be called again
  };
  /// For all requests from now on; a default-made one ends it.
  void set_meanwhile(Meanwhile meanwhile) { meanwhile_ = std::move(meanwhile); }
  /// Whether all is lost.
  [[nodiscard]] bool broken() const { return lost_.has_value(); }

  /// What the back end offers.
  [[nodiscard]] std::uint64_t features() const { return features_; }
  /// Bits of ProtocolFeature; 0 for a back end without protocol features.
  [[nodiscard]] std::uint64_t offered_protocol_features() const { return offered_; }
  /// Agrees on those of these bits of ProtocolFeature that the back end offers. For one without
  /// protocol features it does nothing.
  Result<void> negotiate(std::uint64_t protocol_features);
  /// Whether the protocol feature was agreed on.
  [[nodiscard]] bool has(ProtocolFeature feature) const {
    return (protocol_features_ & bit(feature)) != 0;
  }

  /// VHOST_USER_SET_FEATURES: those of features() that were negotiated.
  Result<void> set_features(std::uint64_t features);
  /// VHOST_USER_RESET_OWNER, which the specification has deprecated.
  Result<void> reset_owner() { return order(FrontendCode::kResetOwner); }
  /// VHOST_USER_RESET_DEVICE. Needs kResetDevice.
  Result<void> reset_device();
  /// VHOST_USER_GET_QUEUE_NUM: how many queues the back end has, at most 32768. Needs kMq.
  Result<std::uint64_t> get_queue_num();

  /// All of guest memory: at most kBaselineRegions regions, and a descriptor for each.
  /// Errors: also kBadValue for other numbers, kBadRange for regions that cannot be.
  Result<void> set_mem_table(std::span<const MemoryRegion> regions, std::span<const int> fds);
  /// VHOST_USER_GET_MAX_MEM_SLOTS: how many regions there may be, in the back end's words. Needs
  /// kConfigureMemSlots, as the next two do.
  Result<std::uint64_t> get_max_mem_slots();
  /// Errors: also kBadRange.
  Result<void> add_region(const MemoryRegion& region, int fd);
  /// VHOST_USER_REM_MEM_REG: the one with these addresses and this size.
  Result<void> remove_region(const MemoryRegion& region);
  /// VHOST_USER_SET_LOG_BASE: where the dirty log is in the file `fd`. Needs kLogShmfd.
  Result<void> set_log_base(const LogArea& area, int fd);
  /// VHOST_USER_SET_LOG_FD: an eventfd for the back end to signal when it writes to the log.
  Result<void> set_log_fd(int fd);

  /// VHOST_USER_SET_VRING_NUM: `size` in descriptors.
  Result<void> set_vring_num(std::uint32_t queue, std::uint32_t size);
  /// VHOST_USER_SET_VRING_ADDR.
  Result<void> set_vring_addr(const VringAddresses& addresses);
  /// VHOST_USER_SET_VRING_BASE: where the ring goes on, as request::SetVringBase::base.
  Result<void> set_vring_base(std::uint32_t queue, std::uint32_t base);
  /// Stops the ring, and says where it was.
  Result<std::uint32_t> get_vring_base(std::uint32_t queue);
  /// Descriptors of rings; -1 for none. VHOST_USER_SET_VRING_KICK.
  Result<void> set_vring_kick(std::uint32_t queue, int fd);
  ///@{
  /// As set_vring_kick(): VHOST_USER_SET_VRING_CALL and VHOST_USER_SET_VRING_ERR.
  Result<void> set_vring_call(std::uint32_t queue, int fd);
  Result<void> set_vring_err(std::uint32_t queue, int fd);
  ///@}
  /// VHOST_USER_SET_VRING_ENABLE. Needs VHOST_USER_F_PROTOCOL_FEATURES, by set_features(), or by
  /// negotiate() before it.
  Result<void> set_vring_enable(std::uint32_t queue, bool enable);
  /// VHOST_USER_SET_VRING_ENDIAN, `big`: big-endian. Needs kCrossEndian.
  Result<void> set_vring_endian(std::uint32_t queue, bool big);
  /// VHOST_USER_VRING_KICK: a kick in a message. Needs kInbandNotifications.
  Result<void> vring_kick(std::uint32_t queue);

  /// Fills `to` from the configuration space. Errors: also kRefused for a part that is not there;
  /// kBadRange for more than one message holds. Needs kConfig.
  Result<void> get_config(std::uint32_t offset, std::span<std::byte> to);
  /// VHOST_USER_SET_CONFIG. Errors: also kBadRange for more than one message holds. Needs kConfig.
  Result<void> set_config(std::uint32_t offset, std::span<const std::byte> from);

  /// VHOST_USER_GET_INFLIGHT_FD: memory for so many queues of so many entries. Errors: also
  /// kRefused when the back end makes none. Needs kInflightShmfd, as the next one does.
  Result<InflightFile> get_inflight(std::uint16_t queue_count, std::uint16_t queue_size);
  /// VHOST_USER_SET_INFLIGHT_FD: such memory, as an earlier back end left it.
  Result<void> set_inflight(const InflightArea& area, int fd);

  ///@{
  /// VHOST_USER_GET_STATUS and VHOST_USER_SET_STATUS: the device status of virtio. Need kStatus.
  Result<std::uint8_t> get_status();
  Result<void> set_status(std::uint8_t status);
  ///@}

  /// The socket on which the back end asks; see BackendRequest.
  Result<void> set_backend_channel(int fd);
  /// An update or an invalidation.
  Result<void> iotlb(const IotlbMessage& message);
  /// VHOST_USER_NET_SET_MTU: bytes, not 0. Needs kMtu.
  Result<void> net_set_mtu(std::uint16_t mtu);
  /// VHOST_USER_SEND_RARP: has the back end announce this address. Needs kRarp.
  Result<void> send_rarp(const std::array<std::uint8_t, 6>& mac);
  /// VHOST_USER_GPU_SET_SOCKET: the socket for vhost_user::gpu.
  Result<void> gpu_set_socket(int fd);

  /// The descriptor of an object that the back end shares; kRefused when there is none.
  Result<UniqueFd> get_shared_object(const SharedObjectId& id);
  /// By the private messages where only they were agreed on.
  Result<ShmemConfig> get_shmem_config();

  /// The number of a session that was made as `session` describes it, at least 8 bytes of a
  /// structure that both sides know; see crypto_session_number_at().
  /// Errors: also kRefused; kBadValue for what is no such structure.
  Result<std::uint64_t> create_crypto_session(std::span<const std::byte> session);
  /// VHOST_USER_CLOSE_CRYPTO_SESSION: one that create_crypto_session() gave. Needs kCryptoSession.
  Result<void> close_crypto_session(std::uint64_t session);

  /// Has the state of the device written to `fd`, or read from it; an empty answer, or the
  /// descriptor that the back end wants to use instead.
  Result<UniqueFd> set_device_state(const DeviceStateTransfer& transfer, int fd);
  /// VHOST_USER_CHECK_DEVICE_STATE: kRefused when the transfer went wrong. Needs kDeviceState.
  Result<void> check_device_state();

  /// The userfaultfd of the back end.
  Result<UniqueFd> postcopy_advise();
  /// VHOST_USER_POSTCOPY_LISTEN: memory comes on demand from now on. Needs kPagefault.
  Result<void> postcopy_listen();
  /// set_mem_table() after that: where the back end has each region, for the userfaultfd. The back
  /// end waits for `register_regions(them)`, and then uses them.
  template <class Register>
  Result<void> set_mem_table_for_postcopy(std::span<const MemoryRegion> regions,
                                          std::span<const int> fds, Register register_regions) {
    VMM_TRY(const std::vector<MemoryRegion> bases, ask_for_bases(regions, fds));
    VMM_TRY_DO(register_regions(std::span(bases)));
    return acknowledge_bases();
  }
  /// VHOST_USER_POSTCOPY_END: all of the memory is there. Needs kPagefault.
  Result<void> postcopy_end();

 private:
  using Clock = std::chrono::steady_clock;
  using Bytes = std::span<const std::byte>;
  using Fds = std::span<const int>;

  explicit Frontend(Connection connection) : connection_(std::move(connection)) {}

  [[nodiscard]] Result<void> need(ProtocolFeature feature) const;
  /// Notes an error after which nothing is certain.
  Error lose(const Error& error);
  Result<void> send(FrontendCode code, Bytes payload, Fds fds, bool need_reply);
  /// The next message.
  Result<Message> next();
  /// Does what is to be done until there is something of an answer, or the time is over.
  void serve_until_answered(Clock::time_point end);
  /// The answer to `code`.
  Result<Message> wait_for(FrontendCode code);
  /// The same, where its payload has `bytes` bytes.
  Result<Message> wait_for(FrontendCode code, std::size_t bytes);
  /// Waits for an acknowledgement, if there is one.
  Result<void> order(FrontendCode code, Bytes payload = {}, Fds fds = {});
  /// Always waits for a number, which has to be 0.
  Result<void> order_acknowledged(FrontendCode code, Bytes payload = {}, Fds fds = {});
  Result<std::uint64_t> ask_number(FrontendCode code);
  Result<ShmemConfig> get_private_shmem_regions();
  Result<UniqueFd> ask_fd(FrontendCode code, Bytes payload);
  Result<std::vector<MemoryRegion>> ask_for_bases(std::span<const MemoryRegion> regions, Fds fds);
  Result<void> acknowledge_bases();
  Result<void> order_ring(FrontendCode code, std::uint32_t queue, std::uint32_t number);
  Result<void> order_ring_fd(FrontendCode code, std::uint32_t queue, int fd);

  Connection connection_;
  Clock::time_point deadline_ = Clock::time_point::max();
  Meanwhile meanwhile_;
  std::optional<Error> lost_;
  std::uint64_t features_ = 0;
  std::uint64_t offered_ = 0;
  std::uint64_t protocol_features_ = 0;
  bool speaks_protocol_ = false;
};

}  // namespace vmm::vhost_user
