// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/dtb_check.h"

#include <algorithm>
#include <charconv>

#include "dtb_checker.h"

namespace vmm::arch::aarch64 {
namespace tree {
namespace {

using fdt::FdtView;

constexpr std::size_t kMaxText = 200;

/// Printable and not too long, as all of it may come from the tree.
std::string printable(std::string_view text) {
  std::string out(text.substr(0, kMaxText));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  if (text.size() > kMaxText) out += "...";
  return out;
}

bool enabled(const FdtView& view, FdtView::Node node) {
  const auto status = view.property(node, "status");
  return !status || view.has_string(node, "status", "okay") ||
         view.has_string(node, "status", "ok");
}

}  // namespace

std::string hex(std::uint64_t value) {
  char digits[16];
  const auto done = std::to_chars(digits, digits + sizeof(digits), value, 16);
  return "0x" + std::string(digits, done.ptr);
}

std::string text_of(const AddressRange& range) {
  if (range.size == 0) return "nothing at " + hex(range.base.raw());
  return hex(range.base.raw()) + " to " + hex(range.base.raw() + (range.size - 1));
}

Checker::Checker(const FdtView& view, const DeviceTreeConfig& config)
    : view_(view),
      config_(config),
      cpus_(config.vcpus),
      virtio_(config.virtio_mmio.size()),
      pci_(config.pci.size()) {}

void Checker::add(Kind kind, std::string_view node, std::string text) {
  if (found_.size() > kMaxDisagreements) return;
  if (found_.size() == kMaxDisagreements) {
    found_.push_back({Kind::kWrong, "/", "more disagreements are left out"});
    return;
  }
  found_.push_back({kind, printable(node.empty() ? "/" : node), printable(text)});
}

std::vector<Disagreement> Checker::run() && {
  const Bus root(view_);
  visit(view_.root(), root);
  enter_children(view_.root(), root);
  finish();
  return std::move(found_);
}

void Checker::enter_children(Node node, const Bus& bus) {
  for (auto child = view_.first_child(node); child; child = view_.next_sibling(*child)) {
    walk(*child, bus);
  }
}

void Checker::walk(Node node, const Bus& bus) {
  if (!enabled(view_, node)) return;
  const std::size_t parent_bytes = path_.size();
  path_ += '/';
  path_ += view_.name(node);
  ++depth_;
  visit(node, bus);
  enter_children(node, Bus(view_, node, bus));
  --depth_;
  path_.resize(parent_bytes);
}

const Checker::Known Checker::kKnown[] = {
    {"arm,psci-0.2", &Checker::psci},
    {"arm,psci-1.0", &Checker::psci},
    {"arm,psci", &Checker::psci},
    {"arm,gic-v3", &Checker::gic_v3},
    {"arm,cortex-a15-gic", &Checker::gic_v2},
    {"arm,cortex-a7-gic", &Checker::gic_v2},
    {"arm,cortex-a9-gic", &Checker::gic_v2},
    {"arm,gic-400", &Checker::gic_v2},
    {"arm,gic-v3-its", &Checker::its},
    {"arm,armv8-timer", &Checker::timer},
    {"arm,armv7-timer", &Checker::timer},
    {"arm,armv8-pmuv3", &Checker::pmu},
    {"arm,pl011", &Checker::serial},
    {"arm,pl031", &Checker::rtc},
    {"arm,pl061", &Checker::gpio},
    {"virtio,mmio", &Checker::virtio_mmio},
    {"pci-host-ecam-generic", &Checker::pci},
};

void Checker::visit(Node node, const Bus& bus) {
  const std::string_view path = path_;
  if (depth_ == 1 && path == "/chosen") return chosen(node);
  if (depth_ == 1 && view_.has_string(node, "device_type", "memory")) return memory(node, bus);
  if (depth_ == 2 && path.starts_with("/cpus/") && view_.has_string(node, "device_type", "cpu")) {
    return cpu(node, bus);
  }
  if (depth_ == 2 && path.starts_with("/reserved-memory/")) return reserved(node, bus);
  if (depth_ == 1 && is_others(view_.name(node))) return;
  if (!view_.property(node, "compatible")) return;
  for (const Known& known : kKnown) {
    if (view_.has_string(node, "compatible", known.compatible)) {
      return (this->*known.method)(node, bus);
    }
  }
}

// Whoever has put the node there knows what is at its addresses, be it of a kind that is known
// here.
bool Checker::is_others(std::string_view name) const {
  return std::ranges::any_of(config_.others,
                             [name](const OtherNode& other) { return other.name == name; });
}

void Checker::missing(bool is_there, bool seen, std::string_view what) {
  if (is_there && !seen) unused("/", "there is no node for " + std::string(what));
}

void Checker::finish() {
  finish_memory();
  finish_cpus();
  if (!gic_) add(Kind::kWrong, "/", "there is no node for the interrupt controller");
  if (!timer_) add(Kind::kWrong, "/", "there is no node for the timer");
  if (!psci_) add(Kind::kWrong, "/", "there is no node for PSCI");
  missing(config_.gic == GicVersion::kV3 && config_.its, its_, "the interrupt translation service");
  missing(config_.pmu, pmu_, "the performance counters");
  missing(config_.serial, serial_, "the serial port");
  missing(config_.rtc, rtc_, "the real-time clock");
  missing(config_.power_key, gpio_, "the power key's GPIO controller");
  for (std::size_t i = 0; i < virtio_.size(); ++i) {
    missing(true, virtio_[i], "virtio-mmio " + text_of(config_.virtio_mmio[i].registers));
  }
  for (std::size_t i = 0; i < pci_.size(); ++i) {
    missing(true, pci_[i], "PCI " + text_of(config_.pci[i].ecam));
  }
  finish_chosen();
}

void Checker::finish_memory() {
  if (memory_nodes_ == 0) return add(Kind::kWrong, "/", "there is no memory node");
  std::sort(memory_.begin(), memory_.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.base < b.base; });
  if (!sorted_and_disjoint(memory_)) {
    return add(Kind::kWrong, "/", "ranges of memory are empty or overlap");
  }
  std::uint64_t told = 0;
  for (const AddressRange& range : memory_) told += range.size;
  std::uint64_t have = 0;
  for (const AddressRange& range : config_.memory) have += range.size;
  if (told < have) {
    unused("/", "the memory nodes tell of " + hex(told) + " bytes, the VMM has " + hex(have));
  }
}

void Checker::finish_cpus() {
  for (std::size_t i = 0; i < cpus_.size(); ++i) {
    if (cpus_[i]) continue;
    std::string text = "there is no node for the CPU with reg " +
                       hex(mpidr_affinity(static_cast<std::uint32_t>(i)));
    add(i == 0 ? Kind::kWrong : Kind::kUnused, "/cpus", std::move(text));
  }
}

void Checker::finish_chosen() {
  if (config_.initrd.size != 0 && !initrd_) {
    unused("/chosen", "linux,initrd-start: none, the VMM has " + text_of(config_.initrd));
  }
  if (!config_.bootargs.empty() && !bootargs_) {
    unused("/chosen", "bootargs: not those given to the VMM");
  }
}

}  // namespace tree

std::string to_string(const Disagreement& disagreement) {
  return disagreement.node + ": " + disagreement.text;
}

std::vector<Disagreement> check_device_tree(const fdt::FdtView& tree,
                                            const DeviceTreeConfig& config) {
  return tree::Checker(tree, config).run();
}

Result<MergedTree, fdt::FdtError> merge_overlay(std::span<const std::byte> tree,
                                                std::span<const std::byte> overlay,
                                                const DeviceTreeConfig& config) {
  MergedTree merged;
  VMM_TRY(merged.blob, fdt::apply_overlay(tree, overlay));
  VMM_TRY(const fdt::FdtView view, fdt::FdtView::open(merged.blob));
  merged.disagreements = check_device_tree(view, config);
  return merged;
}

}  // namespace vmm::arch::aarch64
