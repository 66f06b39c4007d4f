// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/ring_base.h"

namespace vmm::virtio_queue::detail {
namespace {

/// `special`: what the plain ways do not know.
Way way_of(const QueueShape& shape, bool special) {
  const bool thorough = special || shape.in_order;
  if (shape.packed) return thorough ? Way::kPackedThorough : Way::kPacked;
  return thorough ? Way::kSplitThorough : Way::kSplit;
}

}  // namespace

RingBase::RingBase(const QueueShape& shape, const vm_memory::GuestMemory& memory)
    : event_idx_(shape.event_idx),
      in_order_(shape.in_order),
      flights_(memory, shape.size),
      reorder_(shape.in_order ? shape.size : 0u),
      shape_(shape) {
  way_ = way_of(shape_, special_memory());
}

void RingBase::keep_inflight() {
  inflight_kept_ = true;
  way_ = way_of(shape_, true);
}

void RingBase::forget() {
  flights_.give_back_all();
  reorder_.clear();
  waiting_ = false;
}

void RingBase::note(Chain& chain) {
  if (flights_.ram()->tracked()) chain.track(flights_.ram());
  if (in_order_) {
    const auto weight = static_cast<std::uint32_t>(flights_.recent(chain.head()));
    reorder_.push(chain.head(), weight, false);
  }
  flights_.set_aside(chain.head());
}

Result<std::uint32_t, QueueError> RingBase::give_back(std::uint16_t token) {
  if (!flights_.is_taken(token)) return fail(QueueError::kNotInFlight);
  const std::uint32_t weight = flights_.give_back(token);
  if (broken_ && broken_by_ == QueueError::kRingNotMapped) return fail(broken_by_);
  return weight;
}

Result<void, QueueError> RingBase::take_over(std::uint16_t token, std::uint32_t weight) {
  if (token >= shape_.size) return fail(QueueError::kBadHead);
  if (!flights_.is_free(token)) return fail(QueueError::kInFlight);
  flights_.take(token, weight);
  if (in_order_) reorder_.push(token, weight, false);
  if (is_thorough()) flights_.set_aside(token);
  return {};
}

std::optional<Rings> RingBase::renew() {
  flights_.renew();
  ++memory_changes_;
  window_ = {};
  waiting_ = false;  // what was missing may be there now
  way_ = way_of(shape_, inflight_kept_ || special_memory());
  const auto rings = resolve(shape_, *flights_.ram());
  if (rings) return *rings;
  flights_.pin_previous();  // as rings_ still points there
  break_by(QueueError::kRingNotMapped);
  return std::nullopt;
}

Pop RingBase::wait_for_memory(Chain& chain) {
  waiting_ = true;
  chain.set_empty(QueueError::kMissing);
  return Pop::kEmpty;
}

void RingBase::break_by(QueueError error) {
  if (!broken_) broken_by_ = error;
  broken_ = look_closely_ = true;
}

Pop RingBase::broken(Chain& chain) const {
  chain.set_empty(broken_by_);
  return Pop::kBroken;
}

}  // namespace vmm::virtio_queue::detail
