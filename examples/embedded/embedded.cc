// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A VMM for aarch64 boards: no firmware, no PCI, no ACPI. Linux finds a GIC, a PL011, virtio-mmio
// devices and devices of the host's board in a device tree. Options: docs/guide/embedded.md.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
#include <thread>

#include "vmm/arch/aarch64/device_tree.h"
#include "vmm/arch/aarch64/kvm/gic.h"
#include "vmm/arch/aarch64/kvm/vcpu.h"
#include "vmm/arch/aarch64/kvm/vm.h"
#include "vmm/block/open_image.h"
#include "vmm/event_manager/loop_thread.h"
#include "vmm/kvm_board/doorbells.h"
#include "vmm/kvm_board/gsi_line.h"
#include "vmm/kvm_board/irqfd.h"
#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/kvm_board/vcpu_runner.h"
#include "vmm/linux_loader/blobs.h"
#include "vmm/linux_loader/kernel.h"
#include "vmm/vfio_platform/guest_device.h"
#include "vmm/virtio_blk/blk.h"
#include "vmm/virtio_console/fd_port.h"
#include "vmm/virtio_mmio/mmio_transport.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_net/tap.h"
#include "vmm/vm_allocator/address_allocator.h"
#include "vmm/vm_allocator/id_allocator.h"
#include "vmm/vm_superio/fd_sink.h"
#include "vmm/vm_superio/pl011.h"

namespace {

using namespace vmm;
namespace arm = arch::aarch64;
using kvm_board::VcpuRunner;
using virtio_mmio::MmioTransport;

/// The words of the command line, NAME=VALUE each. A name may come more than once.
using Options = std::multimap<std::string, std::string>;

std::string text_of(const Options& options, const char* name, const char* otherwise = "") {
  const auto found = options.find(name);
  return found == options.end() ? otherwise : found->second;
}
/// From 1 to 2^20; 0 for what is no such number.
std::uint32_t number_of(const std::string& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && *end == '\0' && number <= 1u << 20 ? number : 0;
}
bool is_option(const std::string& name, const std::string& value) {
  if (name == "memory" || name == "cpus") return number_of(value) != 0;
  if (name == "unsafe_noiommu") return value == "on" || value == "off";
  constexpr std::array kTexts{"kernel", "initramfs", "cmdline", "disk", "tap", "device"};
  return std::find(kTexts.begin(), kTexts.end(), name) != kTexts.end();
}

class Board final : vfio::RegionMapper, vfio_platform::LineRouter {
 public:
  static Result<std::unique_ptr<Board>> create(const Options& options) {
    VMM_TRY(const arm::RamRegions ram,
            arm::ram_regions(std::uint64_t{number_of(text_of(options, "memory", "256"))} << 20));
    std::vector<vm_memory::RegionConfig> regions;
    for (const auto& [base, size] : ram) regions.push_back({.base = base, .bytes = size});
    VMM_TRY(auto memory, vm_memory::GuestMemory::create(regions));
    VMM_TRY(const auto system, kvm_ioctls::System::open());
    VMM_TRY(auto vm, arm::kvm::create_vm(system, ram.top()));
    VMM_TRY_DO(arm::kvm::set_up_vm(vm));
    auto board = std::unique_ptr<Board>(new Board(options, ram, std::move(memory), std::move(vm)));
    VMM_TRY(board->io_, event_manager::LoopThread::create("io"));
    VMM_TRY(board->mapped_, kvm_board::MappedMemory::create(board->vm_, board->memory_));
    VMM_TRY_DO(board->load());
    VMM_TRY_DO(board->add_vcpus());
    VMM_TRY_DO(board->add_virtio_devices());
    VMM_TRY_DO(board->add_host_devices());
    VMM_TRY_DO(board->write_tree());
    return board;
  }

  /// Until the guest powers off or resets.
  Result<void> run() {
    VMM_TRY_DO(VcpuRunner::handle_signal());
    std::vector<Result<kvm_board::VcpuEnd>> ends(vcpus_.size(), kvm_board::VcpuEnd::kStopped);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < vcpus_.size(); ++i) {
      threads.emplace_back([this, i, &end = ends[i]] {
        end = vcpus_[i]->run();
        for (const auto& other : vcpus_) other->request_stop();
      });
    }
    for (std::thread& thread : threads) thread.join();
    // The loop has a second to write what standard output did not take at once.
    for (int i = 0; i < 100 && serial_output_.has_backlog(); ++i) ::usleep(10'000);
    for (const auto& end : ends) VMM_TRY_DO(end);
    return {};
  }

 private:
  Board(const Options& options, const arm::RamRegions& ram, vm_memory::GuestMemory memory,
        kvm_ioctls::Vm vm)
      : options_(options), ram_(ram), memory_(std::move(memory)), vm_(std::move(vm)) {}

  Result<void> load() {
    VMM_TRY(const auto image, linux_loader::open_image(text_of(options_, "kernel")));
    VMM_TRY(kernel_, linux_loader::load_kernel(memory_.view(), image.source,
                                               {.arch = linux_loader::Arch::kAarch64,
                                                .base = arm::kKernel,
                                                .high_memory = arm::kKernel,
                                                .memory_is_zero = true}));
    if (text_of(options_, "initramfs").empty()) return {};
    VMM_TRY(const auto archive, linux_loader::open_image(text_of(options_, "initramfs")));
    const std::array taken{linux_loader::GuestRange{GuestAddress(0), kernel_.end}};
    const GuestAddress limit = std::min(kernel_.initrd_limit, ram_.initrd_limit());
    VMM_TRY(const auto at,
            linux_loader::place_initrd(memory_.view(), archive.source.size(), limit, taken));
    VMM_TRY(initrd_, linux_loader::load_initrd(memory_.view(), archive.source, at, taken));
    return {};
  }

  // The GIC comes behind the last vCPU.
  Result<void> add_vcpus() {
    for (std::uint32_t i = 0; i < cpus_; ++i) {
      VMM_TRY(const auto init, arm::kvm::vcpu_init(vm_, {}, i != 0));
      VMM_TRY(auto vcpu, vm_.create_vcpu(i));
      VMM_TRY_DO(arm::kvm::set_up_vcpu(vcpu, init));
      const VcpuRunner::Wiring wiring{.mmio = &bus_, .other_exits = arm::kvm::answer_exit};
      vcpus_.push_back(std::make_unique<VcpuRunner>(std::move(vcpu), wiring));
    }
    VMM_TRY(gic_, arm::kvm::Gic::create(vm_, {.vcpus = cpus_, .its = false}));
    return arm::kvm::set_registers(vcpus_[0]->vcpu(),
                                   arm::linux_registers(kernel_.entry, arm::kFdt.base));
  }

  Result<void> add_virtio_devices() {
    if (serial_output_.poll_fd() < 0) return fail(Error::os(EBADF, "standard output"));
    VMM_TRY_DO(bus_.add(arm::kSerial.base, arm::kSerial.size,
                        std::make_shared<vm_superio::Pl011>(serial_irq_, serial_output_)));
    VMM_TRY(console_, virtio_console::Console::create({.output = &terminal_}));
    io_->call([&] {  // a terminal becomes non-blocking, also for what is written to it
      drain_ =
          io_->loop().add(serial_output_.poll_fd(), event_manager::kWritable | sys_util::kOnChange,
                          [this](auto) { serial_output_.process(); });
      typed_ = virtio_console::FdInput::create(io_->loop(), STDIN_FILENO, *console_);
    });
    if (!typed_) return fail(typed_.error());
    VMM_TRY_DO(add_virtio(console_));
    if (const std::string path = text_of(options_, "disk"); !path.empty()) {
      VMM_TRY(auto file, block::ImageFile::open(path, {}));
      VMM_TRY(std::shared_ptr<block::Image> image, block::open_raw(std::move(file), {}));
      VMM_TRY(auto disk, virtio_blk::Blk::create(std::move(image), {}));
      VMM_TRY_DO(add_virtio(std::move(disk)));
    }
    if (const std::string name = text_of(options_, "tap"); !name.empty()) {
      VMM_TRY(auto tap, virtio_net::open_tap({.name = name}));
      VMM_TRY(auto net,
              virtio_net::Net::create({.mac = {2, 0, 0, 0, 0, 1}}, std::move(tap.queues)));
      VMM_TRY_DO(add_virtio(std::move(net)));
    }
    return {};
  }

  Result<void> add_virtio(std::shared_ptr<virtio_device::VirtioDevice> device) {
    VMM_TRY(const GuestAddress base, take_registers(MmioTransport::kSize));
    VMM_TRY(const std::uint32_t spi, take_spi());
    workers_.push_back(std::make_unique<virtio_device::LoopWorkers>(std::vector{&io_->loop()}));
    lines_.push_back(std::make_unique<kvm_board::GsiLine>(vm_, kvm_board::spi_line(spi)));
    VMM_TRY(auto transport, MmioTransport::create({.device = std::move(device),
                                                   .memory = memory_,
                                                   .workers = *workers_.back(),
                                                   .irq = *lines_.back(),
                                                   .doorbells = doorbells_,
                                                   .base = base}));
    VMM_TRY_DO(bus_.add(base, MmioTransport::kSize, std::move(transport)));
    virtio_nodes_.push_back({.registers = {base, MmioTransport::kSize}, .spi = spi});
    return {};
  }

  // What devices of the host get of the VM: memory slots for registers, irqfds for interrupts.
  using Connection = Result<std::shared_ptr<const void>>;
  Connection map(GuestAddress at, std::span<std::byte> memory, bool writable) override {
    return mapped_->map(at, memory, writable);
  }
  Connection connect(const vfio_platform::LineWiring& wiring) override {
    return kvm_board::connect_irqfd(vm_, {wiring.trigger, wiring.unmask},
                                    kvm_ioctls::Gsi{wiring.line});
  }

  // They reach all memory of the guest, at the guest's addresses.
  Result<void> add_host_devices() {
    const auto [first, last] = options_.equal_range("device");
    if (first == last) return {};
    const bool no_iommu = text_of(options_, "unsafe_noiommu") == "on";
    VMM_TRY(space_, vfio::AddressSpace::open(vfio::host_kernel(), {.unsafe_noiommu = no_iommu}));
    const vfio_platform::Places places{
        .registers = [this](std::uint64_t bytes) { return take_registers(bytes); },
        .line = [this] { return take_spi(); },
        .cells = arm::spi_cells};
    for (auto at = first; at != last; ++at) {
      VMM_TRY(auto device, vfio_platform::give_to_guest(
                               vfio::host_kernel(), *space_, at->second,
                               {.mapper = this, .lines = this, .bus = bus_, .places = places}));
      host_devices_.push_back(std::move(device));
    }
    const auto map = memory_.snapshot();
    for (const auto& region : map->regions()) {
      if (no_iommu) break;
      VMM_TRY(dma_.emplace_back(), space_->map({region->base().raw(), region->host(), region}));
    }
    return {};
  }

  Result<void> write_tree() {
    std::vector<arm::OtherNode> others;
    for (const auto& host : host_devices_) {
      others.push_back(
          {.name = host.node, .label = {}, .fill = [&host](fdt::Node& node) { host.fill(node); }});
    }
    VMM_TRY_DO(arm::write_device_tree(
        memory_.view(), {.memory = {ram_.begin(), ram_.end()},
                         .vcpus = cpus_,
                         .bootargs = text_of(options_, "cmdline"),
                         .initrd = {initrd_.start, initrd_.end.raw() - initrd_.start.raw()},
                         .gic = gic_->version(),
                         .its = false,
                         .rtc = false,
                         .power_key = false,
                         .virtio_mmio = virtio_nodes_,
                         .others = others}));
    return {};
  }

  // Pages of the host and of guests are of this size at most.
  Result<GuestAddress> take_registers(std::uint64_t bytes) {
    VMM_TRY(const auto range, window_.allocate_first({.size = bytes, .alignment = 0x1'0000}));
    return GuestAddress(range.first);
  }
  Result<std::uint32_t> take_spi() {
    VMM_TRY(const std::uint32_t spi, spis_.allocate());
    return spi;
  }

  const Options& options_;
  const std::uint32_t cpus_ = number_of(text_of(options_, "cpus", "1"));
  const arm::RamRegions ram_;
  // Taken apart the other way round: vCPUs first, then devices, then what these use.
  vm_memory::GuestMemory memory_;
  kvm_ioctls::Vm vm_;
  std::optional<kvm_board::MappedMemory> mapped_;
  linux_loader::LoadedKernel kernel_{};
  linux_loader::GuestRange initrd_{};
  std::optional<arm::kvm::Gic> gic_;
  virtio_console::FdOutput terminal_{STDOUT_FILENO};
  std::shared_ptr<virtio_console::Console> console_;
  vm_superio::FdSink serial_output_{UniqueFd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0))};
  Result<event_manager::Registration> drain_ = event_manager::Registration();  // none for a file
  Result<std::unique_ptr<virtio_console::FdInput>> typed_ = nullptr;  // these end behind the loop
  std::unique_ptr<event_manager::LoopThread> io_;
  kvm_board::KvmDoorbells doorbells_{vm_};
  kvm_board::GsiLine serial_irq_{vm_, kvm_board::spi_line(arm::kSerialSpi)};
  std::vector<std::unique_ptr<kvm_board::GsiLine>> lines_;
  std::vector<std::unique_ptr<virtio_device::LoopWorkers>> workers_;
  vm_device::MmioBus bus_;
  vm_allocator::AddressAllocator window_ = *vm_allocator::AddressAllocator::create(
      {arm::kPlatformWindow.base.raw(), arm::kPlatformWindow.end().raw() - 1});
  vm_allocator::IdAllocator<> spis_ = *vm_allocator::IdAllocator<>::create(
      {arm::kFirstFreeSpi, arm::kSpiCount - arm::kFirstSpi - 1});
  std::vector<arm::VirtioMmio> virtio_nodes_;
  std::shared_ptr<vfio::AddressSpace> space_;
  std::vector<vfio::DmaMapping> dma_;
  std::vector<vfio_platform::GuestDevice> host_devices_;
  std::vector<std::unique_ptr<VcpuRunner>> vcpus_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (const std::string word : std::span(argv + 1, argv + argc)) {
    const std::string name = word.substr(0, word.find('='));
    const std::string value = word.substr(std::min(name.size() + 1, word.size()));
    if (name == word || !is_option(name, value)) {
      std::fprintf(stderr, "embedded: %s: no option, or no such value\n", word.c_str());
      return 2;
    }
    options.emplace(name, value);
  }
  const auto board = Board::create(options);
  const auto done = board ? (*board)->run() : Result<void>(fail(board.error()));
  if (done) return 0;
  std::fprintf(stderr, "embedded: %s\n", to_string(done.error()).c_str());
  return 1;
}
