// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "options.h"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <map>
#include <string_view>
#include <vector>

#include "character_option.h"
#include "device_options.h"
#include "option_value.h"

namespace vmm::reference {
namespace {

namespace po = boost::program_options;

enum class Arity { kFlag, kOne, kMany };

// One row an option. `parse` is null for what is not offered yet.
struct OptionRow {
  const char* name;
  Arity arity;
  const char* help;
  Outcome<void> (*parse)(const std::string& text, Invocation& into);
};

Outcome<void> parse_cpus(const std::string& text, Invocation& into);
Outcome<void> parse_memory(const std::string& text, Invocation& into);
Outcome<void> parse_serial(const std::string& text, Invocation& into);
Outcome<void> parse_debug_console(const std::string& text, Invocation& into);

Outcome<void> no_value(const std::string&, Invocation&) { return {}; }

// An option of a virtio device.
template <Outcome<void> (*kParse)(const std::string&, VmConfig&)>
Outcome<void> of_vm(const std::string& text, Invocation& into) {
  return kParse(text, into.vm);
}

constexpr std::array kOptions{
    OptionRow{"kernel", Arity::kOne, "PATH  bzImage, or ELF with a PVH entry (vmlinux)",
              [](const std::string& text, Invocation& into) -> Outcome<void> {
                into.vm.kernel = text;
                return {};
              }},
    OptionRow{"initramfs", Arity::kOne, "PATH  initial RAM file system",
              [](const std::string& text, Invocation& into) -> Outcome<void> {
                into.vm.initramfs = text;
                return {};
              }},
    OptionRow{"cmdline", Arity::kOne, "TEXT  kernel command line",
              [](const std::string& text, Invocation& into) -> Outcome<void> {
                into.vm.cmdline = text;
                return {};
              }},
    OptionRow{"firmware", Arity::kOne,
              "PATH  instead of a kernel: flat (aarch64), or ELF with a PVH entry",
              [](const std::string& text, Invocation& into) -> Outcome<void> {
                into.vm.firmware = text;
                return {};
              }},
    OptionRow{"dtb", Arity::kOne,
              "PATH  a device tree to use as it is; where it and the VM differ is logged\n"
              "(aarch64)",
              [](const std::string& text, Invocation& into) -> Outcome<void> {
                into.vm.dtb = text;
                return {};
              }},
    OptionRow{"dtb-overlay", Arity::kOne, "PATH  merged into the VMM's device tree (aarch64)",
              [](const std::string& text, Invocation& into) -> Outcome<void> {
                into.vm.dtb_overlay = text;
                return {};
              }},
    OptionRow{"cpus", Arity::kOne,
              "boot=1,max=1,topology=THREADS:CORES:DIES:PACKAGES,max_phys_bits=46,nested=on,\n"
              "affinity=[VCPU@[CPUS],...]",
              &parse_cpus},
    OptionRow{"memory", Arity::kOne,
              "size=512M,mergeable=off,shared=off,hugepages=off,hugepage_size=SIZE,\n"
              "prefault=off,reserve=off,thp=on",
              &parse_memory},
    OptionRow{"serial", Arity::kOne,
              "off|null|pty|tty|file=PATH (default null); tty,escape=on: Ctrl-a x quits",
              &parse_serial},
    OptionRow{"console", Arity::kOne,
              "off|null|pty|tty|file=PATH (default tty, off when --serial is tty): a virtio\n"
              "console, hvc0",
              &of_vm<parse_console>},
    OptionRow{"disk", Arity::kMany,
              "path=PATH,readonly=off,direct=off,num_queues=1,queue_size=128,\n"
              "image_type=raw|qcow2,backing_files=off,sparse=on,serial=TEXT,\n"
              "lock_granularity=byte-range|full,queue_affinity=[QUEUE@[CPUS],...],\n"
              "rate_limit_group=ID, or limits: bw_size, bw_one_time_burst,\n"
              "bw_refill_time (ms), ops_size, ops_one_time_burst, ops_refill_time",
              &of_vm<parse_disk>},
    OptionRow{"net", Arity::kMany,
              "tap=NAME,ip=ADDRESS,mask=MASK,mac=MAC,host_mac=MAC,mtu=BYTES,\n"
              "num_queues=2,queue_size=256,fd=[FDS],offload_tso=on,offload_ufo=on,\n"
              "offload_csum=on, limits as for --disk; without privileges:\n"
              "user=on,hostfwd=[tcp:HOSTPORT:PORT,...]",
              &of_vm<parse_net>},
    OptionRow{"rng", Arity::kOne, "src=/dev/urandom", &of_vm<parse_rng>},
    OptionRow{"pmem", Arity::kMany, "file=PATH,size=SIZE,discard_writes=off", &of_vm<parse_pmem>},
    OptionRow{"vsock", Arity::kOne, "cid=NUMBER,socket=PATH", &of_vm<parse_vsock>},
    OptionRow{"balloon", Arity::kOne, "size=SIZE,deflate_on_oom=off,free_page_reporting=off",
              &of_vm<parse_balloon>},
    OptionRow{"watchdog", Arity::kFlag, "a watchdog that resets the VM",
              [](const std::string&, Invocation& into) -> Outcome<void> {
                into.vm.watchdog = true;
                return {};
              }},
    OptionRow{"rtc", Arity::kOne, "a virtio clock", &of_vm<parse_rtc>},
    OptionRow{"rate-limit-group", Arity::kMany,
              "id=ID and limits as for --disk, shared by the disks that name it",
              &of_vm<parse_rate_limit_group>},
    OptionRow{"transport", Arity::kOne, "pci|mmio (default pci): how virtio devices are reached",
              &of_vm<parse_transport>},
    OptionRow{"debug-console", Arity::kOne, "off|null|pty|tty|file=PATH,iobase=0xe9 (default off)",
              &parse_debug_console},
    OptionRow{"log-file", Arity::kOne, "PATH  where log lines go (default: standard error)",
              [](const std::string& text, Invocation& into) -> Outcome<void> {
                into.log_file = text;
                return {};
              }},
    OptionRow{"help", Arity::kFlag, "this text", &no_value},
    OptionRow{"version", Arity::kFlag, "the version", &no_value},
    OptionRow{"api-socket", Arity::kOne, "", nullptr},
    OptionRow{"dbus-object-path", Arity::kOne, "", nullptr},
    OptionRow{"dbus-service-name", Arity::kOne, "", nullptr},
    OptionRow{"dbus-system-bus", Arity::kFlag, "", nullptr},
    OptionRow{"device", Arity::kMany, "", nullptr},
    OptionRow{"event-monitor", Arity::kOne, "", nullptr},
    OptionRow{"fs", Arity::kMany, "", nullptr},
    OptionRow{"fw-cfg-config", Arity::kOne, "", nullptr},
    OptionRow{"gdb", Arity::kOne, "", nullptr},
    OptionRow{"generic-vhost-user", Arity::kMany, "", nullptr},
    OptionRow{"gpu", Arity::kMany, "", nullptr},
    OptionRow{"host-data", Arity::kOne, "", nullptr},
    OptionRow{"igvm", Arity::kOne, "", nullptr},
    OptionRow{"ivshmem", Arity::kOne, "", nullptr},
    OptionRow{"landlock", Arity::kFlag, "", nullptr},
    OptionRow{"landlock-rules", Arity::kMany, "", nullptr},
    OptionRow{"log-format", Arity::kOne, "", nullptr},
    OptionRow{"memory-zone", Arity::kMany, "", nullptr},
    OptionRow{"no-shutdown", Arity::kFlag, "", nullptr},
    OptionRow{"numa", Arity::kMany, "", nullptr},
    OptionRow{"pci-segment", Arity::kMany, "", nullptr},
    OptionRow{"platform", Arity::kOne, "", nullptr},
    OptionRow{"pvmemcontrol", Arity::kFlag, "", nullptr},
    OptionRow{"pvpanic", Arity::kFlag, "", nullptr},
    OptionRow{"restore", Arity::kOne, "", nullptr},
    OptionRow{"seccomp", Arity::kOne, "", nullptr},
    OptionRow{"tpm", Arity::kOne, "", nullptr},
    OptionRow{"user-device", Arity::kMany, "", nullptr},
    OptionRow{"vdpa", Arity::kMany, "", nullptr},
};

// KVM allows more on large hosts; this is the ceiling of the command line.
constexpr std::uint32_t kMaxCpus = 8192;

Outcome<std::vector<CpusConfig::Affinity>> parse_affinity(const OptionValue& value,
                                                          std::uint32_t boot) {
  const auto text = value.text("affinity");
  if (!text) return std::vector<CpusConfig::Affinity>();
  auto all = parse_affinity_list(*text, boot);
  if (!all) return fail(value.error("affinity", "\"" + *text + "\" is not [VCPU@[CPUS],...]"));
  return *std::move(all);
}

Outcome<std::optional<CpusConfig::Topology>> parse_topology(const OptionValue& value,
                                                            std::uint32_t boot) {
  const auto text = value.text("topology");
  if (!text) return std::optional<CpusConfig::Topology>();
  std::array<std::uint32_t, 4> numbers{};
  const auto parts = split_outside_groups(*text, ':');
  bool good = parts && parts->size() == numbers.size();
  std::uint64_t product = 1;
  for (std::size_t i = 0; good && i < numbers.size(); ++i) {
    const auto number = parse_integer((*parts)[i]);
    good = number && *number >= 1 && *number <= kMaxCpus;
    if (good) numbers[i] = static_cast<std::uint32_t>(*number);
    if (good) product *= *number;  // at most 2^52
  }
  if (!good) {
    return fail(value.error("topology", "\"" + *text + "\" is not THREADS:CORES:DIES:PACKAGES"));
  }
  if (numbers[0] > 2) return fail(value.error("topology", "more than 2 threads a core"));
  if (product != boot) {
    return fail(value.error("topology", "its product " + std::to_string(product) +
                                            " is not the number of CPUs " + std::to_string(boot)));
  }
  return std::optional(CpusConfig::Topology{numbers[0], numbers[1], numbers[2], numbers[3]});
}

Outcome<void> parse_cpus(const std::string& text, Invocation& into) {
  CpusConfig& cpus = into.vm.cpus;
  VMM_TRY(const OptionValue value,
          OptionValue::parse("--cpus", text,
                             {"boot", "max", "topology", "max_phys_bits", "nested", "affinity"},
                             {"kvm_hyperv", "features", "core_scheduling", "profile"}));
  VMM_TRY(const std::uint64_t boot, value.integer("boot", cpus.boot, 1, kMaxCpus));
  VMM_TRY(const std::uint64_t max, value.integer("max", boot, 1, kMaxCpus));
  if (max < boot) return fail(value.error("max", "less than boot"));
  if (max > boot) return fail(value.error("max", "CPU hotplug is not offered yet"));
  cpus.boot = static_cast<std::uint32_t>(boot);
  VMM_TRY(const std::uint64_t bits, value.integer("max_phys_bits", cpus.max_phys_bits, 32, 52));
  cpus.max_phys_bits = static_cast<std::uint32_t>(bits);
  VMM_TRY(cpus.nested, value.toggle("nested", cpus.nested));
  VMM_TRY(cpus.topology, parse_topology(value, cpus.boot));
  VMM_TRY(cpus.affinity, parse_affinity(value, cpus.boot));
  return {};
}

Outcome<void> parse_memory(const std::string& text, Invocation& into) {
  MemoryConfig& memory = into.vm.memory;
  VMM_TRY(const OptionValue value,
          OptionValue::parse("--memory", text,
                             {"size", "mergeable", "shared", "hugepages", "hugepage_size",
                              "prefault", "reserve", "thp", "file"},
                             {"hotplug_method", "hotplug_size", "hotplugged_size"}));
  VMM_TRY(memory.size, value.bytes("size", memory.size));
  VMM_TRY(memory.mergeable, value.toggle("mergeable", memory.mergeable));
  VMM_TRY(memory.shared, value.toggle("shared", memory.shared));
  VMM_TRY(memory.hugepages, value.toggle("hugepages", memory.hugepages));
  VMM_TRY(memory.hugepage_size, value.bytes("hugepage_size", 0));
  VMM_TRY(memory.prefault, value.toggle("prefault", memory.prefault));
  VMM_TRY(memory.reserve, value.toggle("reserve", memory.reserve));
  VMM_TRY(memory.thp, value.toggle("thp", memory.thp));
  if (memory.size == 0) return fail(value.error("size", "a VM without memory cannot run"));
  if (memory.size % 4096 != 0) return fail(value.error("size", "not a multiple of 4096 bytes"));
  if (memory.shared && memory.mergeable) {
    return fail(value.error("mergeable", "shared memory cannot be mergeable"));
  }
  if (memory.hugepage_size != 0) {
    if (!memory.hugepages) return fail(value.error("hugepage_size", "hugepages is off"));
    if ((memory.hugepage_size & (memory.hugepage_size - 1)) != 0) {
      return fail(value.error("hugepage_size", "not a power of two"));
    }
  }
  return {};
}

Outcome<void> parse_serial(const std::string& text, Invocation& into) {
  VMM_TRY(const OptionValue value,
          OptionValue::parse("--serial", text, {"off", "null", "pty", "tty", "file", "escape"},
                             {"socket"}));
  VMM_TRY(into.vm.serial, parse_character_device(value));
  VMM_TRY(into.vm.serial.escape, value.toggle("escape", false));
  if (into.vm.serial.escape && into.vm.serial.mode != ConsoleConfig::Mode::kTty) {
    return fail(value.error("escape", "only a tty has one"));
  }
  return {};
}

Outcome<void> parse_debug_console(const std::string& text, Invocation& into) {
  VMM_TRY(
      const OptionValue value,
      OptionValue::parse("--debug-console", text, {"off", "null", "pty", "tty", "file", "iobase"}));
  VMM_TRY(into.vm.debug_console, parse_character_device(value));
  const auto port = value.text("iobase");
  if (!port) return {};
  char* end = nullptr;
  const unsigned long number = std::strtoul(port->c_str(), &end, 0);
  if (*end != '\0' || number > 0xffff || port->starts_with('-')) {
    return fail(value.error("iobase", "\"" + *port + "\" is not an I/O port"));
  }
  into.vm.debug_console_port = static_cast<std::uint16_t>(number);
  return {};
}

po::options_description describe_options() {
  po::options_description description;
  for (const OptionRow& row : kOptions) {
    std::string name = row.name;
    if (name == "help") name += ",h";
    if (name == "version") name += ",V";
    if (row.arity == Arity::kFlag) {
      description.add_options()(name.c_str(), "");
    } else {
      auto* value = po::value<std::vector<std::string>>();
      if (row.arity == Arity::kMany) value->multitoken()->composing();
      description.add_options()(name.c_str(), value, "");
    }
  }
  return description;
}

// -v, -vv, ... are counted by hand, as they may repeat.
std::vector<std::string> take_verbosity(std::span<const std::string> arguments, unsigned& count) {
  std::vector<std::string> rest;
  for (const std::string& argument : arguments) {
    const bool is_v = argument.size() >= 2 && argument[0] == '-' &&
                      argument.find_first_not_of('v', 1) == std::string::npos;
    if (is_v) {
      count += static_cast<unsigned>(argument.size() - 1);
    } else {
      rest.push_back(argument);
    }
  }
  return rest;
}

Outcome<po::variables_map> parse_words(const std::vector<std::string>& words) {
  using namespace po::command_line_style;
  try {
    po::variables_map map;
    const po::options_description description = describe_options();
    po::store(po::command_line_parser(words)
                  .options(description)
                  .positional({})
                  .style(allow_long | allow_short | long_allow_next | long_allow_adjacent |
                         short_allow_next | allow_dash_for_short)
                  .run(),
              map);
    return map;
  } catch (const po::error& error) {
    return fail(usage(error.what()));
  }
}

Outcome<void> apply(const OptionRow& row, const po::variables_map& map, Invocation& into) {
  if (map.count(row.name) == 0) return {};
  const std::string option = std::string("--") + row.name;
  if (row.parse == nullptr) return fail(usage(option + ": not offered yet"));
  if (row.arity == Arity::kFlag) return row.parse("", into);
  const auto& values = map[row.name].as<std::vector<std::string>>();
  if (row.arity == Arity::kOne && values.size() > 1) {
    return fail(usage(option + ": may be given only once"));
  }
  for (const std::string& text : values) VMM_TRY_DO(row.parse(text, into));
  return {};
}

// Without --console the virtio console has the terminal, unless the serial port has it.
Outcome<void> choose_console(bool given, VmConfig& vm) {
  using Mode = ConsoleConfig::Mode;
  if (vm.serial.mode != Mode::kTty) return {};
  if (given && vm.console.mode == Mode::kTty) {
    return fail(usage("--console: tty: --serial has the terminal"));
  }
  if (!given) vm.console.mode = Mode::kOff;
  return {};
}

}  // namespace

Outcome<Invocation> parse_command_line(std::span<const std::string> arguments) {
  Invocation invocation;
  VMM_TRY(const po::variables_map map,
          parse_words(take_verbosity(arguments, invocation.verbosity)));
  if (map.count("help") != 0) invocation.action = Invocation::Action::kShowHelp;
  if (map.count("version") != 0) invocation.action = Invocation::Action::kShowVersion;
  if (invocation.action != Invocation::Action::kRun) return invocation;
  for (const OptionRow& row : kOptions) VMM_TRY_DO(apply(row, map, invocation));
  const bool kernel = !invocation.vm.kernel.empty();
  const bool firmware = !invocation.vm.firmware.empty();
  if (!kernel && !firmware) return fail(usage("--kernel: required, or --firmware"));
  if (kernel && firmware) return fail(usage("--firmware: not together with --kernel"));
  VMM_TRY_DO(choose_console(map.count("console") != 0, invocation.vm));
  VMM_TRY_DO(check_devices(invocation.vm));
  return invocation;
}

std::string help_text() {
  std::string text =
      "usage: vmm-reference --kernel PATH | --firmware PATH [OPTION VALUE]...\n\n"
      "Runs one virtual machine on KVM. Ends with 0 when the guest powers off, 1 on a run-time\n"
      "error, 2 on a wrong command line.\n\n";
  for (const OptionRow& row : kOptions) {
    if (row.parse == nullptr) continue;
    std::string name = std::string("  --") + row.name;
    name.resize(std::max<std::size_t>(name.size() + 1, 20), ' ');
    std::string help = row.help;
    for (std::size_t at = help.find('\n'); at != std::string::npos; at = help.find('\n', at + 1)) {
      help.insert(at + 1, 20, ' ');
    }
    text += name + help + "\n";
  }
  text += "  -v                log more; may be repeated\n\nNot offered yet:\n";
  std::string line = " ";
  for (const OptionRow& row : kOptions) {
    if (row.parse != nullptr) continue;
    if (line.size() + std::string_view(row.name).size() > 90) {
      text += line + "\n";
      line = " ";
    }
    line += std::string(" --") + row.name;
  }
  return text + line + "\n";
}

}  // namespace vmm::reference
