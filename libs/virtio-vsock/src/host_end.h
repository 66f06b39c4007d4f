// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>

#include "byte_ring.h"
#include "vmm/base/io_vec.h"
#include "vmm/base/unique_fd.h"
#include "vmm/virtio_queue/stream.h"
#include "vmm/virtio_vsock/limits.h"
#include "vmm/virtio_vsock/packet.h"

namespace vmm::virtio_vsock {

/// The host's end of a connection: a Unix socket, and what waits for room in it. Bytes move between
/// the socket and the guest's buffers; only what the socket does not take at once is copied.
class HostEnd {
 public:
  static constexpr std::uint32_t kMaxMessage = Limits::kMaxMessage;

  /// `capacity`: bytes that may wait for the host.
  HostEnd(UniqueFd socket, SocketType type, std::uint32_t capacity);

  [[nodiscard]] int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }

  // To the host. write(), flush() and give_up() return how many bytes came off the guest's credit:
  // sent, or dropped as the host takes no more.

  /// Precondition: the payload fits into the capacity, together with what waits already.
  std::uint32_t write(virtio_queue::Reader payload, std::uint32_t flags);
  /// Goes on with what waits; when the socket has room again.
  std::uint32_t flush();
  /// The host takes no more: what waits is dropped, and all that comes.
  std::uint32_t give_up();
  /// Ends this direction once all that waits was sent.
  void finish();
  /// Whether the host takes no more.
  [[nodiscard]] bool refuses() const { return !open_; }
  /// Whether something waits for room in the socket.
  [[nodiscard]] bool blocked() const { return blocked_ && !flushed(); }
  /// Whether all whole messages, or bytes, were sent.
  [[nodiscard]] bool flushed() const {
    return type_ == SocketType::kStream ? data_.empty() : lengths_.empty();
  }

  // From the host.

  enum class Read {
    kData,
    kNothing,   ///< until the socket is readable again
    kEnd,       ///< the host will send no more
    kTooLarge,  ///< a message that nobody could take
  };
  struct Received {
    Read what = Read::kNothing;
    std::uint32_t bytes = 0;
    std::uint32_t flags = 0;  ///< of the packet
  };
  /// At most `limit` bytes, which is neither 0 nor more than there is room in `to`. The writer does
  /// not go on: the caller commits. `largest`: of a message.
  [[nodiscard]] Received read(const virtio_queue::Writer& to, std::uint32_t limit,
                              std::uint32_t largest);
  /// The guest takes no more.
  void stop_reading();

 private:
  std::uint32_t write_bytes(virtio_queue::Reader payload);
  std::uint32_t write_message(virtio_queue::Reader payload, std::uint32_t flags);
  void keep(virtio_queue::Reader payload);
  void keep_length(std::uint32_t bytes, bool end_of_record);
  std::uint32_t flush_bytes();
  std::uint32_t flush_messages();
  std::uint32_t send_head(std::uint32_t bytes, int flags);
  std::uint32_t send(std::span<const IoVec> pieces, int flags);
  void end_if_finished();

  [[nodiscard]] Received read_message(const virtio_queue::Writer& to, std::uint32_t limit,
                                      std::uint32_t largest);
  [[nodiscard]] Received read_part(const virtio_queue::Writer& to, std::uint32_t limit);

  UniqueFd socket_;
  SocketType type_;
  bool open_ = true;      // the host takes what we send
  bool blocked_ = false;  // the socket was full
  bool finishing_ = false;
  ByteRing data_;
  // Of messages only. The length of each whole one in data_, and what belongs to none yet. A length
  // takes no more bytes than the message has.
  ByteRing lengths_;
  std::uint32_t unfinished_ = 0;
  // The rest of a message of the host, larger than the guest had room for.
  ByteRing message_{kMaxMessage};
  std::uint32_t message_flags_ = 0;
};

}  // namespace vmm::virtio_vsock
