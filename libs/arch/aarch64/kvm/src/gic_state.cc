// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/kvm/gic_state.h"

#include "gic_registers.h"
#include "vmm/arch/aarch64/kvm/error.h"
#include "vmm/arch/aarch64/layout.h"
#include "vmm/arch/aarch64/topology.h"
#include "vmm/kvm_ioctls/arm64_state.h"

namespace vmm::arch::aarch64::kvm {

#if defined(__aarch64__)

namespace {

using kvm_ioctls::Device;

constexpr std::uint32_t kPrivate = kFirstSpi;  // interrupts that each CPU has of its own

// Moves registers between a device and a list of values, or only counts them. Each of the walks
// below names the registers once for all three.
class Transfer {
 public:
  using Values = std::vector<std::uint64_t>;

  static Transfer save(const Device& device, Values& to) { return {&device, &to, nullptr}; }
  static Transfer restore(const Device& device, const Values& from) {
    return {&device, nullptr, &from};
  }
  static Transfer count(const Values& from) { return {nullptr, nullptr, &from}; }

  /// The next value: a register whose attribute has type T.
  template <class T>
  Result<void> next(std::uint32_t group, std::uint64_t attr) {
    const std::size_t at = done_++;
    if (device_ == nullptr) return {};
    T value = to_ != nullptr ? T{0} : static_cast<T>((*from_)[at]);
    if (to_ == nullptr) return device_->set_attr({.group = group, .attr = attr, .data = &value});
    VMM_TRY_DO(device_->get_attr({.group = group, .attr = attr, .data = &value}));
    to_->push_back(value);
    return {};
  }

  /// Clears what a register may hold already, before its value is set.
  Result<void> clear(std::uint32_t group, std::uint64_t attr, std::uint32_t bits) {
    if (device_ == nullptr || to_ != nullptr) return {};
    return device_->set_attr({.group = group, .attr = attr, .data = &bits});
  }

  /// A value that was moved, or 0.
  [[nodiscard]] std::uint64_t value(std::size_t at) const {
    const Values& values = to_ != nullptr ? *to_ : *from_;
    return at < values.size() ? values[at] : 0;
  }
  [[nodiscard]] std::size_t done() const { return done_; }

 private:
  Transfer(const Device* device, Values* to, const Values* from)
      : device_(device), to_(to), from_(from) {}

  const Device* device_;
  Values* to_;
  const Values* from_;
  std::size_t done_ = 0;
};

// Where a walk is: the attribute group, the CPU as attributes name it, and what is added to the
// registers' offsets.
struct Place {
  std::uint32_t group;
  std::uint64_t cpu = 0;
  std::uint32_t page = 0;
};
struct Interrupts {
  std::uint32_t first;
  std::uint32_t end;
};

Result<void> walk_registers(Transfer& transfer, const Place& place,
                            std::span<const Register> registers) {
  for (const Register& r : registers) {
    VMM_TRY_DO(transfer.next<std::uint32_t>(place.group, place.cpu | (place.page + r.offset)));
  }
  return {};
}

Result<void> walk_levels(Transfer& transfer, const Place& place, const Interrupts& range) {
  for (std::uint32_t i = range.first; i < range.end; i += 32) {
    VMM_TRY_DO(transfer.next<std::uint32_t>(kvm_ioctls::kVgicLevelInfo, place.cpu | i));
  }
  return {};
}

Result<void> walk_run(Transfer& transfer, const Place& place, const RegisterRun& run,
                      const Interrupts& range) {
  if (run.levels) return walk_levels(transfer, place, range);
  for (std::uint32_t bit = range.first * run.bits; bit < range.end * run.bits; bit += 32) {
    const std::uint64_t base = place.cpu | (place.page + bit / 8);
    if (run.clear != 0) VMM_TRY_DO(transfer.clear(place.group, base + run.clear, 0xffff'ffff));
    VMM_TRY_DO(transfer.next<std::uint32_t>(place.group, base + run.offset));
  }
  return {};
}

Result<void> walk_runs(Transfer& transfer, const Place& place, std::span<const RegisterRun> runs,
                       const Interrupts& range) {
  for (const RegisterRun& run : runs) VMM_TRY_DO(walk_run(transfer, place, run, range));
  return {};
}

Result<void> walk_distributor(Transfer& transfer, GicVersion version, std::uint32_t interrupts) {
  const Place place{.group = kvm_ioctls::kVgicDistRegs};
  const Interrupts shared{kPrivate, interrupts};
  if (version == GicVersion::kV2) {
    VMM_TRY_DO(walk_registers(transfer, place, kDistributorV2));
    return walk_runs(transfer, place, kRunsV2, shared);
  }
  VMM_TRY_DO(walk_registers(transfer, place, kDistributorV3));
  VMM_TRY_DO(walk_run(transfer, place, kRouters, shared));
  return walk_runs(transfer, place, kRunsV3, shared);
}

// How attributes name a CPU: a GICv3 by its affinity, a GICv2 by its number.
std::uint64_t cpu_of(GicVersion version, std::uint32_t index) {
  return std::uint64_t{version == GicVersion::kV3 ? mpidr_affinity(index) : index} << 32;
}

Result<void> walk_cpu(Transfer& transfer, GicVersion version, std::uint32_t index) {
  const Interrupts own{0, kPrivate};
  Place place{.group = kvm_ioctls::kVgicDistRegs, .cpu = cpu_of(version, index)};
  if (version == GicVersion::kV2) {
    VMM_TRY_DO(walk_runs(transfer, place, kRunsV2, own));
    for (std::uint32_t i = 0; i < kSgiPendingWords; ++i) {
      VMM_TRY_DO(transfer.clear(place.group, place.cpu | (kSgiPendingClear + 4 * i), 0xffff'ffff));
      VMM_TRY_DO(transfer.next<std::uint32_t>(place.group, place.cpu | (kSgiPendingSet + 4 * i)));
    }
    return {};
  }
  place.group = kvm_ioctls::kVgicRedistRegs;
  VMM_TRY_DO(walk_registers(transfer, place, kRedistributor));
  place.page = kSgiPage;
  return walk_runs(transfer, place, kRunsV3, own);
}

Result<void> walk_interface(Transfer& transfer, GicVersion version, std::uint32_t index) {
  const std::uint64_t cpu = cpu_of(version, index);
  if (version == GicVersion::kV2) {
    return walk_registers(transfer, {.group = kvm_ioctls::kVgicCpuRegs, .cpu = cpu}, kInterfaceV2);
  }
  constexpr std::uint32_t kGroup = kvm_ioctls::kVgicCpuSysRegs;
  std::uint64_t control = 0;
  for (const std::uint64_t reg : kInterfaceV3) {
    const std::size_t at = transfer.done();
    VMM_TRY_DO(transfer.next<std::uint64_t>(kGroup, cpu | reg));
    if (reg == kIccControl) control = transfer.value(at);
  }
  for (std::uint32_t n = 0; n < active_priority_registers(control); ++n) {
    VMM_TRY_DO(transfer.next<std::uint64_t>(kGroup, cpu | icc_ap0r(n)));
    VMM_TRY_DO(transfer.next<std::uint64_t>(kGroup, cpu | icc_ap1r(n)));
  }
  return {};
}

// The ITS's registers, each with its offset, in the order of restoring up to its tables.
template <class State, class F>
Result<void> walk_its(State& its, F access) {
  VMM_TRY_DO(access(0x0004, its.iidr));
  VMM_TRY_DO(access(0x0080, its.command_base));
  VMM_TRY_DO(access(0x0090, its.command_read));
  VMM_TRY_DO(access(0x0088, its.command_write));
  std::uint64_t offset = 0x0100;
  for (auto& base : its.table_bases) {
    VMM_TRY_DO(access(offset, base));
    offset += 8;
  }
  return {};
}

constexpr std::uint64_t kItsControl = 0x0000;

Result<void> command(const Device& device, std::uint64_t attr) {
  return device.set_attr({.group = kvm_ioctls::kVgicControl, .attr = attr});
}

Result<GicState::Its> save_its(const Device& device) {
  const auto read = [&](std::uint64_t offset, std::uint64_t& value) {
    return device.get_attr({.group = kvm_ioctls::kVgicItsRegs, .attr = offset, .data = &value});
  };
  GicState::Its its;
  VMM_TRY_DO(command(device, kvm_ioctls::kVgicItsSaveTables));
  VMM_TRY_DO(walk_its(its, read));
  VMM_TRY_DO(read(kItsControl, its.control));
  return its;
}

Result<void> restore_its(const Device& device, const GicState::Its& its) {
  const auto write = [&](std::uint64_t offset, std::uint64_t value) -> Result<void> {
    std::uint64_t now = 0;
    kvm_ioctls::DeviceAttr attr{.group = kvm_ioctls::kVgicItsRegs, .attr = offset, .data = &now};
    VMM_TRY_DO(device.get_attr(attr));
    if (now == value) return {};  // KVM would add attributes to bases that no guest has set
    attr.data = &value;
    return device.set_attr(attr);
  };
  VMM_TRY_DO(walk_its(its, write));
  VMM_TRY_DO(command(device, kvm_ioctls::kVgicItsRestoreTables));
  return write(kItsControl, its.control);  // last: it enables
}

Result<std::uint32_t> interrupts_of(const Gic& gic) {
  std::uint32_t count = 0;
  VMM_TRY_DO(gic.device().get_attr({.group = kvm_ioctls::kVgicNrIrqs, .data = &count}));
  return count;
}

// Whether a walk over exactly these values would read all of them.
template <class Walk>
bool fits(const Transfer::Values& values, Walk walk) {
  Transfer transfer = Transfer::count(values);
  return walk(transfer).has_value() && transfer.done() == values.size();
}

Result<void> check(const Gic& gic, const GicState& state) {
  VMM_TRY(const std::uint32_t interrupts, interrupts_of(gic));
  const GicVersion version = gic.version();
  bool good = state.version == version && state.interrupts == interrupts &&
              state.cpus.size() == gic.vcpus() && state.its.has_value() == gic.has_its() &&
              fits(state.distributor,
                   [&](Transfer& t) { return walk_distributor(t, version, interrupts); });
  for (const GicState::Cpu& cpu : state.cpus) {
    good = good && fits(cpu.registers, [&](Transfer& t) { return walk_cpu(t, version, 0); }) &&
           fits(cpu.interface, [&](Transfer& t) { return walk_interface(t, version, 0); });
  }
  if (!good) return fail(SetupError::kBadGicState);
  return {};
}

}  // namespace

Result<GicState> save_gic(const Gic& gic) {
  GicState state;
  state.version = gic.version();
  VMM_TRY(state.interrupts, interrupts_of(gic));
  if (const Device* its = gic.its()) {
    VMM_TRY_DO(command(gic.device(), kvm_ioctls::kVgicSavePendingTables));
    VMM_TRY(state.its, save_its(*its));
  }
  Transfer distributor = Transfer::save(gic.device(), state.distributor);
  VMM_TRY_DO(walk_distributor(distributor, state.version, state.interrupts));
  state.cpus.resize(gic.vcpus());
  for (std::uint32_t i = 0; i < gic.vcpus(); ++i) {
    Transfer registers = Transfer::save(gic.device(), state.cpus[i].registers);
    VMM_TRY_DO(walk_cpu(registers, state.version, i));
    Transfer interface = Transfer::save(gic.device(), state.cpus[i].interface);
    VMM_TRY_DO(walk_interface(interface, state.version, i));
  }
  return state;
}

Result<void> restore_gic(const Gic& gic, const GicState& state) {
  VMM_TRY_DO(check(gic, state));
  Transfer distributor = Transfer::restore(gic.device(), state.distributor);
  VMM_TRY_DO(walk_distributor(distributor, state.version, state.interrupts));
  for (std::uint32_t i = 0; i < gic.vcpus(); ++i) {
    Transfer registers = Transfer::restore(gic.device(), state.cpus[i].registers);
    VMM_TRY_DO(walk_cpu(registers, state.version, i));
  }
  for (std::uint32_t i = 0; i < gic.vcpus(); ++i) {
    Transfer interface = Transfer::restore(gic.device(), state.cpus[i].interface);
    VMM_TRY_DO(walk_interface(interface, state.version, i));
  }
  if (const Device* its = gic.its()) return restore_its(*its, *state.its);
  return {};
}

#endif

}  // namespace vmm::arch::aarch64::kvm
