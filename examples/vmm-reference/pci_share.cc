// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pci_share.h"

#include <algorithm>

namespace vmm::reference {
namespace {

// The part from `before` to `before + weight` of `total` equal parts, in whole units.
AddressRange part_of(const AddressRange& all, std::uint64_t unit, std::uint64_t before,
                     std::uint64_t weight, std::uint64_t total) {
  if (weight == total) return all;
  const std::uint64_t units = all.size / unit;  // below 2^44, and weights below 2^20 together
  const std::uint64_t first = units * before / total;
  const std::uint64_t end = units * (before + weight) / total;
  if (first == end) return {};
  return {GuestAddress(all.base.raw() + first * unit), (end - first) * unit};
}

}  // namespace

std::vector<PciSpace> share_pci(const PciSpace& all, std::span<const PciSegmentConfig> segments,
                                std::uint32_t buses) {
  const std::uint64_t ecam_bytes =
      std::min<std::uint64_t>(buses, all.ecam.size / kBusBytes / segments.size()) * kBusBytes;
  std::uint64_t total32 = 0;
  std::uint64_t total64 = 0;
  for (const PciSegmentConfig& segment : segments) {
    total32 += segment.mmio32_weight;
    total64 += segment.mmio64_weight;
  }
  std::vector<PciSpace> shares;
  std::uint64_t before32 = 0;
  std::uint64_t before64 = 0;
  for (const PciSegmentConfig& segment : segments) {
    const GuestAddress ecam(all.ecam.base.raw() + shares.size() * ecam_bytes);
    shares.push_back({.ecam = {ecam, ecam_bytes},
                      .window32 = part_of(all.window32, std::uint64_t{1} << 20, before32,
                                          segment.mmio32_weight, total32),
                      .window64 = part_of(all.window64, std::uint64_t{1} << 30, before64,
                                          segment.mmio64_weight, total64)});
    before32 += segment.mmio32_weight;
    before64 += segment.mmio64_weight;
  }
  return shares;
}

}  // namespace vmm::reference
