// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <array>
#include <catch2/catch.hpp>
#include <cerrno>

#include "vmm/kvm_board/doorbells.h"
#include "vmm/kvm_board/gsi_line.h"
#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/kvm_ioctls/system.h"
#include "vmm/sys_util/event_fd.h"

namespace {

using namespace vmm;
using namespace vmm::kvm_board;

constexpr std::uint64_t kPages = 16 * 4096;

kvm_ioctls::Vm make_vm() { return *kvm_ioctls::System::open()->create_vm(); }

vm_memory::GuestMemory make_memory() {
  const std::array regions{
      vm_memory::RegionConfig{.base = GuestAddress(0), .bytes = kPages},
      vm_memory::RegionConfig{.base = GuestAddress(0x10'0000), .bytes = kPages}};
  return *vm_memory::GuestMemory::create(regions);
}

}  // namespace

TEST_CASE("guest memory takes the VM's slots, and gives them back", "[kvm_board]") {
  const auto vm = make_vm();
  const auto memory = make_memory();
  auto mapped = MappedMemory::create(vm, memory);
  REQUIRE(mapped);
  CHECK(mapped->slots().in_use() == 2);
  mapped->remove(GuestAddress(0x10'0000));
  CHECK(mapped->slots().in_use() == 1);
  // The place is free again, the other is not.
  CHECK(mapped->add(memory.snapshot()->regions()[1]));
  const auto twice = mapped->add(memory.snapshot()->regions()[0]);
  REQUIRE_FALSE(twice);
  CHECK(twice.error().is_os(EEXIST));
  CHECK(mapped->slots().in_use() == 2);
}

TEST_CASE("a doorbell is KVM's until it is removed", "[kvm_board]") {
  const auto vm = make_vm();
  KvmDoorbells doorbells(vm);
  const auto bell = sys_util::EventFd::create();
  const auto other = sys_util::EventFd::create();
  REQUIRE((bell && other));
  vm_device::Doorbell doorbell{
      .address = GuestAddress(0xd000'0050), .bytes = 4, .value = 1, .fd = bell->fd()};
  REQUIRE(doorbells.add(doorbell));
  vm_device::Doorbell same = doorbell;
  same.fd = other->fd();
  const auto taken = doorbells.add(same);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().is_os(EEXIST));
  doorbells.remove(doorbell);
  CHECK(doorbells.add(same));
  doorbell.bytes = 3;
  const auto odd = doorbells.add(doorbell);
  REQUIRE_FALSE(odd);
  CHECK(odd.error().is_os(EINVAL));
}

TEST_CASE("doorbells of one address are told apart by size and value", "[kvm_board]") {
  const auto vm = make_vm();
  KvmDoorbells doorbells(vm);
  const auto bell = sys_util::EventFd::create();
  REQUIRE(bell);
  const auto bytes = GENERATE(as<std::uint32_t>{}, 1, 2, 4, 8);
  CAPTURE(bytes);
  vm_device::Doorbell first{
      .address = GuestAddress(0xd000'0000), .bytes = bytes, .value = 1, .fd = bell->fd()};
  vm_device::Doorbell second = first;
  second.value = 0xfe;
  REQUIRE(doorbells.add(first));
  REQUIRE(doorbells.add(second));
  vm_device::Doorbell any = first;
  any.value.reset();
  CHECK_FALSE(doorbells.add(any));
  doorbells.remove(first);
  CHECK_FALSE(doorbells.add(any));
  doorbells.remove(second);
  REQUIRE(doorbells.add(any));
  CHECK_FALSE(doorbells.add(first));
  doorbells.remove(any);
  any.bytes = 0;
  CHECK(doorbells.add(any));
}

TEST_CASE("shared peripheral interrupts are numbered as KVM wants them", "[kvm_board]") {
  CHECK(static_cast<std::uint32_t>(spi_line(0)) == 0x0100'0020);
  CHECK(static_cast<std::uint32_t>(spi_line(11)) == 0x0100'002b);
}
