// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The smallest useful VMM: one vCPU, 64 KiB of memory, one port.
//
//   hello-vmm [FILE]
//
// runs FILE, a flat 16-bit binary, from address 0x1000 in real mode, and prints what it writes to
// port 0xe9, until it halts. Without a file it runs a guest of its own.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "vmm/kvm_ioctls/system.h"
#include "vmm/sys_util/mapping.h"

namespace {

using namespace vmm;

constexpr std::uint64_t kEntry = 0x1000;
constexpr std::size_t kMemoryBytes = 0x10000;
constexpr std::uint16_t kPort = 0xe9;

// mov si, text; mov dx, 0xe9; next: lodsb; test al, al; jz done; out dx, al; jmp next; done: hlt
constexpr auto kHello = std::to_array<unsigned char>(
    {0xbe, 0x0f, 0x10, 0xba, 0xe9, 0x00, 0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8, 0xf4,  //
     'H',  'e',  'l',  'l',  'o',  ',',  ' ',  'V',  'M',  'M',  '!',  '\n', 0});

Result<void> load(const char* file, std::span<std::byte> memory) {
  const std::span<std::byte> at = memory.subspan(kEntry);
  if (file == nullptr) {
    std::ranges::copy(std::as_bytes(std::span(kHello)), at.begin());
    return {};
  }
  const UniqueFd fd(::open(file, O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(Error::from_errno(file));
  // A longer file is cut at the end of memory.
  if (::read(fd.get(), at.data(), at.size()) < 0) return fail(Error::from_errno(file));
  return {};
}

// Real mode, flat: all segments start at 0.
Result<void> set_entry(const kvm_ioctls::Vcpu& vcpu) {
  VMM_TRY(kvm_ioctls::Sregs sregs, vcpu.get_sregs());
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  VMM_TRY_DO(vcpu.set_sregs(sregs));
  kvm_ioctls::Regs regs{};
  regs.rip = kEntry;
  regs.rflags = 2;  // the bit that is always set
  return vcpu.set_regs(regs);
}

Result<void> run(kvm_ioctls::Vcpu& vcpu) {
  for (;;) {
    VMM_TRY(const kvm_ioctls::VcpuExit exit, vcpu.run());
    if (const auto* out = std::get_if<kvm_ioctls::exits::IoOut>(&exit)) {
      if (out->port == kPort) std::fwrite(out->data.data(), 1, out->data.size(), stdout);
    } else if (std::holds_alternative<kvm_ioctls::exits::Hlt>(exit)) {
      return {};
    } else if (!std::holds_alternative<kvm_ioctls::exits::Interrupted>(exit)) {
      std::fprintf(stderr, "the guest stopped: %s\n", kvm_ioctls::name_of(exit));
      return fail(Error::os(EIO, "run the guest"));
    }
  }
}

Result<void> boot(const char* file) {
  VMM_TRY(const auto system, kvm_ioctls::System::open());
  VMM_TRY(const auto vm, system.create_vm());
  VMM_TRY(const auto memory,
          sys_util::Mapping::create(kMemoryBytes, {.protection = PROT_READ | PROT_WRITE,
                                                   .flags = MAP_PRIVATE | MAP_ANONYMOUS}));
  VMM_TRY_DO(load(file, memory.bytes()));
  VMM_TRY_DO(vm.set_memory_region({.address = GuestAddress(0), .host = memory.bytes()}));
  VMM_TRY(auto vcpu, vm.create_vcpu(0));
  VMM_TRY_DO(set_entry(vcpu));
  return run(vcpu);
}

}  // namespace

int main(int argc, char** argv) {
  const auto done = boot(argc > 1 ? argv[1] : nullptr);
  if (done) return 0;
  std::fprintf(stderr, "hello-vmm: %s\n", to_string(done.error()).c_str());
  return 1;
}
