// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "passed_devices.h"

#include <utility>

#include "opener.h"

namespace vmm::reference {

Outcome<void> PassedDevices::open_host(std::vector<HostDeviceConfig> devices) {
  VMM_TRY(host_, opening([&] {
            return HostDevices::create({.devices = std::move(devices),
                                        .iommufd = parts_.config.iommufd,
                                        .vm = parts_.vm,
                                        .mapped = parts_.mapped,
                                        .peer_to_peer = parts_.config.vfio_p2p_dma,
                                        .memory_bytes = parts_.config.memory.size,
                                        .pins = parts_.pins,
                                        .pci = parts_.config.transport == Transport::kPci,
                                        .device_tree = parts_.device_tree,
                                        .loop = parts_.loop,
                                        .on_wanted = parts_.on_wanted});
          }));
  return {};
}

Outcome<void> PassedDevices::open() {
  if (parts_.config.host_devices.empty()) return {};
  return open_host(parts_.config.host_devices);
}

Outcome<void> PassedDevices::reserve(PciBoard& board) {
  if (host_ != nullptr) VMM_TRY_DO(board.reserve(host_->pci()));
  return board.reserve(parts_.config.user_devices);
}

Outcome<void> PassedDevices::open_user() {
  VMM_TRY(user_, opening([&] { return UserDevices::create(parts_.mapped, parts_.pins); }));
  return {};
}

Outcome<void> PassedDevices::add_all(PciBoard& board) {
  for (const UserDeviceConfig& config : parts_.config.user_devices) {
    if (user_ == nullptr) VMM_TRY_DO(open_user());
    VMM_TRY_DO(opening([&] { return user_->add(config, board); }));
    user_ids_.insert(config.device.id);
  }
  if (host_ == nullptr) return {};
  for (const HostDeviceConfig& config : host_->pci()) {
    VMM_TRY_DO(opening([&] { return host_->add(config, board); }));
    host_ids_.insert(config.device.id);
  }
  return {};
}

// Pinning the memory of a large guest takes its time.
Outcome<void> PassedDevices::map_all() {
  return opening([this]() -> Outcome<void> {
    if (user_ != nullptr) VMM_TRY_DO(user_->map(parts_.memory));
    return host_ == nullptr ? Outcome<void>{} : host_->map(parts_.memory);
  });
}

namespace {

/// Adds to `devices`, which open() makes when this is the first one, and is gone again when it
/// cannot be added.
template <class Devices, class Config, class Open>
Outcome<pci::FunctionAddress> add_to(std::unique_ptr<Devices>& devices, std::set<std::string>& ids,
                                     const Config& config, PciBoard& board,
                                     const vm_memory::GuestMemory& memory, Open&& open) {
  const bool first = devices == nullptr;
  const auto add = [&]() -> Outcome<pci::FunctionAddress> {
    if (first) {
      VMM_TRY_DO(open());
      VMM_TRY_DO(devices->map(memory));
    }
    return opening([&] { return devices->add(config, board); });
  };
  auto added = add();
  if (added) ids.insert(config.device.id);
  if (!added && first) devices.reset();
  return added;
}

}  // namespace

Outcome<pci::FunctionAddress> PassedDevices::add(const HostDeviceConfig& config, PciBoard& board) {
  if (host_ != nullptr && !config.device.iommu) VMM_TRY_DO(host_->share(parts_.memory));
  return add_to(host_, host_ids_, config, board, parts_.memory,
                [&] { return open_host({config}); });
}

Outcome<pci::FunctionAddress> PassedDevices::add(const UserDeviceConfig& config, PciBoard& board) {
  return add_to(user_, user_ids_, config, board, parts_.memory, [this] { return open_user(); });
}

void PassedDevices::removed(const std::string& id) {
  const bool was_host = host_ids_.erase(id) != 0;
  if (was_host) host_->removed(id);
  if (was_host && host_ids_.empty() && host_->platform().empty()) host_.reset();
  if (user_ids_.erase(id) == 0) return;
  user_->remove(id);
  if (user_ids_.empty()) user_.reset();
}

}  // namespace vmm::reference
