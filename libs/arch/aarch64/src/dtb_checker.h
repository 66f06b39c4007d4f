// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bus.h"
#include "vmm/arch/aarch64/dtb_check.h"

namespace vmm::arch::aarch64::tree {

/// Walks over a tree once and keeps what it disagrees with the VMM about.
class Checker {
 public:
  Checker(const fdt::FdtView& view, const DeviceTreeConfig& config);
  [[nodiscard]] std::vector<Disagreement> run() &&;

 private:
  using Node = fdt::FdtView::Node;
  using Kind = Disagreement::Kind;
  using Method = void (Checker::*)(Node, const Bus&);
  struct Known {
    std::string_view compatible;
    Method method;
  };
  /// A thing that is at one place on this machine, or not at all.
  struct Device {
    std::string_view what;
    bool present;
    AddressRange registers;
    std::optional<std::uint32_t> spi;  // when the tree must name it
  };

  void walk(Node node, const Bus& bus);
  void visit(Node node, const Bus& bus);
  void enter_children(Node node, const Bus& bus);

  // Each of one kind of node: dtb_check_nodes.cc.
  void memory(Node node, const Bus& bus);
  void cpu(Node node, const Bus& bus);
  void reserved(Node node, const Bus& bus);
  void psci(Node node, const Bus& bus);
  void gic_v2(Node node, const Bus& bus);
  void gic_v3(Node node, const Bus& bus);
  void its(Node node, const Bus& bus);
  void timer(Node node, const Bus& bus);
  void pmu(Node node, const Bus& bus);
  void serial(Node node, const Bus& bus);
  void rtc(Node node, const Bus& bus);
  void gpio(Node node, const Bus& bus);
  void virtio_mmio(Node node, const Bus& bus);
  void pci(Node node, const Bus& bus);
  void chosen(Node node);

  void gic(Node node, const Bus& bus, GicVersion version);
  void device(Node node, const Bus& bus, const Device& device);
  void registers(Node node, const Bus& bus, std::size_t index, const AddressRange& wanted);
  void interrupt(Node node, std::size_t index, std::uint32_t type, std::uint32_t number);
  void spi_flags(Node node, std::uint32_t flags);
  [[nodiscard]] bool in_ram(const AddressRange& range) const;

  void finish();
  void finish_memory();
  void finish_cpus();
  void finish_chosen();
  [[nodiscard]] bool is_others(std::string_view name) const;
  void missing(bool is_there, bool seen, std::string_view what);

  void wrong(std::string text) { add(Kind::kWrong, path_, std::move(text)); }
  void unused(std::string_view node, std::string text) {
    add(Kind::kUnused, node, std::move(text));
  }
  void add(Kind kind, std::string_view node, std::string text);

  static const Known kKnown[];

  const fdt::FdtView& view_;
  const DeviceTreeConfig& config_;
  std::string path_;
  std::size_t depth_ = 0;
  std::vector<Disagreement> found_;

  bool psci_ = false, gic_ = false, its_ = false, timer_ = false, pmu_ = false;
  bool serial_ = false, rtc_ = false, gpio_ = false;
  bool initrd_ = false, bootargs_ = false;
  std::vector<bool> cpus_;
  std::vector<bool> virtio_;
  std::vector<bool> pci_;
  std::vector<AddressRange> memory_;
  std::size_t memory_nodes_ = 0;
};

/// "0x40000000".
[[nodiscard]] std::string hex(std::uint64_t value);
/// "0x40000000 to 0x7fffffff".
[[nodiscard]] std::string text_of(const AddressRange& range);

}  // namespace vmm::arch::aarch64::tree
