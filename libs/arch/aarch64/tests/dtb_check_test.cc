// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/dtb_check.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "tests/dtc.h"
#include "tests/machines.h"
#include "vmm/fdt/fdt_writer.h"

namespace vmm::arch::aarch64 {
namespace {

using namespace testing;
using fdt::FdtView;

std::vector<std::string> texts(const std::vector<Disagreement>& list) {
  std::vector<std::string> out;
  for (const Disagreement& one : list) {
    out.push_back((one.kind == Disagreement::Kind::kWrong ? "wrong " : "unused ") + to_string(one));
  }
  return out;
}

std::vector<std::string> check(const std::vector<std::byte>& blob, const DeviceTreeConfig& config) {
  const auto view = FdtView::open(blob);
  REQUIRE(view.has_value());
  return texts(check_device_tree(*view, config));
}

TEST_CASE("no tree of ours disagrees with its machine", "[dtb_check]") {
  for (const Named& machine : machines()) {
    CAPTURE(machine.name);
    const auto blob = build_device_tree(machine.config);
    REQUIRE(blob.has_value());
    CHECK(check(*blob, machine.config) == std::vector<std::string>{});
  }
}

TEST_CASE("nodes of others may be of kinds that the machine has, elsewhere", "[dtb_check]") {
  const auto fill = [](fdt::Node& node) {
    node.strings("compatible", {"arm,pl031", "arm,primecell"});
    node.cells64("reg", {0xa00'0000, 0x1000});
  };
  const std::array others{OtherNode{.name = "pl031@a000000", .label = "host0", .fill = fill}};
  const DeviceTreeConfig config{.memory = kSmallRam, .others = others};
  const auto blob = *build_device_tree(config);
  CHECK(check(blob, config).empty());
  // A stranger's node at the same place is none of these.
  CHECK_FALSE(check(blob, {.memory = kSmallRam}).empty());
}

/// The machine that the trees below are changed from.
DeviceTreeConfig small_machine() {
  static const PciHost kHost[] = {{}};
  return {.memory = kSmallRam,
          .vcpus = 2,
          .bootargs = "quiet",
          .initrd = {GuestAddress(0x4800'0000), 0x1000},
          .reserved = std::span(kReserved).first(1),
          .symbols = true,
          .pmu = true,
          .virtio_mmio = kVirtio,
          .pci = kHost};
}

/// A tree of that machine with one piece of its source text replaced; nullopt without dtc.
std::optional<std::vector<std::byte>> changed(const DeviceTreeConfig& config,
                                              const std::string& from, const std::string& to) {
  const auto source = testing::decompile(*build_device_tree(config));
  if (!source) return std::nullopt;
  std::string text = source->output;
  const std::size_t at = text.find(from);
  INFO(text);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  const auto blob = testing::dtc("-q -I dts -O dtb", text);
  REQUIRE(blob);
  INFO(blob->messages);
  REQUIRE_FALSE(blob->output.empty());
  const auto bytes = std::as_bytes(std::span(blob->output));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

struct Change {
  const char* from;
  const char* to;
  std::vector<std::string> told;
};

void check_changes(const std::vector<Change>& changes, const DeviceTreeConfig& config) {
  for (const Change& change : changes) {
    CAPTURE(change.from, change.to);
    const auto blob = changed(config, change.from, change.to);
    if (!blob) {
      WARN("skipped: there is no dtc here");
      return;
    }
    CHECK(check(*blob, config) == change.told);
  }
}

TEST_CASE("memory that differs is named", "[dtb_check]") {
  const std::string reg = "reg = <0x00 0x40000000 0x00 0x10000000>;";
  check_changes(
      {
          {reg.c_str(),
           "reg = <0x00 0x40000000 0x00 0x20000000>;",
           {"wrong /memory@40000000: reg: 0x40000000 to 0x5fffffff, which is not all RAM of the "
            "VMM"}},
          {reg.c_str(),
           "reg = <0x00 0x40000000 0x00 0x8000000>;",
           {"unused /: the memory nodes tell of 0x8000000 bytes, the VMM has 0x10000000"}},
          {reg.c_str(),
           "reg = <0x00 0x40000000 0x00 0x9000000 0x00 0x48000000 0x00 0x8000000>;",
           {"wrong /: ranges of memory are empty or overlap"}},
          {reg.c_str(),
           "reg = <0xffffffff 0xffffffff 0x00 0x2>;",
           {"wrong /memory@40000000: reg: not an address",
            "unused /: the memory nodes tell of 0x0 bytes, the VMM has 0x10000000"}},
          {reg.c_str(),
           "",
           {"wrong /memory@40000000: reg: there is none",
            "unused /: the memory nodes tell of 0x0 bytes, the VMM has 0x10000000"}},
          {"device_type = \"memory\"", "status = \"okay\"", {"wrong /: there is no memory node"}},
          {"reg = <0x00 0x4f000000 0x00 0x100000>;",
           "reg = <0x00 0x4ff00001 0x00 0x100000>;",
           {"wrong /reserved-memory/ramoops@4f000000: reg: 0x4ff00001 to 0x50000000, which is not "
            "all RAM of the VMM"}},
      },
      small_machine());
}

TEST_CASE("CPUs and PSCI that differ are named", "[dtb_check]") {
  check_changes(
      {
          {"reg = <0x01>;",
           "reg = <0x100>;",
           {"wrong /cpus/cpu@1: reg: 0x100, the VMM's last CPU has 0x1",
            "unused /cpus: there is no node for the CPU with reg 0x1"}},
          {"reg = <0x01>;",
           "reg = <0x00>;",
           {"wrong /cpus/cpu@1: reg: 0x0, which another CPU has too",
            "unused /cpus: there is no node for the CPU with reg 0x1"}},
          {"reg = <0x00>;",
           "reg = <0x00 0x01>;",
           {"wrong /cpus/cpu@0: reg: not an MPIDR",
            "wrong /cpus: there is no node for the CPU with reg 0x0"}},
          {"enable-method = \"psci\"",
           "enable-method = \"spin-table\"",
           {"wrong /cpus/cpu@0: enable-method: not psci, by which the VMM starts CPUs"}},
          {"cpu@1 {",
           "cpu@1 {\nstatus = \"disabled\";",
           {"unused /cpus: there is no node for the CPU with reg 0x1"}},
          {"cpu@1 {", "cpu@1 {\nstatus = \"okay\";", {}},
          {"method = \"hvc\"",
           "method = \"smc\"",
           {"wrong /psci: method: not hvc, which the VMM has"}},
          {"\"arm,psci-1.0\\0arm,psci-0.2\"",
           "\"arm,psci\"",
           {"wrong /psci: compatible: PSCI 0.1 has other function numbers than the VMM's 1.0 and "
            "0.2"}},
          {"\"arm,psci-1.0\\0arm,psci-0.2\"", "\"other\"", {"wrong /: there is no node for PSCI"}},
      },
      small_machine());
}

TEST_CASE("interrupt controllers, timers and counters that differ are named", "[dtb_check]") {
  check_changes(
      {
          {"reg = <0x00 0x8ff0000 0x00 0x10000 0x00 0x8fb0000",
           "reg = <0x00 0x8000000 0x00 0x10000 0x00 0x80a0000",
           {"wrong /intc@8ff0000: reg: 0x8000000 to 0x800ffff, the VMM has 0x8ff0000 to 0x8ffffff",
            "wrong /intc@8ff0000: reg: 0x80a0000 to 0x80dffff, the VMM has 0x8fb0000 to "
            "0x8feffff"}},
          {"\"arm,gic-v3\"",
           "\"arm,gic-400\"",
           {"wrong /intc@8ff0000: compatible: a GICv2, the VMM has a GICv3"}},
          {"\"arm,gic-v3\"", "\"no\"", {"wrong /: there is no node for the interrupt controller"}},
          {"#interrupt-cells = <0x03>",
           "#interrupt-cells = <0x04>",
           {"wrong /intc@8ff0000: #interrupt-cells: not 3, which is looked for"}},
          {"interrupt-controller;", "", {"wrong /intc@8ff0000: interrupt-controller: missing"}},
          {"reg = <0x00 0x8f90000 0x00 0x20000>",
           "reg = <0x00 0x8080000 0x00 0x20000>",
           {"wrong /intc@8ff0000/msic@8f90000: reg: 0x8080000 to 0x809ffff, the VMM has 0x8f90000 "
            "to 0x8faffff"}},
          {"msi-controller;",
           "status = \"disabled\";",
           {"unused /: there is no node for the interrupt translation service"}},
          {"interrupts = <0x01 0x0d 0x04 0x01 0x0e 0x04 0x01 0x0b",
           "interrupts = <0x01 0x0d 0x08 0x01 0x0e 0x08 0x01 0x0c",
           {"wrong /timer: interrupts: PPI 12, the VMM has PPI 11"}},
          {"0x01 0x0b 0x04 0x01 0x0a 0x04>",
           ">",
           {"wrong /timer: interrupts: none, the VMM has PPI 11"}},
          {"\"arm,armv8-timer\"", "\"none\"", {"wrong /: there is no node for the timer"}},
          {"interrupts = <0x01 0x07 0x04>",
           "interrupts = <0x00 0x07 0x04>",
           {"wrong /pmu: interrupts: SPI 7, the VMM has PPI 7"}},
          {"interrupts = <0x01 0x07 0x04>", "interrupts-extended = <1 1 7 4>", {}},
          {"\"arm,armv8-pmuv3\"",
           "\"none\"",
           {"unused /: there is no node for the performance counters"}},
      },
      small_machine());
}

TEST_CASE("devices that differ are named", "[dtb_check]") {
  check_changes(
      {
          {"reg = <0x00 0x9000000 0x00 0x1000>",
           "reg = <0x00 0x5a060000 0x00 0x1000>",
           {"wrong /pl011@9000000: reg: 0x5a060000 to 0x5a060fff, the VMM has 0x9000000 to "
            "0x9000fff"}},
          {"interrupts = <0x00 0x01 0x04>",
           "interrupts = <0x00 0x21 0x01>",
           {"wrong /pl011@9000000: interrupts: SPI 33, the VMM has SPI 1",
            "wrong /pl011@9000000: interrupts: trigger type 1, the VMM has 4"}},
          {"interrupts = <0x00 0x01 0x04>;",
           "",
           {"wrong /pl011@9000000: interrupts: none, the VMM has SPI 1"}},
          {"\"arm,pl011\\0arm,primecell\"",
           "\"ns16550a\"",
           {"unused /: there is no node for the serial port"}},
          {"\"arm,pl031\\0arm,primecell\"",
           "\"none\"",
           {"unused /: there is no node for the real-time clock"}},
          {"\"arm,pl061\\0arm,primecell\"",
           "\"none\"",
           {"unused /: there is no node for the power key's GPIO controller"}},
          {"reg = <0x00 0xa001000 0x00 0x1000>",
           "reg = <0x00 0xa002000 0x00 0x1000>",
           {"wrong /virtio_mmio@a001000: reg: 0xa002000 to 0xa002fff, where the VMM has no "
            "virtio-mmio device",
            "unused /: there is no node for virtio-mmio 0xa001000 to 0xa001fff"}},
          {"interrupts = <0x00 0x0c 0x01>",
           "interrupts = <0x00 0x0c 0x04>",
           {"wrong /virtio_mmio@a000000: interrupts: trigger type 4, the VMM has 1"}},
          {"reg = <0x00 0xa001000 0x00 0x1000>;",
           "",
           {"wrong /virtio_mmio@a001000: reg: none",
            "unused /: there is no node for virtio-mmio 0xa001000 to 0xa001fff"}},
          {"reg = <0x00 0x30000000 0x00 0x100000>",
           "reg = <0x40 0x10000000 0x00 0x10000000>",
           {"wrong /pci@30000000: reg: 0x4010000000 to 0x401fffffff, where the VMM has no PCI host",
            "unused /: there is no node for PCI 0x30000000 to 0x300fffff"}},
      },
      small_machine());
}

TEST_CASE("devices that the VMM has not are named", "[dtb_check]") {
  const auto blob = build_device_tree(small_machine());
  REQUIRE(blob.has_value());
  const DeviceTreeConfig bare{.memory = kSmallRam,
                              .vcpus = 2,
                              .reserved = {},
                              .its = false,
                              .serial = false,
                              .rtc = false,
                              .power_key = false};
  CHECK(check(*blob, bare) ==
        std::vector<std::string>{
            "wrong /chosen: linux,initrd-start: 0x48000000 to 0x48001000, the VMM has none",
            "wrong /intc@8ff0000/msic@8f90000: the VMM has no interrupt translation service",
            "wrong /pmu: the VMM's CPUs have no performance counters",
            "wrong /pl011@9000000: the VMM has no serial port",
            "wrong /rtc@9010000: the VMM has no real-time clock",
            "wrong /pl061@9020000: the VMM has no GPIO controller",
            "wrong /virtio_mmio@a000000: reg: 0xa000000 to 0xa000fff, where the VMM has no "
            "virtio-mmio device",
            "wrong /virtio_mmio@a001000: reg: 0xa001000 to 0xa001fff, where the VMM has no "
            "virtio-mmio device",
            "wrong /pci@30000000: reg: 0x30000000 to 0x300fffff, where the VMM has no PCI host"});
  DeviceTreeConfig v2 = small_machine();
  v2.gic = GicVersion::kV2;
  CHECK(check(*blob, v2) ==
        std::vector<std::string>{
            "wrong /intc@8ff0000: compatible: a GICv3, the VMM has a GICv2",
            "wrong /intc@8ff0000/msic@8f90000: the VMM has no interrupt translation service"});
}

TEST_CASE("an initrd and a command line that differ are named", "[dtb_check]") {
  check_changes(
      {
          {"linux,initrd-end = <0x00 0x48001000>",
           "linux,initrd-end = <0x48002000>",
           {"wrong /chosen: linux,initrd-start: 0x48000000 to 0x48002000, the VMM has 0x48000000 "
            "to 0x48000fff"}},
          {"linux,initrd-end = <0x00 0x48001000>", "linux,initrd-end = <0x48001000>", {}},
          {"linux,initrd-end = <0x00 0x48001000>",
           "linux,initrd-end = [48 00]",
           {"unused /chosen: linux,initrd-start: none, the VMM has 0x48000000 to 0x48000fff"}},
          {"\"quiet\"", "\"loud\"", {"unused /chosen: bootargs: not those given to the VMM"}},
      },
      small_machine());
}

/// The tree of a board: everything below buses with addresses of their own.
constexpr const char* kBoard = R"(/dts-v1/;
/ {
  #address-cells = <2>; #size-cells = <2>; compatible = "board"; interrupt-parent = <&gic>;
  memory@40000000 { device_type = "memory"; reg = <0 0x40000000 0 0x10000000>; };
  cpus { #address-cells = <2>; #size-cells = <0>;
    cpu@0 { device_type = "cpu"; compatible = "arm,cortex-a72"; reg = <0 0>;
            enable-method = "psci"; }; };
  psci { compatible = "arm,psci-1.0"; method = "hvc"; };
  soc@0 { compatible = "simple-bus"; #address-cells = <1>; #size-cells = <1>;
    ranges = <0 0 0x08000000 0x1000000>, <0x20000000 0 0x09000000 0x1000000>;
    gic: interrupt-controller@fd0000 { compatible = "arm,gic-v3"; #interrupt-cells = <3>;
      interrupt-controller; reg = <0xff0000 0x10000>, <0xfd0000 0x20000>; };
    bus@20000000 { compatible = "simple-bus"; #address-cells = <1>; #size-cells = <1>; ranges;
      serial@20000000 { compatible = "arm,pl011"; reg = <0x20000000 0x1000>;
        interrupts = <0 1 4>; };
      i2c@20020000 { #address-cells = <1>; #size-cells = <0>; reg = <0x20020000 0x1000>;
        compatible = "board,i2c";
        clock@51 { compatible = "arm,pl031"; reg = <0x51>; };
      };
    };
  };
  timer { compatible = "arm,armv8-timer"; interrupts = <1 13 8>, <1 14 8>, <1 11 8>; };
};
)";

TEST_CASE("addresses are followed through the buses of a board", "[dtb_check]") {
  const auto compiled = testing::dtc("-q -I dts -O dtb", kBoard);
  if (!compiled) {
    WARN("skipped: there is no dtc here");
    return;
  }
  REQUIRE_FALSE(compiled->output.empty());
  const auto bytes = std::as_bytes(std::span(compiled->output));
  const DeviceTreeConfig config{.memory = kSmallRam, .its = false, .rtc = true, .power_key = false};
  CHECK(check({bytes.begin(), bytes.end()}, config) ==
        std::vector<std::string>{"wrong /soc@0/bus@20000000/i2c@20020000/clock@51: reg: none, the "
                                 "VMM has 0x9010000 to 0x9010fff"});
}

TEST_CASE("buses without addresses map nothing", "[dtb_check][hostile]") {
  // A bus below it takes the addresses of its parent, in which an entry of "ranges" has no cell.
  fdt::FdtWriter writer({});
  {
    fdt::Node root = writer.root();
    root.u32("#address-cells", 0);
    fdt::Node outer = root.child("a");
    outer.u32("#address-cells", 0);
    outer.u32("#size-cells", 0);
    outer.u32("ranges", 0);
    fdt::Node inner = outer.child("b");
    inner.u32("#address-cells", 1);
    inner.u32("#size-cells", 1);
    inner.flag("ranges");
    fdt::Node device = inner.child("c");
    device.string("compatible", "virtio,mmio");
    device.cells("reg", {0, 0x1000});
  }
  const auto told = check(*writer.finish(), small_machine());
  CHECK(std::ranges::count(told, "wrong /a/b/c: reg: none") == 1);
}

TEST_CASE("a tree of nonsense is told of up to a limit, in printable text",
          "[dtb_check][hostile]") {
  fdt::FdtWriter writer({});
  {
    fdt::Node root = writer.root();
    for (int i = 0; i < 200; ++i) {
      fdt::Node node = root.child("x" + std::to_string(i));
      node.string("compatible", "arm,psci-0.2");
    }
  }
  auto blob = *writer.finish();
  // Names that no writer of ours makes: dtc's are not checked for what they consist of.
  for (std::size_t i = 0; i + 1 < blob.size(); ++i) {
    if (blob[i] == std::byte{'x'} && blob[i + 1] == std::byte{'7'}) blob[i] = std::byte{0x1b};
  }
  const auto told = check(blob, {.memory = kSmallRam});
  REQUIRE(told.size() == kMaxDisagreements + 1);
  CHECK(told[7] == "wrong /?7: method: not hvc, which the VMM has");
  CHECK(told.back() == "wrong /: more disagreements are left out");
}

TEST_CASE("a user's overlay is merged and what it breaks is told", "[dtb_check][overlay]") {
  const DeviceTreeConfig config = small_machine();
  const auto tree = build_device_tree(config);
  REQUIRE(tree.has_value());
  const auto merge = [&](const char* source) {
    const auto overlay = testing::dtc("-q -@ -I dts -O dtb", source);
    REQUIRE(overlay);
    INFO(overlay->messages);
    REQUIRE_FALSE(overlay->output.empty());
    auto merged = merge_overlay(*tree, std::as_bytes(std::span(overlay->output)), config);
    REQUIRE(merged.has_value());
    return *std::move(merged);
  };
  if (!testing::decompile(*tree)) {
    WARN("skipped: there is no dtc here");
    return;
  }
  const MergedTree good = merge(R"(/dts-v1/; /plugin/;
    &{/} { sensor { compatible = "board,sensor"; gpios = <&pl061 1 0>; }; };
    &cpu1 { capacity-dmips-mhz = <512>; };)");
  CHECK(texts(good.disagreements) == std::vector<std::string>{});
  const auto view = FdtView::open(good.blob);
  REQUIRE(view.has_value());
  const auto sensor = view->find("/sensor");
  REQUIRE(sensor.has_value());
  CHECK(view->cells(*sensor, "gpios")[0] == view->u32(*view->find("/pl061@9020000"), "phandle"));
  CHECK(view->u32(*view->find("/cpus/cpu@1"), "capacity-dmips-mhz") == 512);

  const MergedTree bad = merge(R"(/dts-v1/; /plugin/;
    &pl011 { reg = <0 0x5a060000 0 0x1000>; };
    &pl031 { status = "disabled"; };)");
  CHECK(texts(bad.disagreements) ==
        std::vector<std::string>{"wrong /pl011@9000000: reg: 0x5a060000 to 0x5a060fff, the VMM has "
                                 "0x9000000 to 0x9000fff",
                                 "unused /: there is no node for the real-time clock"});
  const auto none = merge_overlay(*tree, {}, config);
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error() == fdt::FdtError::kBadOverlay);
}

}  // namespace
}  // namespace vmm::arch::aarch64
