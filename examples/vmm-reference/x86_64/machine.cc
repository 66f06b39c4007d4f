// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "../machine.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>

#include "../guest_panic.h"
#include "../passed_devices.h"
#include "../pci_board.h"
#include "../pci_hotplug.h"
#include "../serial_input.h"
#include "../vcpu_set.h"
#include "../virtio_mmio_board.h"
#include "boot.h"
#include "ioapic_pins.h"
#include "irqchip.h"
#include "vmm/acpi_tables/pci.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/kvm/cpuid.h"
#include "vmm/arch/x86_64/kvm/vcpu.h"
#include "vmm/arch/x86_64/kvm/vm.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/pci_root.h"
#include "vmm/base/log.h"
#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_superio/acpi.h"
#include "vmm/vm_superio/cmos_rtc.h"
#include "vmm/vm_superio/debug_port.h"
#include "vmm/vm_superio/i8042.h"
#include "vmm/vm_superio/serial.h"
#include "vmm/vm_superio/wall_clock.h"

namespace vmm::reference::x86_64 {
namespace {

using vm_device::PioAddress;

namespace exits = kvm_ioctls::exits;
namespace x86 = arch::x86_64;

// The keyboard controller's ports; 0x61 among them is the system control port.
constexpr std::uint16_t kI8042Port = 0x60;

x86::CpuidConfig cpuid_config(const CpusConfig& config) {
  x86::CpuidConfig cpuid;
  cpuid.nested = config.nested;
  cpuid.max_physical_bits = static_cast<std::uint8_t>(config.max_phys_bits);
  return cpuid;
}

// In the platform's strip at the top of the physical addresses that the guest is told it has.
GuestAddress ged_address(std::span<x86::CpuidEntry> cpuid) {
  const x86::CpuidEntry* sizes = x86::find_cpuid(cpuid, 0x8000'0008);
  const unsigned bits = sizes == nullptr ? 36 : std::clamp(sizes->eax & 0xff, 36u, 52u);
  return GuestAddress((std::uint64_t{1} << bits) - x86::kPlatformMmioBytes);
}

// Port I/O, the I/O APIC's end of interrupt.
class PcExits final : public ArchExits {
 public:
  PcExits(vm_device::PioBus& ports, vm_superio::Ioapic& ioapic) : ports_(ports), ioapic_(ioapic) {}

  bool handle(const kvm_ioctls::Vcpu&, const kvm_ioctls::VcpuExit& exit) override {
    if (const auto* out = std::get_if<exits::IoOut>(&exit)) {
      for (std::size_t i = 0; i < out->count; ++i) {
        (void)ports_.write(PioAddress(out->port),
                           out->data.subspan(i * out->item_bytes, out->item_bytes));
      }
      return true;
    }
    if (const auto* in = std::get_if<exits::IoIn>(&exit)) {
      for (std::size_t i = 0; i < in->count; ++i) {
        (void)ports_.read(PioAddress(in->port),
                          in->data.subspan(i * in->item_bytes, in->item_bytes));
      }
      return true;
    }
    if (const auto* eoi = std::get_if<exits::IoapicEoi>(&exit)) {
      ioapic_.end_of_interrupt(eoi->vector);
      return true;
    }
    return false;
  }

  void inject_nmi(const kvm_ioctls::Vcpu& vcpu) override {
    if (const auto done = vcpu.inject_nmi(); !done) {
      VMM_LOG(kWarn, "NMI: %s", to_string(done.error()).c_str());
    }
  }

 private:
  vm_device::PioCaller ports_;
  vm_superio::Ioapic& ioapic_;
};

/// What the guest writes to the port of POST codes goes to the log.
class PostCodes {
 public:
  void tell(std::uint8_t code, std::chrono::nanoseconds elapsed) {
    const std::size_t which = std::size_t{code} - kKernelBegins;  // huge below
    if (which < told_.size() && !told_[which].test_and_set()) {
      VMM_LOG(kWarn, "port 0x80 -- [Debug I/O port: Kernel code 0x%x] %.6f seconds", code,
              std::chrono::duration<double>(elapsed).count());
      return;
    }
    VMM_LOG_GUEST(kDebug, "POST code 0x%02x after %.3f ms", code,
                  static_cast<double>(elapsed.count()) / 1e6);
  }

 private:
  // Kernels made for it write this code when they begin, and the next one when user space does.
  // Benchmarks look for both, each once, in cloud-hypervisor's words and at its level.
  static constexpr std::uint8_t kKernelBegins = 0x40;

  std::array<std::atomic_flag, 2> told_{};
};

/// A PC without a chipset: split irqchip, COM1, ACPI.
class Pc final : public Machine {
 public:
  Pc(const VmConfig& config, const Host& host, GuestImage image, kvm_ioctls::Vm vm)
      : config_(config), host_(host), image_(std::move(image)), vm_(std::move(vm)) {}
  ~Pc() override;

  Outcome<void> assemble();
  Outcome<void> stand_by() override { return vcpus_->stand_by(); }
  void start() override { vcpus_->start(); }
  void stop() override { vcpus_->stop(); }
  bool inject_nmi() override {
    vcpus_->inject_nmi();
    return true;
  }
  void press_power_button() override { ged_->notify(vm_superio::GedEvent::kPowerButton); }
  PciHotplug* hotplug() override { return hotplug_.has_value() ? &*hotplug_ : nullptr; }
  PciIommu* iommu() override { return iommu_.get(); }

 private:
  Outcome<void> add_irqchip();
  Outcome<void> add_devices();
  Outcome<void> add_serial();
  Outcome<void> add_ged(GuestAddress at);
  Outcome<void> add_virtio_mmio();
  Outcome<void> add_pci(GuestAddress device_end);
  Outcome<void> fill_pci();
  Outcome<void> open_host_devices();
  void write_viot(acpi_tables::TableBuffer& out) const;
  Outcome<void> add_hotplug();
  Outcome<void> add_vcpus();
  Outcome<void> add_vcpu(std::uint32_t index, const x86::ApicIds& ids,
                         std::span<const x86::CpuidEntry> cpuid);

  const VmConfig& config_;
  Host host_;
  // In the order in which they are made; taken apart the other way round.
  GuestImage image_;
  kvm_ioctls::Vm vm_;
  std::optional<kvm_board::MappedMemory> mapped_;
  GuestAddress memory_end_;  // of RAM and persistent memory
  GsiRoutes gsi_routes_{vm_, x86::kIoApicPins};
  std::unique_ptr<SplitIrqchip> irqchip_;
  VirtioMmioBoard virtio_mmio_{vm_, image_.memory};
  std::vector<x86::AcpiVirtioMmio> acpi_virtio_mmio_;
  vm_device::PioBus ports_;
  vm_device::MmioBus mmio_;
  std::unique_ptr<PciIommu> iommu_;
  std::optional<IoapicPins> pins_;  // of devices of the host
  std::optional<PassedDevices> passed_;
  std::unique_ptr<PciBoard> pci_;
  AddressRange pmem_window_{};  // for files that come later
  std::vector<x86::AcpiPciRoot> acpi_pci_;
  std::optional<x86::AcpiPciHotplug> acpi_hotplug_;
  vm_superio::HostClock clock_;
  std::unique_ptr<PulsedPin> ged_irq_;
  std::shared_ptr<vm_superio::GedStatus> ged_;
  std::optional<PciHotplug> hotplug_;
  std::unique_ptr<SerialInput> serial_input_;
  std::shared_ptr<vm_superio::Serial> serial_;
  std::shared_ptr<vm_superio::DebugConsole> debug_console_;
  std::optional<VcpuSet> vcpus_;
};

Pc::~Pc() {
  vcpus_.reset();  // nothing is printed any more
  for (Console* const console : {&host_.serial, &host_.debug}) console->set_patient(false);
  if (serial_ != nullptr) serial_->flush();
  if (debug_console_ != nullptr) debug_console_->flush();
  for (Console* const console : {&host_.serial, &host_.debug}) console->set_patient(true);
}

Outcome<void> Pc::assemble() {
  VMM_TRY_DO(add_irqchip());
  VMM_STEP("guest memory", mapped_, kvm_board::MappedMemory::create(vm_, image_.memory));
  VMM_TRY_DO(add_devices());
  VMM_TRY_DO(open_host_devices());
  VMM_TRY_DO(add_vcpus());
  if (HotMemory* const hot = host_.devices.hot_memory()) {
    VMM_TRY_DO(hot->map(image_.memory, *mapped_));
  }
  VMM_TRY_DO(map_pmems(host_.devices.pmems(), image_.memory, *mapped_));
  return passed_->map_all();
}

Outcome<void> Pc::add_irqchip() {
  x86::kvm::VmSetup setup;
  setup.irqchip = x86::kvm::Irqchip::kSplit;
  setup.wide_apic_ids = config_.cpus.boot > 255;
  VMM_STEP_DO("VM", x86::kvm::set_up_vm(vm_, setup));
  irqchip_ = std::make_unique<SplitIrqchip>(vm_, gsi_routes_);
  VMM_STEP_DO("I/O APIC",
              mmio_.add(x86::kIoApic.base, vm_superio::Ioapic::kSize, irqchip_->ioapic()));
  return {};
}

Outcome<void> Pc::add_devices() {
  VmEvents& events = host_.events;
  const auto power_off = [&events] { events.report(VmEnd::kPowerOff); };
  const auto reset = [&events] { events.report(VmEnd::kReset); };
  const auto log_code = [codes = std::make_shared<PostCodes>()](std::uint8_t code,
                                                                std::chrono::nanoseconds elapsed) {
    codes->tell(code, elapsed);
  };
  std::vector<vm_device::BusRange<PioAddress>> ranges{
      {PioAddress(x86::kAcpiPort), vm_superio::AcpiShutdown::kSize,
       std::make_shared<vm_superio::AcpiShutdown>(
           vm_superio::AcpiShutdown::Callbacks{.on_reset = reset, .on_power_off = power_off})},
      {PioAddress(kI8042Port), vm_superio::I8042::kSize,
       std::make_shared<vm_superio::I8042>(reset)},
      {PioAddress(x86::kDebugPort), vm_superio::DebugPort::kSize,
       std::make_shared<vm_superio::DebugPort>(log_code)},
  };
  std::uint64_t low = 0;
  for (const auto& region : image_.memory.snapshot()->regions()) {
    if (region->base() < x86::kHighRamAbove4G) low = region->bytes();
  }
  ranges.push_back({PioAddress(x86::kCmosPort), vm_superio::CmosRtc::kSize,
                    std::make_shared<vm_superio::CmosRtc>(
                        clock_, vm_superio::CmosRtc::Ram{.below_4g = low,
                                                         .above_4g = config_.memory.size - low})});
  if (host_.debug.present()) {
    debug_console_ = std::make_shared<vm_superio::DebugConsole>(host_.debug);
    ranges.push_back(
        {PioAddress(config_.debug_console_port), vm_superio::DebugConsole::kSize, debug_console_});
  }
  VMM_STEP_DO("I/O ports", ports_.add_all(std::move(ranges)));
  if (host_.serial.present()) return add_serial();
  return {};
}

Outcome<void> Pc::add_serial() {
  VmEvents& events = host_.events;
  serial_input_ = std::make_unique<SerialInput>(host_.serial, host_.loop,
                                                [&events] { events.report(VmEnd::kStopped); });
  serial_ = std::make_shared<vm_superio::Serial>(irqchip_->ioapic()->line(x86::kSerialIrq),
                                                 host_.serial, serial_input_.get());
  VMM_STEP_DO("--serial",
              ports_.add(PioAddress(x86::kSerialPort), vm_superio::Serial::kSize, serial_));
  return serial_input_->start(*serial_);
}

// The register of the generic event device is on a platform page of its own at the end of the
// guest's address space.
Outcome<void> Pc::add_ged(GuestAddress at) {
  ged_irq_ = std::make_unique<PulsedPin>(irqchip_->ioapic()->line(x86::kGedIrq));
  ged_ = std::make_shared<vm_superio::GedStatus>(*ged_irq_);
  VMM_STEP_DO("ACPI event device", mmio_.add(at, vm_superio::GedStatus::kSize, ged_));
  return {};
}

// Without PCI, its interrupts and its window are for these.
Outcome<void> Pc::add_virtio_mmio() {
  std::uint32_t irq = x86::kFirstPciIrq;
  GuestAddress base = x86::kDeviceWindow32.base;
  for (const DeviceSlot& slot : host_.devices.slots()) {
    if (irq == x86::kGedIrq) irq = x86::kFirstFreeIrq;
    if (irq == x86::kIoApicPins) {
      return fail(runtime("--transport: mmio: there are not interrupts for that many devices"));
    }
    VMM_TRY_DO(virtio_mmio_.add(slot, base, irqchip_->ioapic()->line(irq), mmio_));
    acpi_virtio_mmio_.push_back(
        {.registers = {base, virtio_mmio::MmioTransport::kSize}, .gsi = irq});
    base = GuestAddress(base.raw() + virtio_mmio::MmioTransport::kSize);
    ++irq;
  }
  return {};
}

// Its 64-bit window is what is left between RAM, persistent memory and the platform's strip; the
// first quarter of that, up to 1 TiB, is for persistent memory that comes later, as guests do not
// take memory very far from their RAM.
Outcome<void> Pc::add_pci(GuestAddress device_end) {
  constexpr std::uint64_t kStep = std::uint64_t{4} << 30;
  const std::uint64_t top =
      std::max(GuestAddress(memory_end_.raw() - 1), x86::kHighRamAbove4G).raw();
  const std::uint64_t first = (top + kStep) / kStep * kStep;
  const std::uint64_t end = device_end.raw() / kStep * kStep;
  PciSpace all{.ecam = x86::kEcam, .window32 = x86::kDeviceWindow32, .window64 = {}};
  if (first < end) {
    const std::uint64_t room = std::min((end - first) / 4 / kStep * kStep, std::uint64_t{1} << 40);
    pmem_window_ = {GuestAddress(first), room};
    all.window64 = {GuestAddress(first + room), end - first - room};
  }
  std::vector<PciSpace> segments = share_pci(all, config_.pci_segments);
  for (const PciSpace& space : segments) {
    acpi_pci_.push_back({.segment = static_cast<std::uint16_t>(acpi_pci_.size()),
                         .ecam = space.ecam,
                         .window32 = space.window32,
                         .window64 = space.window64});
  }
  std::vector<vm_device::IrqLine*> lines;
  for (std::uint32_t i = 0; i < x86::kPciIrqs; ++i) {
    lines.push_back(&irqchip_->ioapic()->line(x86::kFirstPciIrq + i));
  }
  VMM_TRY(iommu_, PciIommu::create(config_, image_.memory, x86::kMsiWindow));
  VMM_TRY(pci_, PciBoard::create({.vm = vm_,
                                  .routes = gsi_routes_,
                                  .memory = image_.memory,
                                  .slots = mapped_->slots(),
                                  .mmio = mmio_,
                                  .ports = &ports_,
                                  .segments = std::move(segments),
                                  .intx = std::move(lines),
                                  .iommu = iommu_.get()}));
  VMM_TRY_DO(fill_pci());
  VMM_TRY_DO(pci_->add_iommu());
  return add_pvpanic(config_, host_, *pci_);
}

Outcome<void> Pc::fill_pci() {
  VMM_TRY_DO(passed_->reserve(*pci_));
  VMM_TRY_DO(pci_->add(host_.devices.slots()));
  return passed_->add_all(*pci_);
}

Outcome<void> Pc::open_host_devices() {
  pins_.emplace(host_.loop, *irqchip_->ioapic(), x86::kFirstPciIrq, x86::kPciIrqs);
  passed_.emplace(PassedDevices::Parts{.config = config_,
                                       .vm = vm_,
                                       .mapped = *mapped_,
                                       .memory = image_.memory,
                                       .pins = &*pins_,
                                       .loop = host_.loop,
                                       .on_wanted = host_.on_wanted});
  return passed_->open();
}

// Its registers are on the platform's second page.
Outcome<void> Pc::add_hotplug() {
  const auto segments = static_cast<std::uint16_t>(acpi_pci_.size());
  std::shared_ptr<pci::HotplugRegisters> registers;
  hotplug_.emplace(PciHotplug::Parts{
      .board = *pci_,
      .passed = *passed_,
      .devices = host_.devices,
      .memory = image_.memory,
      .mapped = *mapped_,
      .pmem_window = pmem_window_,
      .loop = host_.loop,
      .make_announcer =
          [&](pci::EjectListener& listener) {
            registers = std::make_shared<pci::HotplugRegisters>(segments, listener);
            return std::make_unique<AcpiAnnouncer>(
                registers, [this] { ged_->notify(vm_superio::GedEvent::kPci); });
          },
      .on_removed = host_.on_removed,
      .on_memory_changed = host_.on_memory_changed});
  VMM_STEP_DO("PCI hot-plug", mmio_.add(acpi_hotplug_->registers, pci::HotplugRegisters::kSize,
                                        std::move(registers)));
  return {};
}

// Which functions are behind the IOMMU, for the guest.
void Pc::write_viot(acpi_tables::TableBuffer& out) const {
  const auto function = [](std::uint16_t segment, std::uint8_t devfn) {
    return acpi_tables::PciFunction{.segment = segment,
                                    .device = static_cast<std::uint8_t>(devfn >> 3),
                                    .function = static_cast<std::uint8_t>(devfn & 7)};
  };
  acpi_tables::Viot viot(out, x86::acpi_oem("VIOT"));
  const pci::FunctionAddress& place = iommu_->address();
  const std::uint16_t iommu = viot.virtio_iommu_pci(function(place.segment, place.devfn()));
  // There are no ports: all is on root buses.
  for (const PciIommu::Range& range : iommu_->tell({})) {
    viot.pci_range(function(range.segment, static_cast<std::uint8_t>(range.first)),
                   function(range.segment, static_cast<std::uint8_t>(range.last)),
                   range.first_endpoint(), iommu);
  }
}

Outcome<void> Pc::add_vcpus() {
  VMM_TRY(const x86::ApicIds ids, make_apic_ids(config_.cpus));
  VMM_STEP("CPUID", auto cpuid,
           x86::kvm::guest_cpuid(host_.system, ids, cpuid_config(config_.cpus)));
  const GuestAddress ged = ged_address(cpuid);
  VMM_STEP("--memory: size", const x86::RamRegions ram, x86::ram_regions(config_.memory.size));
  VMM_TRY(memory_end_, place_pmems(host_.devices.pmems(), host_.devices.memory_end(ram.top())));
  if (memory_end_ > ged) {
    return fail(runtime("--memory: size: beyond the physical addresses of the guest's CPUs"));
  }
  VMM_TRY_DO(add_ged(ged));
  if (config_.transport == Transport::kPci) {
    acpi_hotplug_ = x86::AcpiPciHotplug{.registers = GuestAddress(ged.raw() + x86::kPageSize)};
    VMM_TRY_DO(add_pci(ged));
    VMM_TRY_DO(add_hotplug());
  } else {
    VMM_TRY_DO(add_virtio_mmio());
  }
  VMM_TRY_DO(write_smbios(image_, config_.identity));
  std::vector<std::function<void(acpi_tables::TableBuffer&)>> tables;
  if (!acpi_pci_.empty()) {
    tables.emplace_back([this](auto& out) { x86::write_pci_mcfg(out, acpi_pci_); });
  }
  if (iommu_ != nullptr) tables.emplace_back([this](auto& out) { write_viot(out); });
  VMM_TRY(
      const x86::BootRegisters registers,
      write_boot_structures(
          image_, {.ids = &ids,
                   .serial = host_.serial.present(),
                   .cmos_rtc = false,
                   .i8042 = false,
                   .ged = x86::GedConfig{.status = ged, .pci_scan = hotplug_ ? x86::kPciScan : ""},
                   .virtio_mmio = acpi_virtio_mmio_,
                   .devices =
                       [this](acpi_tables::Aml& aml) {
                         x86::write_pci_roots(aml, acpi_pci_, acpi_hotplug_);
                       },
                   .tables = tables}));
  vcpus_.emplace(config_.cpus);
  for (std::uint32_t index = 0; index < ids.vcpus(); ++index) {
    VMM_TRY_DO(add_vcpu(index, ids, cpuid));
  }
  VMM_STEP_DO("vCPU 0", x86::kvm::set_registers((*vcpus_)[0], registers));
  return {};
}

Outcome<void> Pc::add_vcpu(std::uint32_t index, const x86::ApicIds& ids,
                           std::span<const x86::CpuidEntry> cpuid) {
  const std::string name = "vCPU " + std::to_string(index);
  VMM_STEP(name, kvm_ioctls::Vcpu vcpu, vm_.create_vcpu(ids.id(index)));
  VMM_STEP_DO(name, x86::kvm::set_up_vcpu(
                        vcpu, ids, {.index = index, .cpuid = cpuid, .in_kernel_apic = true}));
  vcpus_->add(std::make_unique<VcpuThread>(std::move(vcpu), mmio_, host_.events,
                                           std::make_unique<PcExits>(ports_, *irqchip_->ioapic()),
                                           VcpuThread::options_for(config_.cpus, index)));
  return {};
}

}  // namespace
}  // namespace vmm::reference::x86_64

namespace vmm::reference {

Outcome<std::unique_ptr<Machine>> create_machine(const VmConfig& config, const Host& host,
                                                 GuestImage image) {
  const std::uint32_t most = host.system.max_vcpus();
  if (config.cpus.boot > most) {
    return fail(runtime("--cpus: boot: this host's KVM allows at most " + std::to_string(most)));
  }
  VMM_STEP("VM", kvm_ioctls::Vm vm, host.system.create_vm());
  auto machine = std::make_unique<x86_64::Pc>(config, host, std::move(image), std::move(vm));
  VMM_TRY_DO(machine->assemble());
  return std::unique_ptr<Machine>(std::move(machine));
}

}  // namespace vmm::reference
