// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Plays a back end: answers to a front end's questions, then requests on its channel, both with
// descriptors. Whatever comes: each call ends, an answer that was taken fits its question, and no
// descriptor stays open.

#include <sys/socket.h>

#include <array>
#include <vector>

#include "fuzz_fds.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vhost_user/backend_request.h"
#include "vmm/vhost_user/frontend.h"

namespace {

using namespace vmm;
using namespace vmm::vhost_user;

/// All chunks of the peer, and then its end, so that nobody waits.
void say(const UniqueFd& socket, Input& input, int chunks, int file) {
  const std::vector<int> fds(40, file);
  for (; chunks != 0 && !input.empty(); --chunks) {
    if (!send_chunk(socket, input, fds)) break;
  }
  ::shutdown(socket.get(), SHUT_WR);
}

void ask(Frontend& frontend, std::uint8_t what, int file) {
  std::array<std::byte, 64> config{};
  switch (what % 16) {
    case 0:
      (void)frontend.get_queue_num();
      break;
    case 1:
      (void)frontend.get_config(0, config);
      break;
    case 2:
      if (const auto file_of = frontend.get_inflight(1, 16)) {
        require(file_of->fd && file_of->area.mmap_bytes != 0);
      }
      break;
    case 3:
      if (const auto status = frontend.get_status()) require(!frontend.broken());
      break;
    case 4:
      (void)frontend.get_vring_base(1);
      break;
    case 5:
      (void)frontend.set_vring_num(0, 8);
      break;
    case 6:
      (void)frontend.get_shared_object({{1}});
      break;
    case 7:
      (void)frontend.get_shmem_config();
      break;
    case 8:
      (void)frontend.set_device_state({}, file);
      break;
    case 9:
      (void)frontend.postcopy_advise();
      break;
    case 10:
      (void)frontend.set_log_base({.bytes = 1}, file);
      break;
    case 11:
      (void)frontend.get_max_mem_slots();
      break;
    case 12:
      (void)frontend.create_crypto_session(config);
      break;
    case 13:
      (void)frontend.close_crypto_session(1);
      break;
    case 14:
      if (frontend.negotiate(bit(ProtocolFeature::kPrivateShmem))) {
        (void)frontend.get_shmem_config();
      }
      break;
    default:
      (void)frontend.set_features(what);
  }
}

class Handler final : public BackendRequestHandler {
 public:
  Result<UniqueFd> handle(BackendRequest& request) override {
    if (const auto* const map = std::get_if<backend_request::ShmemMap>(&request)) {
      require(map->fd && map->area.bytes != 0);
      require(map->area.offset + map->area.bytes > map->area.offset);
    }
    return UniqueFd();
  }
};

void play(Input& input, int file) {
  auto [ours, theirs] = *sys_util::unix_socket_pair();
  const std::uint8_t chunks = input.byte();
  const auto questions = input.bytes(8);
  say(theirs, input, chunks % 16, file);
  auto frontend = Frontend::create(*Connection::adopt(std::move(ours)));
  if (frontend) {
    (void)frontend->negotiate(~std::uint64_t{0});
    for (const std::byte question : questions) {
      ask(*frontend, static_cast<std::uint8_t>(question), file);
    }
  }
  auto [our_side, their_side] = *sys_util::unix_socket_pair();
  say(their_side, input, 16, file);
  Handler handler;
  FrontendChannel channel(*Connection::adopt(std::move(our_side)), handler);
  for (int i = 0; i < 64; ++i) {
    const auto event = channel.serve();
    if (!event || *event != Connection::Event::kMessage) break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto file = sys_util::MemFd::create(1 << 20);
  require(file.has_value());
  return leaving_no_fds(data, size, [](Input& input) { play(input, file->fd()); });
}
