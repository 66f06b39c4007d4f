// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "connection_table.h"

#include <span>
#include <utility>

#include "vmm/sys_util/random.h"

namespace vmm::virtio_vsock {
namespace {

constexpr std::uint32_t kFirstLocal = 1u << 30;
constexpr std::uint32_t kLocals = 1u << 30;

std::uint64_t random_key() {
  std::uint64_t key = 0;
  (void)sys_util::fill_random(std::as_writable_bytes(std::span(&key, 1)));
  return key;
}

}  // namespace

// The finalizer of splitmix64.
std::size_t ConnectionTable::Hash::operator()(const ConnectionKey& ports) const {
  std::uint64_t x = (std::uint64_t{ports.local} << 32 | ports.peer) ^ key;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

ConnectionTable::ConnectionTable(const Limits& limits)
    : limits_(limits), connections_(0, Hash{random_key()}) {}

Connection* ConnectionTable::find(const ConnectionKey& key) const {
  const auto found = connections_.find(key);
  return found == connections_.end() ? nullptr : found->second.get();
}

Connection& ConnectionTable::add(Connection::Start start) {
  const bool large = large_buffers_ < limits_.large_buffers;
  if (large) ++large_buffers_;
  start.capacity = large ? limits_.buffer_bytes : limits_.small_buffer_bytes;
  const ConnectionKey key = start.key;
  auto& slot = connections_[key];
  slot = std::make_unique<Connection>(std::move(start), limits_);
  return *slot;
}

void ConnectionTable::free_buffer(const Connection& connection) {
  if (connection.capacity() == limits_.buffer_bytes && large_buffers_ != 0) --large_buffers_;
}

void ConnectionTable::remove(Connection& connection) {
  free_buffer(connection);
  if (connection.state() != Connection::State::kLingering) {
    connections_.erase(connection.key());
    return;
  }
  std::erase_if(lingering_, [&](const auto& one) { return one.get() == &connection; });
}

void ConnectionTable::keep_lingering(Connection& connection) {
  auto node = connections_.extract(connection.key());
  if (!node.empty()) lingering_.push_back(std::move(node.mapped()));
}

void ConnectionTable::clear() {
  connections_.clear();
  lingering_.clear();
  large_buffers_ = 0;
}

std::uint32_t ConnectionTable::pick_local_port(std::uint32_t peer) {
  for (;;) {  // ends: there are fewer connections than ports
    const std::uint32_t port = kFirstLocal + next_local_++ % kLocals;
    if (find({.local = port, .peer = peer}) == nullptr) return port;
  }
}

std::vector<Connection*> ConnectionTable::with_deadlines() const {
  std::vector<Connection*> found;
  const auto look_at = [&](const std::unique_ptr<Connection>& connection) {
    if (connection->deadline()) found.push_back(connection.get());
  };
  for (const auto& [key, connection] : connections_) look_at(connection);
  for (const auto& connection : lingering_) look_at(connection);
  return found;
}

}  // namespace vmm::virtio_vsock
