// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "user_devices.h"

#include <chrono>
#include <utility>

#include "patience.h"
#include "vmm/base/log.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/vfio_pci/host_function.h"

namespace vmm::reference {
namespace {

std::string name_of(const UserDeviceConfig& config) {
  return "--user-device: socket=" + config.socket;
}

}  // namespace

Outcome<std::unique_ptr<UserDevices>> UserDevices::create(kvm_board::MappedMemory& mapped,
                                                          vfio_pci::PinRouter* pins) {
  std::unique_ptr<UserDevices> devices(new UserDevices(mapped, pins));
  VMM_TRY(devices->thread_, IoThread::create(ThreadKind::kPeer, "user-device"));
  devices->space_ = vfio_user::RemoteSpace::create(
      {.client = {.twin_socket = true},
       .on_connect = [self = devices.get()](
                         const std::shared_ptr<vfio_user::Client>& client) -> Result<void> {
         self->watch(client);
         return {};
       },
       .on_unmask_fd = [self = devices.get()](
                           const std::shared_ptr<vfio_user::Client>& client, std::uint32_t index,
                           int fd) { return self->unmask_by(client, index, fd); }});
  return devices;
}

UserDevices::~UserDevices() = default;

// On a vCPU's thread, or that of the control loop. The event may outlive the descriptor.
Result<void> UserDevices::unmask_by(const std::shared_ptr<vfio_user::Client>& client,
                                    std::uint32_t index, int fd) {
  event_manager::EventLoop& loop = pin_thread_->loop();
  if (fd < 0) {
    loop.post([this, client] { unmasks_.erase(client.get()); });
    return {};
  }
  VMM_TRY(UniqueFd copy, sys_util::duplicate(fd));
  auto event = std::make_shared<sys_util::EventFd>(sys_util::EventFd::adopt(std::move(copy)));
  loop.post([this, client, index, event] {
    auto added = pin_thread_->loop().add(event->fd(), event_manager::kReadable,
                                         [client, index, event](event_manager::EventSet) {
                                           (void)event->take();
                                           // Of a server that has gone serve() tells.
                                           (void)client->unmask_irq(index);
                                         });
    if (added) {
      unmasks_.insert_or_assign(client.get(), *std::move(added));
    } else {
      VMM_LOG(kError, "--user-device: %s", to_string(added.error()).c_str());
    }
  });
  return {};
}

void UserDevices::watch(const std::shared_ptr<vfio_user::Client>& client) {
  newest_ = client.get();
  thread_->loop().post([this, client] {
    auto added = thread_->loop().add(client->fd(), event_manager::kReadable,
                                     [this, client](event_manager::EventSet) { serve(*client); });
    if (added) {
      watches_.emplace(client.get(), *std::move(added));
    } else {
      VMM_LOG(kError, "--user-device: %s", to_string(added.error()).c_str());
    }
  });
}

// The client lives as long as this runs: the handler keeps it.
void UserDevices::serve(vfio_user::Client& client) {
  const auto event = client.serve();
  if (event && *event != vfio_user::Client::Event::kClosed) return;
  VMM_LOG(kError, "--user-device: a server has gone: %s",
          event ? "it has closed its socket" : to_string(event.error()).c_str());
  watches_.erase(&client);
}

Outcome<pci::FunctionAddress> UserDevices::add(const UserDeviceConfig& config, PciBoard& board) {
  const std::string name = name_of(config);
  // Its server is there before the VM, or about to be.
  constexpr std::chrono::seconds kLittlePatience{3};
  VMM_STEP(name, auto device,
           patiently(kLittlePatience, [&] { return space_->attach(config.socket); }));
  clients_[config.device.id] = newest_;
  const auto place = [&]() -> Outcome<pci::FunctionAddress> {
    const bool has_pin = pins_ != nullptr && device->irq(vfio::PciIrq::kIntx).count != 0;
    if (has_pin && pin_thread_ == nullptr) {
      VMM_TRY(pin_thread_, IoThread::create(ThreadKind::kPeer, "user-pins"));
    }
    VMM_STEP(name, auto function,
             vfio_pci::HostFunction::create({.device = std::move(device),
                                             .mapper = &slots_,
                                             .vectors = board.vectors(),
                                             .pins = has_pin ? pins_ : nullptr,
                                             .io_ports = false,
                                             .trapped_bars = 0,
                                             .quirks = {}}));
    return board.add(name, config.device, {.function = std::move(function)});
  };
  auto placed = place();
  if (!placed) remove(config.device.id);
  return placed;
}

// What its thread still holds of the conversation is an address to it, nothing more.
void UserDevices::remove(const std::string& id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  thread_->loop().post([this, client = found->second] { watches_.erase(client); });
  clients_.erase(found);
}

Outcome<void> UserDevices::map(const vm_memory::GuestMemory& memory) {
  const auto map = memory.snapshot();
  for (const auto& region : map->regions()) VMM_TRY_DO(this->map(region));
  return {};
}

Outcome<void> UserDevices::map(const std::shared_ptr<const vm_memory::Region>& region) {
  const auto file = region->file().value_or(vm_memory::FileBacking{});
  VMM_STEP("--user-device: guest memory for DMA", auto mapping,
           space_->map({.iova = region->base().raw(),
                        .memory = region->host(),
                        .owner = region,
                        .device_writes = true,
                        .fd = file.fd,
                        .fd_offset = file.offset}));
  mappings_.push_back(std::move(mapping));
  return {};
}

void UserDevices::unmap(GuestAddress base) {
  std::erase_if(mappings_,
                [base](const auto& mapping) { return mapping.range().iova == base.raw(); });
}

}  // namespace vmm::reference
