// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The README's example, compiled and run.

#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <thread>

#include "raw_peer.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/vfio_user/device.h"
#include "vmm/vfio_user/dma_space.h"
#include "vmm/vfio_user/interrupts.h"
#include "vmm/vfio_user/remote_space.h"
#include "vmm/vfio_user/server.h"

namespace {

using namespace vmm;

// One region of one register: writing an address there increments the byte at that address.
class Incrementer final : public vfio_user::Device {
 public:
  vfio::DeviceInfo info() const override {
    return {.kind = vfio::DeviceKind::kOther, .resettable = false, .regions = 1, .interrupts = 1};
  }
  vfio_user::ServedRegion region(std::uint32_t) const override { return {.bytes = 8}; }
  vfio::IrqInfo irq(std::uint32_t) const override {
    vfio::IrqInfo info;
    info.count = 1;
    info.eventfd = true;
    return info;
  }
  Result<void> read(std::uint32_t, std::uint64_t, std::span<std::byte>) override { return {}; }
  Result<void> write(std::uint32_t, std::uint64_t, std::span<const std::byte> bytes) override {
    const auto address = exactly_as<std::uint64_t>(bytes);
    if (!address) return fail(vfio_user::UserError::kBadSize);
    std::byte value{};
    VMM_TRY_DO(dma_->read(*address, std::span(&value, 1)));
    value = static_cast<std::byte>(static_cast<unsigned>(value) + 1);
    VMM_TRY_DO(dma_->write(*address, std::span(&value, 1)));
    interrupts_->trigger(0, 0);
    return {};
  }
  void attached(vfio_user::DmaSpace& dma, vfio_user::Interrupts& interrupts) override {
    dma_ = &dma;
    interrupts_ = &interrupts;
  }
  void detached() override { dma_ = nullptr; }

 private:
  vfio_user::DmaSpace* dma_ = nullptr;
  vfio_user::Interrupts* interrupts_ = nullptr;
};

Result<void> use(UniqueFd socket, std::span<std::byte> memory, int memory_file) {
  const auto space = vfio_user::RemoteSpace::create();
  vfio::DmaMemory ram{.iova = 0x10000, .memory = memory, .owner = nullptr};
  ram.fd = memory_file;
  VMM_TRY(const auto mapping, space->map(std::move(ram)));
  VMM_TRY(const auto device, space->connect(std::move(socket)));
  const std::uint64_t address = 0x10002;
  return device->write(0, 0, bytes_of(address));
}

TEST_CASE("the README's device", "[readme]") {
  auto [server_end, client_end] = socket_pair();
  auto loop = event_manager::EventLoop::create();
  vfio_user::Server server(*loop,
                           {.make_device = []() -> Result<std::shared_ptr<vfio_user::Device>> {
                              return std::make_shared<Incrementer>();
                            },
                            .on_end = [&](const std::optional<Error>&) { loop->stop(); }});
  REQUIRE(server.serve(std::move(server_end)));
  std::thread thread([&] { (void)loop->run(); });
  const auto file = sys_util::MemFd::create(4096);
  const auto mapping = sys_util::Mapping::create(
      4096, {.protection = PROT_READ | PROT_WRITE, .flags = MAP_SHARED, .fd = file->fd()});
  CHECK(use(std::move(client_end), mapping->bytes(), file->fd()));
  thread.join();
  CHECK(mapping->bytes()[2] == std::byte{1});
}

}  // namespace
