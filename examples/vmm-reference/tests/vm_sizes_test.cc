// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vm_sizes.h"

#include <catch2/catch.hpp>
#include <string>

namespace vmm::reference {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

VmConfig plain() {
  VmConfig vm;
  vm.kernel = "k";
  return vm;
}

TEST_CASE("sizes: before the boot they are the configuration's", "[vm-sizes]") {
  VmConfig vm = plain();
  REQUIRE(resize_config(vm, {.vcpus = 3, .ram_bytes = 1024 * kMiB, .balloon_bytes = kMiB}));
  CHECK((vm.cpus.boot == 3 && vm.memory.size == 1024 * kMiB && !vm.balloon));
  vm.balloon = BalloonConfig();
  REQUIRE(resize_config(vm, {.vcpus = {}, .ram_bytes = {}, .balloon_bytes = kMiB}));
  CHECK(vm.balloon->size == kMiB);
  REQUIRE(resize_config(vm, {}));
  CHECK((vm.cpus.boot == 3 && vm.balloon->size == kMiB));
}

TEST_CASE("sizes: memory that comes and goes is a part of it", "[vm-sizes]") {
  VmConfig vm = plain();
  vm.memory.virtio_mem = true;
  vm.memory.hotplug_size = 256 * kMiB;
  REQUIRE(resize_config(vm, {.vcpus = {}, .ram_bytes = 640 * kMiB, .balloon_bytes = {}}));
  CHECK((vm.memory.size == 512 * kMiB && vm.memory.hotplugged_size == 128 * kMiB));
  for (const auto bytes : {768 * kMiB + 2 * kMiB, 256 * kMiB, 513 * kMiB}) {
    const auto done = resize_config(vm, {.vcpus = {}, .ram_bytes = bytes, .balloon_bytes = {}});
    REQUIRE_FALSE(done);
    CHECK(done.error().message.starts_with("desired_ram"));
  }
  CHECK(vm.memory.hotplugged_size == 128 * kMiB);
}

TEST_CASE("sizes: what could not be booted is refused as a whole", "[vm-sizes][hostile]") {
  VmConfig vm = plain();
  vm.cpus.boot = 2;
  vm.cpus.affinity = {{.vcpu = 1, .host_cpus = {0}}};
  vm.balloon = BalloonConfig();
  for (const VmSizes& sizes : {VmSizes{.vcpus = 0, .ram_bytes = {}, .balloon_bytes = {}},
                               VmSizes{.vcpus = 8193, .ram_bytes = {}, .balloon_bytes = {}},
                               VmSizes{.vcpus = 1, .ram_bytes = {}, .balloon_bytes = {}},
                               VmSizes{.vcpus = 4, .ram_bytes = 0, .balloon_bytes = {}},
                               VmSizes{.vcpus = 4, .ram_bytes = 4097, .balloon_bytes = {}},
                               VmSizes{.vcpus = 4, .ram_bytes = {}, .balloon_bytes = 512 * kMiB}}) {
    CHECK_FALSE(resize_config(vm, sizes));
    CHECK((vm.cpus.boot == 2 && vm.memory.size == 512 * kMiB && vm.balloon->size == 0));
  }
  vm.cpus.topology = {.threads = 1, .cores = 2, .dies = 1, .packages = 1};
  CHECK_FALSE(resize_config(vm, {.vcpus = 4, .ram_bytes = {}, .balloon_bytes = {}}));
}

}  // namespace
}  // namespace vmm::reference
