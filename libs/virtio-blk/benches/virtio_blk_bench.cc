// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Whole requests through the device, from the driver's kick to the interrupt, with the event loop
// and the engine, on a disk that is in memory. What the driver does is one store.

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench.h"
#include "vmm/block/open_image.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/temp_file.h"
#include "vmm/virtio_blk/blk.h"
#include "vmm/virtio_device/testing/device_rig.h"

namespace vmm::virtio_blk {
namespace {

using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;
using virtio_queue::SplitAvail;
using virtio_queue::SplitUsed;

constexpr std::uint16_t kRequests = 64;
constexpr std::uint16_t kQueueSize = 256;
constexpr std::uint32_t kBytes = 4096;

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "virtio-blk bench: %s\n", what);
  std::exit(1);
}

std::shared_ptr<Blk> make_blk(const sys_util::TempFile& file, block::EngineKind engine) {
  auto opened = block::ImageFile::open(file.path(), {});
  if (!opened) give_up("cannot open the file");
  auto image = block::open_raw(std::move(*opened), {});
  if (!image) give_up("cannot open the image");
  auto blk = Blk::create(std::move(*image), {.queue_size = kQueueSize, .engine = engine});
  if (!blk) give_up("no device");
  return *blk;
}

/// A disk whose driver makes the same requests again and again.
class Machine {
 public:
  /// Reads of `data` bytes, or GET_ID.
  Machine(const sys_util::TempFile& file, block::EngineKind engine, RequestType type,
          std::uint32_t data)
      : rig_(make_blk(file, engine), {.queue_size = kQueueSize}) {
    if (!rig_.start()) give_up("the device does not start");
    const GuestAddress avail = rig_.rings(0).driver;
    for (std::uint16_t i = 0; i < kRequests; ++i) {
      const auto header = bytes_of(RequestHeader{.type = Le32(static_cast<std::uint32_t>(type)),
                                                 .reserved = {},
                                                 .sector = Le64(i * (kBytes / kSectorBytes))});
      const std::array<virtio_queue::driver::Buffer, 3> buffers{
          {{rig_.heap().put(header), 16, false},
           {rig_.heap().take(data), data, true},
           {status_[i] = rig_.heap().take(1), 1, true}}};
      const auto head = rig_.add_raw(0, buffers);
      if (!head) give_up("the queue is full");
      for (std::uint32_t at = i; at < kQueueSize; at += kRequests) {
        (void)rig_.memory().write(*avail.checked_add(SplitAvail::entry(at)), Le16(*head));
      }
    }
    index_ = *rig_.memory().slice(*avail.checked_add(SplitAvail::kIndex), 2);
    used_ = *rig_.memory().slice(*rig_.rings(0).device.checked_add(SplitUsed::kIndex), 2);
  }

  void serve_all() {
    offered_ = static_cast<std::uint16_t>(offered_ + kRequests);
    index_.store(offered_);
    rig_.core().kick(0);
    while (used_.load<std::uint16_t>() != offered_) {
      (void)rig_.loop().run_once(std::chrono::milliseconds(0));
    }
  }
  void check() const {
    for (const GuestAddress at : status_) {
      const auto status = rig_.memory().read<std::uint8_t>(at);
      if (!status || *status != 0) give_up("a request failed");
    }
  }

 private:
  DeviceRig rig_;
  std::array<GuestAddress, kRequests> status_{};
  vm_memory::GuestSlice index_;
  vm_memory::GuestSlice used_;
  std::uint16_t offered_ = 0;
};

void row(bench::Bench& bench, const std::string& name, Machine&& machine) {
  bench.run("virtio-blk/" + name, kRequests, [&] { machine.serve_all(); });
  machine.serve_all();
  machine.check();
}

VMM_BENCH(bench) {
  const auto file = *sys_util::TempFile::create();
  const std::vector<std::byte> bytes(std::size_t{kBytes} * kRequests, std::byte{0x5a});
  if (!sys_util::pwrite_all(file.fd(), bytes, 0)) give_up("cannot write the file");
  using block::EngineKind;
  row(bench, "get_id", {file, EngineKind::kSync, RequestType::kGetId, kIdBytes});
  row(bench, "read_4K_sync", {file, EngineKind::kSync, RequestType::kIn, kBytes});
  if (!block::Engine::create({.kind = EngineKind::kUring})) return;
  row(bench, "read_4K_uring", {file, EngineKind::kUring, RequestType::kIn, kBytes});
}

}  // namespace
}  // namespace vmm::virtio_blk
