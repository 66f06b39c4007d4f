// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <initializer_list>
#include <memory>
#include <thread>
#include <vector>

#include "vmm/kvm_board/gsi_line.h"
#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/kvm_board/vcpu_runner.h"
#include "vmm/kvm_ioctls/system.h"

namespace {

using namespace vmm;
using namespace vmm::kvm_board;

constexpr std::uint64_t kCode = 0x1000;

/// Remembers what is written, and answers 0x5a.
class Recorder final : public vm_device::BusDevice {
 public:
  void read(std::uint64_t, std::span<std::byte> data) override {
    for (std::byte& byte : data) byte = std::byte{0x5a};
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) override {
    for (const std::byte byte : data) {
      written.push_back(static_cast<int>(offset) << 8 | std::to_integer<int>(byte));
    }
    ++count;
  }

  std::vector<int> written;
  std::atomic<int> count{0};
};

/// A vCPU in real mode that runs `code`; its data segment begins at 0xd0000, where no memory is.
struct Machine {
  explicit Machine(std::initializer_list<int> code, VcpuRunner::OtherExits other = nullptr)
      : vm(*kvm_ioctls::System::open()->create_vm()),
        memory(*vm_memory::GuestMemory::create(
            std::array{vm_memory::RegionConfig{.base = GuestAddress(0), .bytes = 0x10000}})),
        mapped(*MappedMemory::create(vm, memory)) {
    std::vector<std::byte> bytes;
    for (const int byte : code) bytes.push_back(static_cast<std::byte>(byte));
    REQUIRE(memory.view().write_bytes(GuestAddress(kCode), bytes));
    REQUIRE(ports.add(vm_device::PioAddress(0x40), 2, port));
    REQUIRE(mmio.add(GuestAddress(0xd0000), 16, device));
    auto vcpu = *vm.create_vcpu(0);
    auto sregs = *vcpu.get_sregs();
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    sregs.ds.base = sregs.es.base = 0xd0000;
    sregs.ds.selector = sregs.es.selector = 0xd000;
    REQUIRE(vcpu.set_sregs(sregs));
    kvm_ioctls::Regs regs{};
    regs.rip = kCode;
    regs.rsp = 0x800;
    regs.rflags = 2;
    REQUIRE(vcpu.set_regs(regs));
    runner = std::make_unique<VcpuRunner>(
        std::move(vcpu),
        VcpuRunner::Wiring{.mmio = &mmio, .ports = &ports, .other_exits = std::move(other)});
  }

  kvm_ioctls::Vm vm;
  vm_memory::GuestMemory memory;
  MappedMemory mapped;
  std::shared_ptr<Recorder> port = std::make_shared<Recorder>();
  std::shared_ptr<Recorder> device = std::make_shared<Recorder>();
  vm_device::PioBus ports;
  vm_device::MmioBus mmio;
  std::unique_ptr<VcpuRunner> runner;
};

}  // namespace

TEST_CASE("a vCPU reaches ports and memory-mapped devices, then halts", "[kvm_board]") {
  Machine machine({
      0xb0, 0x11,        // mov al, 0x11
      0xe6, 0x40,        // out 0x40, al
      0xe4, 0x41,        // in al, 0x41
      0xa2, 0x03, 0x00,  // mov [3], al
      0xa0, 0x04, 0x00,  // mov al, [4]
      0xe6, 0x41,        // out 0x41, al
      0xf4,              // hlt
  });
  const auto end = machine.runner->run();
  REQUIRE(end);
  CHECK(*end == VcpuEnd::kHalted);
  CHECK(machine.port->written == std::vector{0x011, 0x15a});
  CHECK(machine.device->written == std::vector{0x35a});
}

TEST_CASE("what no device takes reads as all ones, and is dropped", "[kvm_board]") {
  Machine machine({
      0xe4, 0x77,        // in al, 0x77
      0xe6, 0x40,        // out 0x40, al
      0xe6, 0x77,        // out 0x77, al
      0xb0, 0x00,        // mov al, 0
      0xa2, 0x00, 0x80,  // mov [0x8000], al
      0xa0, 0x00, 0x80,  // mov al, [0x8000]
      0xe6, 0x40,        // out 0x40, al
      0xf4,              // hlt
  });
  const auto end = machine.runner->run();
  REQUIRE(end);
  CHECK(*end == VcpuEnd::kHalted);
  CHECK(machine.port->written == std::vector{0x0ff, 0x0ff});
}

TEST_CASE("stop() takes a vCPU out of a loop; it goes on afterwards", "[kvm_board]") {
  REQUIRE(VcpuRunner::handle_signal());
  Machine machine({
      0xe6, 0x40,  // out 0x40, al
      0xeb, 0xfe,  // jmp to itself
  });
  Result<VcpuEnd> end = VcpuEnd::kReset;
  for (int round = 0; round < 2; ++round) {
    std::thread thread([&] { end = machine.runner->run(); });
    while (machine.port->count == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    machine.runner->stop();
    thread.join();
    REQUIRE(end);
    CHECK(*end == VcpuEnd::kStopped);
  }
  CHECK(machine.port->count == 1);
}

TEST_CASE("stop() before run() ends the next one only", "[kvm_board]") {
  Machine machine({0xf4});  // hlt
  machine.runner->stop();
  const auto first = machine.runner->run();
  REQUIRE(first);
  CHECK(*first == VcpuEnd::kStopped);
  const auto second = machine.runner->run();
  REQUIRE(second);
  CHECK(*second == VcpuEnd::kHalted);
}

TEST_CASE("a triple fault is a reset", "[kvm_board]") {
  Machine machine({0x0f, 0x0b});  // ud2
  auto sregs = *machine.runner->vcpu().get_sregs();
  sregs.idt.limit = 0;
  REQUIRE(machine.runner->vcpu().set_sregs(sregs));
  const auto end = machine.runner->run();
  REQUIRE(end);
  CHECK(*end == VcpuEnd::kReset);
}

TEST_CASE("other exits go to who knows them", "[kvm_board]") {
  int halts = 0;
  Machine machine(
      {
          0xf4,        // hlt
          0xe6, 0x40,  // out 0x40, al
          0xf4,        // hlt
      },
      [&](const kvm_ioctls::Vcpu&, const kvm_ioctls::VcpuExit& exit) {
        return std::holds_alternative<kvm_ioctls::exits::Hlt>(exit) && ++halts == 1;
      });
  const auto end = machine.runner->run();
  REQUIRE(end);
  CHECK(*end == VcpuEnd::kHalted);
  CHECK(halts == 2);
  CHECK(machine.port->count == 1);
}

TEST_CASE("a line reaches the interrupt controller", "[kvm_board]") {
  const auto system = kvm_ioctls::System::open();
  REQUIRE(system);
  auto vm = *system->create_vm();
  REQUIRE(vm.create_irqchip());
  GsiLine line(vm, kvm_ioctls::Gsi{4});
  line.set(true);
  kvm_ioctls::IrqChip pic{};
  pic.id = kvm_ioctls::IrqRoute::kPicMaster;
  REQUIRE(vm.get_irqchip(pic));
  const auto asserted = pic;
  line.set(false);
  REQUIRE(vm.get_irqchip(pic));
  CHECK(std::memcmp(&asserted, &pic, sizeof(pic)) != 0);
}
