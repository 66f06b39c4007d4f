// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Plays a GPU back end and then a front end that shows for one: messages on the GPU socket, and
// answers, both with descriptors. Whatever comes: each call ends, there are as many pixels as an
// update says, and no descriptor stays open.

#include <sys/socket.h>

#include <array>
#include <vector>

#include "fuzz_input.h"
#include "open_fds.h"
#include "vmm/sys_util/fd_passing.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vhost_user/gpu_session.h"

namespace {

using namespace vmm;
using namespace vmm::vhost_user::gpu;

class Screen final : public DisplayHandler {
 public:
  std::uint64_t protocol_features() const override { return kFeatureEdid | kFeatureDmabuf2; }
  DisplayInfo display_info() override { return {}; }
  std::vector<std::byte> edid(std::uint32_t scanout) override {
    require(scanout < kMaxScanouts);
    return std::vector<std::byte>(scanout * 200);  // more than fits in, at last
  }
  void handle(GpuRequest& request) override {
    if (const auto* const update = std::get_if<request::Update>(&request)) {
      require(update->pixels.size() / 4 == std::uint64_t{update->area.width} * update->area.height);
    }
  }
};

struct Ends {
  UniqueFd ours, theirs;
  Ends() {
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    ours.reset(ends[0]);
    theirs.reset(ends[1]);
  }
};

bool say(const UniqueFd& socket, Input& input, int file) {
  const std::vector<int> fds(8, file);
  const std::size_t fd_count = input.byte() % fds.size();
  const auto chunk = input.bytes(input.byte() + 1u);
  return sys_util::send_with_fds(socket.get(), chunk, std::span(fds).first(fd_count)).has_value();
}

void play_back_end(Input& input, int file, int chunks) {
  Ends ends;
  Screen screen;
  auto display = *DisplaySession::adopt(std::move(ends.ours), screen);
  std::array<std::byte, 8192> answers;
  for (; chunks != 0 && !input.empty(); --chunks) {
    if (!say(ends.theirs, input, file)) return;
    for (bool more = true; more;) {
      const auto event = display.serve();
      if (!event) return;
      more = *event == vhost_user::Connection::Event::kMessage;
      while (::recv(ends.theirs.get(), answers.data(), answers.size(), MSG_DONTWAIT) > 0) continue;
    }
  }
}

void play_front_end(Input& input, int file) {
  Ends ends;
  auto channel = *GpuChannel::adopt(std::move(ends.ours));
  for (int chunks = 0; chunks < 32 && !input.empty(); ++chunks) {
    if (!say(ends.theirs, input, file)) break;
  }
  ::shutdown(ends.theirs.get(), SHUT_WR);
  if (!channel.negotiate(~std::uint64_t{0})) return;
  (void)channel.get_display_info();
  if (const auto edid = channel.get_edid(0)) require(edid->size() <= kMaxEdidBytes);
  (void)channel.update_dmabuf({});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto file = sys_util::MemFd::create(4096);
  require(file.has_value());
  const std::size_t before = open_fds();
  Input input(data, size);
  play_back_end(input, file->fd(), input.byte() % 64);
  play_front_end(input, file->fd());
  require(open_fds() == before);
  return 0;
}
