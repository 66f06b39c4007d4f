// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <algorithm>
#include <cerrno>
#include <utility>

#include "call.h"
#include "uapi_extra.h"
#include "vmm/base/assert.h"
#include "vmm/base/checked.h"
#include "vmm/base/mutex.h"
#include "vmm/kvm_ioctls/error.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/sys_util/page_size.h"

namespace vmm::kvm_ioctls {

// Shared by the slots, so that each can be removed whatever is destroyed first: it holds its own
// descriptor of the VM.
struct MemorySlot::Table {
  Table(Vm shared_vm, std::uint32_t slot_count) : vm(std::move(shared_vm)), used(slot_count) {}

  std::optional<SlotId> take() {
    const MutexLock lock(mutex);
    const auto free = std::find(used.begin(), used.end(), false);
    if (free == used.end()) return std::nullopt;
    *free = true;
    return static_cast<SlotId>(free - used.begin());
  }
  void give_back(SlotId id) {
    const MutexLock lock(mutex);
    used[static_cast<std::uint32_t>(id)] = false;
  }

  const Vm vm;
  Mutex mutex;
  std::vector<bool> used VMM_GUARDED_BY(mutex);
};

Result<MemorySlots> Vm::memory_slots() const {
  VMM_TRY(UniqueFd copy, sys_util::duplicate(fd_.get(), "duplicate the VM's descriptor"));
  const auto answer = check_extension(Cap::kNrMemslots);
  // More than any VMM uses; keeps the table small where KVM offers 32764.
  constexpr int kMost = 32768;
  const int count = answer && *answer > 0 ? std::min(*answer, kMost) : 32;
  return MemorySlots(std::make_shared<MemorySlot::Table>(Vm(std::move(copy), run_bytes_),
                                                         static_cast<std::uint32_t>(count)));
}

std::uint32_t MemorySlots::in_use() const {
  const MutexLock lock(table_->mutex);
  return static_cast<std::uint32_t>(std::count(table_->used.begin(), table_->used.end(), true));
}

Result<MemorySlot> MemorySlots::add(const Add& what, std::shared_ptr<const void> keep_alive) {
  const std::size_t page = sys_util::page_size();
  const auto host = reinterpret_cast<std::uintptr_t>(what.host.data());
  if (what.host.empty() || what.host.size() % page != 0 || host % page != 0 ||
      !what.address.is_aligned(page) || !what.address.checked_add(what.host.size() - 1)) {
    return fail(KvmError::kBadSlot);
  }
  const std::optional<SlotId> id = table_->take();
  if (!id) return fail(KvmError::kNoFreeSlot);
  MemorySlot slot(table_, *id);  // gives the number back if anything below fails
  slot.address_ = what.address;
  slot.log_dirty_pages_ = what.log_dirty_pages;
  slot.read_only_ = what.read_only;
  slot.private_memory_ = what.private_memory;
  VMM_TRY_DO(slot.apply(what.host));
  slot.host_ = what.host;
  slot.keep_alive_ = std::move(keep_alive);
  return slot;
}

Result<void> MemorySlot::apply(std::span<std::byte> host) const {
  const MemoryRegion region{.slot = id_,
                            .address = address_,
                            .host = host,
                            .log_dirty_pages = log_dirty_pages_,
                            .read_only = read_only_};
  if (private_memory_ && !host.empty()) {
    return table_->vm.set_memory_region2(region, *private_memory_);
  }
  return table_->vm.set_memory_region(region);
}

void MemorySlot::remove() noexcept {
  if (table_ == nullptr) return;
  if (!host_.empty()) {
    // The removal of a slot that exists cannot be refused. Were it, the memory must stay, as the
    // guest could still reach it.
    if (!apply({})) {
      static_cast<void>(new std::shared_ptr<const void>(std::move(keep_alive_)));
      table_.reset();
      return;
    }
  }
  keep_alive_.reset();
  table_->give_back(id_);
  table_.reset();
}

MemorySlot::MemorySlot(MemorySlot&& other) noexcept
    : table_(std::exchange(other.table_, nullptr)),
      id_(other.id_),
      address_(other.address_),
      host_(std::exchange(other.host_, {})),
      log_dirty_pages_(other.log_dirty_pages_),
      read_only_(other.read_only_),
      private_memory_(other.private_memory_),
      keep_alive_(std::move(other.keep_alive_)) {}

MemorySlot& MemorySlot::operator=(MemorySlot&& other) noexcept {
  if (this == &other) return *this;
  remove();
  table_ = std::exchange(other.table_, nullptr);
  id_ = other.id_;
  address_ = other.address_;
  host_ = std::exchange(other.host_, {});
  log_dirty_pages_ = other.log_dirty_pages_;
  read_only_ = other.read_only_;
  private_memory_ = other.private_memory_;
  keep_alive_ = std::move(other.keep_alive_);
  return *this;
}

MemorySlot::~MemorySlot() { remove(); }

Result<void> MemorySlot::set_dirty_logging(bool on) {
  const bool before = std::exchange(log_dirty_pages_, on);
  const auto changed = apply(host_);
  if (!changed) log_dirty_pages_ = before;
  return changed;
}

std::size_t MemorySlot::dirty_log_words() const {
  return (host_.size() / sys_util::page_size() + 63) / 64;
}

Result<void> MemorySlot::dirty_log(std::span<std::uint64_t> bitmap) const {
  if (table_ == nullptr || bitmap.size() != dirty_log_words()) {
    return fail(Error::os(EINVAL, "KVM_GET_DIRTY_LOG"));
  }
  kvm_dirty_log request{};
  request.slot = static_cast<std::uint32_t>(id_);
  request.dirty_bitmap = bitmap.data();
  return call(table_->vm.fd(), VMM_IOCTL(KVM_GET_DIRTY_LOG), static_cast<void*>(&request));
}

Result<std::vector<std::uint64_t>> MemorySlot::dirty_log() const {
  std::vector<std::uint64_t> bitmap(dirty_log_words());
  VMM_TRY_DO(dirty_log(std::span<std::uint64_t>(bitmap)));
  return bitmap;
}

Result<void> MemorySlot::clear_dirty_log(const PageRange& pages,
                                         std::span<const std::uint64_t> bitmap) const {
  const std::uint64_t total = host_.size() / sys_util::page_size();
  if (table_ == nullptr || !fits(pages.first, pages.count, total) || pages.count > UINT32_MAX ||
      bitmap.size() < (pages.count + 63) / 64) {
    return fail(Error::os(EINVAL, "KVM_CLEAR_DIRTY_LOG"));
  }
  kvm_clear_dirty_log request{};
  request.slot = static_cast<std::uint32_t>(id_);
  request.num_pages = static_cast<std::uint32_t>(pages.count);
  request.first_page = pages.first;
  // Only read by KVM, although the structure's pointer is not const.
  request.dirty_bitmap = const_cast<std::uint64_t*>(bitmap.data());
  return call(table_->vm.fd(), VMM_IOCTL(KVM_CLEAR_DIRTY_LOG), static_cast<void*>(&request));
}

}  // namespace vmm::kvm_ioctls
