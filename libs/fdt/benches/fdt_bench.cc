// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <cstdio>
#include <cstdlib>

#include "bench.h"
#include "benches/microvm_tree.h"

namespace vmm::fdt {
namespace {

std::size_t build(std::uint32_t cpus, std::uint32_t devices) {
  FdtWriter writer({});
  bench::microvm_tree(writer, cpus, devices);
  const auto blob = writer.finish();
  if (!blob) std::exit(1);
  return blob->size();
}

VMM_BENCH(bench) {
  // The peer's trees take 1823 and 7311 bytes.
  std::fprintf(stderr, "fdt_1cpu_4virtio: %zu bytes, fdt_16cpu_32virtio: %zu bytes\n", build(1, 4),
               build(16, 32));
  bench.run("fdt/fdt_1cpu_4virtio", [] { vmm::bench::keep(build(1, 4)); });
  bench.run("fdt/fdt_16cpu_32virtio", [] { vmm::bench::keep(build(16, 32)); });
}

}  // namespace
}  // namespace vmm::fdt
