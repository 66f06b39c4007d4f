// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "fd_pairs.h"
#include "vmm/virtio_console/fd_port.h"
#include "vmm/virtio_device/testing/device_rig.h"

namespace vmm::virtio_console {

/// A console at which a test types, and whose guest says nothing.
struct TypedConsole {
  static constexpr std::uint16_t kReceive = 0;

  explicit TypedConsole(std::size_t capacity = Console::Options{}.capacity)
      : console(*Console::create({.output = &output, .capacity = capacity})) {
    REQUIRE(rig.start());
  }

  Result<std::unique_ptr<FdInput>> listen_to(int fd) {
    return FdInput::create(rig.loop(), fd, *console);
  }
  /// So many bytes, as the guest gets them in buffers of three.
  std::string received(std::size_t bytes) {
    std::string got;
    while (got.size() < bytes) {
      const auto answer = rig.exchange(kReceive, {.readable = {}, .writable = {3}});
      REQUIRE(answer);
      for (std::uint32_t i = 0; i < answer->written; ++i) got += answer->at<char>(i);
    }
    return got;
  }

  Pipe nowhere;
  FdOutput output{nowhere.write.get()};
  std::shared_ptr<Console> console;
  virtio_device::testing::DeviceRig rig{console, {}};
};

}  // namespace vmm::virtio_console
