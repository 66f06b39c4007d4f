// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Rings that are stopped while a device has their buffers: all are answered or given back.

#include <unistd.h>

#include <array>

#include "backend_rig.h"
#include "fd_pairs.h"
#include "vmm/block/open_image.h"
#include "vmm/sys_util/temp_file.h"
#include "vmm/virtio_blk/blk.h"
#include "vmm/virtio_net/net.h"

namespace {

using namespace vmm;
using vhost_user_backend::Guest;
using vhost_user_backend::kQueueSize;
using vhost_user_backend::Process;
using virtio_queue::driver::Buffer;

std::shared_ptr<virtio_device::VirtioDevice> disk_of(const std::string& path) {
  auto image = block::open_image(path, {.format = block::ImageFormat::kRaw});
  REQUIRE(image);
  auto disk = virtio_blk::Blk::create(std::move(*image), {.queue_size = kQueueSize});
  REQUIRE(disk);
  return *disk;
}

TEST_CASE("a disk answers all requests before its ring stops, and goes on", "[stop]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    const auto file = *sys_util::TempFile::create();
    REQUIRE(::truncate(file.path().c_str(), 16 << 20) == 0);
    Process process(disk_of(file.path()));
    Guest guest(process.connect(), 1, {.packed = packed});
    guest.start();
    const std::array<std::uint32_t, 4> header{1, 0, 0, 0};  // a write of the first sectors
    REQUIRE(guest.view().write_bytes(GuestAddress(0x8'0000), std::as_bytes(std::span(header))));
    std::uint32_t answered = 0;
    for (int round = 0; round < 50; ++round) {
      for (std::uint64_t i = 0; i < 5; ++i) {
        REQUIRE(guest.view().write(GuestAddress(0x8'1000 + i), std::uint8_t{0xff}));
        guest.offer_parts(0, std::array{Buffer{GuestAddress(0x8'0000), 16, false},
                                        Buffer{GuestAddress(0x9'0000), 65536, false},
                                        Buffer{GuestAddress(0x8'1000 + i), 1, true}});
      }
      guest.kick(0);
      if (round % 2 == 0) ::usleep(100);
      const auto base = guest.frontend().get_vring_base(0);
      REQUIRE(base);
      std::uint32_t now = 0;
      while (const auto used = guest.reap(0)) {
        CHECK(used->written == 1);
        ++now;
      }
      for (std::uint64_t i = 0; i < now; ++i) {
        CHECK(*guest.view().read<std::uint8_t>(GuestAddress(0x8'1000 + i)) == 0);
      }
      answered += now;
      // What was not answered was not taken.
      if (!packed) CHECK(*base == (answered & 0xffff));
      if (packed) CHECK((*base & 0xffff) == *base >> 16);
      guest.set_up_ring(0, *base);
      for (int i = 0; now != 5 && i < 60'000; ++i) {
        if (const auto used = guest.reap(0)) {
          ++now;
          ++answered;
        } else {
          ::usleep(1000);
        }
      }
      REQUIRE(now == 5);
    }
  }
}

TEST_CASE("a network device gives back the buffers that it has for packets to come", "[stop]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    auto ends = socket_pair(SOCK_SEQPACKET);
    const UniqueFd wire = std::move(ends.first);
    std::vector<virtio_net::NetPort> ports;
    ports.push_back(*virtio_net::NetPort::adopt_socket(std::move(ends.second)));
    auto net = virtio_net::Net::create({.queue_size = kQueueSize}, std::move(ports));
    REQUIRE(net);
    Process process(*net);
    Guest guest(process.connect(), 2, {.packed = packed});
    guest.start();
    for (std::uint64_t i = 0; i < 10; ++i) {
      guest.offer_parts(0, std::array{Buffer{GuestAddress(0x8'0000 + 0x800 * i), 0x800, true}});
    }
    guest.kick(0);
    const auto receive = [&] {
      const std::array<char, 60> packet{};
      REQUIRE(::write(wire.get(), packet.data(), packet.size()) ==
              static_cast<ssize_t>(packet.size()));
      for (int i = 0; i < 60'000; ++i) {
        if (const auto used = guest.reap(0)) return used->written;
        ::usleep(1000);
      }
      return std::uint32_t{0};
    };
    CHECK(receive() == 72);
    CHECK(receive() == 72);
    const auto base = guest.frontend().get_vring_base(0);
    REQUIRE(base);
    CHECK(*base == (packed ? 0x8002'8002u : 2u));
    guest.set_up_ring(0, *base);
    for (int i = 0; i < 8; ++i) CHECK(receive() == 72);
  }
}

}  // namespace
