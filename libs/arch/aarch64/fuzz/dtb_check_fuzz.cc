// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Input: two bytes (little-endian) for the size of a tree, the tree, and an overlay for it. The
// tree and what the overlay makes of it are checked: what is told is bounded and printable.

#include <algorithm>
#include <array>
#include <vector>

#include "fuzz_input.h"
#include "vmm/arch/aarch64/dtb_check.h"

namespace {

using namespace vmm::arch::aarch64;

constexpr std::size_t kMaxLine = 1000;

/// A machine with one of everything.
struct Machine {
  std::array<AddressRange, 2> memory = {AddressRange{kRamStart, 0x1000'0000},
                                        AddressRange{kHighRam, 0x1000'0000}};
  std::array<VirtioMmio, 1> virtio = {VirtioMmio{{kPlatformWindow.base, 0x1000}, kFirstFreeSpi}};
  std::array<PciHost, 1> pci = {PciHost{}};
  DeviceTreeConfig config{.memory = memory,
                          .vcpus = 2,
                          .bootargs = "quiet",
                          .initrd = {vmm::GuestAddress(0x4800'0000), 0x1000},
                          .symbols = true,
                          .pmu = true,
                          .virtio_mmio = virtio,
                          .pci = pci};
};

void check_told(const std::vector<Disagreement>& told) {
  require(told.size() <= kMaxDisagreements + 1);
  for (const Disagreement& one : told) {
    const std::string line = to_string(one);
    require(line.starts_with('/') && line.size() <= kMaxLine);
    require(std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c <= '~'; }));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const std::size_t tree_bytes =
      std::min<std::size_t>(data[0] | std::size_t{data[1]} << 8, size - 2);
  const std::vector<std::byte> tree(bytes.begin() + 2,
                                    bytes.begin() + 2 + static_cast<std::ptrdiff_t>(tree_bytes));
  const auto overlay = bytes.subspan(2 + tree_bytes);
  const Machine machine;
  if (const auto view = vmm::fdt::FdtView::open(tree)) {
    check_told(check_device_tree(*view, machine.config));
  }
  const auto merged = merge_overlay(tree, overlay, machine.config);
  if (!merged) return 0;
  check_told(merged->disagreements);
  require(vmm::fdt::FdtView::open(merged->blob).has_value());
  return 0;
}
