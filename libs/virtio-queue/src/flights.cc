// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/flights.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace vmm::virtio_queue::detail {
namespace {

constexpr std::size_t kAllTags = 65536 * sizeof(Flights::Tag);

// Not the heap's: what is used again there would be cleared as a whole.
Flights::Tag* map_tags() {
  void* const at = ::mmap(nullptr, kAllTags, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : static_cast<Flights::Tag*>(at);
}

}  // namespace

void Flights::Unmap::operator()(Tag* tags) const { (void)::munmap(tags, kAllTags); }

Flights::Flights(const vm_memory::GuestMemory& memory, std::uint32_t tokens)
    : reader_(memory),
      ram_(std::make_unique<Ram>(reader_.share())),
      tags_(map_tags()),
      tokens_(tokens),
      weights_(tokens) {
  if (has_memory()) give_back_all();
}

std::uint32_t Flights::give_back(std::uint16_t token) {
  const Tag tag = std::exchange(tags_[token], kFree);
  if (tag > 0) return static_cast<std::uint32_t>(tag);
  if (tag <= kFirstOld) {
    const auto at = std::find_if(retired_.begin(), retired_.end(),
                                 [tag](const Retired& old) { return old.tag == tag; });
    if (at != retired_.end() && --at->in_flight == 0) retired_.erase(at);
  }
  return weights_[token];
}

void Flights::give_back_all() {
  std::fill_n(tags_.get(), tokens_, kFree);
  retired_.clear();
}

void Flights::set_aside(std::uint16_t token) {
  if (tags_[token] <= 0) return;
  weights_[token] = static_cast<std::uint32_t>(std::exchange(tags_[token], kAside));
}

// There is one: what is retired has a token each, or was pinned when the ring broke down.
Flights::Tag Flights::unused_tag() {
  for (;;) {
    last_tag_ = last_tag_ == kLastOld ? kFirstOld : last_tag_ - 1;
    const bool used = std::any_of(retired_.begin(), retired_.end(),
                                  [this](const Retired& old) { return old.tag == last_tag_; });
    if (!used) return last_tag_;
  }
}

void Flights::renew() {
  Tag* const end = tags_.get() + tokens_;
  const auto in_flight = static_cast<std::uint32_t>(std::count_if(tags_.get(), end, is_current));
  std::unique_ptr<Ram> old = std::exchange(ram_, std::make_unique<Ram>(reader_.share()));
  previous_.reset();
  if (in_flight == 0) {
    previous_ = std::move(old);
    return;
  }
  const Tag tag = unused_tag();
  for (std::uint32_t token = 0; token < tokens_; ++token) {
    if (!is_current(tags_[token])) continue;
    set_aside(static_cast<std::uint16_t>(token));
    tags_[token] = tag;
  }
  old->forget_translation();
  retired_.push_back({std::move(old), tag, in_flight});
}

void Flights::pin_previous() {
  if (previous_ != nullptr) {
    pinned_.push_back(std::move(previous_));
  } else if (!retired_.empty()) {
    ++retired_.back().in_flight;  // never counted down
  }
}

}  // namespace vmm::virtio_queue::detail
