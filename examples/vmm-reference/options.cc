// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "options.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <map>
#include <string_view>
#include <vector>

#include "device_options.h"
#include "host_device_options.h"
#include "machine_options.h"
#include "path_or_fd.h"
#include "sandbox_options.h"
#include "vm_json.h"
#include "vmm/base/unique_fd.h"

namespace vmm::reference {
namespace {

namespace po = boost::program_options;

// What the options have said so far: the VM's, even if there is to be none.
struct Draft {
  Invocation invocation;
  VmConfig vm;
  std::string config_file;
};

// One row an option. `parse` is null for what is not offered yet.
struct OptionRow {
  const char* name;
  Arity arity;
  const char* help;
  Outcome<void> (*parse)(const std::string& text, Draft& into);
  bool of_process = false;  // rather than of the VM
};

Outcome<void> no_value(const std::string&, Draft&) { return {}; }

// An option of a virtio device.
template <Outcome<void> (*kParse)(const std::string&, VmConfig&)>
Outcome<void> of_vm(const std::string& text, Draft& into) {
  return kParse(text, into.vm);
}

constexpr std::array kOptions{
    OptionRow{"kernel", Arity::kOne, "PATH  bzImage, or ELF with a PVH entry (vmlinux)",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                into.vm.kernel = text;
                return {};
              }},
    OptionRow{"initramfs", Arity::kOne, "PATH  initial RAM file system",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                into.vm.initramfs = text;
                return {};
              }},
    OptionRow{"cmdline", Arity::kOne, "TEXT  kernel command line",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                into.vm.cmdline = text;
                return {};
              }},
    OptionRow{"firmware", Arity::kOne,
              "PATH  instead of a kernel: flat (aarch64), or ELF with a PVH entry",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                into.vm.firmware = text;
                return {};
              }},
    OptionRow{"dtb", Arity::kOne,
              "PATH  a device tree to use as it is; where it and the VM differ is logged\n"
              "(aarch64)",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                into.vm.dtb = text;
                return {};
              }},
    OptionRow{"dtb-overlay", Arity::kOne, "PATH  merged into the VMM's device tree (aarch64)",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                into.vm.dtb_overlay = text;
                return {};
              }},
    OptionRow{"cpus", Arity::kOne,
              "boot=1,max=1,topology=THREADS:CORES:DIES:PACKAGES,max_phys_bits=46,nested=on,\n"
              "affinity=[VCPU@[CPUS],...],core_scheduling=vm|vcpu|off",
              &of_vm<parse_cpus>},
    OptionRow{"memory", Arity::kOne,
              "size=512M,mergeable=off,shared=off,hugepages=off,hugepage_size=SIZE,\n"
              "prefault=off,reserve=off,thp=on; more while the guest runs:\n"
              "hotplug_method=virtio-mem,hotplug_size=SIZE,hotplugged_size=0",
              &of_vm<parse_memory>},
    OptionRow{"serial", Arity::kOne,
              "off|null|pty|tty|file=PATH|socket=PATH (default null); tty,escape=on: Ctrl-a x\n"
              "quits",
              &of_vm<parse_serial>},
    OptionRow{"console", Arity::kOne,
              "off|null|pty|tty|file=PATH (default tty, off when --serial is tty): a virtio\n"
              "console, hvc0",
              &of_vm<parse_console>},
    OptionRow{"disk", Arity::kMany,
              "path=PATH,readonly=off,direct=off,num_queues=1,queue_size=128,\n"
              "image_type=raw|qcow2|vhd|vhdx,backing_files=off,sparse=on,serial=TEXT,\n"
              "lock_granularity=byte-range|full|qemu-compatible,guest_block_size=BYTES,\n"
              "queue_affinity=[QUEUE@[CPUS],...],pin_memory=off,\n"
              "rate_limit_group=ID, or limits: bw_size, bw_one_time_burst,\n"
              "bw_refill_time (ms), ops_size, ops_one_time_burst, ops_refill_time;\n"
              "served by another process: vhost_user=on,socket=PATH",
              &of_vm<parse_disk>},
    OptionRow{"net", Arity::kMany,
              "tap=NAME,ip=ADDRESS,mask=MASK,mac=MAC,host_mac=MAC,mtu=BYTES,\n"
              "num_queues=2,queue_size=256,fd=[FDS],offload_tso=on,offload_ufo=on,\n"
              "offload_csum=on,vhost=off, limits as for --disk; without privileges:\n"
              "user=on,hostfwd=[tcp:HOSTPORT:PORT,...]; by another process:\n"
              "vhost_user=on,socket=PATH,vhost_mode=client|server",
              &of_vm<parse_net>},
    OptionRow{"fs", Arity::kMany,
              "tag=NAME,socket=PATH,num_queues=1,queue_size=1024,dax=off,cache_size=SIZE: a\n"
              "folder of the host, which virtiofsd serves",
              &of_vm<parse_fs>},
    OptionRow{"generic-vhost-user", Arity::kMany,
              "device_type=NUMBER|NAME,socket=PATH,queue_sizes=[SIZE,...]: any virtio device\n"
              "that another process serves",
              &of_vm<parse_generic_vhost_user>},
    OptionRow{"rng", Arity::kOne, "src=/dev/urandom: each VM has such a device, with or without it",
              &of_vm<parse_rng>},
    OptionRow{"pmem", Arity::kMany, "file=PATH,size=SIZE,discard_writes=off", &of_vm<parse_pmem>},
    OptionRow{"device", Arity::kMany,
              "path=/sys/bus/pci/devices/ADDRESS,x_exclude_mmap_bars=[BARS]: a PCI device of\n"
              "the host, which vfio-pci has; path=/sys/bus/platform/devices/NAME: a device\n"
              "of the board, which vfio-platform has (aarch64)",
              &of_vm<parse_host_device>},
    OptionRow{"user-device", Arity::kMany,
              "socket=PATH: a PCI device of another process, by vfio-user",
              &of_vm<parse_user_device>},
    OptionRow{"vsock", Arity::kOne, "cid=NUMBER,socket=PATH, or cid=NUMBER,vhost=on",
              &of_vm<parse_vsock>},
    OptionRow{"balloon", Arity::kOne, "size=SIZE,deflate_on_oom=off,free_page_reporting=off",
              &of_vm<parse_balloon>},
    OptionRow{"watchdog", Arity::kNone, "a watchdog that resets the VM",
              [](const std::string&, Draft& into) -> Outcome<void> {
                into.vm.watchdog = true;
                return {};
              }},
    OptionRow{"pvpanic", Arity::kNone,
              "a device by which the guest tells that it has panicked: an event of\n"
              "--event-monitor",
              [](const std::string&, Draft& into) -> Outcome<void> {
                into.vm.pvpanic = true;
                return {};
              }},
    OptionRow{"rtc", Arity::kMaybe, "a virtio clock", &of_vm<parse_rtc>},
    OptionRow{"rate-limit-group", Arity::kMany,
              "id=ID and limits as for --disk, shared by the disks that name it",
              &of_vm<parse_rate_limit_group>},
    OptionRow{"transport", Arity::kOne, "pci|mmio (default pci): how virtio devices are reached",
              &of_vm<parse_transport>},
    OptionRow{"platform", Arity::kOne,
              "num_pci_segments=1,iommu_segments=[SEGMENTS],iommu_address_width=64,\n"
              "iommufd=on|off (default: as the host has it),vfio_p2p_dma=on; in SMBIOS\n"
              "tables (x86_64):\n"
              "oem_strings=[TEXT,...],system_uuid=UUID,system_serial_number=TEXT,\n"
              "system_manufacturer=, system_product_name=, system_version=,\n"
              "system_sku_number=, system_family=, chassis_asset_tag=",
              &of_vm<parse_platform>},
    OptionRow{"pci-segment", Arity::kMany,
              "pci_segment=0,mmio32_aperture_weight=1,mmio64_aperture_weight=1: its share of\n"
              "the windows for BARs",
              &of_vm<parse_pci_segment>},
    OptionRow{"debug-console", Arity::kOne, "off|null|pty|tty|file=PATH,iobase=0xe9 (default off)",
              &of_vm<parse_debug_console>},
    OptionRow{"config", Arity::kOne,
              "PATH  the VM as JSON, as vm.create of the API takes it; instead of the\n"
              "options above",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                if (text.empty()) return fail(usage("--config: the path is missing"));
                into.config_file = text;
                return {};
              },
              true},
    OptionRow{"log-file", Arity::kOne, "PATH  where log lines go (default: standard error)",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                into.invocation.log_file = text;
                return {};
              },
              true},
    OptionRow{"api-socket", Arity::kOne,
              "path=PATH|fd=NUMBER|PATH  serve the HTTP API there; without a kernel or\n"
              "firmware, its clients make the VM",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                VMM_TRY(into.invocation.vmm.api_socket,
                        parse_path_or_fd("--api-socket", text, {.bare = true}));
                return {};
              },
              true},
    OptionRow{"event-monitor", Arity::kOne,
              "path=PATH|fd=NUMBER  tell there, as JSON, what happens to the VM",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                VMM_TRY(into.invocation.vmm.event_monitor,
                        parse_path_or_fd("--event-monitor", text, {.lowest_fd = 1}));
                return {};
              },
              true},
    OptionRow{"no-shutdown", Arity::kNone, "the guest's power-off leaves the VMM running",
              [](const std::string&, Draft& into) -> Outcome<void> {
                into.invocation.vmm.no_shutdown = true;
                return {};
              },
              true},
    OptionRow{"seccomp", Arity::kOne,
              "true|false|log|errno (default true): what becomes of system calls that a\n"
              "thread has no need for: the end, nothing, a line in the kernel's log, EPERM",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                VMM_TRY(into.invocation.vmm.seccomp, parse_seccomp(text));
                return {};
              },
              true},
    OptionRow{"landlock", Arity::kNone,
              "from the VM's creation on, only the files that its options name can be\n"
              "opened (Linux 6.2)",
              [](const std::string&, Draft& into) -> Outcome<void> {
                into.invocation.vmm.landlock = true;
                return {};
              },
              true},
    OptionRow{"landlock-rules", Arity::kMany,
              "path=PATH,access=r|w|rw: besides those, for devices that come later",
              [](const std::string& text, Draft& into) -> Outcome<void> {
                VMM_TRY(LandlockRule rule, parse_landlock_rule(text));
                VMM_TRY_DO(check_landlock_rule(rule));
                into.invocation.vmm.landlock_rules.push_back(std::move(rule));
                return {};
              },
              true},
    OptionRow{"help", Arity::kNone, "this text", &no_value, true},
    OptionRow{"version", Arity::kNone, "the version", &no_value, true},
    OptionRow{"dbus-object-path", Arity::kOne, "", nullptr},
    OptionRow{"dbus-service-name", Arity::kOne, "", nullptr},
    OptionRow{"dbus-system-bus", Arity::kNone, "", nullptr},
    OptionRow{"fw-cfg-config", Arity::kOne, "", nullptr},
    OptionRow{"gdb", Arity::kOne, "", nullptr},
    OptionRow{"gpu", Arity::kMany, "", nullptr},
    OptionRow{"host-data", Arity::kOne, "", nullptr},
    OptionRow{"igvm", Arity::kOne, "", nullptr},
    OptionRow{"ivshmem", Arity::kOne, "", nullptr},
    OptionRow{"log-format", Arity::kOne, "", nullptr},
    OptionRow{"memory-zone", Arity::kMany, "", nullptr},
    OptionRow{"numa", Arity::kMany, "", nullptr},
    OptionRow{"pvmemcontrol", Arity::kNone, "", nullptr},
    OptionRow{"restore", Arity::kOne, "", nullptr},
    OptionRow{"tpm", Arity::kOne, "", nullptr},
    OptionRow{"vdpa", Arity::kMany, "", nullptr},
};

po::options_description describe_options() {
  po::options_description description;
  for (const OptionRow& row : kOptions) {
    std::string name = row.name;
    if (name == "help") name += ",h";
    if (name == "version") name += ",V";
    if (row.arity == Arity::kNone) {
      description.add_options()(name.c_str(), "");
    } else {
      auto* value = po::value<std::vector<std::string>>();
      if (row.arity == Arity::kMany) value->multitoken()->composing();
      if (row.arity == Arity::kMaybe) value->multitoken()->zero_tokens();
      description.add_options()(name.c_str(), value, "");
    }
  }
  return description;
}

// -v, -vv, ... are counted by hand, as they may repeat; -vV is -v -V.
std::vector<std::string> take_verbosity(std::span<const std::string> arguments, unsigned& count) {
  std::vector<std::string> rest;
  for (const std::string& argument : arguments) {
    const bool is_short = argument.size() >= 2 && argument[0] == '-' &&
                          argument.find_first_not_of("vVh", 1) == std::string::npos;
    if (!is_short) {
      rest.push_back(argument);
      continue;
    }
    for (const char letter : argument.substr(1)) {
      if (letter == 'v') {
        ++count;
      } else {
        rest.push_back({'-', letter});
      }
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

Outcome<void> apply(const OptionRow& row, const po::variables_map& map, Draft& into) {
  if (map.count(row.name) == 0) return {};
  const std::string option = std::string("--") + row.name;
  if (row.parse == nullptr) return fail(usage(option + ": not offered yet"));
  if (row.arity == Arity::kNone) return row.parse("", into);
  const auto& values = map[row.name].as<std::vector<std::string>>();
  if (row.arity == Arity::kMaybe && values.empty()) return row.parse("", into);
  if (row.arity != Arity::kMany && values.size() > 1) {
    return fail(usage(option + ": may be given only once"));
  }
  for (const std::string& text : values) VMM_TRY_DO(row.parse(text, into));
  return {};
}

// At most as much as the API takes. A pipe will do.
Outcome<std::string> read_file(const std::string& context, const std::string& path) {
  constexpr std::size_t kMost = 4 << 20;
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return fail(runtime(context, Error::from_errno("open")));
  std::string text;
  std::array<char, 65536> bytes;
  while (text.size() <= kMost) {
    const ssize_t n = ::read(file.get(), bytes.data(), bytes.size());
    if (n < 0) return fail(runtime(context, Error::from_errno("read")));
    if (n == 0) return text;
    text.append(bytes.data(), static_cast<std::size_t>(n));
  }
  return fail(usage(context + ": more than 4 MiB"));
}

Outcome<VmConfig> read_config(const std::string& path) {
  const std::string context = "--config: " + path;
  VMM_TRY(const std::string text, read_file(context, path));
  auto vm = parse_vm_json(text);
  if (!vm) return fail(usage(context + ": " + vm.error().message));
  return vm;
}

}  // namespace

Outcome<Invocation> parse_command_line(std::span<const std::string> arguments) {
  Draft draft;
  Invocation& invocation = draft.invocation;
  VMM_TRY(const po::variables_map map,
          parse_words(take_verbosity(arguments, invocation.verbosity)));
  if (map.count("help") != 0) invocation.action = Invocation::Action::kShowHelp;
  if (map.count("version") != 0) invocation.action = Invocation::Action::kShowVersion;
  if (invocation.action != Invocation::Action::kRun) return invocation;
  for (const OptionRow& row : kOptions) VMM_TRY_DO(apply(row, map, draft));
  const auto of_vm = std::ranges::find_if(
      kOptions, [&](const OptionRow& row) { return !row.of_process && map.count(row.name) != 0; });
  if (!draft.config_file.empty()) {
    if (of_vm != kOptions.end()) {
      return fail(usage(std::string("--config: not together with --") + of_vm->name));
    }
    VMM_TRY(invocation.vmm.vm, read_config(draft.config_file));
    return invocation;
  }
  if (of_vm == kOptions.end() && invocation.vmm.api_socket.given()) return invocation;
  VMM_TRY_DO(complete_config(map.count("console") != 0, draft.vm));
  invocation.vmm.vm = std::move(draft.vm);
  return invocation;
}

std::vector<OptionInfo> all_options() {
  std::vector<OptionInfo> all;
  for (const OptionRow& row : kOptions) {
    all.push_back({.name = row.name,
                   .arity = row.arity,
                   .help = row.help,
                   .offered = row.parse != nullptr,
                   .of_process = row.of_process});
  }
  return all;
}

std::string help_text() {
  std::string text =
      "usage: vmm-reference --kernel PATH | --firmware PATH [OPTION VALUE]...\n"
      "       vmm-reference --config PATH [OPTION VALUE]...\n"
      "       vmm-reference --api-socket PATH [OPTION VALUE]...\n\n"
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
  text += "  -v                log more than warnings; -vv, -vvv: still more\n\nNot offered yet:\n";
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
