// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What is compared of each kind of node.

#include <algorithm>

#include "dtb_checker.h"
#include "tree.h"

namespace vmm::arch::aarch64::tree {
namespace {

using fdt::FdtView;

constexpr std::uint32_t kTriggerBits = 0xf;  // of an interrupt's third cell
constexpr std::size_t kInterruptCells = 3;

std::string number(std::uint64_t value) { return std::to_string(value); }

std::string interrupt_text(std::uint32_t type, std::uint32_t number) {
  if (type == kSpi) return "SPI " + std::to_string(number);
  if (type == kPpi) return "PPI " + std::to_string(number);
  return "type " + std::to_string(type) + " interrupt " + std::to_string(number);
}

/// The cells of interrupt `index`, whichever property has it.
std::array<std::uint32_t, kInterruptCells> interrupt_cells(const FdtView& view, FdtView::Node node,
                                                           std::size_t index, bool* found) {
  FdtView::Cells cells = view.cells(node, "interrupts-extended");
  std::size_t step = kInterruptCells + 1;  // each with its controller
  std::size_t skip = 1;
  if (cells.empty()) {
    cells = view.cells(node, "interrupts");
    step = kInterruptCells;
    skip = 0;
  }
  const std::size_t at = index * step + skip;
  *found = at + kInterruptCells <= cells.size();
  return {cells[at], cells[at + 1], cells[at + 2]};
}

/// An address property of /chosen, of one cell or two.
std::optional<std::uint64_t> address(const FdtView& view, FdtView::Node node,
                                     std::string_view name) {
  if (const auto small = view.u32(node, name)) return *small;
  return view.u64(node, name);
}

}  // namespace

bool Checker::in_ram(const AddressRange& range) const {
  return std::any_of(config_.memory.begin(), config_.memory.end(), [&](const AddressRange& ram) {
    const auto offset = range.base.offset_from(ram.base);
    return offset && *offset < ram.size && range.size <= ram.size - *offset;
  });
}

void Checker::memory(Node node, const Bus& bus) {
  ++memory_nodes_;
  const auto list = bus.registers(view_, node);
  if (list.empty()) wrong("reg: there is none");
  for (const auto& range : list) {
    if (!range) {
      wrong("reg: not an address");
      continue;
    }
    memory_.push_back(*range);
    if (!in_ram(*range)) wrong("reg: " + text_of(*range) + ", which is not all RAM of the VMM");
  }
}

void Checker::reserved(Node node, const Bus& bus) {
  for (const auto& range : bus.registers(view_, node)) {
    if (range && !in_ram(*range)) {
      wrong("reg: " + text_of(*range) + ", which is not all RAM of the VMM");
    }
  }
}

void Checker::cpu(Node node, const Bus& bus) {
  const FdtView::Cells reg = view_.cells(node, "reg");
  if (bus.address_cells() == 0 || bus.address_cells() > 2 || reg.size() != bus.address_cells()) {
    return wrong("reg: not an MPIDR");
  }
  const std::uint64_t id = reg.size() == 1 ? reg[0] : std::uint64_t{reg[0]} << 32 | reg[1];
  std::uint32_t index = 0;
  while (index < config_.vcpus && mpidr_affinity(index) != id) ++index;
  if (index == config_.vcpus) {
    return wrong("reg: " + hex(id) + ", the VMM's last CPU has " +
                 hex(mpidr_affinity(config_.vcpus - 1)));
  }
  if (cpus_[index]) wrong("reg: " + hex(id) + ", which another CPU has too");
  cpus_[index] = true;
  if (!view_.has_string(node, "enable-method", "psci")) {
    wrong("enable-method: not psci, by which the VMM starts CPUs");
  }
}

void Checker::psci(Node node, const Bus&) {
  psci_ = true;
  if (!view_.has_string(node, "method", "hvc")) wrong("method: not hvc, which the VMM has");
  if (!view_.has_string(node, "compatible", "arm,psci-0.2") &&
      !view_.has_string(node, "compatible", "arm,psci-1.0")) {
    wrong("compatible: PSCI 0.1 has other function numbers than the VMM's 1.0 and 0.2");
  }
}

void Checker::registers(Node node, const Bus& bus, std::size_t index, const AddressRange& wanted) {
  const auto list = bus.registers(view_, node);
  if (index >= list.size() || !list[index]) {
    return wrong("reg: none, the VMM has " + text_of(wanted));
  }
  if (*list[index] != wanted) {
    wrong("reg: " + text_of(*list[index]) + ", the VMM has " + text_of(wanted));
  }
}

void Checker::gic_v2(Node node, const Bus& bus) { gic(node, bus, GicVersion::kV2); }

void Checker::gic_v3(Node node, const Bus& bus) { gic(node, bus, GicVersion::kV3); }

void Checker::gic(Node node, const Bus& bus, GicVersion version) {
  gic_ = true;
  if (version != config_.gic) {
    return wrong(version == GicVersion::kV2 ? "compatible: a GICv2, the VMM has a GICv3"
                                            : "compatible: a GICv3, the VMM has a GICv2");
  }
  if (view_.u32(node, "#interrupt-cells") != kInterruptCells) {
    wrong("#interrupt-cells: not 3, which is looked for");
  }
  if (!view_.property(node, "interrupt-controller")) wrong("interrupt-controller: missing");
  const bool v2 = version == GicVersion::kV2;
  registers(node, bus, 0, v2 ? kGicV2Distributor : kGicDistributor);
  registers(node, bus, 1, v2 ? kGicV2CpuInterface : redistributors(config_.vcpus));
}

void Checker::its(Node node, const Bus& bus) {
  its_ = true;
  if (config_.gic != GicVersion::kV3 || !config_.its) {
    return wrong("the VMM has no interrupt translation service");
  }
  registers(node, bus, 0, aarch64::its(config_.vcpus));
}

void Checker::interrupt(Node node, std::size_t index, std::uint32_t type, std::uint32_t number) {
  bool found = false;
  const auto cells = interrupt_cells(view_, node, index, &found);
  const std::string wanted = interrupt_text(type, number);
  if (!found) return wrong("interrupts: none, the VMM has " + wanted);
  if (cells[0] != type || cells[1] != number) {
    wrong("interrupts: " + interrupt_text(cells[0], cells[1]) + ", the VMM has " + wanted);
  }
}

void Checker::timer(Node node, const Bus&) {
  constexpr std::array kPpis = {kSecureTimerPpi, kPhysicalTimerPpi, kVirtualTimerPpi,
                                kHypervisorTimerPpi};
  constexpr std::size_t kNeeded = 3;  // a guest at EL1 has no use for the hypervisor's
  timer_ = true;
  for (std::size_t i = 0; i < kPpis.size(); ++i) {
    bool found = false;
    (void)interrupt_cells(view_, node, i, &found);
    if (found || i < kNeeded) interrupt(node, i, kPpi, kPpis[i]);
  }
}

void Checker::pmu(Node node, const Bus&) {
  pmu_ = true;
  if (!config_.pmu) return wrong("the VMM's CPUs have no performance counters");
  interrupt(node, 0, kPpi, kPmuPpi);
}

void Checker::spi_flags(Node node, std::uint32_t flags) {
  bool found = false;
  const auto cells = interrupt_cells(view_, node, 0, &found);
  if (found && (cells[2] & kTriggerBits) != flags) {
    wrong("interrupts: trigger type " + number(cells[2] & kTriggerBits) + ", the VMM has " +
          number(flags));
  }
}

void Checker::device(Node node, const Bus& bus, const Device& device) {
  if (!device.present) return wrong("the VMM has no " + std::string(device.what));
  registers(node, bus, 0, device.registers);
  if (!device.spi) return;
  interrupt(node, 0, kSpi, *device.spi);
  spi_flags(node, kLevelHigh);
}

void Checker::serial(Node node, const Bus& bus) {
  serial_ = true;
  device(node, bus, {"serial port", config_.serial, kSerial, kSerialSpi});
}

void Checker::rtc(Node node, const Bus& bus) {
  rtc_ = true;
  device(node, bus, {"real-time clock", config_.rtc, kRtc, std::nullopt});
}

void Checker::gpio(Node node, const Bus& bus) {
  gpio_ = true;
  device(node, bus, {"GPIO controller", config_.power_key, kGpio, kGpioSpi});
}

void Checker::virtio_mmio(Node node, const Bus& bus) {
  const auto list = bus.registers(view_, node);
  const auto found = std::find_if(
      config_.virtio_mmio.begin(), config_.virtio_mmio.end(),
      [&](const VirtioMmio& device) { return !list.empty() && list[0] == device.registers; });
  if (found == config_.virtio_mmio.end()) {
    return wrong(list.empty() || !list[0]
                     ? "reg: none"
                     : "reg: " + text_of(*list[0]) + ", where the VMM has no virtio-mmio device");
  }
  virtio_[static_cast<std::size_t>(found - config_.virtio_mmio.begin())] = true;
  interrupt(node, 0, kSpi, found->spi);
  spi_flags(node, kEdgeRising);
}

void Checker::pci(Node node, const Bus& bus) {
  const auto list = bus.registers(view_, node);
  const auto found = std::find_if(config_.pci.begin(), config_.pci.end(), [&](const PciHost& host) {
    return !list.empty() && list[0] == host.ecam;
  });
  if (found == config_.pci.end()) {
    return wrong(list.empty() || !list[0]
                     ? "reg: none"
                     : "reg: " + text_of(*list[0]) + ", where the VMM has no PCI host");
  }
  pci_[static_cast<std::size_t>(found - config_.pci.begin())] = true;
}

void Checker::chosen(Node node) {
  const auto start = address(view_, node, "linux,initrd-start");
  const auto end = address(view_, node, "linux,initrd-end");
  initrd_ = start.has_value() && end.has_value();
  if (initrd_) {
    const bool none = config_.initrd.size == 0;
    if (none || *start != config_.initrd.base.raw() || *end != config_.initrd.end().raw()) {
      wrong("linux,initrd-start: " + hex(*start) + " to " + hex(*end) + ", the VMM has " +
            (none ? "none" : text_of(config_.initrd)));
    }
  }
  const auto bootargs = view_.string(node, "bootargs");
  bootargs_ = bootargs && *bootargs == config_.bootargs;
}

}  // namespace vmm::arch::aarch64::tree
