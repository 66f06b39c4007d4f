// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include <cerrno>
#include <cstring>

#include "call.h"
#include "uapi_extra.h"
#include "vmm/kvm_ioctls/vm.h"

namespace vmm::kvm_ioctls {

namespace {

Result<void> irqfd(int vm, const kvm_irqfd& request) {
  return call(vm, VMM_IOCTL(KVM_IRQFD), &request);
}

Result<void> ioeventfd(int vm, int eventfd, const IoEvent& event, std::uint32_t flags) {
  if (event.space == IoEvent::Space::kPio) flags |= KVM_IOEVENTFD_FLAG_PIO;
  if (event.space == IoEvent::Space::kVirtioCcw) flags |= KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY;
  if (event.match.value()) flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
  kvm_ioeventfd request{};
  request.datamatch = event.match.value().value_or(0);
  request.addr = event.address;
  request.len = event.match.bytes();
  request.fd = eventfd;
  request.flags = flags;
  return call(vm, VMM_IOCTL(KVM_IOEVENTFD), &request);
}

constexpr std::uint32_t number(Gsi gsi) { return static_cast<std::uint32_t>(gsi); }

}  // namespace

Result<void> Vm::register_ioevent(int eventfd, const IoEvent& event) const {
  return ioeventfd(fd_.get(), eventfd, event, 0);
}

Result<void> Vm::unregister_ioevent(int eventfd, const IoEvent& event) const {
  return ioeventfd(fd_.get(), eventfd, event, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

Result<void> Vm::register_irqfd(int eventfd, Gsi gsi) const {
  return irqfd(fd_.get(), {.fd = static_cast<std::uint32_t>(eventfd),
                           .gsi = number(gsi),
                           .flags = 0,
                           .resamplefd = 0,
                           .pad = {}});
}

Result<void> Vm::register_irqfd_with_resample(const ResamplePair& eventfds, Gsi gsi) const {
  return irqfd(fd_.get(), {.fd = static_cast<std::uint32_t>(eventfds.trigger),
                           .gsi = number(gsi),
                           .flags = KVM_IRQFD_FLAG_RESAMPLE,
                           .resamplefd = static_cast<std::uint32_t>(eventfds.resample),
                           .pad = {}});
}

Result<void> Vm::unregister_irqfd(int eventfd, Gsi gsi) const {
  return irqfd(fd_.get(), {.fd = static_cast<std::uint32_t>(eventfd),
                           .gsi = number(gsi),
                           .flags = KVM_IRQFD_FLAG_DEASSIGN,
                           .resamplefd = 0,
                           .pad = {}});
}

Result<void> Vm::set_irq_line(Gsi gsi, bool active) const {
  const kvm_irq_level level{{.irq = number(gsi)}, active ? 1u : 0u};
  return call(fd_.get(), VMM_IOCTL(KVM_IRQ_LINE), &level);
}

Result<std::int32_t> Vm::set_irq_line_status(Gsi gsi, bool active) const {
  kvm_irq_level level{{.irq = number(gsi)}, active ? 1u : 0u};
  VMM_TRY_DO(call(fd_.get(), VMM_IOCTL(KVM_IRQ_LINE_STATUS), static_cast<void*>(&level)));
  return level.status;
}

Result<bool> Vm::signal_msi(const MsiMessage& message) const {
  kvm_msi msi{};
  msi.address_lo = static_cast<std::uint32_t>(message.address);
  msi.address_hi = static_cast<std::uint32_t>(message.address >> 32);
  msi.data = message.data;
  if (message.device_id) {
    msi.flags = KVM_MSI_VALID_DEVID;
    msi.devid = *message.device_id;
  }
  VMM_TRY(const int delivered,
          sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_SIGNAL_MSI), static_cast<const void*>(&msi)));
  return delivered > 0;
}

Result<void> Vm::set_gsi_routing(std::span<const IrqRoute> routes) const {
  if (routes.size() > 4096) return fail(Error::os(E2BIG, "KVM_SET_GSI_ROUTING"));
  // struct kvm_irq_routing: the number of entries and flags, then the entries.
  static_assert(sizeof(kvm_irq_routing) == sizeof(std::uint64_t));
  constexpr std::size_t kRouteWords = sizeof(IrqRoute) / sizeof(std::uint64_t);
  std::vector<std::uint64_t> table(1 + kRouteWords * routes.size());
  table[0] = routes.size();
  if (!routes.empty()) std::memcpy(&table[1], routes.data(), routes.size_bytes());
  return call(fd_.get(), VMM_IOCTL(KVM_SET_GSI_ROUTING), static_cast<const void*>(table.data()));
}

IrqRoute IrqRoute::to_chip(Gsi gsi, const ChipPin& pin) {
  IrqRoute route{.gsi = number(gsi), .type = KVM_IRQ_ROUTING_IRQCHIP};
  route.target[0] = pin.chip;
  route.target[1] = pin.pin;
  return route;
}

IrqRoute IrqRoute::to_msi(Gsi gsi, const MsiMessage& message) {
  IrqRoute route{.gsi = number(gsi), .type = KVM_IRQ_ROUTING_MSI};
  route.target[0] = static_cast<std::uint32_t>(message.address);
  route.target[1] = static_cast<std::uint32_t>(message.address >> 32);
  route.target[2] = message.data;
  if (message.device_id) {
    route.flags = KVM_MSI_VALID_DEVID;
    route.target[3] = *message.device_id;
  }
  return route;
}

IrqRoute IrqRoute::to_hyperv_sint(Gsi gsi, const HypervSint& sint) {
  IrqRoute route{.gsi = number(gsi), .type = KVM_IRQ_ROUTING_HV_SINT};
  route.target[0] = sint.vcpu;
  route.target[1] = sint.sint;
  return route;
}

IrqRoute IrqRoute::to_xen(Gsi gsi, const XenEventChannel& channel) {
  IrqRoute route{.gsi = number(gsi), .type = KVM_IRQ_ROUTING_XEN_EVTCHN};
  route.target[0] = channel.port;
  route.target[1] = channel.vcpu;
  route.target[2] = channel.priority;
  return route;
}

}  // namespace vmm::kvm_ioctls
