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
/// A buffer is named by a token (head index or buffer id). Per token one byte says whether the
/// device has it and since when: memory that was replaced meanwhile stays mapped until the last
/// buffer that refers to it is given back. There is a byte for every 16-bit number, so that one
/// comparison also finds tokens out of range; their pages are never touched otherwise.
class Flights {
 public:
  Flights(const vm_memory::GuestMemory& memory, std::uint32_t tokens);

  /// Whether the token is in range and the device does not have it.
  [[nodiscard]] bool is_free(std::uint16_t token) const { return tags_[token] == kFree; }
  void take(std::uint16_t token) { tags_[token] = kRecent; }
  /// Whether the device has it, and neither was memory replaced nor set_aside() called since.
  [[nodiscard]] bool is_recent(std::uint16_t token) const { return tags_[token] == kRecent; }
  /// Gives back a token for which is_recent().
  void give_back_recent(std::uint16_t token) { tags_[token] = kFree; }

  [[nodiscard]] bool is_taken(std::uint16_t token) const { return tags_[token] > kFree; }
  /// Gives back a token for which is_taken().
  void give_back(std::uint16_t token);
  void give_back_all();
  /// Makes is_recent() false for a token that was taken.
  void set_aside(std::uint16_t token) { tags_[token] = kAside; }

  [[nodiscard]] const Ram* ram() const { return ram_.get(); }
  /// Whether guest memory was replaced: costs a load.
  [[nodiscard]] bool is_stale() { return &reader_.current() != ram_->map(); }
  /// Goes over to the newest memory. False when too many older ones are still referred to.
  bool renew();
  /// Keeps the memory before the last renew() mapped for good.
  void pin_previous();

 private:
  static constexpr std::uint8_t kOutOfRange = 0;
  static constexpr std::uint8_t kFree = 1;
  static constexpr std::uint8_t kRecent = 2;
  static constexpr std::uint8_t kAside = 3;     // as kRecent
  static constexpr std::uint8_t kFirstOld = 4;  // refers to older memory
  static constexpr std::uint8_t kLastOld = 200;

  struct Retired {
    std::unique_ptr<const Ram> ram;
    std::uint8_t tag;
    std::uint32_t in_flight;
  };
  struct Release {
    void operator()(void* memory) const;
  };
  [[nodiscard]] std::uint8_t unused_tag() const;

  vm_memory::SnapshotReader reader_;
  std::unique_ptr<const Ram> ram_;
  std::unique_ptr<std::uint8_t[], Release> tags_;
  std::uint32_t tokens_;
  std::unique_ptr<const Ram> previous_;  // idle memory that the last renew() let go of
  std::vector<Retired> retired_;
  std::vector<std::unique_ptr<const Ram>> pinned_;
};

}  // namespace vmm::virtio_queue::detail
