// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "any_device.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "vmm/block/image.h"
#include "vmm/block/image_file.h"
#include "vmm/block/open_image.h"
#include "vmm/sys_util/temp_directory.h"
#include "vmm/virtio_balloon/balloon.h"
#include "vmm/virtio_blk/blk.h"
#include "vmm/virtio_console/console.h"
#include "vmm/virtio_gpio/gpio.h"
#include "vmm/virtio_gpio/simulated_chip.h"
#include "vmm/virtio_i2c/i2c.h"
#include "vmm/virtio_i2c/simulated_adapter.h"
#include "vmm/virtio_iommu/iommu.h"
#include "vmm/virtio_iommu/memory_endpoint.h"
#include "vmm/virtio_mem/mem.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_pmem/pmem.h"
#include "vmm/virtio_rng/rng.h"
#include "vmm/virtio_rtc/rtc.h"
#include "vmm/virtio_vsock/vsock.h"
#include "vmm/virtio_watchdog/watchdog.h"

namespace {

using namespace vmm;
using virtio_device::testing::Bytes;

constexpr auto kNothing = [](std::uint8_t) {};

/// These bytes, and zeros up to `size`.
Bytes bytes(std::initializer_list<unsigned> front, std::size_t size) {
  Bytes all;
  for (const unsigned byte : front) all.push_back(static_cast<std::byte>(byte));
  all.resize(size);
  return all;
}

AnyDevice disk() {
  UniqueFd file(::memfd_create("disk", MFD_CLOEXEC));
  require(::ftruncate(file.get(), 0x4000) == 0);
  std::shared_ptr<block::Image> image =
      *block::open_raw(*block::ImageFile::adopt(std::move(file), {.writable = true}), {});
  const auto blk = *virtio_blk::Blk::create(
      image, {.queues = 2, .queue_size = 16, .engine = block::EngineKind::kSync});
  return {.device = blk,
          .host = [blk](std::uint8_t how) { (void)blk->resize(512 * (1 + how % 64u)); },
          .probe = {.readable = {bytes({8}, 16)}, .writable = {20, 1}}};
}

AnyDevice network() {
  std::array<int, 2> fds{-1, -1};
  require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) == 0);
  std::vector<virtio_net::NetPort> ports;
  ports.push_back(*virtio_net::NetPort::adopt_socket(UniqueFd(fds[0]), true));
  const auto net = *virtio_net::Net::create({.mtu = 1500}, std::move(ports));
  const auto end = std::make_shared<UniqueFd>(fds[1]);
  const auto host = [net, end](std::uint8_t how) {
    std::array<std::byte, 2048> packet{};
    while (::recv(end->get(), packet.data(), packet.size(), MSG_DONTWAIT) > 0) continue;
    if (how < 8) return net->set_link_up((how & 1) != 0);
    (void)::send(end->get(), packet.data(), 8u * how, MSG_DONTWAIT | MSG_NOSIGNAL);
  };
  return {.device = net,
          .host = host,
          .probe_queue = 1,
          .probe = {.readable = {Bytes(12), Bytes(60)}, .writable = {}}};
}

/// Whole pages inside of RAM are taken, and no others.
class CheckingReclaim final : public virtio_balloon::Reclaim {
 public:
  [[nodiscard]] std::uint64_t granule(const vm_memory::Region&) const override { return 4096; }
  void reclaim(const vm_memory::Region& region, const vm_memory::RegionPart& part) override {
    require(part.bytes != 0 && (part.bytes | part.offset) % 4096 == 0);
    require(part.offset < region.bytes() && part.bytes <= region.bytes() - part.offset);
    require(::madvise(region.host().data() + part.offset, part.bytes, MADV_DONTNEED) == 0);
  }
};

AnyDevice balloon() {
  const auto device =
      *virtio_balloon::Balloon::create({.target = 0,
                                        .deflate_on_oom = true,
                                        .page_reporting = true,
                                        .reclaim = std::make_shared<CheckingReclaim>()});
  const auto host = [device](std::uint8_t how) {
    if ((how & 1) != 0) return device->request_statistics();
    (void)device->set_target(how * 4096u);
  };
  return {
      .device = device, .host = host, .probe = {.readable = {bytes({0x3f}, 4)}, .writable = {}}};
}

class NoBlocks final : public virtio_mem::MemoryBlocks {
 public:
  Result<void> plug(const AddressRange& range) override { return check(range); }
  Result<void> unplug(const AddressRange& range) override { return check(range); }

 private:
  static Result<void> check(const AddressRange& range) {
    require(range.base.raw() >= 0x10'0000 && range.size != 0 && range.size % 4096 == 0);
    require(range.base.raw() + range.size <= 0x20'0000);
    return {};
  }
};

AnyDevice memory() {
  const auto mem = *virtio_mem::Mem::create({.region = {GuestAddress(0x10'0000), 0x10'0000},
                                             .block_bytes = 4096,
                                             .requested = 0x8000,
                                             .headroom = 0x8000,
                                             .blocks = std::make_shared<NoBlocks>()});
  return {.device = mem,
          .host = [mem](std::uint8_t how) { (void)mem->set_requested(how * 4096u); },
          .probe = {.readable = {bytes({3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 1}, 24)},
                    .writable = {10}}};
}

AnyDevice pmem() {
  return {.device = *virtio_pmem::Pmem::create(virtio_pmem::make_no_flusher()),
          .host = kNothing,
          .probe = {.readable = {Bytes(4)}, .writable = {4}}};
}

class AllOutput final : public virtio_console::ConsoleOutput {
 public:
  std::size_t write(std::span<const std::byte> from) override { return from.size(); }
  [[nodiscard]] int room_fd() const override { return -1; }
};

AnyDevice console() {
  const auto output = std::make_shared<AllOutput>();
  const auto device = *virtio_console::Console::create(
      {.output = output.get(), .capacity = 64, .size = {.columns = 80, .rows = 25}});
  const auto host = [device](std::uint8_t how) {
    if (how < 8) return device->resize({.columns = how, .rows = how});
    (void)device->enqueue(Bytes(how % 80u, std::byte{'t'}));
  };
  return {.needed = output,
          .device = device,
          .host = host,
          .probe_queue = 1,
          .probe = {.readable = {Bytes(5)}, .writable = {}}};
}

AnyDevice i2c() {
  constexpr virtio_i2c::Address kChip{.number = 0x20};
  const auto chips = *virtio_i2c::SimulatedAdapter::create({&kChip, 1});
  return {.device = *virtio_i2c::I2c::create({{chips, {kChip}}}),
          .host = kNothing,
          .probe = {.readable = {bytes({0x40}, 8)}, .writable = {1}}};
}

AnyDevice iommu() {
  const vm_memory::RegionConfig ram{.base = GuestAddress(0), .bytes = 0x2'0000};
  const auto behind =
      std::make_shared<vm_memory::GuestMemory>(*vm_memory::GuestMemory::create({&ram, 1}));
  const auto device = *virtio_iommu::Iommu::create(
      {.memory = *behind, .last_domain = 3, .max_mappings = 12, .bypass = true});
  require(device->add_endpoint(1, std::make_shared<virtio_iommu::MemoryEndpoint>()).has_value());
  const auto host = [device](std::uint8_t how) {
    if ((how & 1) != 0) return device->memory_changed();
    if (device->add_endpoint(2, std::make_shared<virtio_iommu::MemoryEndpoint>())) return;
    require(device->remove_endpoint(2).has_value());
  };
  return {.needed = behind,
          .device = device,
          .host = host,
          .probe = {.readable = {bytes({2}, 20)}, .writable = {4}}};
}

AnyDevice watchdog() {
  const auto device = *virtio_watchdog::Watchdog::create(
      {.timeout = std::chrono::nanoseconds(1), .on_expiry = [] {}});
  return {.device = device, .host = kNothing, .probe = {.readable = {}, .writable = {1}}};
}

AnyDevice gpio() {
  const auto chip = *virtio_gpio::SimulatedChip::create({.lines = 4, .names = {"a", "", "led"}});
  return {.device = *virtio_gpio::Gpio::create(chip),
          .host = [chip](std::uint8_t how) { chip->drive(how % 4, (how & 4) != 0); },
          .probe = {.readable = {bytes({2}, 8)}, .writable = {2}}};
}

AnyDevice clocks() {
  std::vector<std::unique_ptr<virtio_rtc::Clock>> all;
  all.push_back(virtio_rtc::host_utc());
  all.push_back(virtio_rtc::host_monotonic());
  return {.device = *virtio_rtc::Rtc::create(std::move(all)),
          .host = kNothing,
          .probe = {.readable = {bytes({0, 0x10}, 8)}, .writable = {16}}};
}

AnyDevice sockets() {
  const auto directory =
      std::make_shared<sys_util::TempDirectory>(*sys_util::TempDirectory::create());
  const auto device =
      *virtio_vsock::Vsock::create({.cid = 3, .socket = directory->path() + "/vsock"});
  const auto host = [device](std::uint8_t how) {
    if ((how & 1) != 0) device->transport_reset();
  };
  return {.needed = directory,
          .device = device,
          .host = host,
          .probe_queue = 1,
          // A reset of a connection that there is not: type 1, operation 3.
          .probe = {.readable = {bytes({3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
                                        9, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3},
                                       44)},
                    .writable = {}}};
}

}  // namespace

AnyDevice make_any_device(std::size_t number) {
  constexpr std::array kMakers{disk, network, balloon, memory, pmem,     console,
                               i2c,  iommu,   gpio,    clocks, watchdog, sockets};
  if (number < kMakers.size()) return kMakers[number]();
  return {.device = *virtio_rng::Rng::open("/dev/zero"),
          .host = kNothing,
          .probe = {.readable = {}, .writable = {16}}};
}
