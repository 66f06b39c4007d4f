// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_list.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "config_devices.h"
#include "device_names.h"
#include "device_options.h"
#include "sandbox_options.h"
#include "vmm/base/unique_fd.h"

namespace vmm::reference {
namespace {

bool is_hot(const VmConfig& vm, const std::string& id) {
  bool found = false;
  for_each_device(vm, [&](const auto& device, DeviceSort) { found |= device.device.id == id; });
  return found;
}

/// Devices that are there for good, by the ids that they have.
bool is_fixed(const VmConfig& vm, const std::string& id) {
  const auto has = [&id](const DeviceConfig& device, const char* otherwise) {
    return id == (device.id.empty() ? otherwise : device.id);
  };
  return has(vm.console_device, "__console") || has(vm.rng.device, "__rng") ||
         (vm.balloon && has(vm.balloon->device, "__balloon")) ||
         (vm.watchdog && id == "__watchdog") || (vm.rtc && has(*vm.rtc, "__rtc"));
}

template <class T>
void append(VmConfig& vm, T device) {
  for_each_list(vm, [&](auto& list, DeviceSort) {
    using List = std::remove_reference_t<decltype(list)>;
    if constexpr (std::is_same_v<List, std::vector<T>>) list.push_back(std::move(device));
    if constexpr (std::is_same_v<List, std::optional<T>>) list = std::move(device);
  });
}

// A device has several paths in sysfs.
std::filesystem::path resolved(const std::string& path) {
  std::error_code error;
  std::filesystem::path canonical = std::filesystem::weakly_canonical(path, error);
  return error ? std::filesystem::path(path) : canonical;
}

bool has_host_device(const VmConfig& vm, const HostDeviceConfig& wanted) {
  const auto path = resolved(wanted.path);
  return std::ranges::any_of(vm.host_devices, [&path](const HostDeviceConfig& device) {
    return resolved(device.path) == path;
  });
}

Result<void, DeviceRefusal> check_new(const VmConfig& vm, const HotDevice& device) {
  using Kind = DeviceRefusal::Kind;
  const std::string& id = common_of(device).id;
  if (!id.empty() && (is_hot(vm, id) || is_fixed(vm, id))) {
    return fail(DeviceRefusal{Kind::kDuplicate, "id=" + id + ": there is a device of that id"});
  }
  if (vm.leaving_ids.contains(id)) {
    return fail(DeviceRefusal{Kind::kDuplicate,
                              "id=" + id + ": the guest has not given that device back yet"});
  }
  if (std::holds_alternative<VsockConfig>(device) && vm.vsock) {
    return fail(DeviceRefusal{Kind::kFailed, "--vsock: there is one, and there can be one"});
  }
  const auto* host = std::get_if<HostDeviceConfig>(&device);
  if (host != nullptr && has_host_device(vm, *host)) {
    return fail(
        DeviceRefusal{Kind::kDuplicate, "--device: path=" + host->path + ": the VM has it"});
  }
  return {};
}

}  // namespace

Outcome<void> check_host_paths(const VmConfig& vm) {
  std::set<std::filesystem::path> seen;
  for (const HostDeviceConfig& device : vm.host_devices) {
    if (seen.insert(resolved(device.path)).second) continue;
    return fail(usage("--device: path=" + device.path + ": given twice"));
  }
  for (const LandlockRule& rule : vm.landlock_rules) VMM_TRY_DO(check_landlock_rule(rule));
  return {};
}

const DeviceConfig& common_of(const HotDevice& device) {
  return std::visit([](const auto& one) -> const DeviceConfig& { return one.device; }, device);
}

void close_descriptors(const NetConfig& net) {
  for (const int fd : net.fds) static_cast<void>(UniqueFd(fd));
}

void close_descriptors(const HotDevice& device) {
  if (const auto* net = std::get_if<NetConfig>(&device); net != nullptr) close_descriptors(*net);
}

Result<std::string, DeviceRefusal> add_device(VmConfig& vm, HotDevice device) {
  VMM_TRY_DO(check_new(vm, device));
  VmConfig more = vm;
  std::visit([&more](auto& one) { append(more, std::move(one)); }, device);
  name_devices(more);
  if (const auto good = check_devices(more); !good) {
    return fail(DeviceRefusal{DeviceRefusal::Kind::kInvalid, good.error().message});
  }
  std::string id;
  for_each_device(more, [&](const auto& one, DeviceSort) {
    if (!is_hot(vm, one.device.id)) id = one.device.id;
  });
  vm = std::move(more);
  return id;
}

Result<void, DeviceRefusal> remove_device(VmConfig& vm, const std::string& id) {
  const auto matches = [&id](const auto& device) { return !id.empty() && device.device.id == id; };
  std::size_t found = 0;
  for_each_list(vm, [&](auto& list, DeviceSort) {
    if constexpr (requires { list.clear(); }) {
      found += std::erase_if(list, matches);
    } else if (list && matches(*list)) {
      list.reset();
      ++found;
    }
  });
  if (found != 0) return {};
  if (is_fixed(vm, id)) {
    return fail(DeviceRefusal{DeviceRefusal::Kind::kInvalid, "id=" + id + ": this device stays"});
  }
  return fail(
      DeviceRefusal{DeviceRefusal::Kind::kUnknown, "id=" + id + ": there is no such device"});
}

}  // namespace vmm::reference
