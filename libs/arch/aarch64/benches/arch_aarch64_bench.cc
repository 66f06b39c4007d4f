// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench.h"
#include "vmm/arch/aarch64/device_tree.h"
#include "vmm/arch/aarch64/dtb_check.h"

namespace vmm::arch::aarch64 {
namespace {

using bench::keep;
using bench::opaque;

VMM_BENCH(bench) {
  const std::array memory{AddressRange{kRamStart, std::uint64_t{1} << 30}};
  std::vector<VirtioMmio> virtio;
  for (std::uint32_t i = 0; i < 4; ++i) {
    virtio.push_back(
        {{GuestAddress(kPlatformWindow.base.raw() + i * 0x1000), 0x1000}, kFirstFreeSpi + i});
  }
  for (const std::uint32_t vcpus : {1u, 64u}) {
    const DeviceTreeConfig config{.memory = memory, .vcpus = vcpus, .virtio_mmio = virtio};
    const std::string suffix = "_" + std::to_string(vcpus) + "cpu";
    bench.run("arch-aarch64/device_tree" + suffix,
              [&] { keep(build_device_tree(*opaque(&config)).has_value()); });
    const auto blob = build_device_tree(config);
    if (!blob) std::abort();
    const auto view = fdt::FdtView::open(*blob);
    if (!view) std::abort();
    bench.run("arch-aarch64/dtb_check" + suffix,
              [&] { keep(check_device_tree(*view, *opaque(&config)).size()); });
  }
}

}  // namespace
}  // namespace vmm::arch::aarch64
