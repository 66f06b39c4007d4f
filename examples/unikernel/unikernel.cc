// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Runs a unikernel: an ELF kernel with one vCPU, RAM and a virtio console, and nothing else.
//
//   unikernel [--memory MIB] KERNEL [WORD...]
//
// The console is standard input and output; the words are the kernel's command line. It ends when
// the guest powers off; with 3 when it crashes or resets.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "arch.h"
#include "vmm/event_manager/loop_thread.h"
#include "vmm/kvm_board/doorbells.h"
#include "vmm/kvm_board/gsi_line.h"
#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/kvm_board/vcpu_runner.h"
#include "vmm/virtio_console/fd_port.h"
#include "vmm/virtio_mmio/mmio_transport.h"
#include "vmm/vm_superio/i8042.h"

namespace {

using namespace vmm;
using kvm_board::VcpuRunner;
using virtio_console::Console;
using virtio_console::FdInput;
using virtio_mmio::MmioTransport;

struct Options {
  std::uint64_t memory_mib = 64;
  const char* kernel = nullptr;
  std::string words;
};

Result<linux_loader::Cmdline> command_line(const Options& options,
                                           const linux_loader::LoadedKernel& kernel) {
  constexpr std::size_t kLongest = 2048;
  VMM_TRY(auto line,
          linux_loader::Cmdline::parse(options.words, std::min(kernel.cmdline_capacity, kLongest)));
  const auto [base, irq, gsi] = unikernel::console_place();
  VMM_TRY_DO(line.add_virtio_mmio({.size = MmioTransport::kSize, .base = base, .irq = irq}));
  return line;
}

Result<kvm_board::VcpuEnd> run(const Options& options) {
  VMM_TRY(const auto image, linux_loader::open_image(options.kernel));
  VMM_TRY(const auto ranges, unikernel::ram(options.memory_mib << 20));
  std::vector<vm_memory::RegionConfig> regions;
  for (const auto& [base, size] : ranges) regions.push_back({.base = base, .bytes = size});
  VMM_TRY(const auto memory, vm_memory::GuestMemory::create(regions));
  VMM_TRY(const auto kernel,
          linux_loader::load_kernel(memory.view(), image.source, unikernel::load_options()));
  VMM_TRY(const auto cmdline, command_line(options, kernel));

  VMM_TRY(const auto system, kvm_ioctls::System::open());
  VMM_TRY(const auto vm, unikernel::create_vm(system));
  VMM_TRY(const auto mapped, kvm_board::MappedMemory::create(vm, memory));
  VMM_TRY(auto vcpu, unikernel::create_vcpu(system, vm, {memory, kernel, cmdline}));

  virtio_console::FdOutput output(STDOUT_FILENO);
  VMM_TRY(const auto console, Console::create({.output = &output}));
  Result<std::unique_ptr<FdInput>> input = nullptr;  // ends behind its loop
  VMM_TRY(const auto io, event_manager::LoopThread::create("io"));
  io->call([&] { input = FdInput::create(io->loop(), STDIN_FILENO, *console); });
  if (!input) return fail(input.error());
  const auto [base, irq, gsi] = unikernel::console_place();
  virtio_device::LoopWorkers workers({&io->loop()});
  kvm_board::GsiLine line(vm, gsi);
  kvm_board::KvmDoorbells doorbells(vm);
  VMM_TRY(auto transport, MmioTransport::create({.device = console,
                                                 .memory = memory,
                                                 .workers = workers,
                                                 .irq = line,
                                                 .doorbells = doorbells,
                                                 .base = base}));
  vm_device::MmioBus mmio;
  VMM_TRY_DO(mmio.add(base, MmioTransport::kSize, std::move(transport)));
  vm_device::PioBus ports;
  VcpuRunner runner(std::move(vcpu), {.mmio = &mmio, .ports = &ports});
  // How a kernel without ACPI ends on x86_64: it resets the machine by the keyboard controller.
  VMM_TRY_DO(ports.add(vm_device::PioAddress(0x60), vm_superio::I8042::kSize,
                       std::make_shared<vm_superio::I8042>([&] { runner.request_stop(); })));
  return runner.run();
}

bool parse(int argc, char** argv, Options& options) {
  int at = 1;
  if (argc > 2 && std::strcmp(argv[1], "--memory") == 0) {
    char* end = nullptr;
    options.memory_mib = std::strtoul(argv[2], &end, 10);
    if (*end != '\0' || options.memory_mib > (1u << 20)) return false;
    at = 3;
  }
  if (at >= argc || argv[at][0] == '-') return false;
  options.kernel = argv[at++];
  for (; at < argc; ++at)
    options.words += (options.words.empty() ? "" : " ") + std::string(argv[at]);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr, "usage: unikernel [--memory MIB] KERNEL [WORD...]\n");
    return 2;
  }
  const Result<void> handled = VcpuRunner::handle_signal();
  const auto end = handled ? run(options) : fail(handled.error());
  if (!end) {
    std::fprintf(stderr, "unikernel: %s: %s\n", options.kernel, to_string(end.error()).c_str());
    return 1;
  }
  const bool well = *end != kvm_board::VcpuEnd::kReset && *end != kvm_board::VcpuEnd::kCrashed;
  if (well) return 0;
  std::fprintf(stderr, "unikernel: %s: the guest crashed, or reset the machine\n", options.kernel);
  return 3;
}
