// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "user_devices.h"

#include <algorithm>
#include <cerrno>
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

/// What goes on with one server.
struct UserDevices::Conversation {
  const vfio_user::Client* client = nullptr;
  event_manager::Registration watch;   // of `thread`
  event_manager::Registration unmask;  // of `pin_thread`
  std::unique_ptr<IoThread> thread;
  std::unique_ptr<IoThread> pin_thread;  // ends before the other one, which its server may wait for
};

UserDevices::UserDevices(kvm_board::MappedMemory& mapped, vfio_pci::PinRouter* pins)
    : slots_(mapped), pins_(pins) {}

Outcome<std::unique_ptr<UserDevices>> UserDevices::create(kvm_board::MappedMemory& mapped,
                                                          vfio_pci::PinRouter* pins) {
  std::unique_ptr<UserDevices> devices(new UserDevices(mapped, pins));
  devices->space_ = vfio_user::RemoteSpace::create(
      {.client = {.twin_socket = true},
       .on_connect = [self = devices.get()](
                         const std::shared_ptr<vfio_user::Client>& client) -> Result<void> {
         watch(*self->coming_, client);
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
  const MutexLock lock(mutex_);
  const auto is_it = [&client](const auto& one) { return one.second->client == client.get(); };
  const auto found = std::ranges::find_if(conversations_, is_it);
  if (found == conversations_.end() || found->second->pin_thread == nullptr) {
    return fail(Error::os(ENODEV, "unmask a pin by a descriptor"));
  }
  event_manager::EventLoop& loop = found->second->pin_thread->loop();
  event_manager::Registration& unmask = found->second->unmask;
  if (fd < 0) {
    loop.post([&unmask] { unmask.reset(); });
    return {};
  }
  VMM_TRY(UniqueFd copy, sys_util::duplicate(fd));
  auto event = std::make_shared<sys_util::EventFd>(sys_util::EventFd::adopt(std::move(copy)));
  loop.post([&loop, &unmask, client, index, event] {
    auto added = loop.add(event->fd(), event_manager::kReadable,
                          [client, index, event](event_manager::EventSet) {
                            (void)event->take();
                            // Of a server that has gone serve() tells.
                            (void)client->unmask_irq(index);
                          });
    if (added) {
      unmask = *std::move(added);
    } else {
      VMM_LOG(kError, "--user-device: %s", to_string(added.error()).c_str());
    }
  });
  return {};
}

void UserDevices::watch(Conversation& conversation,
                        const std::shared_ptr<vfio_user::Client>& client) {
  conversation.client = client.get();
  event_manager::EventLoop& loop = conversation.thread->loop();
  loop.post([&loop, &watch = conversation.watch, client] {
    auto added = loop.add(client->fd(), event_manager::kReadable,
                          [&watch, client](event_manager::EventSet) { serve(*client, watch); });
    if (added) {
      watch = *std::move(added);
    } else {
      VMM_LOG(kError, "--user-device: %s", to_string(added.error()).c_str());
    }
  });
}

// The client lives as long as this runs: the handler keeps it.
void UserDevices::serve(vfio_user::Client& client, event_manager::Registration& watch) {
  const auto event = client.serve();
  if (event && *event != vfio_user::Client::Event::kClosed) return;
  VMM_LOG(kError, "--user-device: a server has gone: %s",
          event ? "it has closed its socket" : to_string(event.error()).c_str());
  watch.reset();
}

Result<std::unique_ptr<vfio::Device>> UserDevices::attach(const UserDeviceConfig& config,
                                                          Conversation& conversation) {
  // Its server is there before the VM, or about to be.
  constexpr std::chrono::seconds kLittlePatience{3};
  coming_ = &conversation;
  auto device = patiently(kLittlePatience, [&] { return space_->attach(config.socket); });
  coming_ = nullptr;
  return device;
}

Outcome<pci::FunctionAddress> UserDevices::add(const UserDeviceConfig& config, PciBoard& board) {
  const std::string name = name_of(config);
  auto conversation = std::make_unique<Conversation>();
  VMM_TRY(conversation->thread, IoThread::create(ThreadKind::kPeer, config.device.id));
  VMM_STEP(name, auto device, attach(config, *conversation));
  const bool has_pin = pins_ != nullptr && device->irq(vfio::PciIrq::kIntx).count != 0;
  if (has_pin) {
    VMM_TRY(conversation->pin_thread, IoThread::create(ThreadKind::kPeer, config.device.id));
  }
  {
    const MutexLock lock(mutex_);
    conversations_[config.device.id] = std::move(conversation);
  }
  const auto place = [&]() -> Outcome<pci::FunctionAddress> {
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

// Its threads end outside of the lock, as they may wait for the server.
void UserDevices::remove(const std::string& id) {
  std::unique_ptr<Conversation> over;
  const MutexLock lock(mutex_);
  const auto found = conversations_.find(id);
  if (found == conversations_.end()) return;
  over = std::move(found->second);
  conversations_.erase(found);
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
