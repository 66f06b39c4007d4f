// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What happens on buses, and whether that is what their driver asked for.

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "device_fuzz.h"
#include "vmm/virtio_i2c/simulated_adapter.h"

/// A message that an adapter got, and what it held then.
struct SeenMessage {
  vmm::virtio_i2c::Address address;
  bool read = false;
  std::vector<std::byte> data;
};
/// A transaction of an adapter.
struct Seen {
  std::vector<SeenMessage> messages;
  std::uint64_t sent = 0;  // so many requests were there then
  bool ok = false;
};
using SeenList = std::deque<Seen>;

/// Each request is answered in its order, and is a part of a transaction that its bus did, or of
/// none when it or one before it in its group could not be done.
class BusWatch final : public DriverWatch {
 public:
  /// An address as requests have it: virtio 1.3, 5.16.6.1. And its bus.
  struct Place {
    vmm::virtio_i2c::Address address;
    SeenList* bus = nullptr;
  };
  using Places = std::map<std::uint16_t, Place>;

  explicit BusWatch(Places places) : places_(std::move(places)) {}

  void started(std::uint64_t) override {
    // Nothing was on the buses that nobody asked for.
    for (const auto& [number, place] : places_) {
      require(!is_known_ || sent_ != answered_ || place.bus->empty());
    }
    forget();
    is_known_ = true;
  }
  void lost() override { is_known_ = false; }
  std::uint64_t sent(std::uint16_t, const vmm::virtio_device::testing::Request&) override {
    return sent_++;
  }
  void answered(const Exchange& exchange) override {
    require(exchange.mark == answered_++);
    const Parsed request = parse(exchange);
    const bool ok = take(request, exchange.mark);
    check(exchange, request, ok);
    has_failed_ = request.fail_next && !ok;
    was_in_group_ = request.fail_next;
  }
  [[nodiscard]] std::uint64_t sent_by_now() const { return sent_; }

 private:
  struct Parsed {
    const Place* place = nullptr;  // nullptr: it cannot be done
    bool fail_next = false;
    bool read = false;
    std::vector<std::byte> written;
    std::size_t read_bytes = 0;
  };

  void forget() {
    for (const auto& [number, place] : places_) place.bus->clear();
    sent_ = answered_ = 0;
    at_ = 0;
    current_ = nullptr;
    has_failed_ = was_in_group_ = false;
  }
  [[nodiscard]] Parsed parse(const Exchange& exchange) const {
    Parsed request;
    const std::vector<std::byte> sent = exchange.sent();
    if (sent.size() < 8) return request;
    const auto byte = [&sent](std::size_t i) { return std::to_integer<std::uint32_t>(sent[i]); };
    const std::uint32_t flags = byte(4) | byte(5) << 8 | byte(6) << 16 | byte(7) << 24;
    request.fail_next = (flags & 1) != 0;
    request.read = (flags & 2) != 0;
    request.written.assign(sent.begin() + 8, sent.end());
    if (exchange.room() == 0) return request;
    request.read_bytes = exchange.room() - 1;
    const std::size_t bytes = request.read ? request.read_bytes : request.written.size();
    const std::size_t other = request.read ? request.written.size() : request.read_bytes;
    if (flags > 3 || other != 0 || bytes > vmm::virtio_i2c::Adapter::kMaxMessageBytes) {
      return request;
    }
    const auto found = places_.find(static_cast<std::uint16_t>(byte(0) | byte(1) << 8));
    if (found != places_.end()) request.place = &found->second;
    return request;
  }
  /// Finds it on its bus. Whether it was done.
  bool take(const Parsed& request, std::uint64_t mark) {
    if (at_ == 0 && (has_failed_ || request.place == nullptr)) return false;
    require(request.place != nullptr);
    SeenList& bus = *request.place->bus;
    const bool follows = was_in_group_ && current_ == &bus;
    // What is there together is one transaction.
    require(at_ == 0 ? !follows || mark >= before_.sent ||
                           before_.messages.size() == vmm::virtio_i2c::Adapter::kMaxMessages
                     : follows);
    require(!bus.empty());
    const SeenMessage& message = bus.front().messages[at_];
    require(message.address == request.place->address && message.read == request.read);
    require(request.read ? message.data.size() == request.read_bytes
                         : message.data == request.written);
    data_ = message.data;
    const bool ok = bus.front().ok;
    current_ = &bus;
    if (++at_ == bus.front().messages.size()) {
      before_ = std::move(bus.front());
      bus.pop_front();
      at_ = 0;
    }
    return ok;
  }
  void check(const Exchange& exchange, const Parsed& request, bool ok) const {
    const std::size_t room = exchange.room();
    if (ok) {
      exchange.require_written(room);
      require(exchange.answer.bytes.back() == std::byte{0});
      if (request.read) {
        require(std::equal(data_.begin(), data_.end(), exchange.answer.bytes.begin()));
      }
      return;
    }
    require(exchange.answer.written == (room == 1 ? 1u : 0u));
    for (std::size_t i = 0; i + 1 < room; ++i) {
      require(exchange.answer.bytes[i] == vmm::virtio_device::testing::DeviceRig::kUntouched);
    }
    require(room == 0 || exchange.answer.bytes.back() == std::byte{1});
  }

  const Places places_;
  bool is_known_ = false;
  std::uint64_t sent_ = 0;
  std::uint64_t answered_ = 0;
  bool has_failed_ = false;      // the group at hand
  bool was_in_group_ = false;    // the last request asked for the next one to fail with it
  SeenList* current_ = nullptr;  // the bus of the last one
  Seen before_;                  // the last transaction that is over
  std::size_t at_ = 0;           // in the first transaction of current_
  std::vector<std::byte> data_;
};

/// A simulated bus beside a model of its chips. Tells a list of what it does.
class WatchedAdapter final : public vmm::virtio_i2c::Adapter {
 public:
  /// A first byte that no chip acknowledges.
  static constexpr std::byte kRefused{0xee};

  WatchedAdapter(std::span<const vmm::virtio_i2c::Address> chips, const BusWatch& watch,
                 SeenList& seen)
      : chips_(*vmm::virtio_i2c::SimulatedAdapter::create(chips)), watch_(watch), seen_(seen) {
    for (const auto& chip : chips) models_[chip] = {};
  }

  vmm::Result<void> transfer(std::span<const vmm::virtio_i2c::Message> messages) override {
    require(!messages.empty() && messages.size() <= kMaxMessages);
    bool ok = true;
    for (const auto& message : messages) {
      require(message.data.size() <= kMaxMessageBytes && models_.contains(message.address));
      ok = ok && (message.read || message.data.empty() || message.data[0] != kRefused);
    }
    Seen& seen = seen_.emplace_back();
    if (ok) require(chips_->transfer(messages).has_value());
    for (const auto& message : messages) {
      if (ok) models_[message.address].transfer(message);
      seen.messages.push_back({.address = message.address,
                               .read = message.read,
                               .data = {message.data.begin(), message.data.end()}});
    }
    seen.sent = watch_.sent_by_now();
    seen.ok = ok;
    return ok ? vmm::Result<void>() : vmm::fail(vmm::Error::os(EREMOTEIO, "a refused byte"));
  }

 private:
  struct Chip {
    std::array<std::byte, 256> bytes{};
    std::size_t position = 0;
    void transfer(const vmm::virtio_i2c::Message& message) {
      for (std::size_t i = 0; i < message.data.size(); ++i) {
        if (!message.read && i == 0) {
          position = std::to_integer<std::size_t>(message.data[0]);
          continue;
        }
        std::byte& byte = bytes[position++ % bytes.size()];
        if (message.read) require(message.data[i] == byte);
        byte = message.data[i];
      }
    }
  };

  std::shared_ptr<vmm::virtio_i2c::SimulatedAdapter> chips_;
  std::map<vmm::virtio_i2c::Address, Chip> models_;
  const BusWatch& watch_;
  SeenList& seen_;
};
