// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vcpu_thread.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <span>
#include <thread>

#include "host_cpus.h"
#include "thread_filters.h"
#include "vmm/base/log.h"
#include "vmm/kvm_board/vcpu_runner.h"
#include "vmm/sys_util/signal.h"
#include "vmm/sys_util/thread_name.h"

namespace vmm::reference {
namespace {

namespace exits = kvm_ioctls::exits;

int vcpu_signal() { return SIGRTMIN; }

std::string describe(const kvm_ioctls::VcpuExit& exit) {
  char text[160];
  if (const auto* error = std::get_if<exits::InternalError>(&exit)) {
    std::snprintf(text, sizeof(text), "KVM internal error %u", error->suberror);
    std::string line = text;
    for (const std::byte byte : error->instruction()) {
      std::snprintf(text, sizeof(text), " %02x", std::to_integer<unsigned>(byte));
      line += text;
    }
    return line;
  }
  if (const auto* entry = std::get_if<exits::FailEntry>(&exit)) {
    std::snprintf(text, sizeof(text), "the processor refused to enter the guest: reason %#llx",
                  static_cast<unsigned long long>(entry->hardware_reason));
    return text;
  }
  if (const auto* fault = std::get_if<exits::MemoryFault>(&exit)) {
    std::snprintf(text, sizeof(text), "memory fault at guest address %#llx",
                  static_cast<unsigned long long>(fault->address.raw()));
    return text;
  }
  if (const auto* event = std::get_if<exits::SystemEvent>(&exit)) {
    std::snprintf(text, sizeof(text), "unexpected system event %u", event->type);
    return text;
  }
  return std::string("unexpected exit: ") + kvm_ioctls::name_of(exit);
}

void trace_nobody(const char* what, GuestAddress address) {
  VMM_LOG_GUEST(kTrace, "%s %#llx, where no device is", what,
                static_cast<unsigned long long>(address.raw()));
}

}  // namespace

Outcome<void> prepare_vcpu_signal() {
  VMM_STEP_DO("vCPU signal", sys_util::set_empty_signal_handler(vcpu_signal()));
  return {};
}

VcpuThread::Options VcpuThread::options_for(const CpusConfig& config, std::uint32_t index) {
  Options options{.index = index, .host_cpus = {}};
  for (const auto& affinity : config.affinity) {
    if (affinity.vcpu == index) options.host_cpus = affinity.host_cpus;
  }
  return options;
}

VcpuThread::VcpuThread(kvm_ioctls::Vcpu vcpu, vm_device::MmioBus& mmio, VmEvents& events,
                       std::unique_ptr<ArchExits> arch, Options options)
    : vcpu_(std::move(vcpu)),
      kick_(vcpu_.kick_handle()),
      mmio_(mmio),
      events_(events),
      arch_(std::move(arch)),
      options_(std::move(options)) {}

VcpuThread::~VcpuThread() {
  request_stop();
  join();
}

void VcpuThread::begin() {
  stop_.store(false);
  go_.store(0);
  auto started = sys_util::Thread::start([this] { main(); });
  if (started) {
    thread_ = *std::move(started);
    return;
  }
  placed_ = fail(runtime("vCPU " + std::to_string(options_.index), started.error()));
  standing_.release();
}

Outcome<void> VcpuThread::standing() {
  standing_.acquire();
  return std::move(placed_);
}

void VcpuThread::start() {
  go_.store(1);
  go_.notify_one();
}

// The flag first, then the request in the run page, then the signal: whichever point of its loop
// the thread is at, it sees one of the three before it is in the guest for good.
void VcpuThread::request_stop() {
  stop_.store(true);
  kick_.request();
  start();  // it may still wait for that
  kick();
}

void VcpuThread::request_nmi() {
  nmi_.store(true);
  kick();
}

void VcpuThread::kick() const {
  const int thread = thread_id_.load();
  if (thread != 0) (void)kick_.kick(thread, vcpu_signal()).has_value();  // it may be gone already
}

// One signal can come too early: just before the thread begins to wait in a write to a console
// whose reader has stopped. So it is repeated, ever more rarely, until the thread is out.
void VcpuThread::join() {
  if (!thread_.joinable()) return;
  for (auto wait = std::chrono::milliseconds(1); thread_id_.load() != 0;
       wait = std::min(2 * wait, std::chrono::milliseconds(100))) {
    std::this_thread::sleep_for(wait);
    kick();
  }
  thread_.join();
}

// On the host's CPUs, and behind its filter.
Outcome<void> VcpuThread::take_place() const {
  VMM_TRY_DO(
      run_on(options_.host_cpus, "--cpus: affinity: vCPU " + std::to_string(options_.index)));
  if (cores_ != nullptr) VMM_TRY_DO(cores_->enter());
  return enter_filter(ThreadKind::kVcpu);
}

void VcpuThread::main() {
  char name[16];
  std::snprintf(name, sizeof(name), "vcpu%u", options_.index);
  sys_util::set_thread_name(name);
  VMM_LOG(kDebug, "%s: thread %d", name, ::gettid());
  kick_.clear();  // of the stop before, if this is not the first start
  thread_id_.store(::gettid());
  placed_ = take_place();
  const bool placed = placed_.has_value();
  standing_.release();
  if (placed) {
    go_.wait(0);
    run();
  }
  thread_id_.store(0);
}

void VcpuThread::run() {
  while (!stop_.load()) {
    if (nmi_.exchange(false)) {
      kick_.clear();
      arch_->inject_nmi(vcpu_);
      continue;  // a stop may have come with the same kick
    }
    const Result<kvm_ioctls::VcpuExit> exit = vcpu_.run();
    if (!exit) {
      events_.report(runtime("vCPU " + std::to_string(options_.index), exit.error()));
      return;
    }
    if (!handle(*exit)) return;
  }
}

// An access that no device takes reads as all ones (the bus has filled the data in) and is dropped
// on a write, as on real buses.
bool VcpuThread::handle(const kvm_ioctls::VcpuExit& exit) {
  if (const auto* store = std::get_if<exits::MmioWrite>(&exit)) {
    if (!mmio_.write(store->address, store->data)) trace_nobody("write to", store->address);
    return true;
  }
  if (const auto* load = std::get_if<exits::MmioRead>(&exit)) {
    if (!mmio_.read(load->address, load->data)) trace_nobody("read from", load->address);
    return true;
  }
  return arch_->handle(vcpu_, exit) || handle_other(exit);
}

bool VcpuThread::handle_other(const kvm_ioctls::VcpuExit& exit) {
  if (std::holds_alternative<exits::Interrupted>(exit)) return true;
  if (std::holds_alternative<exits::Shutdown>(exit)) {  // a triple fault
    events_.report(VmEnd::kReset);
    return false;
  }
  if (const auto* event = std::get_if<exits::SystemEvent>(&exit)) {
    const auto end = kvm_board::end_of(*event);
    if (event->type == exits::SystemEvent::kCrash) {  // what comes of it, the guest decides
      VMM_LOG_GUEST(kWarn, "vCPU %u: the guest tells of its crash", options_.index);
      return true;
    }
    if (end == kvm_board::VcpuEnd::kPowerOff || end == kvm_board::VcpuEnd::kReset) {
      events_.report(end == kvm_board::VcpuEnd::kReset ? VmEnd::kReset : VmEnd::kPowerOff);
      return false;
    }
  }
  events_.report(runtime("vCPU " + std::to_string(options_.index) + ": " + describe(exit)));
  return false;
}

}  // namespace vmm::reference
