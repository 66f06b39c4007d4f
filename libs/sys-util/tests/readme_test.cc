// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The example of README.md.

#include <sys/socket.h>

#include <array>
#include <catch2/catch.hpp>

#include "vmm/sys_util/fd_passing.h"
#include "vmm/sys_util/mem_fd.h"

namespace {

// Guest memory for another process: of fixed size, so that nobody can truncate it under us.
vmm::Result<void> share_memory(int socket, std::uint64_t bytes) {
  VMM_TRY(const auto memory, vmm::sys_util::MemFd::create(bytes, {.name = "guest-ram"}));
  const int fds[] = {memory.fd()};
  const std::byte hello[] = {std::byte{1}};
  VMM_TRY_DO(vmm::sys_util::send_with_fds(socket, hello, fds));
  return {};
}

}  // namespace

TEST_CASE("the example of the README shares memory of fixed size") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  const vmm::UniqueFd sender(ends[0]);
  const vmm::UniqueFd receiver(ends[1]);
  REQUIRE(share_memory(sender.get(), 4096).has_value());
  std::array<std::byte, 1> hello{};
  std::array<vmm::UniqueFd, 1> memory;
  REQUIRE(vmm::sys_util::receive_with_fds(receiver.get(), hello, memory)->fds == 1);
}
