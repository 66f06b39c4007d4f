// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "i2c_worker.h"

#include <algorithm>
#include <utility>

#include "request.h"

namespace vmm::virtio_i2c {

I2cWorker::I2cWorker(Buses buses, virtio_device::Activation activation)
    : SingleQueueWorker(std::move(activation)),
      buses_(std::move(buses)),
      data_(new std::byte[Adapter::kMaxMessages * Adapter::kMaxMessageBytes]) {
  for (const I2c::Bus& bus : *buses_) {
    for (const Address& address : bus.addresses) adapters_.emplace(address, bus.adapter.get());
  }
}

void I2cWorker::forget() {
  failing_ = false;
  in_group_ = false;
}

void I2cWorker::serve() {
  if (!runner().queue().refresh()) return (void)runner().pop(requests_[0].chain);
  runner().queue().disable_notifications();
  int left = kBudget;
  for (; left != 0; --left) {
    gather();
    if (count_ == 0) break;
    execute();
    answer();
  }
  if (runner().broken()) return;
  runner().flush();  // of malformed ones
  if (left == 0) runner().kick_again();
}

// A group that is longer than a transaction, or not there as a whole, is executed in parts: a
// driver may wait for one request before it sends the next.
void I2cWorker::gather() {
  for (count_ = 0; count_ < requests_.size();) {
    Request& request = requests_[count_];
    if (!runner().pop_or_listen(request.chain)) return;
    parse(count_);
    ++count_;
    if (!request.fail_next) return;
  }
}

void I2cWorker::parse(std::size_t index) {
  Request& request = requests_[index];
  Message& message = messages_[index];
  request.adapter = nullptr;
  request.fail_next = false;
  request.done = false;
  message.data = {};
  virtio_queue::Reader reader = request.chain.reader();
  const auto header = reader.read_obj<RequestHeader>();
  if (!header) return;
  const std::uint32_t flags = header->flags.get();
  request.fail_next = (flags & kFailNext) != 0;
  const auto address = Address::from_wire(header->address.get());
  if (!address || (flags & ~(kFailNext | kRead)) != 0 || request.chain.writable_bytes() == 0) {
    return;
  }
  message.address = *address;
  message.read = (flags & kRead) != 0;
  const std::uint32_t readable = reader.remaining();
  const std::uint32_t writable = request.chain.writable_bytes() - 1;
  const std::uint32_t bytes = message.read ? writable : readable;
  const bool other_way = (message.read ? readable : writable) != 0;
  if (other_way || bytes > Adapter::kMaxMessageBytes) return;
  message.data = room(index).first(bytes);
  if (!message.read) (void)reader.read_exact(message.data);
  const auto found = adapters_.find(*address);
  if (found != adapters_.end()) request.adapter = found->second;
}

void I2cWorker::execute() {
  if (!in_group_) failing_ = false;
  for (std::size_t first = 0; first < count_ && !failing_;) {
    std::size_t end = first + 1;
    while (end < count_ && requests_[end].adapter == requests_[first].adapter) ++end;
    failing_ = requests_[first].adapter == nullptr || !execute(first, end);
    first = end;
  }
  in_group_ = requests_[count_ - 1].fail_next;
}

bool I2cWorker::execute(std::size_t first, std::size_t end) {
  const std::span messages = std::span(messages_).subspan(first, end - first);
  if (!requests_[first].adapter->transfer(messages)) return false;
  for (Request& request : std::span(requests_).subspan(first, end - first)) request.done = true;
  return true;
}

void I2cWorker::answer() {
  for (std::size_t i = 0; i < count_; ++i) {
    const std::span<const std::byte> data =
        messages_[i].read ? messages_[i].data : std::span<std::byte>();
    runner().complete(requests_[i].chain.head(), answer(requests_[i], data));
  }
  runner().flush();
}

// The status is the last writable byte. Of a request that failed nothing before it is written.
std::uint32_t I2cWorker::answer(const Request& request, std::span<const std::byte> data) const {
  const std::uint32_t writable = request.chain.writable_bytes();
  if (writable == 0) return 0;
  virtio_queue::Writer writer = request.chain.writer();
  if (request.done) {
    (void)writer.write_exact(data);
    (void)writer.write_obj(Status::kOk);
    return writable;
  }
  (void)writer.skip(writable - 1);
  (void)writer.write_obj(Status::kError);
  return writable == 1 ? 1 : 0;
}

}  // namespace vmm::virtio_i2c
