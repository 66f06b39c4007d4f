// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/region_memory.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/rig.h"
#include "vmm/vfio/irq_events.h"
#include "vmm/vfio/testing/region_recorder.h"

using namespace vmm;
using namespace vmm::vfio;
using namespace vmm::vfio::testing;

namespace {

struct Held {
  Held() {
    kernel.add(nic());
    space = open(kernel, Interface::kGroups);
    device = *space->attach(kNic);
  }
  ScriptedKernel kernel;
  std::shared_ptr<AddressSpace> space;
  std::unique_ptr<Device> device;
};

}  // namespace

TEST_CASE("areas of a region are where the guest has the region", "[region]") {
  Held held;
  RegionRecorder mapper;
  auto memory = RegionMemory::map(*held.device, 3, held.device->region(3).mappable);
  REQUIRE(memory);
  CHECK(memory->areas() == 2);
  CHECK(mapper.all.empty());
  REQUIRE(memory->show(mapper, GuestAddress(0x10'0000)));
  REQUIRE(mapper.all.size() == 2);
  CHECK(mapper.all.at(0x10'0000).bytes == kPage);
  CHECK(mapper.all.at(0x10'2000).bytes == 2 * kPage);
  CHECK((mapper.all.at(0x10'0000).writable && mapper.all.at(0x10'2000).writable));
  REQUIRE(memory->show(mapper, GuestAddress(0x20'0000)));
  CHECK(mapper.all.size() == 2);
  CHECK(mapper.all.contains(0x20'0000));
  memory->hide();
  CHECK(mapper.all.empty());
}

TEST_CASE("an area that has no place leaves the others", "[region]") {
  Held held;
  RegionRecorder mapper;
  auto memory = *RegionMemory::map(*held.device, 3, held.device->region(3).mappable);
  mapper.refused = 0x10'0000;
  CHECK(memory.show(mapper, GuestAddress(0x10'0000)).error().is_os(ENOSPC));
  CHECK(mapper.all.size() == 1);
  CHECK(memory.show(mapper, GuestAddress(UINT64_MAX - 0xfff)).error().is_os(EOVERFLOW));
}

TEST_CASE("other devices reach areas of a region where the guest has it", "[region][dma]") {
  Held held;
  RegionRecorder mapper;
  auto memory = *RegionMemory::map(*held.device, 3, held.device->region(3).mappable);
  REQUIRE(memory.show(mapper, GuestAddress(0x10'0000)));
  REQUIRE(memory.share(*held.space, GuestAddress(0x10'0000)));
  REQUIRE(held.kernel.mappings().size() == 2);
  CHECK(held.kernel.mappings().at(0x10'0000).bytes == kPage);
  CHECK(held.kernel.mappings().at(0x10'2000).bytes == 2 * kPage);
  CHECK(held.kernel.mappings().at(0x10'2000).writable);
  REQUIRE(memory.share(*held.space, GuestAddress(0x20'0000)));
  CHECK(held.kernel.mappings().size() == 2);
  CHECK(held.kernel.mappings().contains(0x20'0000));
  CHECK(mapper.all.contains(0x10'0000));  // the guest's is a matter of its own
  memory.hide();
  CHECK(held.kernel.mappings().empty());
  CHECK(mapper.all.empty());
}

TEST_CASE("what the IOMMU does not map of a region leaves the rest", "[region][dma]") {
  Held held;
  auto memory = *RegionMemory::map(*held.device, 3, held.device->region(3).mappable);
  held.kernel.fail_request("VFIO_IOMMU_MAP_DMA", EFAULT);
  CHECK(memory.share(*held.space, GuestAddress(0x10'0000)).error().is_os(EFAULT));
  CHECK(held.kernel.mappings().size() == 1);
  CHECK(memory.share(*held.space, GuestAddress(UINT64_MAX - 0xfff)).error().is_os(EOVERFLOW));

  const Memory ram(4 * kPage);
  const auto mapping = held.space->map(ram.at(0x20'0000));
  REQUIRE(mapping);
  CHECK(is_error(memory.share(*held.space, GuestAddress(0x20'3000)), VfioError::kOverlap));
}

TEST_CASE("a region that the IOMMU does not let go of outlives its device", "[region][dma]") {
  Held held;
  auto memory = *RegionMemory::map(*held.device, 3, held.device->region(3).mappable);
  REQUIRE(memory.share(*held.space, GuestAddress(0x10'0000)));
  const auto mapped = [] {
    std::ifstream maps("/proc/self/maps");
    const std::string text{std::istreambuf_iterator<char>(maps), {}};
    std::size_t count = 0;
    for (std::size_t at = 0; (at = text.find("memfd:scripted", at)) != std::string::npos; ++at) {
      ++count;
    }
    return count;
  };
  REQUIRE(mapped() == 2);
  held.kernel.leave_a_page();
  memory = RegionMemory();
  CHECK(mapped() == 1);
  held.device.reset();
  held.space.reset();
  CHECK(mapped() == 0);
}

TEST_CASE("a region is mapped as far as the device allows", "[region]") {
  Held held;
  CHECK(
      is_error(RegionMemory::map(*held.device, 1, std::array{RegionArea{.offset = 0, .bytes = 32}}),
               VfioError::kNotMappable));
}

TEST_CASE("an interrupt's descriptors are connected, or none of them", "[irq]") {
  Held held;
  const auto level = IrqEvents::create(true);
  REQUIRE(level);
  REQUIRE(level->enable(*held.device, 0));
  CHECK(held.kernel.irq_fds(kNic, 0) == std::vector<int>{level->trigger_fd()});
  CHECK(held.kernel.count("VFIO_DEVICE_SET_IRQS") == 2);
  CHECK(level->unmask_fd() >= 0);

  const auto edge = IrqEvents::create(false);
  REQUIRE(edge);
  CHECK(edge->unmask_fd() == -1);
  REQUIRE(edge->enable(*held.device, 2));
  CHECK(held.kernel.count("VFIO_DEVICE_SET_IRQS") == 3);

  REQUIRE(held.device->disable_irqs(0));
  held.kernel.fail_request("VFIO_DEVICE_SET_IRQS", EINVAL, 1);
  CHECK(level->enable(*held.device, 0).error().is_os(EINVAL));
  CHECK(held.kernel.irq_fds(kNic, 0).empty());
  CHECK(is_error(edge->enable(*held.device, 4), VfioError::kNoEventfd));
}

// The trigger's other end may be another process's: a server of vfio-user.
TEST_CASE("forgetting an interrupt waits for no peer that made it blocking", "[irq][hostile]") {
  const auto events = IrqEvents::create(true);
  REQUIRE(events);
  for (const int fd : {events->trigger_fd(), events->unmask_fd()}) {
    REQUIRE(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0);
  }
  events->clear();
  REQUIRE(sys_util::signal_shared(events->trigger_fd()));
  events->clear();
  CHECK(
      sys_util::EventFd::adopt(UniqueFd(::dup(events->trigger_fd()))).take().error().is_os(EAGAIN));
}
