// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "file_rules.h"

#include <cerrno>
#include <string>
#include <utility>

namespace vmm::reference {
namespace {

using Rules = std::vector<LandlockRule>;

constexpr const char* kPtys = "/dev/pts";
constexpr const char* kPtmx = "/dev/ptmx";

void read_only(Rules& rules, const std::string& path) {
  if (!path.empty()) rules.push_back({.path = path, .read = true, .write = false});
}
void read_write(Rules& rules, const std::string& path) {
  rules.push_back({.path = path, .read = true, .write = true});
}
std::string folder_with(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}
// Where a socket is made, and removed.
void folder_of(Rules& rules, const std::string& path) {
  rules.push_back({.path = folder_with(path), .read = false, .write = true});
}

void add_payload(Rules& rules, const VmConfig& config) {
  for (const std::string* const path :
       {&config.kernel, &config.firmware, &config.initramfs, &config.dtb, &config.dtb_overlay}) {
    read_only(rules, *path);
  }
#if defined(__aarch64__)
  read_only(rules, "/sys/devices/system/cpu");  // the host's caches
#endif
}

void add_nets(Rules& rules, const VmConfig& config) {
  bool taps = false;
  bool vhost = false;
  for (const NetConfig& net : config.nets) {
    if (net.vhost_server) folder_of(rules, net.vhost_socket);
    taps = taps || (net.vhost_socket.empty() && !net.user && net.fds.empty());
    vhost = vhost || net.vhost;
  }
  if (taps) read_write(rules, "/dev/net/tun");
  if (vhost) read_write(rules, "/dev/vhost-net");
}

// Those of boards are found in the host's device tree.
void add_host_devices(Rules& rules, const VmConfig& config) {
  if (config.host_devices.empty()) return;
  for (const HostDeviceConfig& device : config.host_devices) read_only(rules, device.path);
  read_write(rules, "/dev/vfio");
  for (const char* const path : {"/dev/iommu", "/sys/firmware/devicetree"}) read_write(rules, path);
}

// The consoles are open already; but a later VM of the process opens its own, and what a socket
// leaves behind is removed at the end.
void add_consoles(Rules& rules, const VmConfig& config) {
  using Mode = ConsoleConfig::Mode;
  bool ptys = false;
  for (const ConsoleConfig* const console :
       {&config.serial, &config.console, &config.debug_console}) {
    ptys = ptys || console->mode == Mode::kPty;
    if (console->mode == Mode::kSocket) folder_of(rules, console->path);
    if (console->mode == Mode::kFile) {
      rules.push_back({.path = console->path, .read = false, .write = true});
    }
  }
  if (!ptys) return;
  for (const char* const path : {kPtys, kPtmx}) read_write(rules, path);
}

// What one kernel has and another has not; the boot tells of it where it is needed.
bool may_be_missing(const LandlockRule& rule) {
  const auto& path = rule.path;
  return path == "/dev/kvm" || path == "/dev/iommu" || path == kPtys || path == kPtmx ||
         path.starts_with("/sys/");
}

}  // namespace

std::vector<LandlockRule> files_of(const VmConfig& config) {
  Rules rules;
  read_write(rules, "/dev/kvm");
  add_payload(rules, config);
  add_consoles(rules, config);
  for (const DiskConfig& disk : config.disks) {
    if (!disk.vhost_socket.empty()) continue;
    rules.push_back({.path = disk.path, .read = true, .write = !disk.readonly});
  }
  for (const PmemConfig& pmem : config.pmems) {
    rules.push_back({.path = pmem.file, .read = true, .write = !pmem.discard_writes});
  }
  add_nets(rules, config);
  read_only(rules, config.rng.source);
  if (config.vsock && config.vsock->vhost) read_write(rules, "/dev/vhost-vsock");
  if (config.vsock && !config.vsock->vhost) folder_of(rules, config.vsock->socket);
  add_host_devices(rules, config);
  rules.insert(rules.end(), config.landlock_rules.begin(), config.landlock_rules.end());
  return rules;
}

Outcome<sandbox::Landlock> make_file_rules(const VmConfig& config, const std::string& api_socket) {
  VMM_STEP("--landlock", auto landlock, sandbox::Landlock::create());
  for (const LandlockRule& rule : files_of(config)) {
    const auto done = landlock.allow(rule.path, {.read = rule.read, .write = rule.write});
    if (done || (done.error().is_os(ENOENT) && may_be_missing(rule))) continue;
    return fail(runtime("--landlock: " + rule.path, done.error()));
  }
  if (!api_socket.empty()) {
    const std::string folder = folder_with(api_socket);
    VMM_STEP_DO("--landlock: " + folder, landlock.allow(folder, {.remove = true}));
  }
  return landlock;
}

}  // namespace vmm::reference
