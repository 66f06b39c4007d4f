// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Plays a client's half of a conversation: bytes in chunks, each with some descriptors. Whatever
// comes: the session ends each step, the device hears of nothing outside of its regions, and no
// descriptor stays open.

#include <sys/socket.h>

#include <array>

#include "fuzz_input.h"
#include "open_fds.h"
#include "tests/test_device.h"
#include "vmm/sys_util/fd_passing.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vfio_user/server_session.h"

namespace {

using namespace vmm;
using namespace vmm::vfio_user;

void play(Input& input, int file) {
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const UniqueFd peer(ends[0]);
  TestDevice device;
  {
    auto session = ServerSession::create(
        UniqueFd(ends[1]), device, {.patience = Channel::Milliseconds(1), .twin_socket = false});
    require(session.has_value());
    const std::vector<int> fds(kMaxFds + 2, file);
    std::array<std::byte, 8192> answers;
    for (int step = 0; step < 64 && !input.empty(); ++step) {
      const std::size_t fd_count = input.byte() % fds.size();
      const auto chunk = input.bytes(input.byte() + 1u);
      if (!sys_util::send_with_fds(peer.get(), chunk, std::span(fds).first(fd_count))) break;
      bool more = true;
      while (more) {
        const auto event = (*session)->serve();
        if (!event) break;
        more = *event == Channel::Event::kMessage;
        while (::recv(peer.get(), answers.data(), answers.size(), MSG_DONTWAIT) > 0) continue;
      }
      if (more) break;
    }
  }
  require(device.mappings == 0);
  require(device.dma == nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto file = sys_util::MemFd::create(1 << 20);
  require(file.has_value());
  const std::size_t before = open_fds();
  Input input(data, size);
  play(input, file->fd());
  require(open_fds() == before);
  return 0;
}
