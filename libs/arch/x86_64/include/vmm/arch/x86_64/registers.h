// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Register values of the boot vCPU, as plain structures. Spec: Intel SDM volume 3; boot.rst.

#include <array>
#include <cstdint>

#include "vmm/arch/x86_64/layout.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::arch::x86_64 {

/// General registers; those that boot does not decide are 0.
struct Regs {
  /// @{
  /// As the boot protocol asks for them.
  std::uint64_t rax = 0, rbx = 0, rcx = 0, rdx = 0;
  std::uint64_t rsi = 0, rdi = 0, rsp = 0, rbp = 0;
  std::uint64_t r8 = 0, r9 = 0, r10 = 0, r11 = 0;
  std::uint64_t r12 = 0, r13 = 0, r14 = 0, r15 = 0;
  std::uint64_t rip = 0, rflags = 2;  ///< bit 1 is always set
  /// @}
};

/// A segment register with its hidden part.
struct Segment {
  std::uint64_t base = 0;      ///< linear; 0 in a flat segment
  std::uint32_t limit = 0;     ///< bytes, granularity applied
  std::uint16_t selector = 0;  ///< with its privilege level
  std::uint8_t type = 0;       ///< of the descriptor (Intel SDM 3, 3.4.5.1)
  bool present = false;        ///< else loading it faults
  std::uint8_t dpl = 0;        ///< descriptor privilege level, 0 to 3
  bool db = false;             ///< 32-bit default operand size
  bool s = false;              ///< code or data, not system
  bool l = false;              ///< 64-bit code
  bool granularity = false;    ///< the limit counts pages
  bool avl = false;            ///< for software
  bool unusable = false;       ///< not loaded: uses fault, or for LDT mean none
};

/// GDTR or IDTR.
struct DescriptorTable {
  std::uint64_t base = 0;   ///< linear
  std::uint16_t limit = 0;  ///< the last valid byte
};

/// What boot decides of the system registers; the APIC base and everything else stay as they are.
struct Sregs {
  /// @{
  /// Segments, descriptor tables, control registers and EFER of the boot vCPU.
  Segment cs, ds, es, fs, gs, ss;
  Segment tr, ldt;
  DescriptorTable gdt, idt;
  std::uint64_t cr0 = 0, cr3 = 0, cr4 = 0;
  std::uint64_t efer = 0;
  /// @}
};

/// The control words of x87 and SSE.
struct Fpu {
  std::uint16_t fcw = 0x37f;     ///< all exceptions masked, 64-bit precision
  std::uint32_t mxcsr = 0x1f80;  ///< all exceptions masked
};

/// All that the boot vCPU starts with.
struct BootRegisters {
  /// @{
  Regs regs;  ///< where it starts, in which mode, with which control words
  Sregs sregs;
  Fpu fpu;
  /// @}
};

/// PVH: 32-bit protected mode, paging off, EBX = `start_info`. `entry` is below 4 GiB.
[[nodiscard]] BootRegisters pvh_registers(GuestAddress entry,
                                          GuestAddress start_info = kPvhStartInfo);
/// The 32-bit entry of a bzImage: as PVH, with ESI = `zero_page`.
[[nodiscard]] BootRegisters linux32_registers(GuestAddress entry,
                                              GuestAddress zero_page = kZeroPage);
/// The 64-bit entry of a kernel: long mode with the page tables of write_page_tables(), RSI =
/// `zero_page`.
[[nodiscard]] BootRegisters linux64_registers(GuestAddress entry,
                                              GuestAddress zero_page = kZeroPage);

/// What the boot GDT's code segment runs.
enum class CodeSize : std::uint8_t { k32, k64 };

/// Writes the boot GDT (code at selector 0x10, data at 0x18, as boot.rst asks) and an empty IDT.
/// Errors: a MemoryError.
Result<void> write_descriptor_tables(vm_memory::MemoryView memory, CodeSize code);
/// Writes page tables at kPml4 that map the first GiB to itself. Errors: a MemoryError.
Result<void> write_page_tables(vm_memory::MemoryView memory);
/// Writes what a PC's firmware has at FFFF:0, where a kernel jumps in real mode when it restarts
/// "by the BIOS": code that asks the keyboard controller (port 0x64) for a reset. Linux takes that
/// way when ACPI is hardware-reduced and there is no EFI. Errors: a MemoryError.
Result<void> write_reset_vector(vm_memory::MemoryView memory);

/// One model-specific register and its value.
struct Msr {
  std::uint32_t index;  ///< for ECX
  std::uint64_t value;  ///< for EDX:EAX
};
/// The MSRs of a vCPU at boot. All of them must be accepted.
[[nodiscard]] std::array<Msr, 11> boot_msrs();

}  // namespace vmm::arch::x86_64
