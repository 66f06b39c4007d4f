// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/device.h"

#include <linux/vfio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "tests/rig.h"

using namespace vmm;
using namespace vmm::vfio;
using namespace vmm::vfio::testing;

namespace {

constexpr auto kMsix = static_cast<std::uint32_t>(PciIrq::kMsix);
constexpr auto kMsi = static_cast<std::uint32_t>(PciIrq::kMsi);
constexpr auto kIntx = static_cast<std::uint32_t>(PciIrq::kIntx);
constexpr auto kRequest = static_cast<std::uint32_t>(PciIrq::kRequest);

struct Held {
  explicit Held(ScriptedDevice scripted = nic()) {
    kernel.add(std::move(scripted));
    space = open(kernel, Interface::kGroups);
    auto attached = space->attach(kNic);
    REQUIRE(attached);
    device = std::move(*attached);
  }

  ScriptedKernel kernel;
  std::shared_ptr<AddressSpace> space;
  std::unique_ptr<Device> device;
};

}  // namespace

TEST_CASE("a device says what it is", "[device]") {
  Held held;
  const Device& device = *held.device;
  CHECK(device.info().kind == DeviceKind::kPci);
  CHECK(device.info().resettable);
  CHECK(device.info().regions == 9);
  CHECK(device.region(0).msix_mappable);
  CHECK(device.region(3).mappable.size() == 2);
  CHECK(device.region(8).bytes == 0);    // the kernel does not know it
  CHECK(device.region(100).bytes == 0);  // there is no such number
  CHECK(device.region(100).file_offset == 0);
  CHECK(device.irq(PciIrq::kMsix).count == 2048);
  CHECK(device.irq(PciIrq::kMsix).fixed_size);
  CHECK(device.irq(PciIrq::kIntx).automasked);
  CHECK(device.irq(PciIrq::kError).count == 0);
  CHECK(device.irq(77).count == 0);
  CHECK(device.max_interrupts() == 2048);
}

TEST_CASE("what a device says of itself is bounded", "[device][hostile]") {
  ScriptedDevice many = nic();
  many.regions.resize(300);
  ScriptedKernel kernel;
  kernel.add(many);
  CHECK(is_error(open(kernel, Interface::kGroups)->attach(kNic), VfioError::kInfoTooLarge));

  vfio_region_info raw{};
  ScriptedDevice vast = nic();
  raw.argsz = kMaxInfoBytes + 1;
  vast.regions[0].raw.resize(sizeof(raw));
  std::memcpy(vast.regions[0].raw.data(), &raw, sizeof(raw));
  ScriptedKernel other;
  other.add(vast);
  CHECK(is_error(open(other, Interface::kGroups)->attach(kNic), VfioError::kInfoTooLarge));

  ScriptedDevice vectors = nic();
  vectors.irqs[2].count = std::numeric_limits<std::uint32_t>::max();
  const Held held(vectors);
  CHECK(held.device->irq(PciIrq::kMsix).count == Device::kMaxVectors);
}

TEST_CASE("regions are read and written", "[device]") {
  const Held held;
  const std::array<std::byte, 4> word{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  REQUIRE(held.device->write(3, 4 * kPage - 4, word));
  CHECK(held.kernel.content(kNic, 3, {.offset = 4 * kPage - 4, .bytes = 4}) ==
        std::vector<std::byte>(word.begin(), word.end()));
  std::array<std::byte, 4> back{};
  REQUIRE(held.device->read(3, 4 * kPage - 4, back));
  CHECK(back == word);
  CHECK(held.device->read(kRomRegion, 0, back));
  CHECK(held.device->read(3, 4 * kPage, {}));  // no bytes at its end
}

TEST_CASE("what leaves a region is refused, and no byte touched", "[device][hostile]") {
  const Held held;
  std::array<std::byte, 4> bytes{std::byte{0xaa}, std::byte{0xaa}, std::byte{0xaa},
                                 std::byte{0xaa}};
  const auto before = bytes;
  struct Row {
    std::uint32_t region;
    std::uint64_t offset;
    VfioError error;
  };
  for (const Row& row :
       {Row{1, 29, VfioError::kOutsideRegion}, Row{1, 32, VfioError::kOutsideRegion},
        Row{1, UINT64_MAX, VfioError::kOutsideRegion},
        Row{1, UINT64_MAX - 3, VfioError::kOutsideRegion}, Row{2, 0, VfioError::kNoRegion},
        Row{8, 0, VfioError::kNoRegion}, Row{100, 0, VfioError::kNoRegion}}) {
    CHECK(is_error(held.device->read(row.region, row.offset, bytes), row.error));
    CHECK(is_error(held.device->write(row.region, row.offset, bytes), row.error));
  }
  CHECK(bytes == before);
  CHECK(is_error(held.device->write(kRomRegion, 0, bytes), VfioError::kNotWritable));
  ScriptedDevice deaf = nic();
  deaf.regions[0].readable = false;
  const Held other(deaf);
  CHECK(is_error(other.device->read(0, 0, bytes), VfioError::kNotReadable));
}

TEST_CASE("areas of a region are mapped", "[device]") {
  const Held held;
  const auto mapping = held.device->map(3, {.offset = 2 * kPage, .bytes = kPage});
  REQUIRE(mapping);
  mapping->bytes()[5] = std::byte{0x42};
  CHECK(held.kernel.content(kNic, 3, {.offset = 2 * kPage + 5, .bytes = 1}) ==
        std::vector<std::byte>{std::byte{0x42}});
  for (const RegionArea wrong : {RegionArea{kPage, kPage}, RegionArea{0, 2 * kPage},
                                 RegionArea{kPage, 3 * kPage}, RegionArea{0, 0}}) {
    CHECK(is_error(held.device->map(3, wrong), VfioError::kNotMappable));
  }
  CHECK(
      is_error(held.device->map(3, {.offset = 0, .bytes = 5 * kPage}), VfioError::kOutsideRegion));
  CHECK(
      is_error(held.device->map(3, {.offset = UINT64_MAX, .bytes = 2}), VfioError::kOutsideRegion));
  CHECK(is_error(held.device->map(1, {.offset = 0, .bytes = 32}), VfioError::kNotMappable));
  CHECK(is_error(held.device->map(2, {.offset = 0, .bytes = kPage}), VfioError::kNoRegion));
}

TEST_CASE("interrupts are connected, moved and turned off", "[irq]") {
  const Held held;
  const Device& device = *held.device;
  REQUIRE(device.set_irqs(kMsix, 0, std::array{10, 11, -1}));
  CHECK(held.kernel.irq_fds(kNic, kMsix) == std::vector{10, 11, -1});
  REQUIRE(device.set_irqs(kMsix, 1, std::array{21}));
  CHECK(held.kernel.irq_fds(kNic, kMsix) == std::vector{10, 21, -1});
  CHECK(device.trigger_irqs({.index = kMsix, .first = 0, .count = 2}));
  REQUIRE(device.disable_irqs(kMsix));
  CHECK(held.kernel.irq_fds(kNic, kMsix).empty());
  CHECK(device.set_irqs(kMsix, 0, std::vector<int>(2048, 3)));
}

TEST_CASE("a level-triggered interrupt is masked, and unmasked by a descriptor", "[irq]") {
  const Held held;
  const Device& device = *held.device;
  CHECK(device.mask_irqs({.index = kIntx}));
  CHECK(device.unmask_irqs({.index = kIntx}));
  REQUIRE(device.set_unmask_fd(kIntx, 0, 33));
  const auto request = held.kernel.last("VFIO_DEVICE_SET_IRQS");
  REQUIRE(request.size() == sizeof(vfio_irq_set) + 4);
  vfio_irq_set head{};
  std::memcpy(&head, request.data(), sizeof(head));
  CHECK(head.flags == (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK));
  CHECK(request[sizeof(head)] == std::byte{33});
}

TEST_CASE("interrupts that are not there are refused before the kernel hears of them",
          "[irq][hostile]") {
  const Held held;
  const Device& device = *held.device;
  const int before = held.kernel.count("VFIO_DEVICE_SET_IRQS");
  CHECK(is_error(device.set_irqs(kMsix, 0, {}), VfioError::kNoDescriptors));
  CHECK(is_error(device.set_irqs(9, 0, std::array{1}), VfioError::kNoInterrupt));
  CHECK(is_error(device.set_irqs(kMsi, 4, std::array{1}), VfioError::kNoInterrupt));
  CHECK(is_error(device.set_irqs(kMsi, 3, std::array{1, 2}), VfioError::kNoInterrupt));
  CHECK(is_error(device.set_irqs(kMsix, 0, std::vector<int>(2049, 3)), VfioError::kNoInterrupt));
  CHECK(is_error(device.set_irqs(kRequest, 0, std::array{1}), VfioError::kNoEventfd));
  CHECK(is_error(device.trigger_irqs({.index = kMsix, .first = 2, .count = 2048}),
                 VfioError::kNoInterrupt));
  CHECK(is_error(device.trigger_irqs({.index = kMsix, .first = UINT32_MAX, .count = 2}),
                 VfioError::kNoInterrupt));
  CHECK(is_error(device.trigger_irqs({.index = kMsix, .first = 0, .count = 0}),
                 VfioError::kNoInterrupt));
  CHECK(is_error(device.disable_irqs(3), VfioError::kNoInterrupt));
  CHECK(is_error(device.disable_irqs(100), VfioError::kNoInterrupt));
  CHECK(is_error(device.mask_irqs({.index = kMsix}), VfioError::kNotMaskable));
  CHECK(is_error(device.unmask_irqs({.index = kMsix}), VfioError::kNotMaskable));
  CHECK(is_error(device.unmask_irqs({.index = 50}), VfioError::kNoInterrupt));
  CHECK(is_error(device.set_unmask_fd(kMsi, 0, 3), VfioError::kNotMaskable));
  CHECK(is_error(device.set_unmask_fd(kIntx, 1, 3), VfioError::kNoInterrupt));
  CHECK(held.kernel.count("VFIO_DEVICE_SET_IRQS") == before);
}

TEST_CASE("writes of a region come from a descriptor", "[device]") {
  const Held held;
  CHECK(held.device->set_ioeventfd(0, {.offset = 8, .bytes = 4}, 1, 5));
  CHECK(held.device->set_ioeventfd(0, {.offset = 0, .bytes = 3}, 1, 5).error().is_os(EINVAL));
  CHECK(held.device->set_ioeventfd(0, {.offset = 0, .bytes = 16}, 1, 5).error().is_os(EINVAL));
  CHECK(is_error(held.device->set_ioeventfd(1, {.offset = 30, .bytes = 4}, 1, 5),
                 VfioError::kOutsideRegion));
}

TEST_CASE("a function is reset", "[reset]") {
  const Held held;
  CHECK(held.device->reset());
  ScriptedDevice stubborn = nic();
  stubborn.resettable = false;
  const Held other(stubborn);
  CHECK(is_error(other.device->reset(), VfioError::kNoReset));
}

TEST_CASE("a bus is reset when all that it hits is held", "[reset]") {
  const auto interface = GENERATE(Interface::kGroups, Interface::kIommufd);
  ScriptedKernel kernel;
  ScriptedDevice one = nic();
  one.neighbours = {{.id = 5, .segment = 0, .bus = 0, .device_function = 0x30},
                    {.id = 6, .segment = 0, .bus = 0, .device_function = 0x38}};
  one.owns_neighbours = interface == Interface::kIommufd;
  kernel.add(one);
  kernel.add(disk());
  const auto space = open(kernel, interface);
  const auto device = space->attach(kNic);
  REQUIRE(device);
  const auto hit = (*device)->hot_reset_neighbours();
  REQUIRE(hit);
  REQUIRE(hit->size() == 2);
  CHECK((*hit)[1].device_function == 0x38);
  if (interface == Interface::kGroups) {
    CHECK(is_error((*device)->hot_reset(), VfioError::kForeignDevice));
    CHECK(kernel.count("VFIO_DEVICE_PCI_HOT_RESET") == 0);
  }
  const auto other = space->attach(kDisk);
  REQUIRE(other);
  CHECK((*device)->hot_reset());
  CHECK(kernel.last("VFIO_DEVICE_PCI_HOT_RESET").size() ==
        (interface == Interface::kGroups ? 20u : 12u));
}

TEST_CASE("a bus with what is not ours is not reset", "[reset][hostile]") {
  ScriptedKernel kernel;
  ScriptedDevice one = nic();
  one.neighbours = {{.id = 1, .segment = 0, .bus = 0, .device_function = 0x30}};
  one.owns_neighbours = false;
  kernel.add(one);
  const auto device = open(kernel, Interface::kIommufd)->attach(kNic);
  REQUIRE(device);
  CHECK(is_error((*device)->hot_reset(), VfioError::kForeignDevice));
  ScriptedDevice crowd = nic();
  crowd.neighbours.resize(1025);
  const Held held(crowd);
  CHECK(is_error(held.device->hot_reset(), VfioError::kTooLarge));
  const Held alone;
  CHECK(alone.device->hot_reset().error().is_os(ENODEV));
}
