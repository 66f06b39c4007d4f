// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What fuzz targets share that hand descriptors around, and play one end of a conversation.

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "fuzz_input.h"
#include "open_fds.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/fd_passing.h"

namespace vmm {

/// A fuzz target: plays the input, after which there are as many descriptors as before.
template <class Play>
int leaving_no_fds(const std::uint8_t* data, std::size_t size, Play&& play) {
  const std::size_t before = open_fds();
  Input input(data, size);
  play(input);
  require(open_fds() == before);
  return 0;
}

/// Sends the next bytes of the input, with less than all of `fds`. Whether somebody takes them.
inline bool send_chunk(const UniqueFd& socket, Input& input, std::span<const int> fds) {
  const std::size_t fd_count = input.byte() % fds.size();
  const auto chunk = input.bytes(input.byte() + 1u);
  return sys_util::send_with_fds(socket.get(), chunk, fds.first(fd_count)).has_value();
}

/// Takes what has come, and forgets it.
inline void drop_answers(const UniqueFd& socket) {
  std::array<std::byte, 8192> answers;
  while (::recv(socket.get(), answers.data(), answers.size(), MSG_DONTWAIT) > 0) continue;
}

}  // namespace vmm
