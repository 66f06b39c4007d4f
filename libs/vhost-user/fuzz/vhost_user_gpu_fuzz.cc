// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Plays a GPU back end and then a front end that shows for one: messages on the GPU socket, and
// answers, both with descriptors. Whatever comes: each call ends, there are as many pixels as an
// update says, and no descriptor stays open.

#include <sys/socket.h>

#include <span>
#include <utility>
#include <vector>

#include "fuzz_fds.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/unix_socket.h"
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

void play_back_end(Input& input, std::span<const int> fds, int chunks) {
  auto [ours, theirs] = *sys_util::unix_socket_pair();
  Screen screen;
  auto display = *DisplaySession::adopt(std::move(ours), screen);
  for (; chunks != 0 && !input.empty(); --chunks) {
    if (!send_chunk(theirs, input, fds)) return;
    for (bool more = true; more;) {
      const auto event = display.serve();
      if (!event) return;
      more = *event == vhost_user::Connection::Event::kMessage;
      drop_answers(theirs);
    }
  }
}

void play_front_end(Input& input, std::span<const int> fds) {
  auto [ours, theirs] = *sys_util::unix_socket_pair();
  auto channel = *GpuChannel::adopt(std::move(ours));
  for (int chunks = 0; chunks < 32 && !input.empty(); ++chunks) {
    if (!send_chunk(theirs, input, fds)) break;
  }
  ::shutdown(theirs.get(), SHUT_WR);
  if (!channel.negotiate(~std::uint64_t{0})) return;
  (void)channel.get_display_info();
  if (const auto edid = channel.get_edid(0)) require(edid->size() <= kMaxEdidBytes);
  (void)channel.update_dmabuf({});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto file = sys_util::MemFd::create(4096);
  require(file.has_value());
  return leaving_no_fds(data, size, [](Input& input) {
    const std::vector<int> fds(8, file->fd());
    play_back_end(input, fds, input.byte() % 64);
    play_front_end(input, fds);
  });
}
