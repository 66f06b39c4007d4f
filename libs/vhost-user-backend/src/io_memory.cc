// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "io_memory.h"

#include <algorithm>
#include <utility>

#include "vmm/vhost_user/message_error.h"
#include "vmm/vm_memory/translation_builder.h"

namespace vmm::vhost_user_backend {
namespace {

using vhost_user::IotlbMessage;
using vhost_user::MessageError;
using vm_memory::Access;
using vm_memory::GuestMemory;
using vm_memory::IovaRange;
using vm_memory::RegionMap;

static_assert(static_cast<int>(Access::kRead) == IotlbMessage::kRead);
static_assert(static_cast<int>(Access::kWrite) == IotlbMessage::kWrite);

IotlbMessage message_of(IotlbMessage::Type type, Iova iova, std::uint64_t bytes, Access access) {
  return {.iova = iova.raw(),
          .bytes = bytes,
          .user_address = 0,
          .permission = static_cast<std::uint8_t>(access),
          .type = type};
}

std::shared_ptr<const RegionMap> nothing(std::shared_ptr<IotlbQuestions> questions) {
  return RegionMap::translated(
      {}, {.physical = RegionMap::empty(), .faults = std::move(questions), .access = {}});
}

}  // namespace

void IotlbQuestions::missing(Iova iova, std::uint64_t, Access access) {
  ask(message_of(IotlbMessage::kMiss, iova, 0, access));
}

void IotlbQuestions::denied(Iova iova, std::uint64_t bytes, Access access) {
  ask(message_of(IotlbMessage::kAccessFail, iova, bytes, access));
}

void IotlbQuestions::ask(const IotlbMessage& message) {
  if (note(message)) link_->iotlb(message);
}

bool IotlbQuestions::note(const IotlbMessage& message) {
  const auto now = Clock::now();
  const MutexLock lock(mutex_);
  const auto at = std::ranges::find(questions_, message, &Question::message);
  if (at != questions_.end()) {
    if (now - at->asked < kPatience) return false;
    at->asked = now;
    return true;
  }
  if (questions_.size() >= kMost) {
    std::erase_if(questions_, [&](const Question& old) { return now - old.asked >= kPatience; });
  }
  if (questions_.size() >= kMost) {
    passed_over_ = true;
    return false;
  }
  questions_.push_back({.message = message, .asked = now});
  return true;
}

bool IotlbQuestions::answer(IovaRange range) {
  const MutexLock lock(mutex_);
  const std::uint64_t last = range.start.raw() + (range.bytes - 1);
  const auto answered = std::erase_if(questions_, [&](const Question& question) {
    return question.message.iova >= range.start.raw() && question.message.iova <= last;
  });
  return std::exchange(passed_over_, false) || answered != 0;
}

void IotlbQuestions::forget() {
  const MutexLock lock(mutex_);
  questions_.clear();
  passed_over_ = false;
}

IoMemory::IoMemory(std::shared_ptr<FrontendLink> link)
    : questions_(std::make_shared<IotlbQuestions>(std::move(link))),
      memory_(GuestMemory::adopt(nothing(questions_))) {}

void IoMemory::flush(const vhost_user::MemoryTable& table) {
  iotlb_.invalidate_all();
  rebuild(table);
}

Result<bool> IoMemory::apply(const IotlbMessage& message, const vhost_user::MemoryTable& table) {
  const IovaRange range{.start = Iova(message.iova), .bytes = message.bytes};
  if (message.type == IotlbMessage::kInvalidate) {
    iotlb_.invalidate(range);
    rebuild(table);
    return false;
  }
  const auto target = table.to_guest(message.user_address, message.bytes);
  if (!target) return fail(MessageError::kBadRange);
  const auto permission = static_cast<Access>(message.permission);
  if (!iotlb_.set_mapping(range, *target, permission)) return fail(MessageError::kTooMany);
  rebuild(table);
  return questions_->answer(range);
}

// Linear in the number of entries, which is limited, and of memory regions. What leads to memory
// that is not there any more is forgotten.
void IoMemory::rebuild(const vhost_user::MemoryTable& table) {
  vm_memory::TranslationBuilder map(table.memory().snapshot());
  std::vector<IovaRange> stale;
  iotlb_.for_each([&](Iova iova, std::uint64_t bytes, GuestAddress target, Access permission) {
    const bool there =
        map.add({.iova = iova, .bytes_less_one = bytes, .target = target, .access = permission});
    if (!there) stale.push_back({iova, bytes + 1});
  });
  for (const IovaRange& range : stale) iotlb_.invalidate(range);
  memory_.replace(std::move(map).build({.faults = questions_}));
}

bool IoMemory::holds(IovaRange range, Access access) {
  const vm_memory::IotlbFaults faults = iotlb_.faults(range, access);
  if (!faults.missing.empty()) {
    questions_->missing(faults.missing[0].start, faults.missing[0].bytes, access);
  }
  if (!faults.denied.empty()) {
    questions_->denied(faults.denied[0].start, faults.denied[0].bytes, access);
  }
  return faults.missing.empty() && faults.denied.empty();
}

void IoMemory::clear() {
  iotlb_.invalidate_all();
  questions_->forget();
  memory_.replace(nothing(questions_));
}

}  // namespace vmm::vhost_user_backend
