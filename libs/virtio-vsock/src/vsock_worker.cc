// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vsock_worker.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "vmm/base/endian.h"
#include "vsock_core.h"

namespace vmm::virtio_vsock {
namespace {

using event_manager::EventSet;
using virtio_device::QueueRunner;
using virtio_queue::Chain;
using virtio_queue::Reader;
using virtio_queue::Writer;

enum Queue : std::uint16_t { kRxQueue, kTxQueue, kEventQueue };

/// So late a tick is only when this thread stood still, as it does while a VM is paused. Nobody
/// could do then what is waited for.
constexpr std::chrono::seconds kStandstill{1};
constexpr std::uint32_t kTransportReset = 0;  // struct virtio_vsock_event: 5.10.6.7

std::chrono::milliseconds tick_of(const Limits& limits) {
  return std::max(limits.tick, std::chrono::milliseconds(1));
}

}  // namespace

VsockWorker::VsockWorker(std::shared_ptr<Vsock::Core> core, virtio_device::Activation activation)
    : core_(std::move(core)),
      messages_(activation.has(kFeatureSeqpacket)),
      connections_(core_->limits),
      clients_(core_->host.fd(), core_->limits, [this](UniqueFd socket, std::uint32_t port) {
        add_client(std::move(socket), port);
      }) {
  for (virtio_device::ActiveQueue& queue : activation.queues) {
    if (queue.index > kEventQueue) continue;
    auto& runner = queue.index == kRxQueue ? rx_ : queue.index == kTxQueue ? tx_ : event_;
    runner.emplace(std::move(queue), activation.interrupt);
  }
}

Result<void> VsockWorker::start(event_manager::EventLoop& loop) {
  loop_ = &loop;
  VMM_TRY(reset_watch_, loop.add(core_->transport_reset.fd(), sys_util::kReadable,
                                 [this](EventSet) { reset_transport(); }));
  if (event_) VMM_TRY_DO(event_->start(loop, [this] { send_event(); }));
  if (!rx_ || !tx_) return {};
  VMM_TRY(clock_, event_manager::Timer::create(loop, [this](std::uint64_t) { tick(); }));
  VMM_TRY_DO(rx_->start(loop, [this] { serve_rx(); }));
  VMM_TRY_DO(tx_->start(loop, [this] { serve_tx(); }));
  clients_.set_on_deadline([this] { start_clock(); });
  return clients_.start(loop);
}

// Each packet is answered with one reset at most, if it belongs to no connection. When those pile
// up, as the driver gives no buffers, its packets wait.
void VsockWorker::serve_tx() {
  tx_waits_ = replies_.room() < QueueRunner::kBudget;
  if (!tx_waits_) {
    tx_->serve(tx_chain_, [this](Chain& chain) -> std::optional<std::uint32_t> {
      take_packet(chain);
      return 0;
    });
  }
  serve_rx();
}

void VsockWorker::resume_tx() {
  if (tx_waits_ && replies_.room() >= QueueRunner::kBudget) tx_->kick_again();
}

// Whoever says to be somebody else, or has no whole header, gets no answer.
void VsockWorker::take_packet(const Chain& chain) {
  Reader reader = chain.reader();
  const auto wire = reader.read_obj<WireHeader>();
  if (!wire || chain.writable_bytes() != 0) return;
  const PacketHeader header = PacketHeader::parse(*wire);
  if (header.src_cid != core_->cid) return;
  const bool whole = reader.split_at(header.len).has_value();
  dispatch(header, whole ? &reader : nullptr);
}

// `payload` is null when the packet is shorter than it says.
void VsockWorker::dispatch(const PacketHeader& header, const Reader* payload) {
  const bool known_type =
      header.type == SocketType::kStream || (header.type == SocketType::kSeqpacket && messages_);
  Connection* const connection =
      header.dst_cid == kHostCid
          ? connections_.find({.local = header.dst_port, .peer = header.src_port})
          : nullptr;
  if (header.op == Op::kReset) {
    if (connection != nullptr) end(*connection);
  } else if (connection == nullptr) {
    const bool may_connect =
        header.op == Op::kRequest && header.dst_cid == kHostCid && known_type && payload != nullptr;
    may_connect ? connect(header) : replies_.push(reset_for(header));
  } else {
    if (header.op == Op::kRequest || payload == nullptr) {
      connection->reset();
    } else {
      connection->handle(header, *payload);
    }
    settle(*connection);
  }
}

void VsockWorker::connect(const PacketHeader& header) {
  if (connections_.is_full()) return replies_.push(reset_for(header));
  auto socket = core_->host.connect(header.dst_port, header.type);
  if (!socket && !socket.error().is_os(EAGAIN)) return replies_.push(reset_for(header));
  add({.state = socket ? Connection::State::kOpen : Connection::State::kWaiting,
       .key = {.local = header.dst_port, .peer = header.src_port},
       .type = header.type,
       .socket = socket ? std::move(*socket) : UniqueFd()},
      &header);
}

void VsockWorker::add_client(UniqueFd socket, std::uint32_t port) {
  if (connections_.is_full()) return;
  add({.state = Connection::State::kRequested,
       .key = {.local = connections_.pick_local_port(port), .peer = port},
       .socket = std::move(socket)},
      nullptr);
  serve_rx();
}

void VsockWorker::add(Connection::Start start, const PacketHeader* request) {
  Connection& connection = connections_.add(std::move(start));
  const bool sane = request == nullptr || connection.set_credit(*request);
  const bool watched = connection.fd() < 0 || watch(connection);
  if (!sane || !watched) connection.reset();
  settle(connection);
}

bool VsockWorker::watch(Connection& connection) {
  auto watch = loop_->add(connection.fd(), Connection::watched_events(),
                          [this, &connection](EventSet ready) {
                            connection.socket_ready(ready);
                            if (connection.lingered()) return destroy(connection);
                            settle(connection);
                            serve_rx();
                          });
  if (watch) connection.set_watch(std::move(*watch));
  return watch.has_value();
}

void VsockWorker::end(Connection& connection) {
  if (connection.end()) return destroy(connection);
  turns_.remove(connection);
  connections_.keep_lingering(connection);
  start_clock();
}

void VsockWorker::settle(Connection& connection) {
  if (connection.has_turn()) turns_.add(connection);
  if (connection.deadline()) start_clock();
}

void VsockWorker::destroy(Connection& connection) {
  turns_.remove(connection);
  connections_.remove(connection);
}

// A buffer that has no room for a byte of payload, or is not for writing, comes back empty.
void VsockWorker::serve_rx() {
  if (rx_->broken() || (replies_.empty() && turns_.empty())) return;
  if (!rx_->queue().refresh()) return (void)rx_->pop(rx_chain_);
  rx_->queue().disable_notifications();
  std::uint32_t left = QueueRunner::kBudget;
  for (; left != 0 && !(replies_.empty() && turns_.empty()); --left) {
    if (!rx_->pop_or_listen(rx_chain_)) {
      if (rx_->broken()) return;
      break;
    }
    if (rx_chain_.readable_bytes() != 0 || rx_chain_.writable_bytes() <= kHeaderBytes) {
      rx_->complete(rx_chain_.head(), 0);
    } else if (!fill_rx()) {
      (void)rx_->queue().undo_pop(rx_chain_);
    }
  }
  rx_->flush();
  if (left == 0) rx_->kick_again();
  resume_tx();
}

bool VsockWorker::fill_rx() {
  Writer header = rx_chain_.writer();
  if (!replies_.empty()) {
    (void)header.write_obj(replies_.pop().wire());
    rx_->complete(rx_chain_.head(), kHeaderBytes);
    return true;
  }
  while (!turns_.empty()) {
    Connection& connection = turns_.first();
    turns_.remove(connection);
    Writer payload = header;
    (void)payload.skip(kHeaderBytes);
    std::uint32_t written = 0;
    const Connection::Turn turn = connection.take_turn(core_->cid, header, payload, &written);
    if (turn == Connection::Turn::kNothing) continue;
    rx_->complete(rx_chain_.head(), written);
    turn == Connection::Turn::kLast ? destroy(connection) : settle(connection);
    return true;
  }
  return false;
}

void VsockWorker::start_clock() {
  if (clock_runs_) return;
  last_tick_ = Connection::Clock::now();
  const auto every = tick_of(core_->limits);
  clock_runs_ = clock_->arm({.after = every, .every = every}).has_value();
}

void VsockWorker::tick() {
  const auto now = Connection::Clock::now();
  const auto late = now - std::exchange(last_tick_, now) - tick_of(core_->limits);
  if (late > kStandstill) postpone(late);
  for (Connection* const connection : connections_.with_deadlines()) expire(*connection, now);
  clients_.expire(now);
  if (connections_.with_deadlines().empty() && !clients_.has_deadlines()) {
    (void)clock_->disarm();
    clock_runs_ = false;
  }
  serve_rx();
}

void VsockWorker::postpone(Connection::Clock::duration by) {
  for (Connection* const connection : connections_.with_deadlines()) connection->postpone(by);
  clients_.postpone(by);
}

void VsockWorker::expire(Connection& connection, Connection::Clock::time_point now) {
  if (*connection.deadline() <= now) {
    if (connection.state() == Connection::State::kLingering) return destroy(connection);
    connection.expire();
  } else if (connection.state() == Connection::State::kWaiting) {
    auto socket = core_->host.connect(connection.key().local, connection.type());
    if (socket) {
      connection.connected(std::move(*socket));
      if (!watch(connection)) connection.reset();
    } else if (!socket.error().is_os(EAGAIN)) {
      connection.reset();
    }
  }
  settle(connection);
}

void VsockWorker::reset_transport() {
  (void)core_->transport_reset.take();
  turns_ = {};
  replies_.clear();
  connections_.clear();
  clients_.clear();
  resume_tx();
  event_due_ = true;
  send_event();
}

void VsockWorker::send_event() {
  if (!event_ || event_->broken()) return;
  if (!event_->queue().refresh()) return (void)event_->pop(rx_chain_);
  if (!event_due_) return;
  for (std::uint32_t left = Vsock::kEventQueueSize; left != 0 && event_->pop_or_listen(rx_chain_);
       --left) {
    const Le32 id(kTransportReset);
    const bool written = rx_chain_.writer().write_obj(id).has_value();
    event_->complete(rx_chain_.head(), written ? sizeof(id) : 0);
    event_->flush();
    if (written) {
      event_due_ = false;
      return;
    }
  }
}

}  // namespace vmm::virtio_vsock
