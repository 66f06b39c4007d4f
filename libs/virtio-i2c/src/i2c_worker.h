// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "vmm/virtio_device/single_queue_worker.h"
#include "vmm/virtio_i2c/i2c.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_i2c {

/// Serves the request queue: gathers the requests of a group, executes them, answers them.
class I2cWorker final : public virtio_device::SingleQueueWorker {
 public:
  using Buses = std::shared_ptr<const std::vector<I2c::Bus>>;

  I2cWorker(Buses buses, virtio_device::Activation activation);

 private:
  /// Linux' driver uses three; buffers of users may be in several pages.
  static constexpr std::size_t kMaxPieces = 16;
  /// Transactions for one kick, before others get their turn: each may take long.
  static constexpr int kBudget = 16;

  /// A request of the group at hand.
  struct Request {
    virtio_queue::InlineChain<kMaxPieces> chain;
    Adapter* adapter = nullptr;  ///< nullptr: the request cannot be executed
    bool fail_next = false;
    bool done = false;
  };

  void serve() override;
  void forget() override;
  void gather();
  void parse(std::size_t index);
  void execute();
  [[nodiscard]] bool execute(std::size_t first, std::size_t end);
  void answer();
  [[nodiscard]] std::uint32_t answer(const Request& request, std::span<const std::byte> data) const;
  [[nodiscard]] std::span<std::byte> room(std::size_t index) const {
    return {data_.get() + index * Adapter::kMaxMessageBytes, Adapter::kMaxMessageBytes};
  }

  Buses buses_;
  std::map<Address, Adapter*> adapters_;
  std::array<Request, Adapter::kMaxMessages> requests_;
  std::array<Message, Adapter::kMaxMessages> messages_;
  std::size_t count_ = 0;  // of requests_
  std::unique_ptr<std::byte[]> data_;
  bool failing_ = false;   // the group at hand has failed already
  bool in_group_ = false;  // the last request was not the final one of its group
};

}  // namespace vmm::virtio_i2c
