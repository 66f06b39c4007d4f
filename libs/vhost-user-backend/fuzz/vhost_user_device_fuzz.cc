// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Plays a front end, and the driver behind it, against a whole back end with a device: messages in
// chunks, each with descriptors of guest memory or eventfds, and writes to guest memory between
// them. Whatever comes: each step ends, memory that was not shared stays as it is (the sanitizers
// watch), and at the end no worker and no descriptor is left. In steps of double-fetch mode
// (second_agent.h) the device's mapping of the memory changes under it.

#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "fuzz_fds.h"
#include "second_agent.h"
#include "vmm/event_manager/testing/run_until_idle.h"
#include "vmm/sys_util/fd_passing.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vhost_user_backend/daemon.h"
#include "vmm/virtio_device/testing/echo_device.h"

namespace {

using namespace vmm;
using event_manager::EventLoop;

constexpr std::uint64_t kRamBytes = 1 << 20;

/// Does all that a device may do of the protocol.
class Extension final : public vhost_user_backend::DeviceExtension {
 public:
  std::uint64_t protocol_features() const override { return kKnown; }
  Result<void> set_mtu(std::uint16_t mtu) override {
    require(mtu != 0);
    return {};
  }
  Result<void> send_rarp(const std::array<std::uint8_t, 6>&) override { return {}; }
  Result<UniqueFd> shared_object(const vhost_user::SharedObjectId& id) override {
    require(id.is_valid());
    return UniqueFd(::dup(0));
  }
  Result<void> set_gpu_socket(UniqueFd socket) override {
    require(static_cast<bool>(socket));
    return {};
  }
  Result<std::uint64_t> create_crypto_session(std::span<const std::byte> session) override {
    require(session.size() >= 8);
    return std::uint64_t{1};
  }
};

/// Where this process has a file mapped first; empty: nowhere.
std::span<std::byte> mapping_of(int fd) {
  struct stat about = {};
  require(::fstat(fd, &about) == 0);
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  require(maps != nullptr);
  std::array<char, 512> line;
  std::span<std::byte> found;
  while (found.empty() && std::fgets(line.data(), line.size(), maps) != nullptr) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    std::uint64_t inode = 0;
    const int words = std::sscanf(line.data(), "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64,
                                  &begin, &end, &inode);
    if (words == 3 && inode == about.st_ino) {
      found = {reinterpret_cast<std::byte*>(begin), end - begin};
    }
  }
  require(std::fclose(maps) == 0);
  return found;
}

class Player {
 public:
  explicit Player(Input& input) : input_(input) {
    auto ends = *sys_util::unix_socket_pair();
    peer_ = std::move(ends.first);
    auto side = *sys_util::unix_socket_pair();
    side_ = std::move(side.first);
    side_peer_ = std::move(side.second);
    backend_ =
        *vhost_user_backend::DeviceBackend::create({.device = device_,
                                                    .workers = workers_,
                                                    .control = loop_,
                                                    .iommu = true,
                                                    .extension = std::make_shared<Extension>()});
    daemon_ = std::make_unique<vhost_user_backend::Daemon>(loop_, *backend_);
    require(daemon_->serve(std::move(ends.second)).has_value());
  }

  void play() {
    for (int step = 0; step < 96 && !input_.empty() && daemon_->serving(); ++step) act();
    peer_.reset();
    run();
    require(!daemon_->serving());
    require(!backend_->running());
    require(device_->workers() == 0);
  }

 private:
  void act() {
    const std::uint8_t kind = input_.byte();
    if (kind == 0xff) {
      write_ram();
      return run();
    }
    if (kind == 0xfe) return wait_a_little();
    if (kind == 0xfd) return run_with_agent();
    const std::vector<int> fds(kind % 4, file_of(kind));
    const auto chunk = input_.bytes(input_.byte() + 1u);
    (void)sys_util::send_with_fds(peer_.get(), chunk, fds);
    run();
    drop_answers(peer_);
    drop_answers(side_peer_);
  }
  // Bit 7: an eventfd instead of memory; bit 6: a socket, on which nobody says anything.
  int file_of(std::uint8_t kind) const {
    if ((kind & 0x40) != 0) return side_.get();
    return (kind & 0x80) != 0 ? event_.get() : ram_.fd();
  }
  void write_ram() {
    const auto at = input_.take<std::uint32_t>() % kRamBytes;
    const auto bytes = input_.bytes(input_.byte());
    const std::size_t n = std::min<std::size_t>(bytes.size(), kRamBytes - at);
    require(::pwrite(ram_.fd(), bytes.data(), n, static_cast<off_t>(at)) ==
            static_cast<ssize_t>(n));
    const std::uint64_t one = 1;
    require(::write(event_.get(), &one, sizeof(one)) == sizeof(one));  // a kick
  }
  void run_with_agent() {
    const auto script = input_.take<std::uint32_t>();
    write_ram();
    const std::span<std::byte> mapped = mapping_of(ram_.fd());
    if (mapped.empty()) return run();
    SecondAgent agent(mapped, script);
    const SecondAgent::Turn turn(agent);
    run();
  }
  // Until a device starts whose front end does not say when.
  void wait_a_little() { (void)loop_.run_once(std::chrono::milliseconds(5)); }
  void run() { (void)event_manager::testing::run_until_idle(loop_, 100); }

  Input& input_;
  EventLoop loop_ = *EventLoop::create();
  sys_util::MemFd ram_ = *sys_util::MemFd::create(kRamBytes);
  UniqueFd event_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  UniqueFd peer_;
  UniqueFd side_;
  UniqueFd side_peer_;
  std::shared_ptr<virtio_device::testing::EchoDevice> device_ =
      std::make_shared<virtio_device::testing::EchoDevice>();
  virtio_device::InlineWorkers workers_{loop_};
  std::unique_ptr<vhost_user_backend::DeviceBackend> backend_;
  std::unique_ptr<vhost_user_backend::Daemon> daemon_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return leaving_no_fds(data, size, [](Input& input) { Player(input).play(); });
}
