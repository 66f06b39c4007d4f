// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <unistd.h>

#include <bit>
#include <catch2/catch.hpp>
#include <numeric>

#include "machine.h"
#include "vmm/kvm_ioctls/error.h"

namespace vmm::kvm_ioctls {
namespace {

using testing::Machine;
using testing::needs;
using testing::ram;

template <class T>
bool fails(const Result<T>& result, KvmError error) {
  return !result && result.error().domain().name == "kvm" &&
         result.error().code() == static_cast<int>(error);
}

TEST_CASE("removing a slot that never was is an error, by either interface") {
  const Vm vm = *System::open()->create_vm();
  CHECK_FALSE(vm.set_memory_region({}));
  CHECK_FALSE(vm.set_memory_region2({}, {}));
}

TEST_CASE("overlapping and misaligned regions are refused") {
  const Machine machine;
  auto more = ram(0x10000);
  CHECK(machine.vm
            .set_memory_region(
                {.slot = SlotId{1}, .address = GuestAddress(0x8000), .host = more.bytes()})
            .error()
            .is_os(EEXIST));
  CHECK(machine.vm
            .set_memory_region(
                {.slot = SlotId{1}, .address = GuestAddress(0x100001), .host = more.bytes()})
            .error()
            .is_os(EINVAL));
}

TEST_CASE("slots get numbers, keep their memory alive, and give both back in order") {
  const Vm vm = *System::open()->create_vm();
  MemorySlots slots = *vm.memory_slots();
  auto memory = std::make_shared<sys_util::Mapping>(ram(0x4000));
  const std::weak_ptr<sys_util::Mapping> alive = memory;
  const std::span<std::byte> host = memory->bytes();
  CHECK(slots.in_use() == 0);
  {
    auto first = slots.add({.address = GuestAddress(0), .host = host}, std::move(memory));
    REQUIRE(first);
    CHECK(first->id() == SlotId{0});
    CHECK(first->size() == 0x4000);
    CHECK(slots.in_use() == 1);
    CHECK_FALSE(alive.expired());

    auto other = ram(0x4000);
    const auto overlap =
        slots.add({.address = GuestAddress(0x2000), .host = other.bytes()}, nullptr);
    CHECK(overlap.error().is_os(EEXIST));
    CHECK(slots.in_use() == 1);  // the number came back

    MemorySlot moved = std::move(*first);
    CHECK_FALSE(alive.expired());
    CHECK(slots.in_use() == 1);
  }
  CHECK(alive.expired());
  CHECK(slots.in_use() == 0);
  // The address and the number are free again.
  auto again = ram(0x4000);
  CHECK(slots.add({.address = GuestAddress(0), .host = again.bytes()}, nullptr)->id() == SlotId{0});
}

TEST_CASE("assigning to a slot removes the one it held") {
  const Vm vm = *System::open()->create_vm();
  MemorySlots slots = *vm.memory_slots();
  auto memory = ram(0x4000);
  MemorySlot a = *slots.add({.address = GuestAddress(0), .host = memory.bytes()}, nullptr);
  auto other = ram(0x4000);
  MemorySlot b = *slots.add({.address = GuestAddress(0x10000), .host = other.bytes()}, nullptr);
  CHECK(slots.in_use() == 2);
  a = std::move(b);
  CHECK(slots.in_use() == 1);
  CHECK(a.address() == GuestAddress(0x10000));
  CHECK(slots.add({.address = GuestAddress(0), .host = memory.bytes()}, nullptr));
}

TEST_CASE("a slot outlives the VM's handle and the table's") {
  std::optional<MemorySlot> slot;
  auto memory = ram(0x4000);
  {
    const Vm vm = *System::open()->create_vm();
    slot.emplace(
        *vm.memory_slots()->add({.address = GuestAddress(0), .host = memory.bytes()}, nullptr));
  }
  CHECK(slot->set_dirty_logging(true));
  slot.reset();
}

TEST_CASE("slots of no, unaligned or wrapping memory are refused", "[hostile]") {
  const Vm vm = *System::open()->create_vm();
  MemorySlots slots = *vm.memory_slots();
  auto memory = ram(0x4000);
  const std::span<std::byte> host = memory.bytes();
  struct Row {
    std::uint64_t address;
    std::span<std::byte> host;
  };
  const Row rows[] = {{0, {}},
                      {0, host.first(0x1001)},
                      {0, host.subspan(1, 0x1000)},
                      {0x800, host},
                      {~std::uint64_t{0} - 0xfff, host}};
  for (const Row& row : rows) {
    const auto slot = slots.add({.address = GuestAddress(row.address), .host = row.host}, nullptr);
    CHECK(fails(slot, KvmError::kBadSlot));
  }
  CHECK(slots.in_use() == 0);
}

#if defined(__x86_64__)

int count_bits(const std::vector<std::uint64_t>& words) {
  return std::accumulate(words.begin(), words.end(), 0,
                         [](int sum, std::uint64_t word) { return sum + std::popcount(word); });
}

// Writes one byte to 0x2000 and to 0x3000, in a loop of one store each, then halts.
Vcpu writer(Machine& machine, std::uint32_t id = 0) {
  Vcpu vcpu = machine.load(
      {
          0x31,
          0xc0,
          0x8e,
          0xd8,  // xor ax, ax; mov ds, ax
          0xa2,
          0x00,
          0x20,  // mov [0x2000], al
          0xa2,
          0x00,
          0x30,  // mov [0x3000], al
          0xf4,
      },
      id);
  return vcpu;
}

struct LoggedMachine : Machine {
  LoggedMachine() {
    static_cast<void>(vm.set_memory_region({.slot = SlotId{0}, .address = GuestAddress(0)}));
    slots.emplace(*vm.memory_slots());
    slot.emplace(*slots->add(
        {.address = GuestAddress(0), .host = memory.bytes(), .log_dirty_pages = true}, nullptr));
  }
  std::optional<MemorySlots> slots;
  std::optional<MemorySlot> slot;
};

TEST_CASE("the dirty log has exactly the pages that the guest wrote, once") {
  LoggedMachine machine;
  Vcpu vcpu = writer(machine);
  CHECK(machine.slot->dirty_log_words() ==
        (0x10000 / static_cast<std::size_t>(::getpagesize()) + 63) / 64);
  CHECK(count_bits(*machine.slot->dirty_log()) == 0);
  REQUIRE(vcpu.run());
  const auto log = *machine.slot->dirty_log();
  // The code's page is dirty as well where KVM maps it writable at the first fetch.
  constexpr std::uint64_t kCodePage = 1u << 1;
  CHECK((log.at(0) | kCodePage) == (1u << 3 | 1u << 2 | kCodePage));
  CHECK(count_bits(*machine.slot->dirty_log()) == 0);  // reading cleared it
  std::uint64_t words[2];
  CHECK(machine.slot->dirty_log(words).error().is_os(EINVAL));
  CHECK(machine.slot->set_dirty_logging(false));
  CHECK(machine.slot->dirty_log().error().is_os(ENOENT));
}

TEST_CASE("with manual protection, pages stay dirty until they are cleared") {
  LoggedMachine machine;
  const auto offered = machine.vm.check_extension(Cap::kManualDirtyLogProtect2);
  if (!needs(offered && *offered > 0, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2")) return;
  REQUIRE(machine.vm.enable_manual_dirty_protect());
  Vcpu vcpu = writer(machine);
  REQUIRE(vcpu.run());
  const std::uint64_t log = machine.slot->dirty_log()->at(0);
  CHECK((log & 0xc) == 0xc);
  CHECK(machine.slot->dirty_log()->at(0) == log);
  const std::uint64_t one = 1u << 2;
  CHECK(machine.slot->clear_dirty_log({.first = 0, .count = 16}, std::span(&one, 1)));
  CHECK(machine.slot->dirty_log()->at(0) == (log & ~one));
  struct Row {
    std::uint64_t first, count;
  };
  for (const Row& row : {Row{0, 17}, Row{16, 1}, Row{~std::uint64_t{0}, 2}, Row{0, 1ull << 33}}) {
    CHECK(machine.slot->clear_dirty_log({.first = row.first, .count = row.count}, {})
              .error()
              .is_os(EINVAL));
  }
}

TEST_CASE("the dirty ring hands out written pages and takes them back") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  if (!needs(vm.has(Cap::kDirtyLogRing) || vm.has(Cap::kDirtyLogRingAcqRel), "dirty ring")) return;
  REQUIRE(vm.enable_dirty_ring(1024));
  MemorySlots slots = *vm.memory_slots();
  auto memory = ram(0x10000);
  const auto slot = slots.add(
      {.address = GuestAddress(0), .host = memory.bytes(), .log_dirty_pages = true}, nullptr);
  REQUIRE(slot);
  const int code[] = {0x31, 0xc0, 0x8e, 0xd8, 0xa2, 0, 0x20, 0xa2, 0, 0x30, 0xf4, 0xeb, 0xf3};
  std::size_t at = 0x1000;
  for (const int byte : code) memory.data()[at++] = static_cast<std::byte>(byte);
  Vcpu vcpu = *vm.create_vcpu(0);
  Sregs sregs = *vcpu.get_sregs();
  sregs.cs.base = sregs.cs.selector = 0;
  REQUIRE(vcpu.set_sregs(sregs));
  Regs regs{};
  regs.rip = 0x1000;
  regs.rflags = 2;
  REQUIRE(vcpu.set_regs(regs));
  DirtyRing ring = *vcpu.map_dirty_ring(1024);
  for (int round = 0; round < 2; ++round) {
    REQUIRE(std::holds_alternative<exits::Hlt>(*vcpu.run()));
    std::vector<std::uint64_t> pages;
    while (const auto page = ring.next()) {
      CHECK(page->slot == slot->id());
      pages.push_back(page->page);
    }
    INFO("round " << round);
    CHECK(std::count(pages.begin(), pages.end(), 2u) == 1);
    CHECK(std::count(pages.begin(), pages.end(), 3u) == 1);
    CHECK(*vm.reset_dirty_rings() == pages.size());
    CHECK_FALSE(ring.next());
  }
  CHECK(slot->dirty_log().error().is_os(ENXIO));
}

TEST_CASE("a dirty ring too large, too small or too late is refused") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  if (!needs(vm.has(Cap::kDirtyLogRing), "dirty ring")) return;
  CHECK(vm.enable_dirty_ring(1u << 31).error().is_os(E2BIG));
  CHECK(vm.enable_dirty_ring(1).error().is_os(EINVAL));
  const Vcpu vcpu = *vm.create_vcpu(0);
  CHECK_FALSE(vm.enable_dirty_ring(1024));
}

TEST_CASE("stores to a read-only slot are MMIO exits") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  if (!needs(vm.has(Cap::kReadonlyMem), "KVM_CAP_READONLY_MEM")) return;
  Machine machine;
  auto rom = ram(0x1000);
  rom.data()[0] = std::byte{0x42};
  REQUIRE(machine.vm.set_memory_region({.slot = SlotId{1},
                                        .address = GuestAddress(0xd0000),
                                        .host = rom.bytes(),
                                        .read_only = true}));
  Vcpu vcpu = machine.load({0xa0, 0, 0, 0xa2, 1, 0, 0xf4});  // mov al, [0]; mov [1], al; hlt
  const auto exit = vcpu.run();
  REQUIRE(exit);
  REQUIRE(std::holds_alternative<exits::MmioWrite>(*exit));
  const auto& write = std::get<exits::MmioWrite>(*exit);
  CHECK(write.address == GuestAddress(0xd0001));
  CHECK(write.data[0] == std::byte{0x42});
  CHECK(rom.data()[1] == std::byte{0});
}

TEST_CASE("stores to coalesced zones are collected, and exit again once unregistered") {
  Machine machine;
  if (!needs(machine.vm.has(Cap::kCoalescedMmio) && machine.vm.has(Cap::kCoalescedPio),
             "coalesced MMIO and PIO")) {
    return;
  }
  const Vm::CoalescedZone mmio{.address = 0xd0000, .bytes = 0x1000};
  const Vm::CoalescedZone pio{.address = 0x80, .bytes = 1, .pio = true};
  REQUIRE(machine.vm.register_coalesced(mmio));
  REQUIRE(machine.vm.register_coalesced(pio));
  Vcpu vcpu = machine.load({
      0xb8, 0x34, 0x12,  // mov ax, 0x1234
      0xa3, 0x10, 0x00,  // mov [0x10], ax
      0xe6, 0x80,        // out 0x80, al
      0xf4,              // hlt
      0xa3, 0x10, 0x00,  // mov [0x10], ax
      0xe6, 0x80,        // out 0x80, al
  });
  CoalescedRing ring = *vcpu.map_coalesced_ring();
  CoalescedRing twice = *vcpu.map_coalesced_ring();  // harmless
  CHECK_FALSE(ring.next()->has_value());
  REQUIRE(std::holds_alternative<exits::Hlt>(*vcpu.run()));
  const CoalescedWrite store = **ring.next();
  CHECK(store.address == 0xd0010);
  CHECK_FALSE(store.pio);
  REQUIRE(store.span().size() == 2);
  CHECK(store.span()[1] == std::byte{0x12});
  const CoalescedWrite out = **twice.next();  // the same ring
  CHECK(out.pio);
  CHECK(out.address == 0x80);
  CHECK(out.span().size() == 1);
  CHECK_FALSE(ring.next()->has_value());

  REQUIRE(machine.vm.unregister_coalesced(mmio));
  REQUIRE(machine.vm.unregister_coalesced(pio));
  CHECK(std::holds_alternative<exits::MmioWrite>(*vcpu.run()));
  CHECK(std::holds_alternative<exits::IoOut>(*vcpu.run()));
}

TEST_CASE("statistics of a VM and a vCPU can be read by name") {
  const System system = *System::open();
  if (!needs(system.has(Cap::kBinaryStatsFd), "KVM_CAP_BINARY_STATS_FD")) return;
  Machine machine;
  Vcpu vcpu = machine.load({0xe6, 0x10, 0xe6, 0x10, 0xf4});
  while (!std::holds_alternative<exits::Hlt>(*vcpu.run())) {
  }
  const StatsFd stats = *vcpu.stats();
  const StatsSchema schema = *stats.schema();
  CHECK_FALSE(schema.id.empty());
  const auto exits_at = std::find_if(schema.descriptors.begin(), schema.descriptors.end(),
                                     [](const StatsDescriptor& d) { return d.name == "exits"; });
  REQUIRE(exits_at != schema.descriptors.end());
  const auto values = *stats.read(schema);
  CHECK(values.at(exits_at->offset / 8) >= 3);
  const StatsFd vm_stats = *machine.vm.stats();
  CHECK(vm_stats.read(*vm_stats.schema()));
}

#endif

TEST_CASE("a bitmap has a bit for every page, in whole words") {
  const Vm vm = *System::open()->create_vm();
  MemorySlots slots = *vm.memory_slots();
  for (const std::size_t pages : {1u, 63u, 64u, 65u, 128u}) {
    auto memory = ram(pages * 4096);
    const auto slot = slots.add(
        {.address = GuestAddress(0), .host = memory.bytes(), .log_dirty_pages = true}, nullptr);
    REQUIRE(slot);
    CHECK(slot->dirty_log()->size() == (pages + 63) / 64);
  }
}

TEST_CASE("guest_memfd and memory attributes work where KVM has them, and say so where not") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  if (!needs(vm.has(Cap::kGuestMemfd), "KVM_CAP_GUEST_MEMFD")) {
    CHECK_FALSE(vm.create_guest_memfd(0x10000));
    CHECK_FALSE(vm.set_memory_attributes({.address = GuestAddress(0), .bytes = 0x1000}));
    return;
  }
  const auto flags = vm.check_extension(Cap::kGuestMemfdFlags);
  const std::uint64_t mmap = flags && (*flags & 1) != 0 ? GuestMemfd::kMmap : 0;
  const auto memfd = vm.create_guest_memfd(0x10000, mmap);
  REQUIRE(memfd);
  CHECK(memfd->size() == 0x10000);
  CHECK_FALSE(vm.create_guest_memfd(1));  // not a whole page
}

TEST_CASE("regions to be encrypted are refused without encryption") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  CHECK_FALSE(vm.register_encrypted_region({}));
  CHECK_FALSE(vm.unregister_encrypted_region({}));
  std::uint64_t command[8] = {};
  CHECK_FALSE(vm.memory_encrypt_op(command));
}

}  // namespace
}  // namespace vmm::kvm_ioctls
