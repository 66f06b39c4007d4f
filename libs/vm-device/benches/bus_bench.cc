// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// bus_lookup_N: one 4-byte read on a bus of N devices, each time another device, so that the
// caller's last hit never helps. bus_same_device_N: always the same device. The device does
// nothing. floor: the same call through a pointer, without a bus.

#include <array>
#include <memory>
#include <string>

#include "bench.h"
#include "vmm/vm_device/bus.h"

namespace {

using namespace vmm;
using namespace vmm::vm_device;

class Idle final : public BusDevice {
 public:
  void read(std::uint64_t, std::span<std::byte>) override {}
  void write(std::uint64_t, std::span<const std::byte>) override {}
};

void bench_lookup(bench::Bench& bench, std::size_t count) {
  MmioBus bus;
  const auto device = std::make_shared<Idle>();
  for (std::size_t i = 0; i < count; ++i) {
    if (!bus.add(GuestAddress(0x1000 * i), 0x200, device).has_value()) return;
  }
  MmioCaller caller(bus);
  std::array<std::byte, 4> data{};
  const std::string n = std::to_string(count);
  std::size_t i = 0;
  bench.run("vm-device/bus_lookup_" + n, [&] {
    i = (i + 7) % count;
    bench::keep(caller.read(GuestAddress(0x1000 * i + 0x10), data));
  });
  bench.run("vm-device/bus_same_device_" + n,
            [&] { bench::keep(caller.read(GuestAddress(0x10), data)); });
}

VMM_BENCH(bench) {
  for (const std::size_t count : {1u, 8u, 32u, 256u}) bench_lookup(bench, count);

  const std::unique_ptr<BusDevice> device = std::make_unique<Idle>();
  std::array<std::byte, 4> data{};
  bench.floor("vm-device/bus_same_device_8",
              [&] { bench::opaque(device.get())->read(0x10, data); });

  MmioBus bus;
  const auto shared = std::make_shared<Idle>();
  for (std::size_t i = 1; i < 32; ++i) {
    if (!bus.add(GuestAddress(0x1000 * i), 0x200, shared).has_value()) return;
  }
  bench.run("vm-device/bus_add_remove_32", [&] {
    bench::keep(bus.add(GuestAddress(0), 4, shared));
    bench::keep(bus.remove(GuestAddress(0)));
  });
}

}  // namespace
