// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Flow control of one connection: virtio 1.3, 5.10.6.3. Counters run modulo 2^32.

#include <algorithm>
#include <cstdint>

namespace vmm::virtio_vsock {

/// What the driver lets the device send.
class SendCredit {
 public:
  /// Takes the driver's word, of any packet. False: it claims to have passed on what was never
  /// sent, and nothing changes. An older count than known is passed over: processors of the guest
  /// may queue their packets in another order than they filled them in.
  [[nodiscard]] bool update(std::uint32_t buf_alloc, std::uint32_t fwd_cnt) {
    if (fwd_cnt - forwarded_ <= in_flight()) {
      forwarded_ = fwd_cnt;
    } else if (fwd_cnt - sent_ <= kHalf) {
      return false;
    }
    buffer_ = std::min(buf_alloc, kHalf);
    return true;
  }
  /// Bytes that may be sent now.
  [[nodiscard]] std::uint32_t available() const {
    return in_flight() < buffer_ ? buffer_ - in_flight() : 0;
  }
  /// All that the driver keeps for this connection.
  [[nodiscard]] std::uint32_t buffer() const { return buffer_; }
  /// Precondition: bytes <= available().
  void sent(std::uint32_t bytes) { sent_ += bytes; }

 private:
  static constexpr std::uint32_t kHalf = 0x7fff'ffff;

  [[nodiscard]] std::uint32_t in_flight() const { return sent_ - forwarded_; }

  std::uint32_t buffer_ = 0;
  std::uint32_t sent_ = 0;
  std::uint32_t forwarded_ = 0;
};

/// What the device lets the driver send.
class ReceiveCredit {
 public:
  explicit ReceiveCredit(std::uint32_t capacity) : capacity_(capacity) {}

  /// Bytes came. False: more than there was credit for, and nothing changes.
  [[nodiscard]] bool receive(std::uint32_t bytes) {
    if (bytes > capacity_ - (received_ - forwarded_)) return false;
    received_ += bytes;
    return true;
  }
  /// Bytes went on to the host. Precondition: they came before.
  void forward(std::uint32_t bytes) { forwarded_ += bytes; }

  /// What each packet to the driver says; the driver knows it then.
  [[nodiscard]] std::uint32_t tell_forwarded() { return told_ = forwarded_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  /// Whether the driver should be told on purpose: it believes that less than half is free.
  [[nodiscard]] bool update_due() const {
    return forwarded_ != told_ && capacity_ - (received_ - told_) < capacity_ / 2;
  }

 private:
  std::uint32_t capacity_;
  std::uint32_t received_ = 0;
  std::uint32_t forwarded_ = 0;
  std::uint32_t told_ = 0;
};

}  // namespace vmm::virtio_vsock
