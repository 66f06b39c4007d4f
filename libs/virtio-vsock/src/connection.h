// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "credit.h"
#include "host_end.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/virtio_queue/stream.h"
#include "vmm/virtio_vsock/limits.h"
#include "vmm/virtio_vsock/packet.h"

namespace vmm::virtio_vsock {

/// What tells the connections of one guest apart. The host's port is `local`, the guest's `peer`.
struct ConnectionKey {
  std::uint32_t local = 0;
  std::uint32_t peer = 0;

  friend bool operator==(const ConnectionKey&, const ConnectionKey&) = default;
};

/// One connection between a port of the guest and a Unix socket of the host.
///
///   the guest asks:  kWaiting (only while the host's listener is full) -> kOpen
///   the host asks:   kRequested -> kOpen
///   both:            -> kReset, as the guest is still to be told -> gone
///                    -> kLingering, as the guest has gone and the host is still to get the rest
///
/// It does nothing by itself: packets of the guest, events of the socket and the clock come in, and
/// take_turn() says what goes to the guest.
class Connection {
 public:
  using Clock = std::chrono::steady_clock;
  enum class State : std::uint8_t { kWaiting, kRequested, kOpen, kReset, kLingering };

  struct Start {
    State state = State::kOpen;
    ConnectionKey key;
    SocketType type = SocketType::kStream;
    std::uint32_t capacity = 0;  ///< bytes that may wait for the host
    UniqueFd socket;             ///< empty when kWaiting
  };

  Connection(Start start, const Limits& limits);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] const ConnectionKey& key() const { return key_; }
  [[nodiscard]] SocketType type() const { return type_; }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] std::uint32_t capacity() const { return receive_credit_.capacity(); }
  [[nodiscard]] int fd() const { return host_.fd(); }

  /// Takes the registration of the socket, for watched_events().
  void set_watch(event_manager::Registration watch) { watch_ = std::move(watch); }
  /// kWaiting: the host's listener had room.
  void connected(UniqueFd socket);
  /// A packet of this connection that is neither a request nor a reset. `payload` is what its
  /// header says, in full.
  void handle(const PacketHeader& header, virtio_queue::Reader payload);
  /// What the request said of the guest's buffer. False: nonsense.
  [[nodiscard]] bool set_credit(const PacketHeader& header) {
    return send_credit_.update(header.buf_alloc, header.fwd_cnt);
  }
  /// The guest has ended it. True: gone. False: kLingering.
  [[nodiscard]] bool end();
  /// Ends it from this side; the guest is told by the next turn.
  void reset();

  void socket_ready(event_manager::EventSet ready);
  /// Whether kLingering has come to its end.
  [[nodiscard]] bool lingered() const {
    return state_ == State::kLingering && (host_.flushed() || host_.refuses());
  }

  /// When expire() is due.
  [[nodiscard]] const std::optional<Clock::time_point>& deadline() const { return deadline_; }
  /// Its deadline, if it has one, is later by so much.
  void postpone(Clock::duration by) {
    if (deadline_) *deadline_ += by;
  }
  /// Ends what took too long. kLingering: the caller drops the connection.
  void expire() { reset(); }

  /// Whether there is something to tell the guest.
  [[nodiscard]] bool has_turn() const;
  enum class Turn : std::uint8_t {
    kNothing,  ///< after all; the buffer is untouched
    kSent,
    kLast,  ///< sent a reset: the connection is gone
  };
  /// Writes one packet into a buffer of the guest. `header` has room for one, `payload` for one
  /// byte at least; `written` counts both. `cid` is the guest's.
  [[nodiscard]] Turn take_turn(std::uint64_t cid, virtio_queue::Writer header,
                               virtio_queue::Writer payload, std::uint32_t* written);

  /// What set_watch() is about.
  [[nodiscard]] static event_manager::EventSet watched_events();

  // The place in the list of those that have a turn.
  Connection* next_turn = nullptr;
  Connection* previous_turn = nullptr;
  bool is_listed = false;

 private:
  enum Pending : std::uint8_t {
    kSendRequest = 1u << 0,
    kSendResponse = 1u << 1,
    kSendUpdate = 1u << 2,
  };

  void open();
  void accepted();
  void take_data(const PacketHeader& header, virtio_queue::Reader payload);
  void guest_shuts_down(std::uint32_t flags);
  void host_ends(std::uint32_t flags);
  void forward(std::uint32_t bytes);
  void watch_room();
  void set_deadline(std::chrono::milliseconds after) { deadline_ = Clock::now() + after; }

  [[nodiscard]] bool wants_data() const {
    return state_ == State::kOpen && readable_ && (host_done_ & kShutdownSend) == 0 &&
           (guest_done_ & kShutdownReceive) == 0;
  }
  [[nodiscard]] std::optional<PacketHeader> next_packet(const virtio_queue::Writer& payload);
  [[nodiscard]] std::optional<PacketHeader> read_host(const virtio_queue::Writer& payload);

  ConnectionKey key_;
  SocketType type_;
  State state_;
  const Limits& limits_;
  HostEnd host_;
  event_manager::Registration watch_;  // of host_'s socket: goes first
  bool watches_room_ = false;
  SendCredit send_credit_;
  ReceiveCredit receive_credit_;
  bool asked_for_credit_ = false;  // since the last byte was sent
  bool readable_ = false;          // until a read says otherwise
  bool hung_up_ = false;
  std::uint8_t pending_ = 0;
  std::uint32_t guest_done_ = 0;  // kShutdown..., as the guest said
  std::uint32_t host_done_ = 0;   // as the host did
  std::uint32_t announced_ = 0;   // what the guest knows of that
  std::optional<Clock::time_point> deadline_;
};

}  // namespace vmm::virtio_vsock
