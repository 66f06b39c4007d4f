// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "../machine.h"

#include <chrono>

#include "../mapped_memory.h"
#include "../pci_board.h"
#include "../serial_input.h"
#include "../vcpu_set.h"
#include "../virtio_mmio_board.h"
#include "boot.h"
#include "irq.h"
#include "vmm/arch/aarch64/kvm/gic.h"
#include "vmm/arch/aarch64/kvm/vcpu.h"
#include "vmm/arch/aarch64/kvm/vm.h"
#include "vmm/arch/aarch64/layout.h"
#include "vmm/arch/aarch64/registers.h"
#include "vmm/base/log.h"
#include "vmm/event_manager/timer.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_superio/pl011.h"
#include "vmm/vm_superio/pl031.h"
#include "vmm/vm_superio/pl061.h"
#include "vmm/vm_superio/wall_clock.h"

namespace vmm::reference::aarch64 {
namespace {

namespace arm = arch::aarch64;
namespace exits = kvm_ioctls::exits;

// Below are the interrupts of the GIC, which are not routed.
constexpr std::uint32_t kFirstMsi = arm::kSpiCount;

// An access to a device by an instruction that says nothing of the access to its abort (LDP, DC ZVA
// and the like): devices do not answer it, the guest gets an external abort.
class ArmExits final : public ArchExits {
 public:
  bool handle(const kvm_ioctls::Vcpu& vcpu, const kvm_ioctls::VcpuExit& exit) override {
    const auto* access = std::get_if<exits::ArmNisv>(&exit);
    if (access == nullptr) return false;
    VMM_LOG_GUEST(kWarn, "device access at %#llx by an instruction without syndrome",
                  static_cast<unsigned long long>(access->fault_address.raw()));
    return arm::kvm::inject_external_abort(vcpu).has_value();
  }
};

// Persistent memory is behind RAM, and the window behind both.
Outcome<AddressRange> pci_window64(const VmConfig& config, const DeviceSet& devices) {
  VMM_STEP("--memory: size", const arm::RamRegions ram, arm::ram_regions(config.memory.size));
  VMM_TRY(const GuestAddress end, place_pmems(devices.pmems(), ram.top()));
  VMM_STEP("--memory: size", const AddressRange window, arm::pci_window64(end));
  return window;
}

/// A board: GIC, PL011, PL031, PL061, PSCI, a device tree.
class Board final : public Machine {
 public:
  Board(const VmConfig& config, const Host& host, GuestImage image, kvm_ioctls::Vm vm)
      : config_(config), host_(host), image_(std::move(image)), vm_(std::move(vm)) {}
  ~Board() override;

  Outcome<void> assemble();
  void start() override { vcpus_->start(); }
  void press_power_button() override;

 private:
  Outcome<void> add_vcpus();
  Outcome<void> add_gic();
  Outcome<void> add_devices();
  Outcome<void> add_serial();
  Outcome<void> add_virtio_mmio();
  Outcome<void> add_pci();

  const VmConfig& config_;
  Host host_;
  // In the order in which they are made; taken apart the other way round.
  GuestImage image_;
  kvm_ioctls::Vm vm_;
  std::optional<MappedMemory> mapped_;
  SpiLine serial_irq_{vm_, arm::kSerialSpi};
  SpiLine gpio_irq_{vm_, arm::kGpioSpi};
  VirtioMmioBoard virtio_mmio_{vm_, image_.memory};
  std::vector<arm::VirtioMmio> mmio_nodes_;
  std::vector<std::unique_ptr<SpiLine>> mmio_irqs_;
  vm_device::MmioBus mmio_;
  GsiRoutes gsi_routes_{vm_, kFirstMsi};
  std::vector<std::unique_ptr<SpiLine>> pci_irqs_;
  std::vector<arm::PciHost> pci_nodes_;
  std::unique_ptr<PciBoard> pci_;
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
  if (serial_ != nullptr) serial_->flush();
}

// The GIC comes behind the vCPUs, as KVM gives each of them its redistributor.
Outcome<void> Board::assemble() {
  VMM_TRY(mapped_, MappedMemory::create(vm_, image_.memory));
  VMM_STEP_DO("VM", arm::kvm::set_up_vm(vm_));
  VMM_TRY_DO(add_vcpus());
  VMM_TRY_DO(add_gic());
  VMM_TRY_DO(add_devices());
  VMM_TRY_DO(config_.transport == Transport::kPci ? add_pci() : add_virtio_mmio());
  VMM_TRY_DO(write_device_tree(config_, image_,
                               {.gic = gic_->version(),
                                .its = gic_->has_its(),
                                .pmu = pmu_,
                                .serial = host_.serial.present(),
                                .virtio_mmio = mmio_nodes_,
                                .pci = pci_nodes_}));
  return map_pmems(host_.devices.pmems(), image_.memory, *mapped_);
}

Outcome<void> Board::add_vcpus() {
  const arm::kvm::VcpuFeatures features = arm::kvm::host_features(vm_);
  pmu_ = features.pmu;
  vcpus_.emplace();
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
    mmio_irqs_.push_back(std::make_unique<SpiLine>(vm_, spi));
    VMM_TRY_DO(virtio_mmio_.add(slot, base, *mmio_irqs_.back(), mmio_));
    mmio_nodes_.push_back({.registers = {base, virtio_mmio::MmioTransport::kSize}, .spi = spi});
    base = GuestAddress(base.raw() + virtio_mmio::MmioTransport::kSize);
    ++spi;
  }
  return {};
}

// Without an interrupt translation service (GICv2) there are the interrupt pins alone.
Outcome<void> Board::add_pci() {
  VMM_TRY(const AddressRange window64, pci_window64(config_, host_.devices));
  const arm::PciHost host{.window64 = window64, .msi = gic_->has_its()};
  std::vector<vm_device::IrqLine*> lines;
  for (std::uint32_t i = 0; i < arm::kPciSpis; ++i) {
    pci_irqs_.push_back(std::make_unique<SpiLine>(vm_, host.first_spi + i));
    lines.push_back(pci_irqs_.back().get());
  }
  VMM_TRY(pci_, PciBoard::create({.vm = vm_,
                                  .routes = gsi_routes_,
                                  .memory = image_.memory,
                                  .mmio = mmio_,
                                  .ecam = host.ecam.base,
                                  .windows = {.memory32 = host.window32, .memory64 = window64},
                                  .intx = std::move(lines),
                                  .msi = host.msi,
                                  .msi_device_ids = true}));
  pci_nodes_.push_back(host);
  return pci_->add(host_.devices.slots());
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
  VMM_TRY(const AddressRange window, aarch64::pci_window64(config, host.devices));
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
