// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/vm_memory/snapshot_reader.h"

namespace vmm::virtio_queue::detail {

/// Which buffers the device has, and the guest memory they refer to.
///
/// A buffer is named by a token (head index or buffer id). Per token one byte says in which epoch
/// it was taken: memory that was replaced since then stays mapped until the last buffer of its
/// epoch is given back.
class Flights {
 public:
  Flights(const vm_memory::GuestMemory& memory, std::uint32_t tokens);

  [[nodiscard]] bool is_free(std::uint16_t token) const { return epochs_[token] == kFree; }
  void take(std::uint16_t token) { epochs_[token] = epoch_; }
  /// Whether the token was taken in this epoch, which is the usual case.
  [[nodiscard]] bool is_recent(std::uint16_t token) const { return epochs_[token] == recent_; }
  /// Gives back a token for which is_recent().
  void give_back_recent(std::uint16_t token) { epochs_[token] = kFree; }
  /// Gives back a token that is not free.
  void give_back(std::uint16_t token);
  /// Makes is_recent() false for all, so that each completion takes the long way.
  void distrust() { distrust_ = true, recent_ = kNever; }

  [[nodiscard]] const Ram* ram() const { return ram_.get(); }
  /// Whether guest memory was replaced: costs a load.
  [[nodiscard]] bool is_stale() { return &reader_.current() != ram_->map(); }
  /// Goes over to the newest memory. False when too many older ones are still referred to.
  bool renew();
  /// Keeps the memory before the last renew() mapped for good.
  void pin_previous();

 private:
  static constexpr std::uint8_t kFree = 0;
  static constexpr std::uint8_t kLastEpoch = 200;
  static constexpr std::uint8_t kNever = 255;

  struct Retired {
    std::unique_ptr<const Ram> ram;
    std::uint8_t epoch;
    std::uint32_t in_flight;
  };
  [[nodiscard]] std::uint8_t unused_epoch() const;

  vm_memory::SnapshotReader reader_;
  std::unique_ptr<const Ram> ram_;
  std::unique_ptr<std::uint8_t[]> epochs_;
  std::uint32_t tokens_;
  std::uint8_t epoch_ = 1;
  std::uint8_t recent_ = 1;  // epoch_, or kNever
  bool distrust_ = false;
  std::unique_ptr<const Ram> previous_;  // idle memory that the last renew() let go of
  std::vector<Retired> retired_;
  std::vector<std::unique_ptr<const Ram>> pinned_;
};

}  // namespace vmm::virtio_queue::detail
