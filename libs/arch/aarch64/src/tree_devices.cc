// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Spec: the kernel's bindings arm,gic-v3.yaml, arm,gic.yaml, arm,arch_timer.yaml, arm/pmu.yaml,
// arm,pl011.yaml, arm,pl031.yaml, pl061-gpio.yaml, gpio-keys.yaml, virtio/mmio.yaml,
// host-generic-pci.yaml.

#include <array>

#include "tree.h"

namespace vmm::arch::aarch64::tree {
namespace {

using fdt::Node;

constexpr std::uint32_t kClockHz = 24'000'000;

void put_gic_v3(Node& root, const DeviceTreeConfig& config) {
  const AddressRange redist = redistributors(config.vcpus);
  Node gic = root.child(Name::at("intc", kGicDistributor.base.raw()));
  gic.string("compatible", "arm,gic-v3");
  gic.u32("#interrupt-cells", 3);
  gic.flag("interrupt-controller");
  gic.cells64("reg",
              {kGicDistributor.base.raw(), kGicDistributor.size, redist.base.raw(), redist.size});
  gic.u32("#address-cells", 2);
  gic.u32("#size-cells", 2);
  gic.flag("ranges");
  gic.phandle(kGic);
  if (!config.its) return;
  const AddressRange range = its(config.vcpus);
  Node msi = gic.child(Name::at("msic", range.base.raw()));
  msi.string("compatible", "arm,gic-v3-its");
  msi.flag("msi-controller");
  msi.u32("#msi-cells", 1);
  msi.cells64("reg", {range.base.raw(), range.size});
  msi.phandle(kIts);
}

void put_gic_v2(Node& root) {
  Node gic = root.child(Name::at("intc", kGicV2Distributor.base.raw()));
  gic.string("compatible", "arm,cortex-a15-gic");
  gic.u32("#interrupt-cells", 3);
  gic.flag("interrupt-controller");
  gic.cells64("reg", {kGicV2Distributor.base.raw(), kGicV2Distributor.size,
                      kGicV2CpuInterface.base.raw(), kGicV2CpuInterface.size});
  gic.u32("#address-cells", 2);
  gic.u32("#size-cells", 2);
  gic.phandle(kGic);
}

/// The flags of a PPI: a GICv2 is told which CPUs have it.
std::uint32_t ppi_flags(const DeviceTreeConfig& config) {
  if (config.gic == GicVersion::kV3) return kLevelHigh;
  return kLevelHigh | ((1u << config.vcpus) - 1) << 8;
}

void put_timer(Node& root, std::uint32_t flags) {
  Node timer = root.child("timer");
  timer.string("compatible", "arm,armv8-timer");
  timer.flag("always-on");
  timer.cells("interrupts", {kPpi, kSecureTimerPpi, flags, kPpi, kPhysicalTimerPpi, flags, kPpi,
                             kVirtualTimerPpi, flags, kPpi, kHypervisorTimerPpi, flags});
}

void put_clock(Node& root) {
  Node clock = root.child("apb-pclk");
  clock.string("compatible", "fixed-clock");
  clock.u32("#clock-cells", 0);
  clock.u32("clock-frequency", kClockHz);
  clock.string("clock-output-names", "clk24mhz");
  clock.phandle(kClock);
}

void put_registers(Node& node, const AddressRange& range, std::uint32_t spi, std::uint32_t flags) {
  node.cells64("reg", {range.base.raw(), range.size});
  node.cells("interrupts", {kSpi, spi, flags});
}

void put_serial(Node& root) {
  Node serial = root.child(Name::at("pl011", kSerial.base.raw()));
  serial.strings("compatible", {"arm,pl011", "arm,primecell"});
  put_registers(serial, kSerial, kSerialSpi, kLevelHigh);
  serial.cells("clocks", {kClock, kClock});
  serial.strings("clock-names", {"uartclk", "apb_pclk"});
  serial.phandle(kSerialPort);
}

/// Without its interrupt, as the clock raises none: a driver that waits for one would wait long.
void put_rtc(Node& root) {
  Node rtc = root.child(Name::at("rtc", kRtc.base.raw()));
  rtc.strings("compatible", {"arm,pl031", "arm,primecell"});
  rtc.cells64("reg", {kRtc.base.raw(), kRtc.size});
  rtc.u32("clocks", kClock);
  rtc.string("clock-names", "apb_pclk");
  rtc.phandle(kRealTimeClock);
}

void put_power_key(Node& root) {
  constexpr std::uint32_t kKeyPower = 116;  // of Linux's input-event-codes.h
  constexpr std::uint32_t kActiveHigh = 0;
  {
    Node gpio = root.child(Name::at("pl061", kGpio.base.raw()));
    gpio.strings("compatible", {"arm,pl061", "arm,primecell"});
    put_registers(gpio, kGpio, kGpioSpi, kLevelHigh);
    gpio.u32("clocks", kClock);
    gpio.string("clock-names", "apb_pclk");
    gpio.flag("gpio-controller");
    gpio.u32("#gpio-cells", 2);
    gpio.phandle(kGpioController);
  }
  Node keys = root.child("gpio-keys");
  keys.string("compatible", "gpio-keys");
  Node key = keys.child("power-button");
  key.string("label", "Power button");
  key.u32("linux,code", kKeyPower);
  key.cells("gpios", {kGpioController, kPowerKeyLine, kActiveHigh});
}

void put_virtio_mmio(Node& root, const VirtioMmio& device) {
  Node node = root.child(Name::at("virtio_mmio", device.registers.base.raw()));
  node.string("compatible", "virtio,mmio");
  put_registers(node, device.registers, device.spi, kEdgeRising);
  node.flag("dma-coherent");
}

/// A 64-bit number as two cells.
void push64(std::vector<std::uint32_t>& cells, std::uint64_t value) {
  cells.push_back(static_cast<std::uint32_t>(value >> 32));
  cells.push_back(static_cast<std::uint32_t>(value));
}

void put_ranges(Node& node, const PciHost& host) {
  constexpr std::uint32_t kIo = 1u << 24;
  constexpr std::uint32_t kMemory32 = 2u << 24;
  constexpr std::uint32_t kMemory64 = 3u << 24;
  std::vector<std::uint32_t> cells;
  const auto add = [&cells](std::uint32_t space, std::uint64_t pci, const AddressRange& range) {
    if (range.size == 0) return;
    cells.push_back(space);
    push64(cells, pci);
    push64(cells, range.base.raw());
    push64(cells, range.size);
  };
  add(kIo, 0, host.io);
  add(kMemory32, host.window32.base.raw(), host.window32);
  add(kMemory64, host.window64.base.raw(), host.window64);
  node.cells("ranges", cells);
}

/// INTA to INTD of each slot, over the lines in turn, as bridges do.
void put_interrupt_map(Node& node, std::uint32_t first_spi) {
  constexpr std::uint32_t kPins = 4;
  std::vector<std::uint32_t> map;
  for (std::uint32_t slot = 0; slot < kPciSpis; ++slot) {
    for (std::uint32_t pin = 0; pin < kPins; ++pin) {
      const std::uint32_t spi = first_spi + (slot + pin) % kPciSpis;
      map.insert(map.end(), {slot << 11, 0, 0, pin + 1, kGic, 0, 0, kSpi, spi, kLevelHigh});
    }
  }
  node.cells("interrupt-map", map);
  node.cells("interrupt-map-mask", {(kPciSpis - 1) << 11, 0, 0, 7});
  node.u32("#interrupt-cells", 1);
}

/// Which endpoint each function behind the IOMMU is.
void put_iommu_map(Node& node, const PciHost& host) {
  std::vector<std::uint32_t> map;
  for (const BehindIommu& range : host.behind_iommu) {
    if (range.segment != host.segment) continue;
    map.insert(map.end(), {range.first_requester, kIommu,
                           range.segment << 16 | range.first_requester, range.functions});
  }
  if (!map.empty()) node.cells("iommu-map", map);
}

void put_iommu(Node& parent, std::uint8_t devfn) {
  Node node = parent.child(Name::at("iommu", devfn >> 3));
  node.string("compatible", "virtio,pci-iommu");
  node.cells("reg", {std::uint32_t{devfn} << 8, 0, 0, 0, 0});
  node.u32("#iommu-cells", 1);
  node.phandle(kIommu);
}

void put_pci(Node& root, const PciHost& host) {
  const auto buses = static_cast<std::uint32_t>(host.ecam.size / PciHost::kBusBytes);
  const std::uint32_t requesters = buses << 8;
  Node node = root.child(Name::at("pci", host.ecam.base.raw()));
  node.string("compatible", "pci-host-ecam-generic");
  node.string("device_type", "pci");
  node.cells64("reg", {host.ecam.base.raw(), host.ecam.size});
  node.u32("#address-cells", 3);
  node.u32("#size-cells", 2);
  node.u32("linux,pci-domain", host.segment);
  node.cells("bus-range", {0, buses - 1});
  put_ranges(node, host);
  put_interrupt_map(node, host.first_spi);
  if (host.msi) node.cells("msi-map", {0, kIts, host.segment * requesters, requesters});
  put_iommu_map(node, host);
  node.flag("dma-coherent");
  if (host.iommu_devfn) put_iommu(node, *host.iommu_devfn);
}

}  // namespace

void put_interrupts(Node& root, const DeviceTreeConfig& config) {
  if (config.gic == GicVersion::kV3) {
    put_gic_v3(root, config);
  } else {
    put_gic_v2(root);
  }
  const std::uint32_t flags = ppi_flags(config);
  put_timer(root, flags);
  if (!config.pmu) return;
  Node pmu = root.child("pmu");
  pmu.string("compatible", "arm,armv8-pmuv3");
  pmu.cells("interrupts", {kPpi, kPmuPpi, flags});
}

void put_devices(Node& root, const DeviceTreeConfig& config) {
  if (config.serial || config.rtc || config.power_key) put_clock(root);
  if (config.serial) put_serial(root);
  if (config.rtc) put_rtc(root);
  if (config.power_key) put_power_key(root);
  for (const VirtioMmio& device : config.virtio_mmio) put_virtio_mmio(root, device);
  for (const PciHost& host : config.pci) put_pci(root, host);
}

}  // namespace vmm::arch::aarch64::tree
