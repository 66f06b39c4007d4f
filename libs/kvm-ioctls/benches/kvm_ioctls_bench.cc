// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Exits, registers and interrupts of a real-mode guest; see tests/machine.h. Without /dev/kvm only
// the decoding of a run page made by hand is measured.

#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <utility>

#include "../tests/machine.h"
#include "../tests/run_page.h"
#include "bench.h"
#include "src/decode.h"
#include "vmm/sys_util/event_fd.h"

namespace vmm::kvm_ioctls {
namespace {

using bench::keep;
using testing::Machine;

bool have_kvm() {
  if (::access("/dev/kvm", R_OK | W_OK) == 0) return true;
  static bool said = false;
  if (!std::exchange(said, true))
    std::fputs("kvm-ioctls: skipped the rows that need /dev/kvm, which this host has not\n",
               stderr);
  return false;
}

template <class T>
const T* exit_as(const Result<VcpuExit>& exit) {
  return exit ? std::get_if<T>(&*exit) : nullptr;
}

// The code of the rows: one exit, and back.
constexpr std::initializer_list<int> kPioOut = {0xba, 0xf8, 0x03, 0xee, 0xeb, 0xfd};
constexpr std::initializer_list<int> kPioIn = {0xba, 0xf8, 0x03, 0xec, 0xeb, 0xfd};
constexpr std::initializer_list<int> kMmioWrite = {0xa2, 0x10, 0x00, 0xeb, 0xfb};
constexpr std::initializer_list<int> kMmioRead = {0xa0, 0x10, 0x00, 0xeb, 0xfb};
constexpr std::initializer_list<int> kHlt = {0xf4, 0xeb, 0xfd};

VMM_BENCH(bench) {  // decoding alone
  testing::RunPage out(2);
  out.data(0, std::uint8_t{1}).data(1, std::uint8_t{1}).data(2, std::uint16_t{0x3f8});
  out.data(4, std::uint32_t{1}).data(8, std::uint64_t{4096});
  bench.run("kvm-ioctls/x_decode_pio_out", [&] {
    const auto exit = decode_exit(out.bytes);
    if (const auto* io = exit_as<exits::IoOut>(exit)) keep(io->data[0]);
  });
  testing::RunPage write(6);
  write.data(0, std::uint64_t{0xd0010}).data(16, std::uint32_t{1}).data(20, std::uint8_t{1});
  bench.run("kvm-ioctls/x_decode_mmio_write", [&] {
    const auto exit = decode_exit(write.bytes);
    if (const auto* mmio = exit_as<exits::MmioWrite>(exit)) keep(mmio->data[0]);
  });
}

// The peer has its lists in its system library, hence the names.
VMM_BENCH(bench) {  // lists
  constexpr std::size_t kEntries = 64;
  std::array<CpuidEntry, kEntries> entries{};
  for (std::uint32_t i = 0; i < kEntries; ++i) entries[i].function = i;
  bench.run("sys-util/fam_new_64", [] {
    CpuidList list;
    keep(list.resize(kEntries));
    keep(list.raw());
  });
  bench.run("sys-util/fam_from_entries_64", [&] {
    const Result<CpuidList> list = CpuidList::from(entries);
    keep(list->raw());
  });
  bench.run("sys-util/fam_push_64", kEntries, [&] {
    CpuidList list;
    for (const CpuidEntry& entry : entries) keep(list.push_back(entry));
    keep(list.raw());
  });
  CpuidList list = *CpuidList::from(entries);
  bench.run("sys-util/fam_iterate_mutate_64", kEntries, [&] {
#pragma GCC unroll 8  // as the peer's compiler does unasked
    for (CpuidEntry& entry : list) entry.eax += 1;
    keep(list.raw());
  });
  bench.run("sys-util/fam_retain_half_64", kEntries, [&] {
    Result<CpuidList> half = CpuidList::from(entries);
    half->retain([](const CpuidEntry& entry) { return entry.function % 2 == 0; });
    keep(half->raw());
  });
}

VMM_BENCH(bench) {  // exits
  if (!have_kvm()) return;
  {
    Machine machine;
    Vcpu vcpu = machine.load(kPioOut);
    bench.run("kvm-ioctls/exit_pio_out", [&] {
      const auto exit = vcpu.run();
      if (const auto* io = exit_as<exits::IoOut>(exit)) keep(io->data[0]);
    });
    bench.floor("kvm-ioctls/exit_pio_out", [&] { keep(::ioctl(vcpu.fd(), 0xae80, 0)); });
    bench.run("kvm-ioctls/exit_pio_out_and_regs_get_regs", [&] {
      keep(vcpu.run().has_value());
      keep(vcpu.get_regs()->rip);
    });
    vcpu.request_sync(Vcpu::kSyncRegs);
    bench.run("kvm-ioctls/exit_pio_out_and_regs_sync_regs", [&] {
      keep(vcpu.run().has_value());
      keep(vcpu.sync_state().regs.rip);
    });
    vcpu.stop_sync(Vcpu::kSyncRegs);
    vcpu.set_immediate_exit(true);
    bench.run("kvm-ioctls/run_immediate_exit", [&] { keep(vcpu.run().has_value()); });
  }
  {
    Machine machine;
    Vcpu vcpu = machine.load(kPioIn);
    bench.run("kvm-ioctls/exit_pio_in", [&] {
      const auto exit = vcpu.run();
      if (const auto* io = exit_as<exits::IoIn>(exit)) io->data[0] = std::byte{7};
    });
  }
  {
    Machine machine;
    Vcpu vcpu = machine.load(kMmioWrite);
    bench.run("kvm-ioctls/exit_mmio_write", [&] {
      const auto exit = vcpu.run();
      if (const auto* mmio = exit_as<exits::MmioWrite>(exit)) keep(mmio->data[0]);
    });
  }
  {
    Machine machine;
    Vcpu vcpu = machine.load(kMmioRead);
    bench.run("kvm-ioctls/exit_mmio_read", [&] {
      const auto exit = vcpu.run();
      if (const auto* mmio = exit_as<exits::MmioRead>(exit)) mmio->data[0] = std::byte{7};
    });
  }
  {
    Machine machine;
    Vcpu vcpu = machine.load(kHlt);
    bench.run("kvm-ioctls/exit_hlt", [&] { keep(exit_as<exits::Hlt>(vcpu.run())); });
  }
}

VMM_BENCH(bench) {  // exits with work in the guest
  if (!have_kvm()) return;
  {
    Machine machine;
    machine.write(0x1000, {0xba, 0xf8, 0x03});
    for (std::uint64_t i = 0; i < 100; ++i) machine.write(0x1003 + i, {0x43});  // inc bx
    machine.write(0x1003 + 100, {0xee, 0xeb, 0x99});
    Vcpu vcpu = machine.load({0xba, 0xf8, 0x03});
    bench.run("kvm-ioctls/exit_pio_out_after_100_inc", [&] {
      const auto exit = vcpu.run();
      if (const auto* io = exit_as<exits::IoOut>(exit)) keep(io->data[0]);
    });
  }
  {
    Machine machine;
    const auto event = sys_util::EventFd::create();
    if (!event) return;
    if (!machine.vm.register_ioevent(event->fd(), {.space = IoEvent::Space::kPio, .address = 0x10}))
      return;
    Vcpu vcpu = machine.load({
        0xb9,
        0x00,
        0x01,  // mov cx, 256
        0xe6,
        0x10,  // out 0x10, al
        0xe2,
        0xfc,  // loop
        0xe6,
        0x11,  // out 0x11, al
        0xeb,
        0xf5,
    });
    bench.run("kvm-ioctls/ioeventfd_pio_in_kernel", 256, [&] { keep(vcpu.run().has_value()); });
  }
}

VMM_BENCH(bench) {  // interrupts
  if (!have_kvm()) return;
  Machine machine;
  const auto event = sys_util::EventFd::create();
  if (!event || !machine.vm.create_irqchip()) return;
  bench.run("kvm-ioctls/irq_set_irq_line_pair", [&] {
    keep(machine.vm.set_irq_line(Gsi{5}, true).has_value());
    keep(machine.vm.set_irq_line(Gsi{5}, false).has_value());
  });
  if (!machine.vm.register_irqfd(event->fd(), Gsi{6})) return;
  bench.run("kvm-ioctls/irq_irqfd_write", [&] { keep(event->add().has_value()); });
}

VMM_BENCH(bench) {  // state
  if (!have_kvm()) return;
  Machine machine;
  Vcpu vcpu = machine.load(kHlt);
  const Regs regs = *vcpu.get_regs();
  const Sregs sregs = *vcpu.get_sregs();
  bench.run("kvm-ioctls/get_regs", [&] { keep(vcpu.get_regs()->rip); });
  bench.run("kvm-ioctls/set_regs", [&] { keep(vcpu.set_regs(regs).has_value()); });
  bench.run("kvm-ioctls/get_sregs", [&] { keep(vcpu.get_sregs()->cr0); });
  bench.run("kvm-ioctls/set_sregs", [&] { keep(vcpu.set_sregs(sregs).has_value()); });
  bench.run("kvm-ioctls/get_fpu", [&] { keep(vcpu.get_fpu()->fcw); });
  const CpuidList cpuid = *machine.system.supported_cpuid();
  bench.run("kvm-ioctls/set_cpuid2", [&] { keep(vcpu.set_cpuid2(cpuid).has_value()); });
}

VMM_BENCH(bench) {  // the system and its VMs
  if (!have_kvm()) return;
  Machine machine;
  const System& system = machine.system;
  bench.run("kvm-ioctls/check_extension_user_memory",
            [&] { keep(system.check_extension(Cap::kUserMemory).has_value()); });
  bench.run("kvm-ioctls/get_api_version", [&] { keep(system.api_version().has_value()); });
  bench.run("kvm-ioctls/get_supported_cpuid", [&] { keep(system.supported_cpuid()->size()); });
  auto second = testing::ram(Machine::kBytes);
  bench.run("kvm-ioctls/set_user_memory_region_toggle", [&] {
    keep(machine.vm
             .set_memory_region(
                 {.slot = SlotId{1}, .address = GuestAddress(0x100000), .host = second.bytes()})
             .has_value());
    keep(machine.vm.set_memory_region({.slot = SlotId{1}, .address = GuestAddress(0x100000)})
             .has_value());
  });
  bench.run("kvm-ioctls/create_vm_destroy", [&] { keep(system.create_vm()->fd()); });
  bench.run("kvm-ioctls/create_vm_vcpu_destroy", [&] {
    const auto vm = system.create_vm();
    if (vm) keep(vm->create_vcpu(0)->fd());
  });
}

}  // namespace
}  // namespace vmm::kvm_ioctls
