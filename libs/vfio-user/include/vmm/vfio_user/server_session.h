// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vfio_user/capabilities.h"
#include "vmm/vfio_user/channel.h"
#include "vmm/vfio_user/device.h"
#include "vmm/vfio_user/dma_space.h"
#include "vmm/vfio_user/interrupts.h"

namespace vmm::vfio_user {

/// The server's side of a conversation: reads commands, checks what the protocol says about them,
/// has the device do them, and answers.
///
///   while waiting on session->fd():
///     VMM_TRY(const auto event, session->serve());
///     if (event == Channel::Event::kClosed) break;
///
/// What is wrong with a command is told to the client, and the conversation goes on; it ends when
/// messages cannot be told apart any more, when a command comes out of turn, or when it wants no
/// answer where it needs one.
///
/// While the device reaches for memory that only messages lead to, the client's commands wait: call
/// serve() while has_kept(), as the socket is not readable because of those.
///
/// Threads: one at a time, which is the device's.
class ServerSession {
 public:
  using Event = Channel::Event;                ///< what serve() may say
  using Milliseconds = Channel::Milliseconds;  ///< of monotonic time

  /// What create() may be told.
  struct Options {
    /// How long a client may take to answer when the device reaches for its memory, whatever the
    /// number of messages.
    Milliseconds patience{10'000};
    /// Offers a socket for that alone, if the client wants one.
    bool twin_socket = true;
  };

  /// `device` outlives the session, and has no other one at the same time.
  static Result<std::unique_ptr<ServerSession>> create(UniqueFd socket, Device& device,
                                                       const Options& options);
  /// With the default options.
  static Result<std::unique_ptr<ServerSession>> create(UniqueFd socket, Device& device);
  /// Takes all memory back, and the device's client from it.
  ~ServerSession();
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  /// Serves the next command, if it is there.
  /// Errors: those of Channel; kNotNow, kBadVersion, kBadJson, kBadFlags for what ends it.
  Result<Event> serve();
  /// Whether commands wait that came while the device reached for memory.
  [[nodiscard]] bool has_kept() const { return channel_.has_kept(); }
  /// The descriptor, borrowed: readable when a command may be there, but for those of has_kept().
  [[nodiscard]] int fd() const { return channel_.fd(); }

  /// What the client said of itself; the defaults before it did.
  [[nodiscard]] const Capabilities& client() const { return client_; }
  /// What the client has given so far.
  [[nodiscard]] const DmaSpace& dma() const { return dma_; }

 private:
  /// A command, which nothing else can overwrite.
  struct Request {
    Header header;
    std::span<const std::byte> payload;
    std::span<UniqueFd> fds;
  };

  ServerSession(Channel channel, Device& device, const Options& options);

  Result<void> serve_message(Message message);
  Result<void> check_turn(const Header& header) const;
  Result<void> execute(const Request& request);

  // server_session.cc
  Result<void> negotiate(const Request& request);
  Result<void> map_dma(const Request& request);
  Result<void> unmap_dma(const Request& request);
  Result<void> unmap_all();
  Result<void> dma_read(std::uint64_t iova, std::span<std::byte> to, DmaSpace::Began began);
  Result<void> dma_write(std::uint64_t iova, std::span<const std::byte> from,
                         DmaSpace::Began began);
  Result<Message> ask_client(Command command, const Body& body, DmaSpace::Began began);

  // server_commands.cc
  Result<void> get_info(const Request& request);
  Result<void> get_region_info(const Request& request);
  Result<void> get_region_io_fds(const Request& request);
  Result<void> get_irq_info(const Request& request);
  Result<void> set_irqs(const Request& request);
  Result<void> read_region(const Request& request);
  Result<void> write_region(const Request& request);
  Result<void> write_many(const Request& request);
  Result<void> reset(const Request& request);
  Result<void> check_access(std::uint32_t region, std::uint64_t offset, std::uint64_t bytes,
                            bool writes) const;

  // server_features.cc
  Result<void> feature(const Request& request);
  Result<std::vector<std::byte>> do_feature(std::uint32_t flags, std::span<const std::byte> data);
  Result<std::vector<std::byte>> start_log(std::span<const std::byte> data);
  Result<std::vector<std::byte>> report_log(std::span<const std::byte> data);
  [[nodiscard]] std::uint32_t uses_of(std::uint32_t feature) const;
  Result<void> read_migration(const Request& request);
  Result<void> write_migration(const Request& request);

  Channel channel_;
  std::optional<Channel> twin_;
  Device& device_;
  Options options_;
  Capabilities client_;
  DmaSpace dma_;
  std::optional<Interrupts> interrupts_;  // once the client has said its version
  std::vector<std::byte> payload_;        // of the request
  std::vector<UniqueFd> fds_;             // the same
  bool fatal_ = false;                    // the request's error ends the session
};

}  // namespace vmm::vfio_user
