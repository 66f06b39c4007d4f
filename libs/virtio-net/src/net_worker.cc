// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "net_worker.h"

#include <utility>

namespace vmm::virtio_net {

NetWorker::NetWorker(Net& net, const NetPort& port, Parts parts,
                     const std::shared_ptr<virtio_device::Interrupt>& interrupt,
                     std::uint64_t features)
    : port_(port) {
  if (parts.receive) receiver_.emplace(port, std::move(*parts.receive), interrupt, features);
  if (parts.transmit) transmitter_.emplace(port, std::move(*parts.transmit), interrupt);
  if (parts.control) control_.emplace(net, std::move(*parts.control), interrupt);
}

// Edge-triggered: both directions remember whether the port has or takes more.
Result<void> NetWorker::start(event_manager::EventLoop& loop) {
  VMM_TRY(port_watch_,
          loop.add(port_.fd(),
                   event_manager::kReadable | event_manager::kWritable | sys_util::kOnChange,
                   [this](event_manager::EventSet ready) { port_is_ready(ready); }));
  if (receiver_) VMM_TRY_DO(receiver_->start(loop));
  if (transmitter_) VMM_TRY_DO(transmitter_->start(loop));
  if (control_) VMM_TRY_DO(control_->start(loop));
  return {};
}

void NetWorker::port_is_ready(event_manager::EventSet ready) {
  if (receiver_ && ready.has(event_manager::kReadable)) receiver_->port_has_packets();
  if (transmitter_ && ready.has(event_manager::kWritable)) transmitter_->port_has_room();
}

}  // namespace vmm::virtio_net
