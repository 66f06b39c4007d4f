// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <charconv>
#include <cstring>
#include <string_view>

#include "vmm/fdt/fdt_writer.h"

namespace vmm::fdt::bench {

/// "name@address", made on the stack.
class UnitName {
 public:
  UnitName(std::string_view base, std::uint64_t address) {
    std::memcpy(text_, base.data(), base.size());
    text_[base.size()] = '@';
    end_ = std::to_chars(text_ + base.size() + 1, text_ + sizeof(text_), address, 16).ptr;
  }
  operator std::string_view() const {  // NOLINT(google-explicit-constructor)
    return {text_, static_cast<std::size_t>(end_ - text_)};
  }

 private:
  char text_[64];
  char* end_;
};

inline void add_cpus(Node& root, std::uint32_t count) {
  Node cpus = root.child("cpus");
  cpus.u32("#address-cells", 2);
  cpus.u32("#size-cells", 0);
  for (std::uint32_t i = 0; i < count; ++i) {
    Node cpu = cpus.child(UnitName("cpu", i));
    cpu.string("device_type", "cpu");
    cpu.string("compatible", "arm,arm-v8");
    cpu.string("enable-method", "psci");
    cpu.u64("reg", i);
  }
}

inline void add_gic(Node& root) {
  Node gic = root.child("interrupt-controller@8fd0000");
  gic.string("compatible", "arm,gic-v3");
  gic.flag("interrupt-controller");
  gic.u32("#interrupt-cells", 3);
  gic.u32("#address-cells", 2);
  gic.u32("#size-cells", 2);
  gic.flag("ranges");
  gic.cells64("reg", {0x8ff0000, 0x10000, 0x8fd0000, 0x20000});
  gic.cells("interrupts", {1, 9, 4});
  gic.phandle(1);
}

inline void add_fixed(Node& root) {
  {
    Node timer = root.child("timer");
    timer.string("compatible", "arm,armv8-timer");
    timer.flag("always-on");
    timer.cells("interrupts", {1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4});
  }
  {
    Node clock = root.child("apb-pclk");
    clock.string("compatible", "fixed-clock");
    clock.u32("#clock-cells", 0);
    clock.u32("clock-frequency", 24000000);
    clock.string("clock-output-names", "clk24mhz");
    clock.phandle(2);
  }
  {
    Node psci = root.child("psci");
    psci.string("compatible", "arm,psci-0.2");
    psci.string("method", "hvc");
  }
  Node uart = root.child("uart@40002000");
  uart.string("compatible", "ns16550a");
  uart.cells64("reg", {0x40002000, 0x1000});
  uart.u32("clocks", 2);
  uart.string("clock-names", "apb_pclk");
  uart.cells("interrupts", {0, 0, 1});
}

/// The tree of an Arm microVM: processors, memory, GICv3, timer, clock, PSCI, a serial port and
/// virtio-mmio devices.
inline void microvm_tree(FdtWriter& writer, std::uint32_t cpus, std::uint32_t devices) {
  Node root = writer.root();
  root.string("compatible", "linux,dummy-virt");
  root.string("model", "linux,dummy-virt");
  root.u32("#address-cells", 2);
  root.u32("#size-cells", 2);
  root.u32("interrupt-parent", 1);
  add_cpus(root, cpus);
  {
    Node memory = root.child("memory@80000000");
    memory.string("device_type", "memory");
    memory.cells64("reg", {0x80000000, 0x10000000});
  }
  {
    Node chosen = root.child("chosen");
    chosen.string("bootargs", "console=ttyS0 reboot=k panic=1 pci=off");
    chosen.u64("linux,initrd-start", 0x88000000);
    chosen.u64("linux,initrd-end", 0x88800000);
  }
  add_gic(root);
  add_fixed(root);
  for (std::uint32_t i = 0; i < devices; ++i) {
    const std::uint64_t address = 0x40003000 + std::uint64_t{i} * 0x1000;
    Node device = root.child(UnitName("virtio_mmio", address));
    device.flag("dma-coherent");
    device.string("compatible", "virtio,mmio");
    device.cells64("reg", {address, 0x1000});
    device.cells("interrupts", {0, 1 + i, 1});
    device.u32("interrupt-parent", 1);
  }
}

}  // namespace vmm::fdt::bench
