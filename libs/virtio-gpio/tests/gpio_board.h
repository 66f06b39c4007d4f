// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A GPIO device over a simulated chip, and its driver.

#include <catch2/catch.hpp>
#include <memory>
#include <optional>

#include "src/messages.h"
#include "vmm/base/endian.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_gpio/gpio.h"
#include "vmm/virtio_gpio/simulated_chip.h"

namespace vmm::virtio_gpio::testing {

using virtio_device::testing::Answer;
using virtio_device::testing::Bytes;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::RigOptions;

inline constexpr std::uint16_t kRequests = 0;
inline constexpr std::uint16_t kEvents = 1;

/// A response: status and value.
using Said = std::pair<int, int>;
inline constexpr Said kOk{0, 0};
inline constexpr Said kError{1, 0};

struct Board {
  explicit Board(RigOptions options = {.features = kFeatureIrq})
      : chip(*SimulatedChip::create({.lines = 6, .names = {"in", "", "led"}})),
        rig(*Gpio::create(chip), options) {
    REQUIRE(rig.start());
  }

  static Bytes request(Message message, int line, std::uint32_t value) {
    Bytes bytes(8);
    store_le(&bytes[0], static_cast<std::uint16_t>(message));
    store_le(&bytes[2], static_cast<std::uint16_t>(line));
    store_le(&bytes[4], value);
    return bytes;
  }
  Said say(Message message, int line, std::uint32_t value = 0) {
    const auto answer =
        rig.exchange(kRequests, {.readable = {request(message, line, value)}, .writable = {2}});
    REQUIRE(answer);
    CHECK(answer->written == 2);
    return {answer->at<std::uint8_t>(0), answer->at<std::uint8_t>(1)};
  }
  Said set_irq(int line, IrqType type) {
    return say(Message::kSetIrqType, line, static_cast<std::uint32_t>(type));
  }
  /// Makes a buffer available for a line.
  std::uint16_t unmask(int line) {
    Bytes bytes(2);
    store_le(&bytes[0], static_cast<std::uint16_t>(line));
    const auto token = rig.send(kEvents, {.readable = {bytes}, .writable = {1}});
    REQUIRE(token);
    rig.run();
    return *token;
  }
  /// The next buffer that has come back; its status, for which token.
  std::optional<std::pair<std::uint16_t, IrqStatus>> event() {
    rig.run();
    const auto answer = rig.receive(kEvents);
    if (!answer) return std::nullopt;
    CHECK(answer->written == 1);
    return std::pair(answer->token, answer->at<IrqStatus>(0));
  }
  /// Whether this buffer came back with this status, and no other.
  bool came(std::uint16_t token, IrqStatus status) {
    const auto first = event();
    return first == std::pair(token, status) && !event();
  }
  [[nodiscard]] bool works() {
    return say(Message::kSetDirection, 5, 2) == kOk && say(Message::kGetDirection, 5) == Said{0, 2};
  }

  std::shared_ptr<SimulatedChip> chip;
  DeviceRig rig;
};

}  // namespace vmm::virtio_gpio::testing
