// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A front end that takes the state of a device, and gives it to another one.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <span>
#include <thread>
#include <vector>

#include "fd_pairs.h"
#include "vmm/vhost_user/frontend.h"

namespace vmm::vhost_user_backend {

/// Saves the state: what came out of the pipe, which ends with it.
inline std::vector<std::byte> save_state(vhost_user::Frontend& frontend) {
  Pipe pipe;
  REQUIRE(frontend.set_device_state({.direction = vhost_user::DeviceStateTransfer::kSave},
                                    pipe.write.get()));
  pipe.write.reset();
  std::vector<std::byte> state;
  std::array<std::byte, 4096> piece;
  for (ssize_t n = 1; n > 0;) {
    n = ::read(pipe.read.get(), piece.data(), piece.size());
    REQUIRE(n >= 0);
    state.insert(state.end(), piece.begin(), piece.begin() + n);
  }
  return state;
}

/// Writes a state and the end, and asks what came of it. SIGPIPE has to be ignored.
inline Result<void> load_state(vhost_user::Frontend& frontend, std::span<const std::byte> state) {
  Pipe pipe;
  VMM_TRY_DO(frontend.set_device_state({.direction = vhost_user::DeviceStateTransfer::kLoad},
                                       pipe.read.get()));
  pipe.read.reset();
  std::thread writer([&] {
    while (!state.empty()) {
      const ssize_t n = ::write(pipe.write.get(), state.data(), state.size());
      if (n <= 0) break;
      state = state.subspan(static_cast<std::size_t>(n));
    }
    pipe.write.reset();
  });
  writer.join();
  return frontend.check_device_state();
}

}  // namespace vmm::vhost_user_backend
