// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/patience.h"
#include "vmm/vfio_user/capabilities.h"
#include "vmm/vfio_user/channel.h"
#include "vmm/vfio_user/protocol.h"
#include "vmm/vfio_user/shared_memory.h"

namespace vmm::vfio_user {

/// A region as a server describes it: the answer to kGetRegionInfo, for vfio::parse_region_info(),
/// and the file that can be mapped.
struct RegionAnswer {
  std::vector<std::byte> info;  ///< struct vfio_region_info and its capabilities
  UniqueFd file;                ///< empty: it cannot be mapped
};

/// A part of a region whose writes can go to a descriptor (KVM_IOEVENTFD). Inside the region.
struct IoEvent {
  std::uint64_t offset = 0;                 ///< in the region, bytes
  std::uint64_t bytes = 0;                  ///< 0: writes of any length
  std::optional<std::uint64_t> value = {};  ///< nullopt: whatever is written
  int fd = -1;                              ///< borrowed from IoEvents
};
/// The answer to kGetRegionIoFds.
struct IoEvents {
  std::vector<IoEvent> events;  ///< as the server tells them
  std::vector<UniqueFd> fds;    ///< of the events, which may share one
};

/// What a client does to interrupts: kSetIrqs.
struct IrqAction {
  std::uint32_t flags = 0;  ///< one of IrqSet::kData* and one of the actions
  std::uint32_t index = 0;  ///< the kind of interrupt: VFIO_PCI_*_IRQ_INDEX
  ///@{
  /// Which interrupts of the kind.
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  ///@}
};

/// The client's side of a conversation: a function for each command, and answers to the server's
/// own, which reach nothing but memory that was shared with it.
///
/// The server may ask for memory at any time: while a call waits for its reply, such commands are
/// answered by the call; otherwise by serve(), for which somebody has to wait on fd().
///
/// A server that goes away, breaks the protocol or lets a call wait too long ends the conversation:
/// that call and all later ones fail, with kDisconnected at the latest. fd() is readable then, and
/// serve() says kClosed or the error.
///
/// Threads: any. Calls are made one after the other, each for as long as the server needs.
class Client {
 public:
  using Event = Channel::Event;                ///< what serve() may say
  using Milliseconds = Channel::Milliseconds;  ///< of monotonic time

  /// What connect() may be told.
  struct Options {
    /// How long a call waits for its replies, all together where it takes several messages. Of
    /// accesses to regions and calls about interrupts, which a guest's CPUs make, it is a
    /// sys_util::Patience.
    Milliseconds patience{10'000};
    /// Lets the server have a socket of its own for its commands. Then a call does not answer them:
    /// another thread has to wait on fd() and call serve().
    bool twin_socket = false;
  };

  /// Makes a connected socket a conversation, by kVersion.
  /// Errors: kBadVersion, kBadJson, kBadSize, kBadFdCount; those of Channel.
  static Result<std::shared_ptr<Client>> connect(UniqueFd socket, const Options& options);
  /// With the default options.
  static Result<std::shared_ptr<Client>> connect(UniqueFd socket);

  /// What the server said of itself.
  [[nodiscard]] const Capabilities& server() const { return server_; }

  // Of all calls: errno values of the server; those of Channel; kBadReply, kBadSize and kBadFdCount
  // for a reply that is not what it should be, after which the conversation goes on.

  /// VFIO_USER_DEVICE_GET_INFO.
  Result<DeviceInfo> device_info();
  /// VFIO_USER_DEVICE_GET_REGION_INFO.
  Result<RegionAnswer> region_info(std::uint32_t region);
  /// Errors also: kBadRange for a part outside of `region_bytes`.
  Result<IoEvents> io_events(std::uint32_t region, std::uint64_t region_bytes);
  /// VFIO_USER_DEVICE_GET_IRQ_INFO: how many interrupts of a kind there are, and their flags.
  Result<IrqInfo> irq_info(std::uint32_t index);
  /// `data` is for kDataBool, a byte an interrupt. `fds` is for kDataFds: one an interrupt, as many
  /// as the server takes at once (server().max_msg_fds), or none, to take them back.
  Result<void> set_irqs(const IrqAction& action, std::span<const std::byte> data,
                        std::span<const int> fds);
  /// Unmasks the first interrupt of a kind.
  Result<void> unmask_irq(std::uint32_t index) {
    return set_irqs(
        {.flags = IrqSet::kDataNone | IrqSet::kUnmask, .index = index, .first = 0, .count = 1}, {},
        {});
  }

  /// Longer ones than the server takes are several accesses.
  Result<void> read_region(std::uint32_t region, std::uint64_t offset, std::span<std::byte> bytes);
  /// As read_region(); returns when all of it was written.
  Result<void> write_region(std::uint32_t region, std::uint64_t offset,
                            std::span<const std::byte> bytes);
  /// Writes without waiting; what goes wrong nobody hears of. At most what the server takes at
  /// once.
  Result<void> post_write(std::uint32_t region, std::uint64_t offset,
                          std::span<const std::byte> bytes);
  /// Small writes, in order, in one message where the server knows that. Errors also: EIO when it
  /// did not do all of them.
  Result<void> write_many(std::span<const SmallWrite> writes);

  /// Lets the device reach memory from now on; it is kept until unshare().
  Result<void> share(const SharedMemory& memory);
  /// When this returns, the device does not use it any more. After an error it does not either if
  /// the conversation is over; else nobody knows, and the memory is kept.
  Result<void> unshare(std::uint64_t iova, std::uint64_t bytes);

  /// VFIO_USER_DEVICE_RESET.
  Result<void> reset();

  /// No call waits any longer than up to there, whatever its own patience; the end of time: as
  /// before. For all that is asked together.
  void limit(Channel::Deadline deadline) {
    const MutexLock lock(calls_);
    limit_ = deadline;
  }

  /// `flags` are a number and Feature::kGet and so on; the data behind the answer's head.
  Result<std::vector<std::byte>> feature(std::uint32_t flags, std::span<const std::byte> data);
  /// The device's state, in the saving states: how many bytes came; fewer than asked for at the
  /// end.
  Result<std::size_t> read_migration(std::span<std::byte> to);
  /// In the resuming state. As much as there is.
  Result<void> write_migration(std::span<const std::byte> from);

  /// Answers what the server has asked for, some of it at a time: kMessage when there may be more,
  /// kNothing when that was all, kClosed when it has gone.
  /// Waits while another thread's call waits, unless there is a twin socket.
  /// Errors: those of Channel; kUnknownCommand.
  Result<Event> serve();
  /// Where serve() has work and the server's end is seen, for polling.
  [[nodiscard]] int fd() const { return command_fd_; }
  /// Ends the conversation: the device reaches no memory any more, calls fail, and serve() says so
  /// to who waits on fd().
  void end();
  /// Whether the conversation is over.
  [[nodiscard]] bool over() const { return over_.load(std::memory_order_relaxed); }

 private:
  Client(Channel channel, const Options& options)
      : options_(options),
        command_fd_(channel.fd()),
        channel_(std::move(channel)),
        patience_(options.patience) {}

  Result<void> negotiate();
  Result<void> take_twin(const Capabilities& said, std::span<UniqueFd> fds);
  /// When a call that begins now has waited long enough.
  [[nodiscard]] Channel::Deadline deadline() const VMM_REQUIRES(calls_);
  Result<Message> call(Command command, const Body& body, Channel::Deadline deadline)
      VMM_REQUIRES(calls_);
  Result<Message> call(Command command, const Body& body) VMM_REQUIRES(calls_) {
    return call(command, body, deadline());
  }
  Result<void> call_for_nothing(Command command, const Body& body);
  Result<void> call_for_nothing(Command command, const Body& body, Channel::Deadline deadline)
      VMM_REQUIRES(calls_);
  Result<void> read_region(std::uint32_t region, std::uint64_t offset, std::span<std::byte> bytes,
                           Channel::Deadline deadline) VMM_REQUIRES(calls_);
  Result<void> write_region(std::uint32_t region, std::uint64_t offset,
                            std::span<const std::byte> bytes, Channel::Deadline deadline)
      VMM_REQUIRES(calls_);
  Result<void> write_many(std::span<const SmallWrite> writes, Channel::Deadline deadline)
      VMM_REQUIRES(calls_);
  /// Of what begins now, and a guest's CPU waits for.
  [[nodiscard]] Channel::Deadline deadline_from(sys_util::Patience::Clock::time_point begun)
      VMM_REQUIRES(calls_);
  /// `done`, which has taken its time since `begun`.
  Result<void> spent(sys_util::Patience::Clock::time_point begun, Result<void> done)
      VMM_REQUIRES(calls_);
  Result<void> answer(Channel& channel, const Message& command);
  Result<void> answer_dma(Channel& channel, const Message& command);
  [[nodiscard]] std::size_t most_data() const {
    return std::min(server_.max_data_xfer_size, kMaxData);
  }
  Result<Event> serve_channel(Channel& channel);

  Options options_;
  Capabilities server_;
  int command_fd_;
  std::atomic<bool> over_ = false;
  Mutex calls_;  // held during a call; before `commands_` and `sharing_`
  Channel channel_ VMM_GUARDED_BY(calls_);
  Channel::Deadline limit_ VMM_GUARDED_BY(calls_) = Channel::Deadline::max();
  sys_util::Patience patience_ VMM_GUARDED_BY(calls_);
  Mutex commands_;  // before `sharing_`
  std::optional<Channel> twin_ VMM_GUARDED_BY(commands_);
  Mutex sharing_;
  SharedMemoryTable shared_ VMM_GUARDED_BY(sharing_);
};

}  // namespace vmm::vfio_user
