// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/flights.h"

#include <algorithm>
#include <utility>

namespace vmm::virtio_queue::detail {

Flights::Flights(const vm_memory::GuestMemory& memory, std::uint32_t tokens)
    : reader_(memory),
      ram_(std::make_unique<Ram>(reader_.share())),
      epochs_(std::make_unique<std::uint8_t[]>(tokens)),
      tokens_(tokens) {}

void Flights::give_back(std::uint16_t token) {
  const std::uint8_t epoch = std::exchange(epochs_[token], kFree);
  if (epoch == epoch_) return;
  const auto at = std::find_if(retired_.begin(), retired_.end(),
                               [epoch](const Retired& old) { return old.epoch == epoch; });
  if (at != retired_.end() && --at->in_flight == 0) retired_.erase(at);
}

std::uint8_t Flights::unused_epoch() const {
  for (std::uint8_t epoch = 1; epoch <= kLastEpoch; ++epoch) {
    const bool used = std::any_of(retired_.begin(), retired_.end(),
                                  [epoch](const Retired& old) { return old.epoch == epoch; });
    if (!used && epoch != epoch_) return epoch;
  }
  return kFree;
}

bool Flights::renew() {
  const auto in_flight =
      static_cast<std::uint32_t>(std::count(epochs_.get(), epochs_.get() + tokens_, epoch_));
  const std::uint8_t next = in_flight == 0 ? epoch_ : unused_epoch();
  if (next == kFree) return false;
  std::unique_ptr<const Ram> old = std::exchange(ram_, std::make_unique<Ram>(reader_.share()));
  previous_.reset();
  if (in_flight == 0) {
    previous_ = std::move(old);
  } else {
    retired_.push_back({std::move(old), epoch_, in_flight});
  }
  epoch_ = next;
  recent_ = distrust_ ? kNever : epoch_;
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
