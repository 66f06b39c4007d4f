// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/vm_memory/snapshot_reader.h"

namespace vmm::virtio_queue::detail {

/// Which buffers the device has, and the guest memory they refer to.
///
/// A buffer is named by a token (head index or buffer id). Per token one tag says whether the
/// device has it and since when: memory that was replaced meanwhile stays mapped until the last
/// buffer that refers to it is given back. There is a tag for every 16-bit number, so that one
/// comparison also finds tokens out of range; their pages are never touched otherwise.
///
/// A buffer weighs something, at least 1: what the ring wants to know when it comes back.
class Flights {
 public:
  using Tag = std::int32_t;

  Flights(const vm_memory::GuestMemory& memory, std::uint32_t tokens);
  /// False when the host had no memory for the tags: nothing else may be called then.
  [[nodiscard]] bool has_memory() const { return tags_ != nullptr; }

  // Precondition of all: a token is below 2^16.

  /// Whether the token is in range and the device does not have it.
  [[nodiscard]] bool is_free(std::uint64_t token) const { return tags_[token] == kFree; }
  void take(std::uint64_t token, std::uint32_t weight) { tags_[token] = static_cast<Tag>(weight); }
  /// The weight of a token that the device has, when neither memory was replaced nor set_aside()
  /// called since; else 0 or less.
  [[nodiscard]] Tag recent(std::uint64_t token) const { return tags_[token]; }
  /// recent(), read anew: a comparison of what was read before needs no register then.
  [[nodiscard]] Tag recent_anew(std::uint64_t token) { return anew(tags_[token]); }
  /// Gives back a token for which recent() is more than 0.
  void give_back_recent(std::uint64_t token) { tags_[token] = kFree; }

  [[nodiscard]] bool is_taken(std::uint16_t token) const {
    return tags_[token] != kOutOfRange && tags_[token] != kFree;
  }
  /// Of a token for which is_taken().
  [[nodiscard]] std::uint32_t weight(std::uint16_t token) const {
    return tags_[token] > 0 ? static_cast<std::uint32_t>(tags_[token]) : weights_[token];
  }
  /// Gives back a token for which is_taken(), and says its weight.
  std::uint32_t give_back(std::uint16_t token);
  void give_back_all();
  /// Makes recent() 0 or less for a token that was taken.
  void set_aside(std::uint16_t token);

  [[nodiscard]] const Ram* ram() const { return ram_.get(); }
  /// Whether guest memory was replaced: costs a load.
  [[nodiscard]] bool is_stale() const { return !reader_.is_current(); }
  /// Goes over to the newest memory.
  void renew();
  /// Keeps the memory before the last renew() mapped for good.
  void pin_previous();

 private:
  static constexpr Tag kOutOfRange = 0;
  static constexpr Tag kFree = -1;
  static constexpr Tag kAside = -2;                   // the weight is elsewhere
  static constexpr Tag kFirstOld = -3;                // the same, and it refers to older memory
  static constexpr Tag kLastOld = kFirstOld - 65535;  // more than there are tokens

  struct Retired {
    std::unique_ptr<Ram> ram;
    Tag tag;
    std::uint32_t in_flight;
  };
  struct Unmap {
    void operator()(Tag* tags) const;
  };
  [[nodiscard]] Tag unused_tag();
  [[nodiscard]] static bool is_current(Tag tag) { return tag > 0 || tag == kAside; }

  vm_memory::SnapshotReader reader_;
  std::unique_ptr<Ram> ram_;
  std::unique_ptr<Tag[], Unmap> tags_;
  std::uint32_t tokens_;
  std::vector<std::uint32_t> weights_;  // of tokens with a tag below kFree
  std::unique_ptr<Ram> previous_;       // idle memory that the last renew() let go of
  std::vector<Retired> retired_;
  std::vector<std::unique_ptr<Ram>> pinned_;
  Tag last_tag_ = kFirstOld;  // given to memory that was retired
};

}  // namespace vmm::virtio_queue::detail
