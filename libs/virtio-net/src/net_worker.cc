// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "net_worker.h"

#include <utility>

namespace vmm::virtio_net {

NetWorker::NetWorker(Parts parts, std::vector<virtio_device::ActiveQueue> queues)
    : parts_(std::move(parts)), waiting_(std::move(queues)) {}

// Edge-triggered: both directions remember whether the port has or takes more. Packets of an engine
// are no matter of ours, but its port may go.
Result<void> NetWorker::start(event_manager::EventLoop& loop) {
  loop_ = &loop;
  const event_manager::EventSet packets = parts_.engine != nullptr
                                              ? event_manager::kNoEvents
                                              : event_manager::kReadable | event_manager::kWritable;
  VMM_TRY(port_watch_, loop.add(parts_.port.fd(), packets | sys_util::kOnChange,
                                [this](event_manager::EventSet ready) { port_is_ready(ready); }));
  if (parts_.engine != nullptr) VMM_TRY_DO(parts_.engine->start(loop));
  for (virtio_device::ActiveQueue& queue : waiting_) VMM_TRY_DO(start_queue(queue));
  waiting_.clear();
  return {};
}

Result<void> NetWorker::start_queue(virtio_device::ActiveQueue& queue) {
  if (is_for_engine(queue.index)) return parts_.engine->start_queue(queue);
  if (queue.index == receive_index()) {
    VMM_TRY(auto gate, rate_limiter::RateGate::create(parts_.net.options().receive_limit));
    receiver_.emplace(
        parts_.port, std::move(queue), parts_.interrupt,
        Receiver::Rules{.features = parts_.features,
                        .mtu = parts_.net.negotiated(NetFeature::kMtu) ? parts_.net.driver_mtu()
                                                                       : std::uint16_t{0},
                        .traffic = parts_.net.pair_counters(parts_.pair).received},
        std::move(gate));
    return receiver_->start(*loop_);
  }
  if (queue.index == transmit_index()) {
    VMM_TRY(auto gate, rate_limiter::RateGate::create(parts_.net.options().transmit_limit));
    transmitter_.emplace(parts_.port, std::move(queue), parts_.interrupt, parts_.features,
                         std::move(gate), parts_.net.pair_counters(parts_.pair).transmitted);
    return transmitter_->start(*loop_);
  }
  if (!is_control(queue.index)) return Worker::start_queue(queue);
  control_.emplace(parts_.net, std::move(queue), parts_.interrupt);
  return control_->start(*loop_);
}

// The transmitter has nothing in flight between two calls.
void NetWorker::drain() {
  port_watch_.reset();
  if (parts_.engine != nullptr) parts_.engine->drain();
  if (receiver_) receiver_->put_back();
}

void NetWorker::move_interrupts() {
  if (parts_.engine != nullptr) parts_.engine->move_interrupts();
}

bool NetWorker::stop_queue(std::uint16_t index) {
  if (is_for_engine(index)) return parts_.engine->stop_queue(index);
  if (index == receive_index()) {
    receiver_.reset();
  } else if (index == transmit_index()) {
    transmitter_.reset();
  } else if (is_control(index)) {
    control_.reset();
  } else {
    return false;
  }
  return true;
}

void NetWorker::port_is_ready(event_manager::EventSet ready) {
  if (receiver_ && ready.has(event_manager::kReadable)) receiver_->port_has_packets();
  if (transmitter_ && ready.has(event_manager::kWritable)) transmitter_->port_has_room();
  if (ready.has(event_manager::kHangUp)) parts_.net.set_link_up(false);
}

}  // namespace vmm::virtio_net
