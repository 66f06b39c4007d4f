// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_platform/platform_device.h"

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "errors.h"
#include "tests/rig.h"
#include "vmm/fdt/fdt_writer.h"
#include "vmm/vfio/vfio_error.h"
#include "vmm/vfio_platform/guest_device.h"

using namespace vmm;
using namespace vmm::vfio_platform;
using namespace vmm::vfio_platform::testing;
using vfio::VfioError;
using vfio::testing::ScriptedDevice;

namespace {

constexpr std::array kBases{GuestAddress(0xa00'0000), GuestAddress(0xa01'0000)};
constexpr std::array<std::uint32_t, 2> kLines{12, 13};

struct Rig {
  explicit Rig(ScriptedDevice device = dma_engine()) { kernel.add(std::move(device)); }

  Result<std::unique_ptr<PlatformDevice>> make(std::uint32_t trapped = 0) {
    VMM_TRY(auto held, open(kernel, *space, kPath));
    return PlatformDevice::create({.device = std::move(held),
                                   .mapper = &mapper,
                                   .lines = &lines,
                                   .trapped_regions = trapped});
  }

  vfio::testing::ScriptedKernel kernel;
  std::shared_ptr<vfio::AddressSpace> space =
      *vfio::AddressSpace::open(kernel, {.interface = vfio::Interface::kGroups});
  RegionRecorder mapper;
  FakeLines lines;
  vm_device::MmioBus bus;
  vm_device::MmioCaller caller{bus};
};

}  // namespace

TEST_CASE("a name is that of a platform device", "[platform]") {
  CHECK(sysfs_path("a003e00.dma") == "/sys/bus/platform/devices/a003e00.dma");
  CHECK(sysfs_path("/sys/bus/amba/devices/9000000.uart") == "/sys/bus/amba/devices/9000000.uart");
}

TEST_CASE("a group with a device that VFIO does not have is refused", "[platform][hostile]") {
  struct Row {
    const char* driver;
    std::uint32_t group;
    bool taken;
  };
  for (const Row& row : {Row{"vfio-platform", 7, true}, Row{"vfio-pci", 7, true},
                         Row{"pl330", 7, false}, Row{"", 7, false}, Row{"pl330", 8, true}}) {
    CAPTURE(row.driver, row.group);
    Rig rig;
    ScriptedDevice neighbour = dma_engine();
    neighbour.path = "/sys/devices/platform/a004000.dma";
    neighbour.driver = row.driver;
    neighbour.group = row.group;
    rig.kernel.add(neighbour);
    const auto held = open(rig.kernel, *rig.space, kPath);
    CHECK(held.has_value() == row.taken);
    if (!row.taken) {
      CHECK(is_error(held, VfioError::kNotViable));
      CHECK(rig.kernel.count("open /dev/vfio/7") == 0);
    }
  }
}

TEST_CASE("what is no platform device, or has no group, is refused", "[platform][hostile]") {
  ScriptedDevice pci = dma_engine();
  pci.kind = vfio::DeviceKind::kPci;
  Rig of_pci(std::move(pci));
  CHECK(of_pci.make().error().is_os(ENOTSUP));
  CHECK_FALSE(of_pci.kernel.in_container(7));
  Rig rig;
  CHECK(open(rig.kernel, *rig.space, "nowhere").error().is_os(ENOENT));
}

TEST_CASE("devices that cannot be passed through", "[platform][hostile]") {
  struct Row {
    const char* what;
    void (*change)(ScriptedDevice&);
    VfioError error;
  };
  for (const Row& row : {
           Row{"a region without bytes", [](ScriptedDevice& d) { d.regions[1].bytes = 0; },
               VfioError::kNoRegion},
           Row{"an interrupt that is not there", [](ScriptedDevice& d) { d.irqs[1].count = 0; },
               VfioError::kNoInterrupt},
           Row{"an interrupt without descriptors",
               [](ScriptedDevice& d) { d.irqs[0].eventfd = false; }, VfioError::kNoEventfd},
       }) {
    CAPTURE(row.what);
    ScriptedDevice device = dma_engine();
    row.change(device);
    Rig rig(std::move(device));
    CHECK(is_error(rig.make(), row.error));
    CHECK_FALSE(rig.kernel.in_container(7));
  }
  ScriptedDevice many = dma_engine();
  many.regions.resize(PlatformDevice::kMaxParts + 1, many.regions[1]);
  Rig rig(std::move(many));
  CHECK(rig.make().error().is_os(ENOTSUP));
}

TEST_CASE("a device begins with a reset, where it has one", "[platform]") {
  for (const bool resettable : {true, false}) {
    ScriptedDevice device = dma_engine();
    device.resettable = resettable;
    Rig rig(std::move(device));
    const auto made = rig.make();
    REQUIRE(made);
    CHECK(rig.kernel.count("VFIO_DEVICE_RESET") == (resettable ? 1 : 0));
    CHECK((*made)->reset().has_value() == resettable);
  }
  Rig rig;
  rig.kernel.fail_request("VFIO_DEVICE_RESET", EIO);
  CHECK(rig.make().error().is_os(EIO));
}

TEST_CASE("registers are memory of the guest, or reached through the bus", "[platform]") {
  for (const std::uint32_t trapped : {0u, 1u}) {
    Rig rig;
    const auto device = *rig.make(trapped);
    CHECK(device->regions() == 2);
    CHECK(device->region_bytes(0) == 4 * kPage);
    REQUIRE(device->attach(rig.bus, kBases, kLines));
    CHECK(rig.mapper.all.contains(kBases[0].raw()) == (trapped == 0));
    CHECK_FALSE(rig.mapper.all.contains(kBases[1].raw()));

    for (const std::uint32_t region : {0u, 1u}) {
      const std::array written{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
      const GuestAddress at(kBases[region].raw() + 8);
      REQUIRE(rig.caller.write(at, written));
      std::array<std::byte, 4> read{};
      REQUIRE(rig.caller.read(at, read));
      CHECK(read == written);
      CHECK(rig.kernel.content(kPath, region, {.offset = 8, .bytes = 4}) ==
            std::vector<std::byte>(written.begin(), written.end()));
    }
    std::array<std::byte, 8> past{};
    CHECK_FALSE(rig.caller.read(GuestAddress(kBases[1].raw() + 60), past));
  }
}

TEST_CASE("a region that cannot be read answers ones, writes are lost", "[platform][hostile]") {
  ScriptedDevice device = dma_engine();
  device.regions[1].readable = false;
  device.regions[1].writable = false;
  Rig rig(std::move(device));
  const auto made = *rig.make();
  REQUIRE(made->attach(rig.bus, kBases, kLines));
  std::array<std::byte, 4> data{};
  REQUIRE(rig.caller.write(kBases[1], data));
  REQUIRE(rig.caller.read(kBases[1], data));
  CHECK(data == std::array{std::byte{255}, std::byte{255}, std::byte{255}, std::byte{255}});
}

TEST_CASE("levels are unmasked at the guest's end of interrupt, edges are not masked",
          "[platform]") {
  Rig rig;
  const auto device = *rig.make();
  CHECK(device->interrupts() == 2);
  CHECK(device->is_level(0));
  CHECK_FALSE(device->is_level(1));
  REQUIRE(device->attach(rig.bus, kBases, kLines));
  const LineWiring level = rig.lines.all.at(12);
  const LineWiring edge = rig.lines.all.at(13);
  CHECK(level.unmask >= 0);
  CHECK(edge.unmask == -1);
  CHECK(rig.kernel.irq_fds(kPath, 0) == std::vector<int>{level.trigger});
  CHECK(rig.kernel.irq_fds(kPath, 1) == std::vector<int>{edge.trigger});
  CHECK(rig.kernel.count("VFIO_DEVICE_SET_IRQS") == 3);
}

TEST_CASE("a device is attached at the places that it is given", "[platform]") {
  Rig rig;
  const auto device = rig.make();
  REQUIRE(device);
  std::uint64_t next = 0xa00'0000;
  std::uint32_t line = 12;
  const Places places{.registers = [&](std::uint64_t) -> Result<GuestAddress> {
                        return GuestAddress(std::exchange(next, next + 0x1'0000));
                      },
                      .line = [&]() -> Result<std::uint32_t> { return line++; },
                      .cells = [](std::uint32_t number,
                                  bool level) { return std::array{0u, number, level ? 4u : 1u}; }};
  const auto place = (*device)->attach(rig.bus, places);
  REQUIRE(place);
  CHECK(place->registers == std::vector<AddressRange>{{kBases[0], (*device)->region_bytes(0)},
                                                      {kBases[1], (*device)->region_bytes(1)}});
  CHECK(place->interrupt_cells == std::vector<std::uint32_t>{0, 12, 4, 0, 13, 1});
  CHECK(rig.bus.size() == 2);

  // Without room nothing is attached.
  (*device)->detach();
  const Places full{
      .registers = places.registers,
      .line = []() -> Result<std::uint32_t> { return fail(Error::os(ENOSPC, "test")); },
      .cells = places.cells};
  const auto refused = (*device)->attach(rig.bus, full);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().is_os(ENOSPC));
  CHECK(rig.bus.size() == 0);
}

TEST_CASE("a device without a node of the host is given with a node of its places", "[platform]") {
  Rig rig;
  std::uint32_t line = 12;
  std::size_t next = 0;
  const Places places{
      .registers = [&](std::uint64_t) -> Result<GuestAddress> { return kBases.at(next++); },
      .line = [&]() -> Result<std::uint32_t> { return line++; },
      .cells = [](std::uint32_t number, bool) { return std::array{0u, number, 4u}; }};
  const GuestSide guest{
      .mapper = &rig.mapper, .lines = &rig.lines, .bus = rig.bus, .places = places};
  const auto given = give_to_guest(rig.kernel, *rig.space, kPath, guest);
  INFO((given ? std::string() : to_string(given.error())));
  REQUIRE(given);
  CHECK(given->plan.name == "device");
  CHECK(given->node == "device@a000000");
  CHECK(rig.bus.size() == 2);
  fdt::FdtWriter writer(fdt::FdtWriter::Options{});
  {
    fdt::Node root = writer.root();
    fdt::Node node = root.child(given->node);
    given->fill(node);
  }
  CHECK(writer.finish());
  CHECK_FALSE(give_to_guest(rig.kernel, *rig.space, "nowhere", guest));
}

TEST_CASE("nothing is left of a device that is detached", "[platform]") {
  Rig rig;
  {
    const auto device = *rig.make();
    REQUIRE(device->attach(rig.bus, kBases, kLines));
    CHECK(device->attach(rig.bus, kBases, kLines).error().is_os(EALREADY));
    device->detach();
    device->detach();
    CHECK(rig.bus.size() == 0);
    CHECK(rig.lines.all.empty());
    CHECK(rig.mapper.all.empty());
    CHECK(rig.kernel.irq_fds(kPath, 0).empty());
    CHECK(rig.kernel.irq_fds(kPath, 1).empty());
    REQUIRE(device->attach(rig.bus, kBases, kLines));
    CHECK(rig.bus.size() == 2);
  }
  CHECK(rig.bus.size() == 0);
  CHECK(rig.lines.all.empty());
  CHECK_FALSE(rig.kernel.in_container(7));
}

TEST_CASE("what fails while a device is attached leaves nothing of it", "[platform]") {
  const auto fresh = [](Rig& rig, const std::unique_ptr<PlatformDevice>& device) {
    CHECK(rig.bus.size() == 0);
    CHECK(rig.lines.all.empty());
    CHECK(rig.mapper.all.empty());
    CHECK(rig.kernel.irq_fds(kPath, 0).empty());
    CHECK(device->attach(rig.bus, kBases, kLines).has_value());
  };
  SECTION("a part without a place") {
    Rig rig;
    const auto device = *rig.make();
    CHECK(device->attach(rig.bus, std::span(kBases).first(1), kLines).error().is_os(EINVAL));
    CHECK(device->attach(rig.bus, kBases, std::span(kLines).first(1)).error().is_os(EINVAL));
    fresh(rig, device);
  }
  SECTION("places that overlap") {
    Rig rig;
    const auto device = *rig.make();
    const std::array same{kBases[0], kBases[0]};
    CHECK_FALSE(device->attach(rig.bus, same, kLines));
    fresh(rig, device);
  }
  SECTION("a line that is taken") {
    Rig rig;
    const auto device = *rig.make();
    rig.lines.refused = 13;
    CHECK(device->attach(rig.bus, kBases, kLines).error().is_os(EBUSY));
    rig.lines.refused = UINT32_MAX;
    fresh(rig, device);
  }
  SECTION("interrupts that the kernel refuses") {
    for (const int after : {0, 1, 2}) {
      CAPTURE(after);
      Rig rig;
      const auto device = *rig.make();
      rig.kernel.fail_request("VFIO_DEVICE_SET_IRQS", EINVAL, after);
      CHECK(device->attach(rig.bus, kBases, kLines).error().is_os(EINVAL));
      fresh(rig, device);
    }
  }
}

TEST_CASE("without a place in the guest's memory, registers are slow and work", "[platform]") {
  Rig rig;
  const auto device = *rig.make();
  rig.mapper.refuse = true;
  REQUIRE(device->attach(rig.bus, kBases, kLines));
  std::array<std::byte, 4> data{};
  CHECK(rig.caller.read(kBases[0], data));
}
