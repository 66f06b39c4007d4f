// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Input: what the device is and what its driver takes, guest memory with the rings in it, then what
// the driver does: kicks, writes to memory and to the configuration space, resets of the queue,
// changes of the disk's size. Invariants: everything ends; a read-only disk stays as it is; the
// file is as long as the disk; no memory but the guest's is touched (sanitizers); after a reset the
// next driver is served.

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "fuzz_input.h"
#include "vmm/block/open_image.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/virtio_blk/blk.h"
#include "vmm/virtio_device/transport_core.h"
#include "vmm/virtio_queue/driver/driver.h"

namespace vmm::virtio_blk {
namespace {

using virtio_device::TransportCore;

constexpr std::uint64_t kBase = 0x1000;
constexpr std::size_t kRamBytes = 0x4000;
constexpr std::uint64_t kDiskBytes = 0x4000;
constexpr std::uint16_t kQueueSize = 16;
constexpr virtio_queue::RingAddresses kRings{.descriptors = GuestAddress(kBase),
                                             .driver = GuestAddress(kBase + 0x200),
                                             .device = GuestAddress(kBase + 0x300)};

class NoInterrupts final : public virtio_device::InterruptSink {
 public:
  void queue_interrupt(std::uint16_t) override {}
  void config_interrupt() override {}
  int queue_interrupt_fd(std::uint16_t) override { return -1; }
};

vm_memory::GuestMemory make_memory() {
  const vm_memory::RegionConfig ram{
      .base = GuestAddress(kBase), .bytes = kRamBytes, .dirty_tracking = true};
  return *vm_memory::GuestMemory::create({&ram, 1});
}

class Machine {
 public:
  Machine(bool readonly, std::uint64_t features) : readonly_(readonly), features_(features) {
    std::vector<std::byte> content(kDiskBytes);
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i >> 5);
    content_ = content;
    const int fd = ::memfd_create("disk", MFD_CLOEXEC);
    disk_ = UniqueFd(fd);
    require(sys_util::pwrite_all(fd, content, 0).has_value());
    auto file = block::ImageFile::adopt(UniqueFd(::dup(fd)), {.writable = !readonly});
    require(file.has_value());
    std::shared_ptr<block::Image> image = *block::open_raw(std::move(*file), {});
    blk_ = *Blk::create(
        image, {.queue_size = kQueueSize, .serial = "fuzz", .engine = block::EngineKind::kSync});
    core_ = *TransportCore::create(
        {.device = blk_, .memory = memory_, .workers = workers_, .sink = sink_});
  }

  [[nodiscard]] vm_memory::MemoryView ram() const { return memory_.view(); }
  [[nodiscard]] std::uint64_t features() const {
    return (features_ & (blk_->features() | virtio_queue::kFeaturePacked |
                         virtio_queue::kFeatureEventIdx | virtio_queue::kFeatureIndirect)) |
           virtio_device::kFeatureVersion1;
  }
  void start() {
    using namespace virtio_device;
    core_->set_status(0);
    core_->set_status(kAcknowledge);
    core_->set_status(kAcknowledge | kDriver);
    core_->set_driver_features(0, static_cast<std::uint32_t>(features()));
    core_->set_driver_features(1, static_cast<std::uint32_t>(features() >> 32));
    core_->set_status(kAcknowledge | kDriver | kFeaturesOk);
    set_up_queue();
    core_->set_status(kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    require(core_->active());
  }
  void set_up_queue() {
    virtio_queue::QueueConfig* const queue = core_->editable_queue(0);
    if (queue == nullptr) return;
    (void)queue->set_descriptors(kRings.descriptors);
    (void)queue->set_driver(kRings.driver);
    (void)queue->set_device(kRings.device);
    core_->enable_queue(0);
  }

  void step(Input& input) {
    switch (input.byte() % 8) {
      case 0:
      case 1:
      case 2:
        core_->kick(0);
        return run();
      case 3:
      case 4:
        return poke(input);
      case 5:
        core_->reset_queue(0);
        return set_up_queue();
      case 6: {
        const std::uint64_t bytes = 512 * (1 + input.byte() % 64u);
        require(blk_->resize(bytes).has_value() != readonly_);
        return;
      }
      default:
        return core_->write_config(input.byte(), input.bytes(1 + input.byte() % 8));
    }
  }
  void check() const {
    struct stat about = {};
    require(::fstat(disk_.get(), &about) == 0);
    require(static_cast<std::uint64_t>(about.st_size) == blk_->size_bytes());
    if (!readonly_) return;
    std::vector<std::byte> now(kDiskBytes);
    require(sys_util::pread_exact(disk_.get(), now, 0).has_value());
    require(now == content_);
  }
  /// A driver that does everything right gets its answer.
  void check_next_driver() {
    (void)ram().fill(GuestAddress(kBase), kRamBytes, std::byte{0});
    start();
    auto driver = virtio_queue::driver::Driver::create(
        {.rings = kRings,
         .size = kQueueSize,
         .packed = (features() & virtio_queue::kFeaturePacked) != 0,
         .event_idx = (features() & virtio_queue::kFeatureEventIdx) != 0},
        ram());
    require(driver.has_value());
    const GuestAddress header(kBase + 0x1000);
    const GuestAddress id(kBase + 0x2000);
    (void)ram().write(header, Le32(static_cast<std::uint32_t>(RequestType::kGetId)));
    const std::array<virtio_queue::driver::Buffer, 2> buffers{
        {{header, 16, false}, {id, 21, true}}};
    require(driver->add(buffers).has_value());
    if (driver->publish()) core_->kick(0);
    run();
    const auto used = driver->reap();
    require(used.has_value() && used->has_value() && (*used)->written == 21);
    require(*ram().read<std::uint8_t>(id) == 'f');
  }

 private:
  void run() {
    for (int i = 0; i < 4; ++i) (void)loop_.run_once(std::chrono::milliseconds(0));
  }
  void poke(Input& input) {
    const std::uint64_t at = input.take<std::uint16_t>() % kRamBytes;
    const std::vector<std::byte> bytes = input.bytes(1 + input.byte() % 32);
    (void)ram().write_some(GuestAddress(kBase + at), bytes);
  }

  const bool readonly_;
  const std::uint64_t features_;
  std::vector<std::byte> content_;
  UniqueFd disk_;
  vm_memory::GuestMemory memory_ = make_memory();
  event_manager::EventLoop loop_ = *event_manager::EventLoop::create();
  virtio_device::InlineWorkers workers_{loop_};
  NoInterrupts sink_;
  std::shared_ptr<Blk> blk_;
  std::unique_ptr<TransportCore> core_;
};

}  // namespace
}  // namespace vmm::virtio_blk

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmm::virtio_blk;
  Input input(data, size);
  const bool readonly = (input.byte() & 1) != 0;
  Machine machine(readonly, input.take<std::uint64_t>());
  const std::size_t bytes = std::min<std::size_t>(input.take<std::uint16_t>(), kRamBytes);
  (void)machine.ram().write_bytes(vmm::GuestAddress(kBase), input.bytes(bytes));
  machine.start();
  for (int calls = 0; calls < 64 && !input.empty(); ++calls) {
    machine.step(input);
    machine.check();
  }
  machine.check_next_driver();
  return 0;
}
