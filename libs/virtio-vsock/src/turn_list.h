// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "connection.h"

namespace vmm::virtio_vsock {

/// The connections that have something to tell the guest, in the order in which they get their
/// turn. A connection is in it at most once, and leaves it before it is destroyed.
class TurnList {
 public:
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] Connection& first() const { return *first_; }

  /// Appends; nothing when it is listed already.
  void add(Connection& connection) {
    if (connection.is_listed) return;
    connection.is_listed = true;
    connection.previous_turn = last_;
    (last_ != nullptr ? last_->next_turn : first_) = &connection;
    last_ = &connection;
  }
  void remove(Connection& connection) {
    if (!connection.is_listed) return;
    Connection* const before = connection.previous_turn;
    Connection* const after = connection.next_turn;
    (before != nullptr ? before->next_turn : first_) = after;
    (after != nullptr ? after->previous_turn : last_) = before;
    connection.is_listed = false;
    connection.next_turn = connection.previous_turn = nullptr;
  }

 private:
  Connection* first_ = nullptr;
  Connection* last_ = nullptr;
};

}  // namespace vmm::virtio_vsock
