// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Plays a client's half of a conversation: bytes in chunks, each with some descriptors. Whatever
// comes: the session ends each step, the device hears of nothing outside of its regions, and no
// descriptor stays open.

#include <utility>
#include <vector>

#include "fuzz_fds.h"
#include "tests/test_device.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vfio_user/server_session.h"

namespace {

using namespace vmm;
using namespace vmm::vfio_user;

void play(Input& input, int file) {
  auto [peer, ours] = *sys_util::unix_socket_pair();
  TestDevice device;
  {
    auto session = ServerSession::create(
        std::move(ours), device, {.patience = Channel::Milliseconds(1), .twin_socket = false});
    require(session.has_value());
    const std::vector<int> fds(kMaxFds + 2, file);
    for (int step = 0; step < 64 && !input.empty(); ++step) {
      if (!send_chunk(peer, input, fds)) break;
      bool more = true;
      while (more) {
        const auto event = (*session)->serve();
        if (!event) break;
        more = *event == Channel::Event::kMessage;
        drop_answers(peer);
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
  return leaving_no_fds(data, size, [](Input& input) { play(input, file->fd()); });
}
