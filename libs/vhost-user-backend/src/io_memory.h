// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "frontend_link.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/vhost_user/memory_table.h"
#include "vmm/vhost_user/payload.h"
#include "vmm/vm_memory/guest_memory.h"
#include "vmm/vm_memory/iotlb.h"

namespace vmm::vhost_user_backend {

/// Asks the front end for mappings, and tells it of accesses that are not permitted.
///
/// What was asked for is not asked for again for kPatience, unless it was answered. There are at
/// most kMost questions: a driver may offer buffers at any address.
///
/// Threads: any.
class IotlbQuestions final : public vm_memory::FaultHandler {
 public:
  static constexpr std::size_t kMost = 256;
  static constexpr std::chrono::milliseconds kPatience{1000};

  explicit IotlbQuestions(std::shared_ptr<FrontendLink> link) : link_(std::move(link)) {}

  void missing(Iova iova, std::uint64_t bytes, vm_memory::Access access) override;
  void denied(Iova iova, std::uint64_t bytes, vm_memory::Access access) override;
  /// Forgets the questions about `range`. Whether there were any, or more than were kept.
  bool answer(vm_memory::IovaRange range);
  void forget();

 private:
  using Clock = std::chrono::steady_clock;
  struct Question {
    vhost_user::IotlbMessage message;
    Clock::time_point asked;
  };

  void ask(const vhost_user::IotlbMessage& message);
  /// Whether it is new, or old enough to be asked again; it is noted then.
  bool note(const vhost_user::IotlbMessage& message);

  std::shared_ptr<FrontendLink> link_;
  Mutex mutex_;
  std::vector<Question> questions_ VMM_GUARDED_BY(mutex_);
  bool passed_over_ VMM_GUARDED_BY(mutex_) = false;  // there were too many
};

/// The device IOTLB: guest memory at I/O addresses, as far as the front end has told of it. A cache
/// of a limited size: what it loses is asked for again.
///
/// Threads: the session's; the memory as GuestMemory.
class IoMemory {
 public:
  static constexpr std::size_t kMaxEntries = 4096;

  explicit IoMemory(std::shared_ptr<FrontendLink> link);

  /// What queues run on: its addresses are I/O addresses.
  [[nodiscard]] const vm_memory::GuestMemory& memory() const { return memory_; }
  /// Whether there may be no room for another mapping: flush() then, with the rings stopped.
  [[nodiscard]] bool is_full() const { return iotlb_.size() + 2 > kMaxEntries; }
  void flush(const vhost_user::MemoryTable& table);

  /// An update or an invalidation; whether somebody waits for it. When it returns, only accesses
  /// that were under way use what was mapped there before.
  /// Errors: kBadRange for an update to what is not one memory region; kTooMany.
  Result<bool> apply(const vhost_user::IotlbMessage& message, const vhost_user::MemoryTable& table);
  /// Follows a change of `table`.
  void rebuild(const vhost_user::MemoryTable& table);
  /// Whether all of the range is mapped for this access; what is missing is asked for.
  [[nodiscard]] bool holds(vm_memory::IovaRange range, vm_memory::Access access);
  /// Forgets all.
  void clear();

 private:
  std::shared_ptr<IotlbQuestions> questions_;
  vm_memory::Iotlb iotlb_{kMaxEntries};
  vm_memory::GuestMemory memory_;
};

}  // namespace vmm::vhost_user_backend
