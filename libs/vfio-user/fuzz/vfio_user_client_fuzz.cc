// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Plays a server: its answers and its own commands, with descriptors, and then its end. Whatever
// comes: each call ends, an answer that was taken fits its question, memory that was not shared
// stays as it is, and no descriptor stays open. First the device as a whole is asked about, then
// what the input says.

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "fuzz_fds.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio/migration.h"
#include "vmm/vfio_user/client.h"
#include "vmm/vfio_user/remote_kernel.h"

namespace {

using namespace vmm;
using namespace vmm::vfio_user;

constexpr std::size_t kPage = 4096;

/// All chunks of the peer, and then its end, so that nobody waits.
void say(const UniqueFd& socket, Input& input, int chunks, int file) {
  const std::vector<int> fds(kMaxFds + 2, file);
  for (; chunks != 0 && !input.empty(); --chunks) {
    if (!send_chunk(socket, input, fds)) break;
  }
  ::shutdown(socket.get(), SHUT_WR);
}

void check_device(const std::shared_ptr<Client>& client, UniqueFd fd) {
  RemoteKernel kernel(client);
  const auto device = vfio::Device::create(kernel, std::move(fd), nullptr);
  if (!device) return;
  for (std::uint32_t i = 0; i < (*device)->info().regions; ++i) {
    const auto& region = (*device)->region(i);
    for (const auto& area : region.mappable) {
      require(area.bytes <= region.bytes && area.offset <= region.bytes - area.bytes);
      // What can be mapped can be touched.
      const auto mapped = (*device)->map(i, area);
      if (mapped && region.readable) {
        (void)static_cast<volatile std::byte*>(mapped->data())[area.bytes - 1];
      }
    }
  }
  (void)vfio::migration_state(**device);
}

void ask(Client& client, std::uint8_t what, std::span<std::byte> shared) {
  std::array<std::byte, 64> bytes{};
  switch (what % 8) {
    case 0:
      (void)client.read_region(0, 0, bytes);
      break;
    case 1:
      (void)client.write_region(0, 0, bytes);
      break;
    case 2:
      if (const auto events = client.io_events(0, 4096)) {
        for (const IoEvent& event : events->events) {
          require(event.offset <= 4096 && event.bytes <= 4096 - event.offset && event.fd >= 0);
        }
      }
      break;
    case 3:
      (void)client.write_many(std::vector<SmallWrite>{{.offset = 0, .region = 0, .count = 8}});
      break;
    case 4:
      if (const auto read = client.read_migration(bytes)) require(*read <= bytes.size());
      break;
    case 5:
      (void)client.feature(Feature::kGet | kFeatureLogReport, {});
      break;
    case 6:
      (void)client.share({.iova = 0x20000, .memory = shared, .owner = nullptr});
      break;
    default:
      (void)client.serve();
      break;
  }
}

void play(Input& input, int file) {
  auto [peer, ours] = *sys_util::unix_socket_pair();
  UniqueFd second(::dup(ours.get()));
  const auto questions = input.take<std::uint64_t>();
  say(peer, input, 64, file);
  // The shared page is between two that are not.
  std::vector<std::byte> memory(3 * kPage, std::byte{0x11});
  const auto shared = std::span(memory).subspan(kPage, kPage);
  const auto client = Client::connect(
      std::move(ours), {.patience = Channel::Milliseconds(1000), .twin_socket = false});
  if (client) {
    (void)(*client)->share({.iova = 0x10000, .memory = shared, .owner = nullptr});
    check_device(*client, std::move(second));
    for (unsigned i = 0; i < 8; ++i) {
      ask(**client, static_cast<std::uint8_t>(questions >> (8 * i)), shared);
    }
  }
  const auto untouched = [](std::byte byte) { return byte == std::byte{0x11}; };
  require(std::ranges::all_of(std::span(memory).first(kPage), untouched));
  require(std::ranges::all_of(std::span(memory).last(kPage), untouched));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto file = sys_util::MemFd::create(1 << 20);
  require(file.has_value());
  return leaving_no_fds(data, size, [](Input& input) { play(input, file->fd()); });
}
