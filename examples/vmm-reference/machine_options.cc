// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "machine_options.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "character_option.h"
#include "device_options.h"
#include "option_keys.h"
#include "option_value.h"

namespace vmm::reference {
namespace {

// KVM allows more on large hosts; this is the ceiling of the command line.
constexpr std::uint32_t kMaxCpus = 8192;
constexpr std::uint64_t kHuge2M = std::uint64_t{2} << 20;
constexpr std::uint64_t kHuge1G = std::uint64_t{1} << 30;

Outcome<std::vector<CpusConfig::Affinity>> parse_affinity(const OptionValue& value,
                                                          std::uint32_t boot) {
  const auto text = value.text("affinity");
  if (!text) return std::vector<CpusConfig::Affinity>();
  auto all = parse_affinity_list(*text, boot);
  if (!all)
    return fail(value.error("affinity", "\"" + *text + "\" is not " + affinity_form("VCPU")));
  return *std::move(all);
}

using TopologyNumbers = std::array<std::uint32_t, 4>;

std::uint64_t product_of(const TopologyNumbers& numbers) {
  std::uint64_t product = 1;
  for (const std::uint32_t number : numbers) product *= number;  // at most 2^52
  return product;
}

/// Of a topology the part that its first `count` CPUs take: threads before cores, and so on.
TopologyNumbers first_part(TopologyNumbers numbers, std::uint32_t count) {
  for (std::uint32_t& number : numbers) {
    const std::uint32_t most = number;
    number = std::min(number, count);
    count = (count + most - 1) / most;
  }
  return numbers;
}

// A topology is that of `max` CPUs, and what is kept of it that of those which there are.
Outcome<std::optional<CpusConfig::Topology>> parse_topology(const OptionValue& value,
                                                            const CpusConfig& cpus) {
  const auto text = value.text("topology");
  if (!text) return std::optional<CpusConfig::Topology>();
  TopologyNumbers numbers{};
  const auto parts = split_outside_groups(*text, ':');
  bool good = parts && parts->size() == numbers.size();
  for (std::size_t i = 0; good && i < numbers.size(); ++i) {
    const auto number = parse_integer((*parts)[i]);
    good = number && *number >= 1 && *number <= kMaxCpus;
    if (good) numbers[i] = static_cast<std::uint32_t>(*number);
  }
  if (!good) {
    return fail(value.error("topology", "\"" + *text + "\" is not THREADS:CORES:DIES:PACKAGES"));
  }
  const std::uint32_t max = std::max(cpus.boot, cpus.max_asked);
  if (const std::uint64_t product = product_of(numbers); product != max) {
    return fail(value.error("topology", "its product " + std::to_string(product) +
                                            " is not the number of CPUs " + std::to_string(max)));
  }
#if defined(__aarch64__)
  if (numbers[2] != 1) return fail(value.error("topology", "aarch64 has one die a package"));
#else
  if (numbers[0] > 2) return fail(value.error("topology", "more than 2 threads a core"));
#endif
  numbers = first_part(numbers, cpus.boot);
  if (product_of(numbers) != cpus.boot) {
    return fail(value.error("topology", "boot is not the number of CPUs of a part of it"));
  }
  return std::optional(CpusConfig::Topology{numbers[0], numbers[1], numbers[2], numbers[3]});
}

// nullopt: it was not given.
Outcome<std::optional<CpusConfig::CoreScheduling>> parse_core_scheduling(const OptionValue& value) {
  using Mode = CpusConfig::CoreScheduling;
  if (!value.text("core_scheduling")) return std::optional<Mode>();
  constexpr std::array kModes{Mode::kVm, Mode::kVcpu, Mode::kOff};
  VMM_TRY(const std::size_t mode, value.choice("core_scheduling", {"vm", "vcpu", "off"}, 0));
  return std::optional(kModes[mode]);
}

Outcome<void> parse_hotplug(const OptionValue& value, MemoryConfig& memory) {
  VMM_TRY(const std::size_t method, value.choice("hotplug_method", {"acpi", "virtio-mem"}, 0));
  memory.virtio_mem = method == 1;
  VMM_TRY(memory.hotplug_size, value.bytes("hotplug_size", 0));
  VMM_TRY(memory.hotplugged_size, value.bytes("hotplugged_size", 0));
  if (!memory.virtio_mem) {
    if (memory.hotplugged_size != 0) {
      return fail(value.error("hotplugged_size",
                              "hotplug_method=acpi is not offered yet; there is virtio-mem"));
    }
    memory.acpi_room_asked = std::exchange(memory.hotplug_size, 0);
    return {};
  }
  if (memory.hotplugged_size > memory.hotplug_size) {
    return fail(value.error("hotplugged_size", "more than hotplug_size"));
  }
  const std::uint64_t block = memory.hot_block_bytes();
  for (const auto& [key, bytes] : {std::pair("hotplug_size", memory.hotplug_size),
                                   std::pair("hotplugged_size", memory.hotplugged_size)}) {
    if (bytes % block == 0) continue;
    return fail(value.error(key, "not a multiple of " + std::to_string(block >> 20) + " MiB"));
  }
  return {};
}

// Without --console the virtio console has the terminal, unless the serial port has it.
void choose_console(bool given, VmConfig& vm) {
  using Mode = ConsoleConfig::Mode;
  if (!given && vm.serial.mode == Mode::kTty) vm.console.mode = Mode::kOff;
}

}  // namespace

Outcome<void> parse_cpus(const std::string& text, VmConfig& vm) {
  CpusConfig& cpus = vm.cpus;
  VMM_TRY(const OptionValue value, parse_value("--cpus", text));
  VMM_TRY(const std::uint64_t boot, value.integer("boot", cpus.boot, 1, kMaxCpus));
  VMM_TRY(const std::uint64_t max, value.integer("max", boot, 1, kMaxCpus));
  if (max < boot) return fail(value.error("max", "less than boot"));
  cpus.boot = static_cast<std::uint32_t>(boot);
  cpus.max_asked = max > boot ? static_cast<std::uint32_t>(max) : 0;
  VMM_TRY(const std::uint64_t bits, value.integer("max_phys_bits", cpus.max_phys_bits, 32, 52));
  cpus.max_phys_bits = static_cast<std::uint32_t>(bits);
  VMM_TRY(cpus.nested, value.toggle("nested", cpus.nested));
  VMM_TRY(cpus.topology, parse_topology(value, cpus));
  VMM_TRY(cpus.affinity, parse_affinity(value, cpus.boot));
  VMM_TRY(cpus.core_scheduling, parse_core_scheduling(value));
  return {};
}

Outcome<void> parse_memory(const std::string& text, VmConfig& vm) {
  MemoryConfig& memory = vm.memory;
  VMM_TRY(const OptionValue value, parse_value("--memory", text));
  VMM_TRY(memory.size, value.bytes("size", memory.size));
  VMM_TRY(memory.mergeable, value.toggle("mergeable", memory.mergeable));
  VMM_TRY(memory.shared, value.toggle("shared", memory.shared));
  VMM_TRY(memory.hugepages, value.toggle("hugepages", memory.hugepages));
  VMM_TRY(memory.hugepage_size, value.bytes("hugepage_size", 0));
  VMM_TRY(memory.prefault, value.toggle("prefault", memory.prefault));
  VMM_TRY(memory.reserve, value.toggle("reserve", memory.reserve));
  VMM_TRY(memory.thp, value.toggle("thp", memory.thp));
  memory.file = value.text("file").value_or("");
  if (memory.size == 0) return fail(value.error("size", "a VM without memory cannot run"));
  if (memory.size % 4096 != 0) return fail(value.error("size", "not a multiple of 4096 bytes"));
  if (memory.shared && memory.mergeable) {
    return fail(value.error("mergeable", "shared memory cannot be mergeable"));
  }
  if (memory.hugepage_size != 0) {
    if (!memory.hugepages) return fail(value.error("hugepage_size", "hugepages is off"));
    if (memory.hugepage_size != kHuge2M && memory.hugepage_size != kHuge1G) {
      return fail(value.error("hugepage_size", "neither 2M nor 1G"));
    }
  }
  return parse_hotplug(value, memory);
}

Outcome<void> parse_serial(const std::string& text, VmConfig& vm) {
  VMM_TRY(const OptionValue value, parse_value("--serial", text));
  VMM_TRY(vm.serial, parse_character_device(value));
  return {};
}

Outcome<void> parse_debug_console(const std::string& text, VmConfig& vm) {
  VMM_TRY(const OptionValue value, parse_value("--debug-console", text));
  VMM_TRY(vm.debug_console, parse_character_device(value));
  const auto port = value.text("iobase");
  if (!port) return {};
  char* end = nullptr;
  const unsigned long number = std::strtoul(port->c_str(), &end, 0);
  if (*end != '\0' || number > 0xffff || port->starts_with('-')) {
    return fail(value.error("iobase", "\"" + *port + "\" is not an I/O port"));
  }
  vm.debug_console_port = static_cast<std::uint16_t>(number);
  return {};
}

Outcome<void> complete_config(bool console_given, VmConfig& vm) {
  const bool kernel = !vm.kernel.empty();
  const bool firmware = !vm.firmware.empty();
  if (!kernel && !firmware) return fail(usage("--kernel: required, or --firmware"));
  if (kernel && firmware) return fail(usage("--firmware: not together with --kernel"));
  choose_console(console_given, vm);
  if (vm.pvpanic && vm.transport != Transport::kPci) {
    return fail(usage("--pvpanic needs --transport pci"));
  }
  return check_devices(vm);
}

}  // namespace vmm::reference
