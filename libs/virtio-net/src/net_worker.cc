// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "net_worker.h"

#include <utility>

namespace vmm::virtio_net {

NetWorker::NetWorker(Parts parts, std::vector<virtio_device::ActiveQueue> queues)
    : parts_(std::move(parts)), waiting_(std::move(queues)) {}

// Edge-triggered: both directions remember whether the port has or takes more.
Result<void> NetWorker::start(event_manager::EventLoop& loop) {
  loop_ = &loop;
  VMM_TRY(port_watch_,
          loop.add(parts_.port.fd(),
                   event_manager::kReadable | event_manager::kWritable | sys_util::kOnChange,
                   [this](event_manager::EventSet ready) { port_is_ready(ready); }));
  for (virtio_device::ActiveQueue& queue : waiting_) VMM_TRY_DO(start_queue(queue));
  waiting_.clear();
  return {};
}

Result<void> NetWorker::start_queue(virtio_device::ActiveQueue& queue) {
  if (queue.index == receive_index()) {
    VMM_TRY(auto gate, rate_limiter::RateGate::create(parts_.net.options().receive_limit));
    receiver_.emplace(parts_.port, std::move(queue), parts_.interrupt,
                      Receiver::Rules{.features = parts_.features,
                                      .mtu = parts_.net.negotiated(NetFeature::kMtu)
                                                 ? parts_.net.options().mtu.value_or(0)
                                                 : std::uint16_t{0}},
                      std::move(gate));
    return receiver_->start(*loop_);
  }
  if (queue.index == transmit_index()) {
    VMM_TRY(auto gate, rate_limiter::RateGate::create(parts_.net.options().transmit_limit));
    transmitter_.emplace(parts_.port, std::move(queue), parts_.interrupt, parts_.features,
                         std::move(gate));
    return transmitter_->start(*loop_);
  }
  if (!is_control(queue.index)) return Worker::start_queue(queue);
  control_.emplace(parts_.net, std::move(queue), parts_.interrupt);
  return control_->start(*loop_);
}

bool NetWorker::stop_queue(std::uint16_t index) {
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
