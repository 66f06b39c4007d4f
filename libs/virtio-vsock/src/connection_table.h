// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "connection.h"
#include "vmm/virtio_vsock/limits.h"

namespace vmm::virtio_vsock {

/// All connections of a device, found by their ports; their number and their buffers are bounded.
class ConnectionTable {
 public:
  explicit ConnectionTable(const Limits& limits);

  [[nodiscard]] bool is_full() const { return size() >= limits_.connections; }
  [[nodiscard]] std::size_t size() const { return connections_.size() + lingering_.size(); }
  [[nodiscard]] Connection* find(const ConnectionKey& key) const;

  /// Adds one and says how much may wait in it. Precondition: !is_full(), and the key is free.
  Connection& add(Connection::Start start);
  /// Destroys it.
  void remove(Connection& connection);
  /// Keeps a kLingering one apart from its ports, which the guest may use again.
  void keep_lingering(Connection& connection);
  void clear();

  /// A port of the host for a connection to `peer`; all others are free for the guest's requests.
  [[nodiscard]] std::uint32_t pick_local_port(std::uint32_t peer);

  /// Those that wait for something no longer than until a deadline.
  [[nodiscard]] std::vector<Connection*> with_deadlines() const;

 private:
  /// Keyed, so that a guest cannot choose ports that collide.
  struct Hash {
    std::uint64_t key = 0;
    std::size_t operator()(const ConnectionKey& ports) const;
  };

  void free_buffer(const Connection& connection);

  const Limits& limits_;
  std::uint32_t large_buffers_ = 0;
  std::uint32_t next_local_ = 0;
  std::unordered_map<ConnectionKey, std::unique_ptr<Connection>, Hash> connections_;
  std::vector<std::unique_ptr<Connection>> lingering_;
};

}  // namespace vmm::virtio_vsock
