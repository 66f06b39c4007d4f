// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/flights.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "vmm/base/assert.h"

namespace vmm::virtio_queue::detail {
namespace {

constexpr std::size_t kAllTokens = 65536;

}  // namespace

void Flights::Release::operator()(void* memory) const { std::free(memory); }

Flights::Flights(const vm_memory::GuestMemory& memory, std::uint32_t tokens)
    : reader_(memory),
      ram_(std::make_unique<Ram>(reader_.share())),
      tags_(static_cast<std::uint8_t*>(std::calloc(kAllTokens, 1))),
      tokens_(tokens) {
  VMM_ASSERT_ALWAYS(tags_ != nullptr);  // as operator new
  give_back_all();
}

void Flights::give_back(std::uint16_t token) {
  const std::uint8_t tag = std::exchange(tags_[token], kFree);
  if (tag < kFirstOld) return;
  const auto at = std::find_if(retired_.begin(), retired_.end(),
                               [tag](const Retired& old) { return old.tag == tag; });
  if (at != retired_.end() && --at->in_flight == 0) retired_.erase(at);
}

void Flights::give_back_all() {
  std::memset(tags_.get(), kFree, tokens_);
  retired_.clear();
}

std::uint8_t Flights::unused_tag() const {
  for (std::uint8_t tag = kFirstOld; tag <= kLastOld; ++tag) {
    const bool used = std::any_of(retired_.begin(), retired_.end(),
                                  [tag](const Retired& old) { return old.tag == tag; });
    if (!used) return tag;
  }
  return kOutOfRange;
}

bool Flights::renew() {
  const auto is_current = [](std::uint8_t tag) { return tag == kRecent || tag == kAside; };
  std::uint8_t* const end = tags_.get() + tokens_;
  const auto in_flight = static_cast<std::uint32_t>(std::count_if(tags_.get(), end, is_current));
  const std::uint8_t tag = unused_tag();
  if (in_flight != 0 && tag == kOutOfRange) return false;
  std::unique_ptr<const Ram> old = std::exchange(ram_, std::make_unique<Ram>(reader_.share()));
  previous_.reset();
  if (in_flight == 0) {
    previous_ = std::move(old);
  } else {
    std::replace_if(tags_.get(), end, is_current, tag);
    retired_.push_back({std::move(old), tag, in_flight});
  }
  return true;
}

void Flights::pin_previous() {
  if (previous_ != nullptr) {
    pinned_.push_back(std::move(previous_));
  } else if (!retired_.empty()) {
    ++retired_.back().in_flight;  // never counted down
  }
}

}  // namespace vmm::virtio_queue::detail
