// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/address_space.h"

#include <fcntl.h>
#include <linux/vfio.h>

#include <array>
#include <cerrno>
#include <thread>
#include <vector>

#include "open_fds.h"
#include "tests/rig.h"

using namespace vmm;
using namespace vmm::vfio;
using namespace vmm::vfio::testing;

namespace {

Interface any_interface() { return GENERATE(Interface::kGroups, Interface::kIommufd); }

struct Log {
  std::vector<std::string> events;
};

AddressSpace::Options logged(ScriptedKernel& kernel, Log& log, Interface interface) {
  return {.interface = interface,
          .on_attach = [&](int fd) -> Result<void> {
            CHECK(fd >= 0);
            log.events.push_back("attach after " +
                                 std::to_string(kernel.count("VFIO_GROUP_GET_DEVICE_FD") +
                                                kernel.count("VFIO_DEVICE_BIND_IOMMUFD")));
            return {};
          },
          .on_detach =
              [&](int fd) {
                CHECK(::fcntl(fd, F_GETFD) >= 0);
                log.events.push_back("detach");
              },
          .dirty_tracking = false};
}

}  // namespace

TEST_CASE("iommufd is taken where it is, and groups otherwise", "[space]") {
  ScriptedKernel kernel;
  CHECK((*AddressSpace::open(kernel))->interface() == Interface::kGroups);
  kernel.set_iommufd(true);
  CHECK((*AddressSpace::open(kernel))->interface() == Interface::kIommufd);
  CHECK((*AddressSpace::open(kernel, {.interface = Interface::kGroups}))->interface() ==
        Interface::kGroups);
  kernel.set_iommufd(false);
  CHECK(AddressSpace::open(kernel, {.interface = Interface::kIommufd}).error().is_os(ENOENT));
}

TEST_CASE("a container of another version, or without type 1 version 2, is refused", "[space]") {
  ScriptedKernel kernel;
  kernel.set_api_version(1);
  CHECK(is_error(AddressSpace::open(kernel), VfioError::kBadApiVersion));
  kernel.set_api_version(0);
  kernel.set_type1v2(false);
  CHECK(is_error(AddressSpace::open(kernel), VfioError::kNoType1v2));
}

TEST_CASE("a device is attached and let go", "[space]") {
  const Interface interface = any_interface();
  ScriptedKernel kernel;
  kernel.add(nic());
  const auto space = open(kernel, interface);
  const std::size_t before = open_fds();
  for (int i = 0; i < 3; ++i) {
    const auto device = space->attach(kNic);
    REQUIRE(device);
    CHECK((*device)->info().kind == DeviceKind::kPci);
    CHECK(kernel.in_container(5) == (interface == Interface::kGroups));
  }
  CHECK_FALSE(kernel.in_container(5));
  CHECK(open_fds() == before);
}

TEST_CASE("KVM hears of a device before it is used, and before it is closed", "[space]") {
  const Interface interface = any_interface();
  ScriptedKernel kernel;
  kernel.add(nic());
  kernel.set_iommufd(interface == Interface::kIommufd);
  Log log;
  const auto space = AddressSpace::open(kernel, logged(kernel, log, interface));
  REQUIRE(space);
  {
    REQUIRE((*space)->attach(kNic));
  }
  CHECK(log.events == std::vector<std::string>{"attach after 0", "detach"});
}

TEST_CASE("what fails while a device is attached leaves nothing behind", "[space]") {
  const auto [interface, request] = GENERATE(table<Interface, const char*>({
      {Interface::kGroups, "open /dev/vfio/5"},
      {Interface::kGroups, "VFIO_GROUP_GET_STATUS"},
      {Interface::kGroups, "VFIO_GROUP_SET_CONTAINER"},
      {Interface::kGroups, "VFIO_SET_IOMMU"},
      {Interface::kGroups, "VFIO_IOMMU_MAP_DMA"},
      {Interface::kGroups, "VFIO_GROUP_GET_DEVICE_FD"},
      {Interface::kGroups, "VFIO_DEVICE_GET_INFO"},
      {Interface::kGroups, "VFIO_DEVICE_GET_REGION_INFO"},
      {Interface::kGroups, "VFIO_DEVICE_GET_IRQ_INFO"},
      {Interface::kIommufd, "open /dev/vfio/devices/vfio0"},
      {Interface::kIommufd, "VFIO_DEVICE_BIND_IOMMUFD"},
      {Interface::kIommufd, "IOMMU_HWPT_ALLOC"},
      {Interface::kIommufd, "VFIO_DEVICE_ATTACH_IOMMUFD_PT"},
      {Interface::kIommufd, "VFIO_DEVICE_GET_INFO"},
  }));
  ScriptedKernel kernel;
  kernel.add(nic());
  const auto space = open(kernel, interface, true);
  const Memory memory(2 * kPage);
  auto mapping = space->map(memory.at(0));
  REQUIRE(mapping);
  const std::size_t before = open_fds();
  kernel.fail_request(request, EIO);
  CHECK(space->attach(kNic).error().is_os(EIO));
  CHECK(open_fds() == before);
  CHECK_FALSE(kernel.in_container(5));
  CHECK(space->attach(kNic));  // and it works afterwards
}

// The request by which somebody else binds a device.
struct Bind {
  std::uint32_t argsz = sizeof(Bind);
  std::uint32_t flags = 0;
  std::int32_t iommufd = -1;
  std::uint32_t device_id = 0;
};

TEST_CASE("devices and an iommufd that somebody else has opened are as good", "[space]") {
  const bool bound = GENERATE(false, true);
  ScriptedKernel kernel;
  kernel.add(nic());
  kernel.add(disk());
  kernel.set_iommufd(true);
  const std::size_t before = open_fds();
  {
    auto iommufd = kernel.open("/dev/iommu");
    auto entry = kernel.open("/dev/vfio/devices/vfio0");
    REQUIRE(iommufd);
    REQUIRE(entry);
    std::optional<std::uint32_t> bound_as;
    if (bound) {
      Bind request{.iommufd = iommufd->get()};
      constexpr unsigned kBind = _IO(VFIO_TYPE, VFIO_BASE + 18);
      REQUIRE(kernel.ioctl(entry->get(), {kBind, "VFIO_DEVICE_BIND_IOMMUFD"},
                           reinterpret_cast<std::uintptr_t>(&request)));
      bound_as = request.device_id;
    }
    const auto space = AddressSpace::adopt(kernel, {.dirty_tracking = true}, std::move(*iommufd));
    REQUIRE(space);
    CHECK((*space)->interface() == Interface::kIommufd);
    const Memory memory(2 * kPage);
    auto mapping = (*space)->map(memory.at(0));
    REQUIRE(mapping);
    const auto device = (*space)->attach_fd(std::move(*entry), bound_as);
    REQUIRE(device);
    CHECK((*device)->region(1).bytes == 32);
    CHECK(kernel.count("VFIO_DEVICE_BIND_IOMMUFD") == 1);
    CHECK(kernel.count("VFIO_DEVICE_ATTACH_IOMMUFD_PT") == 1);
    CHECK((*space)->set_dirty_tracking(true));
    auto other = kernel.open("/dev/vfio/devices/vfio1");
    REQUIRE(other);
    kernel.fail_request("VFIO_DEVICE_BIND_IOMMUFD", EINVAL);
    CHECK((*space)->attach_fd(std::move(*other)).error().is_os(EINVAL));
  }
  CHECK(open_fds() == before);
  CHECK(open(kernel, Interface::kGroups)->attach_fd(UniqueFd()).error().is_os(EOPNOTSUPP));
}

TEST_CASE("what sysfs does not know is refused by name", "[space]") {
  ScriptedKernel kernel;
  ScriptedDevice bare = nic();
  bare.entry.clear();
  kernel.add(bare);
  CHECK(open(kernel, Interface::kGroups)->attach("/sys/nothing").error().is_os(ENOENT));
  CHECK(is_error(open(kernel, Interface::kIommufd)->attach(kNic), VfioError::kNoCharacterDevice));
  kernel.set_viable(5, false);
  CHECK(is_error(open(kernel, Interface::kGroups)->attach(kNic), VfioError::kNotViable));
}

TEST_CASE("devices of one group share it until the last one goes", "[space]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  kernel.add(disk(5));
  const auto space = open(kernel, Interface::kGroups);
  auto one = space->attach(kNic);
  auto two = space->attach(kDisk);
  REQUIRE(one);
  REQUIRE(two);
  CHECK(kernel.count("open /dev/vfio/5") == 1);
  one->reset();
  CHECK(kernel.in_container(5));
  two->reset();
  CHECK_FALSE(kernel.in_container(5));
}

TEST_CASE("memory is mapped as long as its owner keeps the mapping", "[dma]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  const auto space = open(kernel, any_interface());
  const auto device = space->attach(kNic);
  REQUIRE(device);
  const Memory memory(4 * kPage);
  {
    auto mapping = space->map(memory.at(0x10000));
    REQUIRE(mapping);
    CHECK(mapping->range().iova == 0x10000);
    CHECK(memory.keepers() == 1);
    CHECK(kernel.mappings().at(0x10000).bytes == 4 * kPage);
    CHECK(kernel.mappings().at(0x10000).writable);
    CHECK(space->mapped_bytes() == 4 * kPage);
    const DmaMapping moved = std::move(*mapping);
    CHECK(kernel.mappings().size() == 1);
  }
  CHECK(kernel.mappings().empty());
  CHECK(memory.keepers() == 0);
  const auto read_only = space->map(memory.at(0, false));
  REQUIRE(read_only);
  CHECK_FALSE(kernel.mappings().at(0).writable);
}

TEST_CASE("ranges that cannot be are refused before the kernel hears of them", "[dma]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  const auto space = open(kernel, any_interface());
  const auto device = space->attach(kNic);
  REQUIRE(device);
  const Memory memory(4 * kPage);
  const auto mapping = space->map(memory.at(0x10000));
  REQUIRE(mapping);

  DmaMemory wrong = memory.at(0);
  wrong.memory = {};
  CHECK(is_error(space->map(wrong), VfioError::kBadRange));
  wrong.memory = memory.at(0).memory.first(kPage + 1);
  CHECK(is_error(space->map(wrong), VfioError::kBadRange));
  wrong.memory = memory.at(0).memory.subspan(1, kPage);
  CHECK(is_error(space->map(wrong), VfioError::kBadRange));
  CHECK(is_error(space->map(memory.at(1)), VfioError::kBadRange));
  CHECK(is_error(space->map(memory.at(0 - 3 * kPage)), VfioError::kBadRange));
  for (const std::uint64_t iova : {0x10000ull, 0xd000ull, 0xf000ull, 0x13000ull}) {
    CHECK(is_error(space->map(memory.at(iova)), VfioError::kOverlap));
  }
  CHECK(space->map(memory.at(0 - 4 * kPage)));  // up to the very end
  CHECK(space->map(memory.at(0xc000)));
  CHECK(space->map(memory.at(0x14000)));
  CHECK(kernel.mappings().size() == 1);
}

TEST_CASE("mappings come before the first device, and outlive the last one", "[dma]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  const auto space = open(kernel, Interface::kGroups);
  const Memory memory(2 * kPage);
  const auto first = space->map(memory.at(0));
  REQUIRE(first);
  auto second = space->map(memory.at(0x100000));
  REQUIRE(second);
  CHECK(kernel.mappings().empty());
  for (int i = 0; i < 2; ++i) {
    const auto device = space->attach(kNic);
    REQUIRE(device);
    CHECK(kernel.mappings().size() == 2);
  }
  CHECK(kernel.mappings().empty());
  CHECK(second->unmap());
  const auto device = space->attach(kNic);
  CHECK(kernel.mappings().size() == 1);
}

TEST_CASE("memory that the kernel did not let go is kept", "[dma]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  auto space = open(kernel, any_interface());
  auto device = space->attach(kNic);
  REQUIRE(device);
  const Memory memory(4 * kPage);
  auto mapping = space->map(memory.at(0));
  REQUIRE(mapping);
  kernel.leave_a_page();
  CHECK(is_error(mapping->unmap(), VfioError::kPartialUnmap));
  CHECK(mapping->unmap());  // it is over
  CHECK(memory.keepers() == 1);

  auto again = space->map(memory.at(0x100000));
  REQUIRE(again);
  kernel.fail_request(
      space->interface() == Interface::kGroups ? "VFIO_IOMMU_UNMAP_DMA" : "IOMMU_IOAS_UNMAP", EIO);
  *again = DmaMapping();
  CHECK(memory.keepers() == 2);
  device->reset();
  space.reset();
  CHECK(memory.keepers() == 0);
}

TEST_CASE("a mapping keeps its address space", "[dma]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  auto space = open(kernel, any_interface());
  const Memory memory(kPage);
  auto mapping = space->map(memory.at(0));
  REQUIRE(mapping);
  space.reset();
  CHECK(mapping->unmap());
}

TEST_CASE("what can be mapped is told in order", "[dma]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  std::vector<DmaSpan> ranges;
  for (std::uint64_t i = 200; i != 0; --i) ranges.push_back({.iova = i << 32, .bytes = kPage});
  kernel.set_usable(ranges);
  const auto space = open(kernel, any_interface());
  const auto device = space->attach(kNic);
  REQUIRE(device);
  const auto usable = space->usable();
  REQUIRE(usable);
  REQUIRE(usable->size() == 200);
  CHECK(usable->front().iova == 1ull << 32);
  CHECK(usable->back().iova == 200ull << 32);
  CHECK(usable->back().bytes == kPage);
  CHECK(span_between(0, UINT64_MAX).bytes == UINT64_MAX);
}

TEST_CASE("pages that devices wrote are added to a bitmap", "[dma]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  const auto space = open(kernel, any_interface(), true);
  CHECK_FALSE(space->set_dirty_tracking(true));
  const auto device = space->attach(kNic);
  REQUIRE(device);
  CHECK(space->set_dirty_tracking(true));
  kernel.dirty(0x1000);
  kernel.dirty(0x41000);
  std::vector<std::uint64_t> bitmap{1, 0};
  REQUIRE(space->read_dirty({.iova = 0, .bytes = 128 * kPage}, kPage, bitmap));
  CHECK(bitmap == std::vector<std::uint64_t>{3, 2});
  for (const DmaSpan wrong : {DmaSpan{0, 0}, DmaSpan{1, kPage}, DmaSpan{0, 129 * kPage}}) {
    CHECK(is_error(space->read_dirty(wrong, kPage, bitmap), VfioError::kBadRange));
  }
  CHECK(
      is_error(space->read_dirty({.iova = 0, .bytes = kPage}, 3000, bitmap), VfioError::kBadRange));
  CHECK(space->set_dirty_tracking(false));
}

TEST_CASE("a device without an IOMMU in front is taken only by who wants that", "[space]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  kernel.set_noiommu(5);
  CHECK(is_error(open(kernel, Interface::kGroups)->attach(kNic), VfioError::kNoIommu));
  CHECK_FALSE(kernel.in_container(5));

  auto space =
      *AddressSpace::open(kernel, {.interface = Interface::kGroups, .unsafe_noiommu = true});
  const Memory memory(kPage);
  auto before = *space->map(memory.at(0x1000));
  auto device = space->attach(kNic);
  REQUIRE(device);
  auto after = *space->map(memory.at(0x8000));
  CHECK(kernel.count("VFIO_IOMMU_MAP_DMA") == 0);  // the kernel has no tables for it
  CHECK(space->usable()->empty());
  CHECK(space->set_dirty_tracking(true).error().is_os(EOPNOTSUPP));
  CHECK(after.unmap());
  CHECK(before.unmap());
  CHECK(kernel.count("VFIO_IOMMU_UNMAP_DMA") == 0);
}

TEST_CASE("devices with and without an IOMMU are not together", "[space]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  ScriptedDevice other = nic();
  other.path = kDisk;
  other.group = 6;
  kernel.add(other);
  kernel.set_noiommu(6);
  auto space =
      *AddressSpace::open(kernel, {.interface = Interface::kGroups, .unsafe_noiommu = true});
  {
    auto device = space->attach(kNic);
    REQUIRE(device);
    CHECK(space->attach(kDisk).error().is_os(EINVAL));
  }
  CHECK(space->attach(kDisk));  // alone it may
}

TEST_CASE("threads map and unmap while devices come and go", "[dma][threads]") {
  const Interface interface = any_interface();
  ScriptedKernel kernel;
  kernel.add(nic());
  const auto space = open(kernel, interface, interface == Interface::kIommufd);
  const Memory memory(kPage);
  const auto mapping = space->map(memory.at(0));
  REQUIRE(mapping);
  constexpr std::uint64_t kThreads = 3;
  std::array<int, kThreads> failures{};
  int refused = 0;
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        for (int round = 0; round < 300; ++round) {
          auto mine = space->map(memory.at((i + 1) * 0x10000));
          if (!mine || space->mapped_bytes() < 2 * kPage || !mine->unmap()) ++failures[i];
        }
      });
    }
    for (int round = 0; round < 100; ++round) {
      if (!space->attach(kNic)) ++refused;
    }
  }
  CHECK(failures == std::array<int, kThreads>{});
  CHECK(refused == 0);
  CHECK(space->mapped_bytes() == kPage);
  const auto device = space->attach(kNic);
  REQUIRE(device);
  CHECK(kernel.mappings().size() == 1);
}
