// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "machine.h"

namespace vmm::kvm_ioctls {
namespace {

using testing::Machine;
using testing::needs;

template <class T>
T expect(Result<VcpuExit> exit) {
  REQUIRE(exit);
  INFO(name_of(*exit));
  REQUIRE(std::holds_alternative<T>(*exit));
  return std::get<T>(*exit);
}

std::byte b(int value) { return static_cast<std::byte>(value); }

TEST_CASE("port and memory accesses of a real-mode guest come out decoded, then it halts") {
  Machine machine;
  Vcpu vcpu = machine.load({
      0xba, 0xf8, 0x03,  // mov dx, 0x3f8
      0xb0, '5',         // mov al, '5'
      0xee,              // out dx, al
      0xec,              // in al, dx
      0xa2, 0x10, 0x00,  // mov [0x10], al
      0xa0, 0x20, 0x00,  // mov al, [0x20]
      0xef,              // out dx, ax
      0xf4,              // hlt
  });
  const auto out = expect<exits::IoOut>(vcpu.run());
  CHECK(out.port == 0x3f8);
  CHECK(out.item_bytes == 1);
  CHECK(out.count == 1);
  REQUIRE(out.data.size() == 1);
  CHECK(out.data[0] == b('5'));

  const auto in = expect<exits::IoIn>(vcpu.run());
  CHECK(in.port == 0x3f8);
  REQUIRE(in.data.size() == 1);
  in.data[0] = b(0x7a);

  const auto write = expect<exits::MmioWrite>(vcpu.run());
  CHECK(write.address == GuestAddress(0xd0010));
  REQUIRE(write.data.size() == 1);
  CHECK(write.data[0] == b(0x7a));

  const auto read = expect<exits::MmioRead>(vcpu.run());
  CHECK(read.address == GuestAddress(0xd0020));
  REQUIRE(read.data.size() == 1);
  read.data[0] = b(0x33);

  const auto wide = expect<exits::IoOut>(vcpu.run());
  REQUIRE(wide.data.size() == 2);
  CHECK(wide.data[0] == b(0x33));

  expect<exits::Hlt>(vcpu.run());
}

TEST_CASE("string port output comes as count times size bytes") {
  Machine machine;
  Vcpu vcpu = machine.load({
      0xba,
      0x00,
      0x05,  // mov dx, 0x500
      0xbe,
      0x00,
      0x20,  // mov si, 0x2000
      0xb9,
      0x04,
      0x00,  // mov cx, 4
      0x2e,
      0xf3,
      0x6f,  // rep outsw from cs:si
      0xf4,
  });
  machine.write(0x2000, {1, 2, 3, 4, 5, 6, 7, 8});
  std::vector<std::byte> got;
  while (got.size() < 8) {  // KVM may split the run
    const auto out = expect<exits::IoOut>(vcpu.run());
    CHECK(out.item_bytes == 2);
    CHECK(out.data.size() == std::size_t{out.count} * 2);
    got.insert(got.end(), out.data.begin(), out.data.end());
  }
  CHECK(got.size() == 8);
  for (int i = 0; i < 8; ++i) CHECK(got[static_cast<std::size_t>(i)] == b(i + 1));
  expect<exits::Hlt>(vcpu.run());
}

TEST_CASE("string port input is filled by us, item for item") {
  Machine machine;
  Vcpu vcpu = machine.load({
      0xba,
      0x00,
      0x05,  // mov dx, 0x500
      0x31,
      0xc0,
      0x8e,
      0xc0,  // xor ax, ax; mov es, ax
      0xbf,
      0x00,
      0x20,  // mov di, 0x2000
      0xb9,
      0x06,
      0x00,  // mov cx, 6
      0xf3,
      0x6c,  // rep insb
      0xf4,
  });
  int next = 1;
  for (;;) {
    auto exit = vcpu.run();
    REQUIRE(exit);
    if (std::holds_alternative<exits::Hlt>(*exit)) break;
    REQUIRE(std::holds_alternative<exits::IoIn>(*exit));
    for (std::byte& byte : std::get<exits::IoIn>(*exit).data) byte = b(next++);
  }
  CHECK(next == 7);
  for (int i = 0; i < 6; ++i) CHECK(machine.memory.data()[0x2000 + i] == b(i + 1));
}

TEST_CASE("single-stepping stops at each instruction with its address and DR7") {
  Machine machine;
  Vcpu vcpu = machine.load({
      0xba, 0xf8, 0x03,  // 1000: mov dx, 0x3f8
      0x00, 0xd8,        // 1003: add al, bl
      0x04, '0',         // 1005: add al, '0'
      0xf4,              // 1007: hlt
  });
  if (!needs(machine.vm.has(Cap::kSetGuestDebug), "KVM_CAP_SET_GUEST_DEBUG")) return;
  GuestDebug debug{};
  debug.control = GuestDebug::kEnable | GuestDebug::kSingleStep;
  REQUIRE(vcpu.set_guest_debug(debug));
  for (const std::uint64_t rip : {0x1003u, 0x1005u, 0x1007u}) {
    const auto stop = expect<exits::Debug>(vcpu.run());
    CHECK(stop.pc == rip);
    CHECK(stop.dr7 == 0x400);
    CHECK(stop.exception == 1);
  }
  debug.control = 0;
  REQUIRE(vcpu.set_guest_debug(debug));
  expect<exits::Hlt>(vcpu.run());
}

TEST_CASE("a triple fault is a shutdown") {
  Machine machine;
  Vcpu vcpu = machine.load({0x0f, 0x0b});  // ud2
  Sregs sregs = *vcpu.get_sregs();
  sregs.idt.limit = 0;
  REQUIRE(vcpu.set_sregs(sregs));
  expect<exits::Shutdown>(vcpu.run());
}

TEST_CASE("an immediate exit comes back without running the guest") {
  Machine machine;
  Vcpu vcpu = machine.load({0xf4});
  vcpu.set_immediate_exit(true);
  expect<exits::Interrupted>(vcpu.run());
  CHECK(vcpu.get_regs()->rip == Machine::kCode);
  vcpu.set_immediate_exit(false);
  expect<exits::Hlt>(vcpu.run());
}

TEST_CASE("a kick from another thread ends a run in progress and is not lost before one") {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGUSR1, &action, nullptr) == 0);
  Machine machine;
  // mov byte [cs:0x2000], 1; jmp $
  Vcpu vcpu = machine.load({0x2e, 0xc6, 0x06, 0x00, 0x20, 0x01, 0xeb, 0xfe});
  const VcpuKick kick = vcpu.kick_handle();
  const int tid = static_cast<int>(::syscall(SYS_gettid));

  kick.request();  // before the run
  CHECK(kick.requested());
  expect<exits::Interrupted>(vcpu.run());
  kick.clear();
  CHECK_FALSE(kick.requested());

  bool kicked = false;
  std::thread other([&] {
    const volatile std::byte& running = machine.memory.data()[0x2000];
    while (running == std::byte{0}) std::this_thread::yield();
    kicked = kick.kick(tid, SIGUSR1).has_value();
  });
  expect<exits::Interrupted>(vcpu.run());
  CHECK(kick.requested());
  other.join();
  CHECK(kicked);
  CHECK(kick.kick(0x3fffffff, SIGUSR1).error().is_os(ESRCH));
}

TEST_CASE("signals outside of the vCPU's mask do not end a run") {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGUSR1, &action, nullptr) == 0);
  sigset_t block;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  REQUIRE(pthread_sigmask(SIG_BLOCK, &block, nullptr) == 0);

  Machine machine;
  Vcpu vcpu = machine.load({0xe6, 0x10, 0xeb, 0xfc});  // out 0x10, al; jmp
  ::raise(SIGUSR1);                                    // pending and blocked
  expect<exits::IoOut>(vcpu.run());
  // With a mask of its own, the run lets the signal through and ends at once.
  REQUIRE(vcpu.set_signal_mask(std::uint64_t{0}));
  expect<exits::Interrupted>(vcpu.run());
  REQUIRE(vcpu.set_signal_mask(std::nullopt));
  expect<exits::IoOut>(vcpu.run());

  sigset_t pending;
  timespec now{};
  sigemptyset(&pending);
  sigaddset(&pending, SIGUSR1);
  ::sigtimedwait(&pending, nullptr, &now);
  pthread_sigmask(SIG_UNBLOCK, &block, nullptr);
}

TEST_CASE("completing pending I/O finishes the instruction without running the next") {
  Machine machine;
  Vcpu vcpu = machine.load({
      0xe4, 0x10,  // 1000: in al, 0x10
      0xe6, 0x11,  // 1002: out 0x11, al
      0xf4,        // 1004: hlt
  });
  const auto in = expect<exits::IoIn>(vcpu.run());
  in.data[0] = b(0x42);
  auto done = vcpu.complete_pending_io();
  REQUIRE(done);
  CHECK_FALSE(done->has_value());
  const Regs regs = *vcpu.get_regs();
  CHECK(regs.rip == 0x1002);
  CHECK((regs.rax & 0xff) == 0x42);
  // Nothing pending is fine, too, and the vCPU runs on as before.
  done = vcpu.complete_pending_io();
  REQUIRE(done);
  CHECK_FALSE(done->has_value());
  CHECK(expect<exits::IoOut>(vcpu.run()).port == 0x11);
}

TEST_CASE("an MMIO store over a page's end completes part by part") {
  Machine machine;
  Vcpu vcpu = machine.load({
      0x66,
      0xa3,
      0xfe,
      0x0f,  // mov [0x0ffe], eax: two pages of nothing
      0xf4,
  });
  const auto first = expect<exits::MmioWrite>(vcpu.run());
  CHECK(first.address == GuestAddress(0xd0ffe));
  CHECK(first.data.size() == 2);
  auto next = vcpu.complete_pending_io();
  REQUIRE(next);
  REQUIRE(next->has_value());
  CHECK(std::get<exits::MmioWrite>(**next).address == GuestAddress(0xd1000));
  next = vcpu.complete_pending_io();
  REQUIRE(next);
  CHECK_FALSE(next->has_value());
  CHECK(vcpu.get_regs()->rip == 0x1004);
  expect<exits::Hlt>(vcpu.run());
}

TEST_CASE("synchronized registers accumulate by group and equal those of the ioctls") {
  Machine machine;
  Vcpu vcpu = machine.load({
      0xe6,
      0x10,  // out 0x10, al
      0xe6,
      0x11,  // out 0x11, al
      0xf4,
  });
  const auto groups = machine.vm.check_extension(Cap::kSyncRegs);
  if (!needs(groups && (*groups & 7) == 7, "KVM_CAP_SYNC_REGS")) return;
  CHECK(vcpu.requested_sync() == 0);
  vcpu.request_sync(Vcpu::kSyncRegs);
  vcpu.request_sync(Vcpu::kSyncSregs);
  CHECK(vcpu.requested_sync() == 3);
  vcpu.request_sync(Vcpu::kSyncEvents);
  CHECK(vcpu.requested_sync() == 7);
  vcpu.stop_sync(Vcpu::kSyncSregs);
  CHECK(vcpu.requested_sync() == 5);
  vcpu.request_sync(Vcpu::kSyncSregs);
  vcpu.mark_sync_dirty(Vcpu::kSyncRegs);
  vcpu.mark_sync_dirty(Vcpu::kSyncSregs);
  CHECK(vcpu.dirty_sync() == 3);
  vcpu.clear_sync_dirty(Vcpu::kSyncRegs | Vcpu::kSyncSregs);
  CHECK(vcpu.dirty_sync() == 0);

  expect<exits::IoOut>(vcpu.run());
  const Regs regs = *vcpu.get_regs();
  const Sregs sregs = *vcpu.get_sregs();
  CHECK(std::memcmp(&vcpu.sync_state().regs, &regs, sizeof(regs)) == 0);
  CHECK(std::memcmp(&vcpu.sync_state().sregs, &sregs, sizeof(sregs)) == 0);

  // Written back through the run page: the next instruction prints the new value.
  vcpu.sync_state().regs.rax = 0x5a;
  vcpu.mark_sync_dirty(Vcpu::kSyncRegs);
  const auto out = expect<exits::IoOut>(vcpu.run());
  CHECK(out.port == 0x11);
  CHECK(out.data[0] == b(0x5a));
  CHECK(vcpu.dirty_sync() == 0);  // KVM took it, once
}

TEST_CASE("user-space MSRs exit with reason, index and data") {
  Machine machine;
  if (!needs(machine.vm.has(Cap::kX86UserSpaceMsr), "KVM_CAP_X86_USER_SPACE_MSR")) return;
  EnableCap cap{.cap = Cap::kX86UserSpaceMsr};
  cap.args[0] = exits::MsrReason::kUnknown;
  REQUIRE(machine.vm.enable_cap(cap));
  Vcpu vcpu = machine.load({
      0x66,
      0xb9,
      0x00,
      0x4f,
      0x4f,
      0x47,  // mov ecx, 0x474f4f00
      0x0f,
      0x32,  // rdmsr
      0x66,
      0xba,
      0x44,
      0x33,
      0x22,
      0x11,  // mov edx, 0x11223344
      0x0f,
      0x30,  // wrmsr
      0xf4,
  });
  const auto read = expect<exits::Rdmsr>(vcpu.run());
  CHECK(read.reason == exits::MsrReason::kUnknown);
  CHECK(read.index == 0x474f4f00);
  *read.data = 0xaabbccdd'99887766;
  *read.error = 0;
  const auto write = expect<exits::Wrmsr>(vcpu.run());
  CHECK(write.reason == exits::MsrReason::kUnknown);
  CHECK(write.index == 0x474f4f00);
  CHECK(write.data == 0x11223344'99887766);
  *write.error = 0;
  expect<exits::Hlt>(vcpu.run());
}

TEST_CASE("a hypercall exits with its arguments in order and takes our result") {
  Machine machine;
  const auto mask = machine.vm.check_extension(Cap::kExitHypercall);
  constexpr int kMapGpaRange = 12;
  if (!needs(mask && (*mask & 1 << kMapGpaRange) != 0, "KVM_HC_MAP_GPA_RANGE exits")) return;
  EnableCap cap{.cap = Cap::kExitHypercall};
  cap.args[0] = 1 << kMapGpaRange;
  REQUIRE(machine.vm.enable_cap(cap));
  Vcpu vcpu = machine.load({
      0x66, 0xb8, 0x0c, 0x00, 0x00, 0x00,  // mov eax, 12
      0x66, 0xbb, 0x00, 0x20, 0x00, 0x00,  // mov ebx, 0x2000
      0x66, 0xb9, 0x01, 0x00, 0x00, 0x00,  // mov ecx, 1
      0x66, 0xba, 0x10, 0x00, 0x00, 0x00,  // mov edx, 0x10 (encrypted)
      0x0f, 0x01, 0xd9,                    // vmmcall
      0xf4,
  });
  // KVM knows the hypercall only for guests whose CPUID has the feature (leaf 0x40000001, bit 16).
  CpuidList cpuid = *machine.system.supported_cpuid();
  bool found = false;
  for (CpuidEntry& entry : cpuid) {
    if (entry.function == 0x40000001) {
      entry.eax |= 1u << 16;
      found = true;
    }
  }
  REQUIRE(found);
  REQUIRE(vcpu.set_cpuid2(cpuid));
  const auto call = expect<exits::Hypercall>(vcpu.run());
  CHECK(call.number == kMapGpaRange);
  CHECK(call.arguments[0] == 0x2000);
  CHECK(call.arguments[1] == 1);
  CHECK(call.arguments[2] == 0x10);
  CHECK_FALSE(call.long_mode);
  *call.result = 0x77;
  expect<exits::Hlt>(vcpu.run());
  CHECK(vcpu.get_regs()->rax == 0x77);
}

TEST_CASE("an instruction fetched from nowhere is reported, with what KVM knows") {
  Machine machine;
  Vcpu vcpu = machine.load({0xf4});
  Regs regs = *vcpu.get_regs();
  regs.rip = 0x20000;  // no memory there
  REQUIRE(vcpu.set_regs(regs));
  Sregs sregs = *vcpu.get_sregs();
  sregs.cs.limit = 0xffffffff;
  REQUIRE(vcpu.set_sregs(sregs));
  const auto exit = vcpu.run();
  REQUIRE(exit);
  if (const auto* error = std::get_if<exits::InternalError>(&*exit)) {
    CHECK(error->suberror == exits::InternalError::kEmulation);
    CHECK(error->data.size() <= 16);
    CHECK(error->instruction().size() <= 15);
  } else {  // other hosts: a fault of the guest
    INFO(name_of(*exit));
    CHECK(std::holds_alternative<exits::Shutdown>(*exit));
  }
}

TEST_CASE("the run page is unmapped with its vCPU, and kept by a kick handle") {
  Machine machine;
  const auto mapped = [](const void* page) {
    return ::msync(const_cast<void*>(page), 1, MS_ASYNC) == 0;
  };
  auto vcpu = std::make_unique<Vcpu>(*machine.vm.create_vcpu(0));
  const void* page = reinterpret_cast<const std::byte*>(&vcpu->sync_state()) -
                     (reinterpret_cast<std::uintptr_t>(&vcpu->sync_state()) & 0xfff);
  CHECK(mapped(page));
  {
    const VcpuKick kick = vcpu->kick_handle();
    vcpu.reset();
    CHECK(mapped(page));
    kick.request();
  }
  CHECK_FALSE(mapped(page));
}

}  // namespace
}  // namespace vmm::kvm_ioctls
