// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>

#include "machine.h"
#include "vmm/sys_util/event_fd.h"

namespace vmm::kvm_ioctls {
namespace {

using sys_util::EventFd;
using testing::Machine;
using testing::needs;

Vm vm_with_irqchip() {
  Vm vm = *System::open()->create_vm();
#if defined(__x86_64__)
  REQUIRE(vm.create_irqchip());
#elif defined(__aarch64__)
  const auto vgic = testing::create_vgic(vm);
  REQUIRE(vgic);
  REQUIRE(vgic->set_attr({.group = kVgicControl, .attr = kVgicInit}));
#endif
  return vm;
}

TEST_CASE("an eventfd serves one interrupt, an interrupt many eventfds") {
  const Vm vm = vm_with_irqchip();
  const EventFd a = *EventFd::create();
  const EventFd b = *EventFd::create();
  REQUIRE(vm.register_irqfd(a.fd(), Gsi{4}));
  REQUIRE(vm.register_irqfd(b.fd(), Gsi{4}));
  CHECK(vm.register_irqfd(a.fd(), Gsi{4}).error().is_os(EBUSY));
  CHECK(vm.register_irqfd(a.fd(), Gsi{5}).error().is_os(EBUSY));
  CHECK(vm.unregister_irqfd(a.fd(), Gsi{4}));
  CHECK(vm.unregister_irqfd(a.fd(), Gsi{5}));  // never registered: KVM says yes
  CHECK(vm.register_irqfd(a.fd(), Gsi{5}));
  CHECK_FALSE(vm.register_irqfd(vm.fd(), Gsi{6}));  // no eventfd
}

TEST_CASE("level interrupts with resampling work exactly when KVM says so") {
  const Vm vm = vm_with_irqchip();
  const EventFd trigger = *EventFd::create();
  const EventFd resample = *EventFd::create();
  const auto made =
      vm.register_irqfd_with_resample({.trigger = trigger.fd(), .resample = resample.fd()}, Gsi{6});
  CHECK(made.has_value() == vm.has(Cap::kIrqfdResample));
  CHECK(vm.unregister_irqfd(trigger.fd(), Gsi{6}));
}

TEST_CASE("ioeventfds are told apart by address, space, size and value") {
  const Machine machine;
  const Vm& vm = machine.vm;
  const EventFd event = *EventFd::create();
  using Space = IoEvent::Space;
  const IoEvent all{.space = Space::kPio, .address = 0xf4};
  const IoEvent mmio{.space = Space::kMmio, .address = 0x1000};
  const IoEvent by_value{
      .space = Space::kMmio, .address = 0x1000, .match = IoEventMatch::value(std::uint32_t{5})};
  CHECK_FALSE(vm.unregister_ioevent(event.fd(), all));
  REQUIRE(vm.register_ioevent(event.fd(), all));
  REQUIRE(vm.register_ioevent(event.fd(), mmio));
  CHECK(vm.register_ioevent(event.fd(), all).error().is_os(EEXIST));
  CHECK_FALSE(vm.unregister_ioevent(event.fd(), by_value));
  CHECK(vm.unregister_ioevent(event.fd(), mmio));
  CHECK(vm.unregister_ioevent(event.fd(), all));
  for (const IoEventMatch match :
       {IoEventMatch::value(std::uint8_t{1}), IoEventMatch::value(std::uint16_t{1}),
        IoEventMatch::value(std::uint32_t{1}), IoEventMatch::value(std::uint64_t{1}),
        IoEventMatch::any_of_size(4)}) {
    IoEvent sized = mmio;
    sized.match = match;
    CHECK(vm.register_ioevent(event.fd(), sized));
    CHECK(vm.unregister_ioevent(event.fd(), sized));
  }
  IoEvent odd = mmio;
  odd.match = IoEventMatch::any_of_size(3);
  CHECK(vm.register_ioevent(event.fd(), odd).error().is_os(EINVAL));
}

#if defined(__x86_64__)

TEST_CASE("a guest's write rings the eventfd instead of exiting, if its value matches") {
  Machine machine;
  const EventFd event = *EventFd::create();
  REQUIRE(machine.vm.register_ioevent(event.fd(), {.space = IoEvent::Space::kPio,
                                                   .address = 0x10,
                                                   .match = IoEventMatch::value(std::uint8_t{7})}));
  Vcpu vcpu = machine.load({
      0xb0,
      0x07,
      0xe6,
      0x10,  // mov al, 7; out 0x10, al
      0xb0,
      0x08,
      0xe6,
      0x10,  // mov al, 8; out 0x10, al
      0xf4,
  });
  const auto exit = vcpu.run();
  REQUIRE(exit);
  REQUIRE(std::holds_alternative<exits::IoOut>(*exit));
  CHECK(std::get<exits::IoOut>(*exit).data[0] == std::byte{8});
  CHECK(*event.take() == 1);
}

TEST_CASE("a routing table needs an interrupt controller, even an empty one") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  CHECK_FALSE(vm.set_gsi_routing({}));
  REQUIRE(vm.create_irqchip());
  CHECK(vm.set_gsi_routing({}));
  const IrqRoute routes[] = {IrqRoute::to_chip(Gsi{0}, {.chip = IrqRoute::kIoapic, .pin = 2}),
                             IrqRoute::to_msi(Gsi{24}, {.address = 0xfee00000, .data = 0x41})};
  CHECK(vm.set_gsi_routing(routes));
  const IrqRoute beyond[] = {IrqRoute::to_chip(Gsi{1}, {.chip = IrqRoute::kIoapic, .pin = 99})};
  CHECK_FALSE(vm.set_gsi_routing(beyond));
}

TEST_CASE("the interrupt controllers keep their state") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  IrqChip chip;
  chip.id = IrqChip::kPicMaster;
  CHECK_FALSE(vm.get_irqchip(chip));
  REQUIRE(vm.create_irqchip());
  CHECK(vm.create_irqchip().error().is_os(EEXIST));
  REQUIRE(vm.get_irqchip(chip));
  chip.pic.irq_base = 10;
  REQUIRE(vm.set_irqchip(chip));
  IrqChip back;
  back.id = IrqChip::kPicMaster;
  REQUIRE(vm.get_irqchip(back));
  CHECK(back.pic.irq_base == 10);
  CHECK(std::memcmp(&back.pic, &chip.pic, sizeof(PicState)) == 0);
  IrqChip ioapic;
  ioapic.id = IrqChip::kIoapic;
  REQUIRE(vm.get_irqchip(ioapic));
  CHECK(ioapic.ioapic.base_address == 0xfec00000);
  IrqChip none;
  none.id = 7;
  CHECK_FALSE(vm.get_irqchip(none));
}

TEST_CASE("lines of the interrupt controller can be raised and lowered") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  CHECK_FALSE(vm.set_irq_line(Gsi{4}, true));
  REQUIRE(vm.create_irqchip());
  CHECK(vm.set_irq_line(Gsi{4}, true));
  CHECK(vm.set_irq_line(Gsi{4}, false));
  CHECK(vm.set_irq_line_status(Gsi{4}, true));
}

TEST_CASE("a split interrupt controller has local APICs only") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  if (!needs(vm.has(Cap::kSplitIrqchip), "KVM_CAP_SPLIT_IRQCHIP")) return;
  CHECK_FALSE(vm.enable_cap({}));
  CHECK(vm.enable_split_irqchip(10000).error().is_os(EINVAL));
  REQUIRE(vm.enable_split_irqchip(24));
  const Vcpu vcpu = *vm.create_vcpu(0);
  CHECK(vcpu.get_lapic());
  IrqChip chip;
  CHECK_FALSE(vm.get_irqchip(chip));
}

TEST_CASE("a message reaches a local APIC that is enabled") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  CHECK_FALSE(vm.signal_msi({.address = 0xfee00000, .data = 0x41}));
  REQUIRE(vm.create_irqchip());
  const Vcpu vcpu = *vm.create_vcpu(0);
  const MsiMessage message{.address = 0xfee00000, .data = 0x41};
  REQUIRE(vm.signal_msi(message));
  Lapic lapic = *vcpu.get_lapic();
  REQUIRE(lapic.set(0xf0, 0x1ff));  // software enable
  REQUIRE(vcpu.set_lapic(lapic));
  CHECK(*vm.signal_msi(message));
  CHECK((vcpu.get_lapic()->get(0x220) & 1u << 1) != 0);  // IRR: vector 0x41
}

TEST_CASE("an irqfd with a message route delivers its vector") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  REQUIRE(vm.create_irqchip());
  const Vcpu vcpu = *vm.create_vcpu(0);
  Lapic lapic = *vcpu.get_lapic();
  REQUIRE(lapic.set(0xf0, 0x1ff));
  REQUIRE(vcpu.set_lapic(lapic));
  const IrqRoute route = IrqRoute::to_msi(Gsi{24}, {.address = 0xfee00000, .data = 0x42});
  REQUIRE(vm.set_gsi_routing(std::span(&route, 1)));
  const EventFd event = *EventFd::create();
  REQUIRE(vm.register_irqfd(event.fd(), Gsi{24}));
  REQUIRE(event.add());
  bool delivered = false;
  for (int tries = 0; tries < 10000 && !delivered; ++tries) {  // it may take a kernel thread
    delivered = (vcpu.get_lapic()->get(0x220) & 1u << 2) != 0;
  }
  CHECK(delivered);
}

TEST_CASE("the timer chip keeps its state, except for the time it was loaded at") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  REQUIRE(vm.create_irqchip());
  CHECK_FALSE(vm.get_pit());
  REQUIRE(vm.create_pit());
  PitState pit = *vm.get_pit();
  REQUIRE(vm.set_pit(pit));
  PitState back = *vm.get_pit();
  for (int i = 0; i < 3; ++i) {
    pit.channels[i].count_load_time = 0;
    back.channels[i].count_load_time = 0;
  }
  CHECK(std::memcmp(&pit, &back, sizeof(pit)) == 0);
  CHECK(vm.set_pit_reinject(false));
}

TEST_CASE("the guest's clock goes on from where it was set") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  const std::uint64_t before = vm.get_clock()->clock;
  ClockData clock{};
  clock.clock = 10;
  REQUIRE(vm.set_clock(clock));
  const std::uint64_t after = vm.get_clock()->clock;
  CHECK(after > 10);
  // A fresh VM's clock may itself be only moments old.
  if (before > 1'000'000'000) CHECK(after < before);
}

TEST_CASE("the pages for real mode are placed before the first vCPU") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  CHECK(vm.set_tss_address(GuestAddress(0xfffbd000)));
  CHECK_FALSE(vm.set_tss_address(GuestAddress(0x1'0000'0000)));
  CHECK(vm.set_identity_map_address(GuestAddress(0xfffbc000)));
  CHECK(vm.set_boot_cpu_id(0));
  const Vcpu vcpu = *vm.create_vcpu(0);
  CHECK_FALSE(vm.set_identity_map_address(GuestAddress(0xfffbc000)));
  CHECK(vm.set_boot_cpu_id(0).error().is_os(EBUSY));
}

TEST_CASE("a split controller's end of interrupt is an exit for routed level lines") {
  Machine machine;
  if (!needs(machine.vm.has(Cap::kSplitIrqchip), "KVM_CAP_SPLIT_IRQCHIP")) return;
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  REQUIRE(vm.enable_split_irqchip(24));
  const EventFd event = *EventFd::create();
  // Level-triggered (bit 15 of the data), vector 0x31, to APIC 0.
  const IrqRoute route = IrqRoute::to_msi(Gsi{3}, {.address = 0xfee00000, .data = 0x8031});
  CHECK(vm.set_gsi_routing(std::span(&route, 1)));
  CHECK(vm.register_irqfd(event.fd(), Gsi{3}));
}

#endif

TEST_CASE("a VFIO device can be made where KVM knows it, and its attributes asked for") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  if (!needs(vm.test_device(DeviceType::kVfio).has_value(), "VFIO device")) {
    CHECK_FALSE(vm.create_device(DeviceType::kVfio));
    return;
  }
  const auto device = vm.create_device(DeviceType::kVfio);
  REQUIRE(device);
  CHECK(device->fd() > vm.fd());
  CHECK(device->has_attr({.group = 1, .attr = 1}));
  CHECK_FALSE(device->has_attr({.group = 99, .attr = 1}));
  CHECK_FALSE(device->get_attr({.group = 1, .attr = 1}));
  const std::int32_t no_file = -1;
  CHECK(device->set_attr({.group = 1, .attr = 1, .data = const_cast<std::int32_t*>(&no_file)})
            .error()
            .is_os(EBADF));
}

TEST_CASE("a device of another architecture is refused") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
#if defined(__x86_64__)
  CHECK(vm.create_device(DeviceType::kArmVgicV3).error().is_os(ENODEV));
#else
  CHECK_FALSE(vm.create_device(DeviceType{1}));
#endif
}

}  // namespace
}  // namespace vmm::kvm_ioctls
