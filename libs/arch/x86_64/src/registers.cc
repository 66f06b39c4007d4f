// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/registers.h"

#include "vmm/base/endian.h"

namespace vmm::arch::x86_64 {
namespace {

constexpr std::uint16_t kTssSelector = 0x08;
constexpr std::uint16_t kCodeSelector = 0x10;
constexpr std::uint16_t kDataSelector = 0x18;

constexpr std::uint64_t kCr0Pe = 1 << 0;
constexpr std::uint64_t kCr0Et = 1 << 4;
constexpr std::uint64_t kCr0Pg = std::uint64_t{1} << 31;
constexpr std::uint64_t kCr4Pae = 1 << 5;
constexpr std::uint64_t kEferLme = 1 << 8;
constexpr std::uint64_t kEferLma = 1 << 10;

constexpr std::uint8_t kCodeType = 0xb;  // execute and read, accessed
constexpr std::uint8_t kDataType = 0x3;  // read and write, accessed
constexpr std::uint8_t kBusyTss = 0xb;

constexpr Segment code_segment(CodeSize size) {
  return {.limit = 0xffff'ffff,
          .selector = kCodeSelector,
          .type = kCodeType,
          .present = true,
          .db = size == CodeSize::k32,
          .s = true,
          .l = size == CodeSize::k64,
          .granularity = true};
}

constexpr Segment data_segment() {
  return {.limit = 0xffff'ffff,
          .selector = kDataSelector,
          .type = kDataType,
          .present = true,
          .db = true,
          .s = true,
          .granularity = true};
}

/// VM entry wants a usable task register, though nothing switches tasks (SDM 3, 27.3.1.2).
constexpr Segment task_segment() {
  return {.limit = 0x67, .selector = kTssSelector, .type = kBusyTss, .present = true};
}

constexpr std::uint64_t descriptor(const Segment& segment) {
  const std::uint64_t limit = segment.granularity ? segment.limit >> 12 : segment.limit;
  const auto bit = [](bool set, unsigned at) { return std::uint64_t{set} << at; };
  return (limit & 0xffff) | (segment.base & 0xff'ffff) << 16 | std::uint64_t{segment.type} << 40 |
         bit(segment.s, 44) | std::uint64_t{segment.dpl} << 45 | bit(segment.present, 47) |
         (limit >> 16 & 0xf) << 48 | bit(segment.avl, 52) | bit(segment.l, 53) |
         bit(segment.db, 54) | bit(segment.granularity, 55) | (segment.base >> 24 & 0xff) << 56;
}
static_assert(descriptor(code_segment(CodeSize::k32)) == 0x00cf'9b00'0000'ffff);
static_assert(descriptor(code_segment(CodeSize::k64)) == 0x00af'9b00'0000'ffff);
static_assert(descriptor(data_segment()) == 0x00cf'9300'0000'ffff);

Sregs flat(CodeSize size) {
  Sregs sregs;
  sregs.cs = code_segment(size);
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data_segment();
  sregs.tr = task_segment();
  sregs.ldt.unusable = true;
  sregs.gdt = {kBootGdt.raw(), 4 * 8 - 1};
  sregs.idt = {kBootIdt.raw(), 7};
  sregs.cr0 = kCr0Pe | kCr0Et;
  return sregs;
}

}  // namespace

BootRegisters pvh_registers(GuestAddress entry, GuestAddress start_info) {
  BootRegisters boot;
  boot.sregs = flat(CodeSize::k32);
  boot.regs.rip = entry.raw();
  boot.regs.rbx = start_info.raw();
  return boot;
}

BootRegisters linux32_registers(GuestAddress entry, GuestAddress zero_page) {
  BootRegisters boot;
  boot.sregs = flat(CodeSize::k32);
  boot.regs.rip = entry.raw();
  boot.regs.rsi = zero_page.raw();
  boot.regs.rsp = kBootStack.raw();  // boot.rst: %ebp, %edi and %ebx must be 0
  return boot;
}

BootRegisters linux64_registers(GuestAddress entry, GuestAddress zero_page) {
  BootRegisters boot;
  boot.sregs = flat(CodeSize::k64);
  boot.sregs.cr0 |= kCr0Pg;
  boot.sregs.cr3 = kPml4.raw();
  boot.sregs.cr4 = kCr4Pae;
  boot.sregs.efer = kEferLme | kEferLma;
  boot.regs.rip = entry.raw();
  boot.regs.rsi = zero_page.raw();
  boot.regs.rsp = boot.regs.rbp = kBootStack.raw();
  return boot;
}

Result<void> write_descriptor_tables(vm_memory::MemoryView memory, CodeSize code) {
  const std::array<Le64, 4> gdt = {Le64(0), Le64(descriptor(task_segment())),
                                   Le64(descriptor(code_segment(code))),
                                   Le64(descriptor(data_segment()))};
  VMM_TRY_DO(memory.write(kBootGdt, gdt));
  VMM_TRY_DO(memory.write(kBootIdt, Le64(0)));
  return {};
}

Result<void> write_page_tables(vm_memory::MemoryView memory) {
  constexpr std::uint64_t kPresentWritable = 3;
  constexpr std::uint64_t kLargePage = 1 << 7;
  constexpr unsigned kLargePageShift = 21;
  std::array<Le64, 512> directory;
  for (std::uint64_t i = 0; i < directory.size(); ++i) {
    directory[i].set(i << kLargePageShift | kLargePage | kPresentWritable);
  }
  VMM_TRY_DO(memory.write_bytes(kPd, std::as_bytes(std::span(directory))));
  VMM_TRY_DO(memory.fill(kPdpt, kPageSize, std::byte{0}));
  VMM_TRY_DO(memory.write(kPdpt, Le64(kPd.raw() | kPresentWritable)));
  VMM_TRY_DO(memory.fill(kPml4, kPageSize, std::byte{0}));
  VMM_TRY_DO(memory.write(kPml4, Le64(kPdpt.raw() | kPresentWritable)));
  return {};
}

Result<void> write_reset_vector(vm_memory::MemoryView memory) {
  static constexpr std::array<std::uint8_t, 7> kCode = {
      0xb0, 0xfe,  // mov al, 0xfe
      0xe6, 0x64,  // out 0x64, al
      0xf4,        // hlt
      0xeb, 0xfd,  // jmp to the hlt
  };
  VMM_TRY_DO(memory.write_bytes(kResetVector, std::as_bytes(std::span(kCode))));
  return {};
}

std::array<Msr, 11> boot_msrs() {
  constexpr std::uint64_t kFastStrings = 1;
  constexpr std::uint64_t kMtrrEnabledWriteBack = 1 << 11 | 6;
  return {{
      {0x174, 0},                      // IA32_SYSENTER_CS
      {0x175, 0},                      // IA32_SYSENTER_ESP
      {0x176, 0},                      // IA32_SYSENTER_EIP
      {0xc000'0081, 0},                // STAR
      {0xc000'0083, 0},                // CSTAR
      {0xc000'0102, 0},                // KERNEL_GS_BASE
      {0xc000'0084, 0},                // SYSCALL_MASK
      {0xc000'0082, 0},                // LSTAR
      {0x10, 0},                       // IA32_TSC
      {0x1a0, kFastStrings},           // IA32_MISC_ENABLE
      {0x2ff, kMtrrEnabledWriteBack},  // IA32_MTRR_DEF_TYPE
  }};
}

}  // namespace vmm::arch::x86_64
