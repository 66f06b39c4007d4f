// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "../machine.h"

#include <chrono>

#include "../guest_panic.h"
#include "../opener.h"
#include "../passed_devices.h"
#include "../pci_board.h"
#include "../serial_input.h"
#include "../vcpu_set.h"
#include "../virtio_mmio_board.h"
#include "boot.h"
#include "irqfd_lines.h"
#include "irqfd_pins.h"
#include "platform_devices.h"
#include "vmm/arch/aarch64/kvm/gic.h"
#include "vmm/arch/aarch64/kvm/vcpu.h"
#include "vmm/arch/aarch64/kvm/vm.h"
#include "vmm/arch/aarch64/layout.h"
#include "vmm/arch/aarch64/registers.h"
#include "vmm/base/log.h"
#include "vmm/event_manager/timer.h"
#include "vmm/kvm_board/gsi_line.h"
#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_superio/pl011.h"
#include "vmm/vm_superio/pl031.h"
#include "vmm/vm_superio/pl061.h"
#include "vmm/vm_superio/wall_clock.h"

namespace vmm::reference::aarch64 {
namespace {

namespace arm = arch::aarch64;

// Below are the interrupts of the GIC, which are not routed.
constexpr std::uint32_t kFirstMsi = arm::kSpiCount;

// An access to a device by an instruction that says nothing of the access to its abort (LDP, DC ZVA
// and the like): devices do not answer it, the guest gets an external abort.
class ArmExits final : public ArchExits {
 public:
  bool handle(const kvm_ioctls::Vcpu& vcpu, const kvm_ioctls::VcpuExit& exit) override {
    return arm::kvm::answer_exit(vcpu, exit);
  }
};

/// What is behind RAM.
struct HighRanges {
  AddressRange pmem;  // for files that come later; of size 0: none can
  AddressRange pci;
};

// Persistent memory is behind RAM, that which comes later behind it, and the PCI window behind all.
Outcome<HighRanges> high_ranges(const VmConfig& config, const Host& host) {
  constexpr std::uint64_t kPmemRoom = std::uint64_t{4} << 30;
  VMM_STEP("--memory: size", const arm::RamRegions ram, arm::ram_regions(config.memory.size));
  const GuestAddress top = host.devices.memory_end(ram.top());
  VMM_TRY(const GuestAddress end, place_pmems(host.devices.pmems(), top));
  const bool more = host.hotplug && config.transport == Transport::kPci;
  const GuestAddress first = more ? std::max(end, arm::kHighRam) : end;
  const GuestAddress behind(first.raw() + (more ? kPmemRoom : 0));
  VMM_STEP("--memory: size", const AddressRange window, arm::pci_window64(behind));
  const std::uint64_t room = more ? window.base.raw() - first.raw() : 0;
  return HighRanges{.pmem = {first, room}, .pci = window};
}

/// A board: GIC, PL011, PL031, PL061, PSCI, a device tree.
class Board final : public Machine {
 public:
  Board(const VmConfig& config, const Host& host, GuestImage image, kvm_ioctls::Vm vm)
      : config_(config), host_(host), image_(std::move(image)), vm_(std::move(vm)) {}
  ~Board() override;

  Outcome<void> assemble();
  Outcome<void> stand_by() override { return vcpus_->stand_by(); }
  void start() override { vcpus_->start(); }
  void stop() override { vcpus_->stop(); }
  bool inject_nmi() override { return false; }
  void press_power_button() override;
  PciHotplug* hotplug() override { return hotplug_ ? &*hotplug_ : nullptr; }
  PciIommu* iommu() override { return iommu_.get(); }

 private:
  Outcome<void> add_vcpus();
  Outcome<void> add_gic();
  Outcome<void> add_devices();
  Outcome<void> add_serial();
  Outcome<void> add_virtio_mmio();
  Outcome<void> add_pci();
  Outcome<void> fill_pci();
  Outcome<void> open_host_devices();
  Outcome<void> add_platform_devices();
  Outcome<void> add_iommu();
  Outcome<void> add_hotplug(const AddressRange& pmem_window);

  const VmConfig& config_;
  Host host_;
  // In the order in which they are made; taken apart the other way round.
  GuestImage image_;
  kvm_ioctls::Vm vm_;
  std::optional<kvm_board::MappedMemory> mapped_;
  kvm_board::GsiLine serial_irq_{vm_, kvm_board::spi_line(arm::kSerialSpi)};
  kvm_board::GsiLine gpio_irq_{vm_, kvm_board::spi_line(arm::kGpioSpi)};
  VirtioMmioBoard virtio_mmio_{vm_, image_.memory};
  std::vector<arm::VirtioMmio> mmio_nodes_;
  std::vector<std::unique_ptr<kvm_board::GsiLine>> mmio_irqs_;
  vm_device::MmioBus mmio_;
  GsiRoutes gsi_routes_{vm_, kFirstMsi};
  IrqfdLines irqfd_lines_{vm_, gsi_routes_};
  std::vector<std::unique_ptr<kvm_board::GsiLine>> pci_irqs_;
  std::vector<arm::PciHost> pci_nodes_;
  std::unique_ptr<PciIommu> iommu_;
  std::vector<arm::BehindIommu> behind_iommu_;
  std::optional<IrqfdPins> pins_;  // of devices of the host
  std::optional<PassedDevices> passed_;
  std::unique_ptr<PlatformDevices> platform_devices_;
  std::unique_ptr<PciBoard> pci_;
  std::optional<PciHotplug> hotplug_;
  vm_superio::HostClock clock_;
  std::shared_ptr<vm_superio::Pl061> gpio_;
  std::optional<event_manager::Timer> release_;  // of the power key
  std::unique_ptr<SerialInput> serial_input_;
  std::shared_ptr<vm_superio::Pl011> serial_;
  bool pmu_ = false;
  std::optional<VcpuSet> vcpus_;
  std::optional<arm::kvm::Gic> gic_;
};

Board::~Board() {
  vcpus_.reset();  // nothing is printed any more
  host_.serial.set_patient(false);
  if (serial_ != nullptr) serial_->flush();
  host_.serial.set_patient(true);
}

// The GIC comes behind the vCPUs, as KVM gives each of them its redistributor.
Outcome<void> Board::assemble() {
  VMM_STEP("guest memory", mapped_, kvm_board::MappedMemory::create(vm_, image_.memory));
  VMM_STEP_DO("VM", arm::kvm::set_up_vm(vm_));
  VMM_TRY_DO(add_vcpus());
  VMM_TRY_DO(add_gic());
  VMM_TRY_DO(add_devices());
  VMM_TRY_DO(open_host_devices());
  VMM_TRY_DO(config_.transport == Transport::kPci ? add_pci() : add_virtio_mmio());
  VMM_TRY_DO(add_platform_devices());
  VMM_TRY_DO(write_device_tree(config_, image_,
                               {.gic = gic_->version(),
                                .its = gic_->has_its(),
                                .pmu = pmu_,
                                .serial = host_.serial.present(),
                                .virtio_mmio = mmio_nodes_,
                                .pci = pci_nodes_,
                                .platform = platform_devices_.get()}));
  if (HotMemory* const hot = host_.devices.hot_memory()) {
    VMM_TRY_DO(hot->map(image_.memory, *mapped_));
  }
  VMM_TRY_DO(map_pmems(host_.devices.pmems(), image_.memory, *mapped_));
  return passed_->map_all();
}

Outcome<void> Board::add_vcpus() {
  const arm::kvm::VcpuFeatures features = arm::kvm::host_features(vm_);
  pmu_ = features.pmu;
  vcpus_.emplace(config_.cpus);
  for (std::uint32_t index = 0; index < config_.cpus.boot; ++index) {
    const std::string name = "vCPU " + std::to_string(index);
    VMM_STEP(name, const auto init, arm::kvm::vcpu_init(vm_, features, index != 0));
    VMM_STEP(name, kvm_ioctls::Vcpu vcpu, vm_.create_vcpu(index));
    VMM_STEP_DO(name, arm::kvm::set_up_vcpu(vcpu, init));
    vcpus_->add(std::make_unique<VcpuThread>(std::move(vcpu), mmio_, host_.events,
                                             std::make_unique<ArmExits>(),
                                             VcpuThread::options_for(config_.cpus, index)));
  }
  const auto registers = arm::linux_registers(image_.kernel.entry, arm::kFdt.base);
  VMM_STEP_DO("vCPU 0", arm::kvm::set_registers((*vcpus_)[0], registers));
  return {};
}

Outcome<void> Board::add_gic() {
  VMM_STEP("GIC", gic_, arm::kvm::Gic::create(vm_, {.vcpus = config_.cpus.boot}));
  for (std::uint32_t index = 0; pmu_ && index < config_.cpus.boot; ++index) {
    VMM_STEP_DO("PMU", arm::kvm::start_pmu((*vcpus_)[index]));
  }
  return {};
}

Outcome<void> Board::add_devices() {
  gpio_ = std::make_shared<vm_superio::Pl061>(gpio_irq_);
  VMM_STEP("power key", release_, event_manager::Timer::create(host_.loop, [this](std::uint64_t) {
             gpio_->set_input(arm::kPowerKeyLine, false);
           }));
  VMM_STEP_DO("GPIO", mmio_.add(arm::kGpio.base, arm::kGpio.size, gpio_));
  VMM_STEP_DO("RTC", mmio_.add(arm::kRtc.base, arm::kRtc.size,
                               std::make_shared<vm_superio::Pl031>(clock_)));
  if (host_.serial.present()) return add_serial();
  return {};
}

Outcome<void> Board::add_serial() {
  VmEvents& events = host_.events;
  serial_input_ = std::make_unique<SerialInput>(host_.serial, host_.loop,
                                                [&events] { events.report(VmEnd::kStopped); });
  serial_ = std::make_shared<vm_superio::Pl011>(serial_irq_, host_.serial, serial_input_.get());
  VMM_STEP_DO("--serial", mmio_.add(arm::kSerial.base, arm::kSerial.size, serial_));
  return serial_input_->start(*serial_);
}

Outcome<void> Board::add_virtio_mmio() {
  GuestAddress base = arm::kPlatformWindow.base;
  std::uint32_t spi = arm::kFirstFreeSpi;
  for (const DeviceSlot& slot : host_.devices.slots()) {
    if (spi >= arm::kSpiCount - arm::kFirstSpi) {
      return fail(runtime("--transport: mmio: there are not interrupts for that many devices"));
    }
    mmio_irqs_.push_back(std::make_unique<kvm_board::GsiLine>(vm_, kvm_board::spi_line(spi)));
    VMM_TRY_DO(virtio_mmio_.add(slot, base, *mmio_irqs_.back(), mmio_));
    mmio_nodes_.push_back({.registers = {base, virtio_mmio::MmioTransport::kSize}, .spi = spi});
    base = GuestAddress(base.raw() + virtio_mmio::MmioTransport::kSize);
    ++spi;
  }
  return {};
}

// Without an interrupt translation service (GICv2) there are the interrupt pins alone.
Outcome<void> Board::add_pci() {
  VMM_TRY(const HighRanges high, high_ranges(config_, host_));
  std::vector<PciSpace> segments =
      share_pci({.ecam = arm::kEcam, .window32 = arm::kPciWindow32, .window64 = high.pci},
                config_.pci_segments, host_.hotplug ? PciBoard::kBusesWithPorts : 1);
  for (const PciSpace& space : segments) {
    const bool first = pci_nodes_.empty();  // it has the I/O ports
    pci_nodes_.push_back({.ecam = space.ecam,
                          .segment = static_cast<std::uint32_t>(pci_nodes_.size()),
                          .io = first ? arm::kPciIo : AddressRange{},
                          .window32 = space.window32,
                          .window64 = space.window64,
                          .msi = gic_->has_its()});
  }
  std::vector<vm_device::IrqLine*> lines;
  for (std::uint32_t i = 0; i < arm::kPciSpis; ++i) {
    pci_irqs_.push_back(
        std::make_unique<kvm_board::GsiLine>(vm_, kvm_board::spi_line(arm::kFirstPciSpi + i)));
    lines.push_back(pci_irqs_.back().get());
  }
  const auto its = gic_->has_its() ? std::optional(arm::its(config_.cpus.boot)) : std::nullopt;
  VMM_TRY(iommu_, PciIommu::create(config_, image_.memory, its));
  VMM_TRY(pci_, PciBoard::create({.vm = vm_,
                                  .routes = gsi_routes_,
                                  .memory = image_.memory,
                                  .slots = mapped_->slots(),
                                  .mmio = mmio_,
                                  .segments = std::move(segments),
                                  .intx = std::move(lines),
                                  .msi = gic_->has_its(),
                                  .msi_device_ids = true,
                                  .iommu = iommu_.get(),
                                  .root_ports = host_.hotplug}));
  VMM_TRY_DO(fill_pci());
  VMM_TRY_DO(add_iommu());
  VMM_TRY_DO(add_pvpanic(config_, host_, *pci_));
  return host_.hotplug ? add_hotplug(high.pmem) : Outcome<void>{};
}

Outcome<void> Board::add_hotplug(const AddressRange& pmem_window) {
  VMM_TRY_DO(pci_->add_spare_ports());
  hotplug_.emplace(PciHotplug::Parts{.board = *pci_,
                                     .passed = *passed_,
                                     .devices = host_.devices,
                                     .memory = image_.memory,
                                     .mapped = *mapped_,
                                     .pmem_window = pmem_window,
                                     .loop = host_.loop,
                                     .make_announcer =
                                         [this](pci::EjectListener& listener) {
                                           return std::make_unique<PortAnnouncer>(*pci_, listener);
                                         },
                                     .on_removed = host_.on_removed,
                                     .on_memory_changed = host_.on_memory_changed});
  return {};
}

Outcome<void> Board::fill_pci() {
  VMM_TRY_DO(passed_->reserve(*pci_));
  VMM_TRY_DO(pci_->add(host_.devices.slots()));
  return passed_->add_all(*pci_);
}

Outcome<void> Board::open_host_devices() {
  pins_.emplace(irqfd_lines_, IrqfdPins::Lines{.first = arm::kFirstPciSpi, .count = arm::kPciSpis});
  passed_.emplace(PassedDevices::Parts{.config = config_,
                                       .vm = vm_,
                                       .mapped = *mapped_,
                                       .memory = image_.memory,
                                       .pins = &*pins_,
                                       .device_tree = true,
                                       .loop = host_.loop,
                                       .on_wanted = host_.on_wanted});
  return passed_->open();
}

// Behind the virtio-mmio devices, where there are any.
Outcome<void> Board::add_platform_devices() {
  HostDevices* const devices = passed_->host();
  if (devices == nullptr || devices->platform().empty()) return {};
  const auto mmio = static_cast<std::uint32_t>(mmio_nodes_.size());
  GuestAddress base = arm::kPlatformWindow.base;
  if (mmio != 0) base = mmio_nodes_.back().registers.end();
  VMM_TRY(platform_devices_, opening([&] {
            return PlatformDevices::create({.host = *devices,
                                            .lines = irqfd_lines_,
                                            .bus = mmio_,
                                            .first = base,
                                            .first_spi = arm::kFirstFreeSpi + mmio});
          }));
  return {};
}

// And tells the device tree who is behind it, by segment.
Outcome<void> Board::add_iommu() {
  VMM_TRY_DO(pci_->add_iommu());
  if (iommu_ == nullptr) return {};
  const std::vector<PciIommu::Range>& ranges = iommu_->tell(pci_->buses_with_ports());
  for (const PciIommu::Range& range : ranges) {
    behind_iommu_.push_back({.segment = range.segment,
                             .first_requester = range.first,
                             .functions = range.last - range.first + 1u});
  }
  for (arm::PciHost& host : pci_nodes_) {
    host.behind_iommu = behind_iommu_;
    if (host.segment == iommu_->address().segment) host.iommu_devfn = iommu_->address().devfn();
  }
  return {};
}

// Held as long as a finger would, as the guest's driver waits for contacts to settle.
void Board::press_power_button() {
  constexpr std::chrono::milliseconds kPress(100);
  if (!release_->arm({.after = kPress})) return;
  gpio_->set_input(arm::kPowerKeyLine, true);
}

}  // namespace
}  // namespace vmm::reference::aarch64

namespace vmm::reference {

Outcome<std::unique_ptr<Machine>> create_machine(const VmConfig& config, const Host& host,
                                                 GuestImage image) {
  const std::uint32_t most = std::min(host.system.max_vcpus(), arch::aarch64::kMaxVcpus);
  if (config.cpus.boot > most) {
    return fail(runtime("--cpus: boot: this host's KVM allows at most " + std::to_string(most)));
  }
  namespace arm = arch::aarch64;
  VMM_TRY(const aarch64::HighRanges high, aarch64::high_ranges(config, host));
  const AddressRange& window = high.pci;
  if (arm::ipa_bits(window.end()) > config.cpus.max_phys_bits) {
    return fail(runtime("--cpus: max_phys_bits: the memory map needs " +
                        std::to_string(arm::ipa_bits(window.end()))));
  }
  VMM_STEP("--memory: size", kvm_ioctls::Vm vm, arm::kvm::create_vm(host.system, window.end()));
  auto machine = std::make_unique<aarch64::Board>(config, host, std::move(image), std::move(vm));
  VMM_TRY_DO(machine->assemble());
  return std::unique_ptr<Machine>(std::move(machine));
}

}  // namespace vmm::reference
