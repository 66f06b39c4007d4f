// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "decode.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "uapi_extra.h"
#include "vmm/kvm_ioctls/error.h"

namespace vmm::kvm_ioctls {

namespace {

constexpr std::size_t kDataAt = offsetof(kvm_run, hw);  // the union of all exits' data
constexpr std::uint32_t kMaxWords = 16;

// One word, or the words from there on, at byte `offset` of the exit's data. Offsets are constants
// of the kernel's structures, checked against the size of the union by the callers' static_assert.
std::uint64_t* words_at(std::span<std::byte> run, std::size_t offset) {
  return reinterpret_cast<std::uint64_t*>(run.data() + kDataAt + offset);
}

template <std::size_t kCount>
std::span<std::uint64_t, kCount> words_at(std::span<std::byte> run, std::size_t offset) {
  return std::span<std::uint64_t, kCount>(words_at(run, offset), kCount);
}

// Out of line, as is decode_rare(): the two frequent exits keep a short path without their needs.
[[gnu::cold, gnu::noinline]] Result<VcpuExit> malformed() { return fail(KvmError::kMalformedExit); }

#define VMM_DATA_OFFSET(member) (offsetof(kvm_run, member) - kDataAt)

Result<VcpuExit> decode_io(std::span<std::byte> run, const kvm_run& page) {
  const auto& io = page.io;
  // At most 255 * (2^32 - 1): no overflow in 64 bits.
  const std::uint64_t bytes = std::uint64_t{io.size} * io.count;
  const std::uint64_t offset = io.data_offset;
  if (offset > run.size() || bytes > run.size() - offset) [[unlikely]] {
    return malformed();
  }
  std::byte* data = run.data() + offset;
  if (io.direction == KVM_EXIT_IO_OUT) {
    return exits::IoOut{io.port, io.size, io.count, {data, bytes}};
  }
  if (io.direction != KVM_EXIT_IO_IN) [[unlikely]]
    return malformed();
  return exits::IoIn{io.port, io.size, io.count, {data, bytes}};
}

Result<VcpuExit> decode_mmio(std::span<std::byte> run, const kvm_run& page) {
  const auto& mmio = page.mmio;
  const std::uint32_t bytes = mmio.len;
  if (bytes > sizeof(mmio.data)) [[unlikely]]
    return malformed();
  std::byte* data = run.data() + offsetof(kvm_run, mmio.data);
  const GuestAddress address(mmio.phys_addr);
  if (mmio.is_write != 0) return exits::MmioWrite{address, {data, bytes}};
  return exits::MmioRead{address, {data, bytes}};
}

VcpuExit decode_hypercall(std::span<std::byte> run, const kvm_run& page) {
#if defined(__aarch64__)
  constexpr bool kArm = true;
#else
  constexpr bool kArm = false;
#endif
  const bool flag = (page.hypercall.longmode & 1u) != 0;  // means one or the other
  return exits::Hypercall{page.hypercall.nr, words_at<6>(run, VMM_DATA_OFFSET(hypercall.args)),
                          words_at(run, VMM_DATA_OFFSET(hypercall.ret)), !kArm && flag,
                          kArm && flag};
}

VcpuExit decode_debug(const kvm_run& page) {
#if defined(__x86_64__)
  const kvm_debug_exit_arch& arch = page.debug.arch;
  return exits::Debug{arch.exception, arch.pc, arch.dr6, arch.dr7};
#elif defined(__aarch64__)
  return exits::Debug{page.debug.arch.hsr, page.debug.arch.far, 0, 0};
#else
  static_cast<void>(page);
  return exits::Debug{};
#endif
}

VcpuExit decode_hyperv(std::span<std::byte> run, const kvm_run& page) {
  const kvm_hyperv_exit& hyperv = page.hyperv;
  switch (hyperv.type) {
    case KVM_EXIT_HYPERV_SYNIC: {
      const auto& synic = hyperv.u.synic;
      return exits::HypervSynic{synic.msr, synic.control, synic.evt_page, synic.msg_page};
    }
    case KVM_EXIT_HYPERV_HCALL:
      return exits::HypervHcall{hyperv.u.hcall.input,
                                words_at<2>(run, VMM_DATA_OFFSET(hyperv.u.hcall.params)),
                                words_at(run, VMM_DATA_OFFSET(hyperv.u.hcall.result))};
    case KVM_EXIT_HYPERV_SYNDBG:
      return exits::HypervSyndbg{hyperv.u.syndbg.msr, hyperv.u.syndbg.control,
                                 words_at(run, VMM_DATA_OFFSET(hyperv.u.syndbg.status)),
                                 words_at<3>(run, VMM_DATA_OFFSET(hyperv.u.syndbg.send_page))};
    default:
      return exits::Unknown{page.exit_reason, hyperv.type};
  }
}

VcpuExit decode_xen(std::span<std::byte> run, const kvm_run& page) {
  const auto& call = page.xen.u.hcall;
  if (page.xen.type != KVM_EXIT_XEN_HCALL) {
    return exits::Unknown{page.exit_reason, page.xen.type};
  }
  return exits::XenHcall{call.longmode != 0, call.cpl, call.input,
                         words_at<6>(run, VMM_DATA_OFFSET(xen.u.hcall.params)),
                         words_at(run, VMM_DATA_OFFSET(xen.u.hcall.result))};
}

template <class T>
T data_as(std::span<std::byte> run) {
  static_assert(sizeof(T) <= sizeof(kvm_run::padding));
  T data;
  std::memcpy(&data, run.data() + kDataAt, sizeof(data));
  return data;
}

VcpuExit decode_tdx(std::span<std::byte> run) {
  const auto tdx = data_as<uapi::TdxData>(run);
  return exits::Tdx{tdx.flags, tdx.number, words_at(run, offsetof(uapi::TdxData, result)),
                    words_at<5>(run, offsetof(uapi::TdxData, words))};
}

std::uint8_t* msr_error(std::span<std::byte> run) {
  return reinterpret_cast<std::uint8_t*>(run.data() + offsetof(kvm_run, msr.error));
}

// Exits of debuggers, other hypervisors and other architectures.
VcpuExit decode_rare(std::span<std::byte> run, const kvm_run& page) {
  switch (page.exit_reason) {
    case KVM_EXIT_EXCEPTION:
      return exits::Exception{page.ex.exception, page.ex.error_code};
    case KVM_EXIT_DEBUG:
      return decode_debug(page);
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return exits::IrqWindowOpen{};
    case KVM_EXIT_SET_TPR:
      return exits::SetTpr{page.cr8};
    case KVM_EXIT_TPR_ACCESS:
      return exits::TprAccess{page.tpr_access.rip, page.tpr_access.is_write != 0};
    case KVM_EXIT_NMI:
      return exits::Nmi{};
    case KVM_EXIT_WATCHDOG:
      return exits::Watchdog{};
    case KVM_EXIT_HYPERV:
      return decode_hyperv(run, page);
    case KVM_EXIT_ARM_NISV:
      return exits::ArmNisv{page.arm_nisv.esr_iss, GuestAddress(page.arm_nisv.fault_ipa)};
    case KVM_EXIT_AP_RESET_HOLD:
      return exits::ApResetHold{};
    case KVM_EXIT_X86_BUS_LOCK:
      return exits::BusLock{};
    case KVM_EXIT_XEN:
      return decode_xen(run, page);
    case KVM_EXIT_RISCV_SBI:
      return exits::RiscvSbi{page.riscv_sbi.extension_id, page.riscv_sbi.function_id,
                             words_at<6>(run, VMM_DATA_OFFSET(riscv_sbi.args)),
                             words_at<2>(run, VMM_DATA_OFFSET(riscv_sbi.ret))};
    case KVM_EXIT_RISCV_CSR:
      return exits::RiscvCsr{page.riscv_csr.csr_num, page.riscv_csr.new_value,
                             page.riscv_csr.write_mask,
                             words_at(run, VMM_DATA_OFFSET(riscv_csr.ret_value))};
    case KVM_EXIT_NOTIFY:
      return exits::Notify{(page.notify.flags & KVM_NOTIFY_CONTEXT_INVALID) != 0};
    case KVM_EXIT_MEMORY_FAULT: {
      const auto fault = data_as<uapi::MemoryFaultData>(run);
      return exits::MemoryFault{fault.flags, GuestAddress(fault.gpa), fault.size};
    }
    case KVM_EXIT_TDX:
      return decode_tdx(run);
    case KVM_EXIT_ARM_SEA: {
      const auto sea = data_as<uapi::ArmSeaData>(run);
      return exits::ArmSea{sea.flags, sea.esr, sea.gva, GuestAddress(sea.gpa)};
    }
    default:
      return exits::Unknown{page.exit_reason, page.hw.hardware_exit_reason};
  }
}

[[gnu::noinline]] Result<VcpuExit> decode_other(std::span<std::byte> run, const kvm_run& page) {
  switch (page.exit_reason) {
    case KVM_EXIT_HLT:
      return exits::Hlt{};
    case KVM_EXIT_INTR:
      return exits::Interrupted{};
    case KVM_EXIT_SHUTDOWN:
      return exits::Shutdown{};
    case KVM_EXIT_IOAPIC_EOI:
      return exits::IoapicEoi{page.eoi.vector};
    case KVM_EXIT_DIRTY_RING_FULL:
      return exits::DirtyRingFull{};
    case KVM_EXIT_X86_RDMSR:
      return exits::Rdmsr{page.msr.reason, page.msr.index, words_at(run, VMM_DATA_OFFSET(msr.data)),
                          msr_error(run)};
    case KVM_EXIT_X86_WRMSR:
      return exits::Wrmsr{page.msr.reason, page.msr.index, page.msr.data, msr_error(run)};
    case KVM_EXIT_HYPERCALL:
      return decode_hypercall(run, page);
    case KVM_EXIT_SYSTEM_EVENT:
      return exits::SystemEvent{page.system_event.type,
                                {words_at(run, VMM_DATA_OFFSET(system_event.data)),
                                 std::min(page.system_event.ndata, kMaxWords)}};
    case KVM_EXIT_INTERNAL_ERROR:
      return exits::InternalError{page.internal.suberror,
                                  {words_at(run, VMM_DATA_OFFSET(internal.data)),
                                   std::min(page.internal.ndata, kMaxWords)}};
    case KVM_EXIT_FAIL_ENTRY:
      return exits::FailEntry{page.fail_entry.hardware_entry_failure_reason, page.fail_entry.cpu};
    default:
      return decode_rare(run, page);
  }
}

}  // namespace

Result<VcpuExit> decode_exit(std::span<std::byte> run) {
  const auto& page = *reinterpret_cast<const kvm_run*>(run.data());
  if (page.exit_reason == KVM_EXIT_IO) return decode_io(run, page);
  if (page.exit_reason == KVM_EXIT_MMIO) return decode_mmio(run, page);
  return decode_other(run, page);
}

Result<VcpuExit> decode_failed_run(std::span<std::byte> run, int error) {
  if (error == EINTR || error == EAGAIN) return exits::Interrupted{};
  const auto& page = *reinterpret_cast<const kvm_run*>(run.data());
  if ((error == EFAULT || error == EHWPOISON) && page.exit_reason == KVM_EXIT_MEMORY_FAULT) {
    return decode_exit(run);
  }
  return fail(Error::os(error, "KVM_RUN"));
}

std::span<const std::byte> exits::InternalError::instruction() const {
  // KVM_INTERNAL_ERROR_EMULATION: a word of flags, then the length and up to 15 bytes.
  if (suberror != kEmulation || data.size() < 3 ||
      (data[0] & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) == 0) {
    return {};
  }
  const std::span<const std::byte> bytes = std::as_bytes(data.subspan(1, 2));
  const std::size_t length = std::to_integer<std::size_t>(bytes[0]);
  return bytes.subspan(1, std::min<std::size_t>(length, 15));
}

const char* name_of(const VcpuExit& exit) {
  static constexpr const char* kNames[] = {"port write",
                                           "port read",
                                           "MMIO write",
                                           "MMIO read",
                                           "halt",
                                           "interrupted",
                                           "shutdown",
                                           "system event",
                                           "KVM internal error",
                                           "failed entry",
                                           "IOAPIC end of interrupt",
                                           "rdmsr",
                                           "wrmsr",
                                           "memory fault",
                                           "hypercall",
                                           "debug",
                                           "dirty ring full",
                                           "interrupt window",
                                           "task priority",
                                           "task priority access",
                                           "NMI",
                                           "watchdog",
                                           "exception",
                                           "notify",
                                           "bus lock",
                                           "AP reset hold",
                                           "Hyper-V SynIC",
                                           "Hyper-V hypercall",
                                           "Hyper-V debugger",
                                           "Xen hypercall",
                                           "abort without syndrome",
                                           "external abort",
                                           "SBI call",
                                           "CSR access",
                                           "TDX call",
                                           "unknown exit"};
  static_assert(std::size(kNames) == std::variant_size_v<VcpuExit>);
  return kNames[exit.index()];
}

}  // namespace vmm::kvm_ioctls
