// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_board/vcpu_runner.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "vmm/base/log.h"
#include "vmm/sys_util/signal.h"

namespace vmm::kvm_board {
namespace {

namespace exits = kvm_ioctls::exits;
using vm_device::PioAddress;

int vcpu_signal() { return SIGRTMIN; }

/// Calls `access` with each item of string I/O.
template <class Exit, class Access>
void for_each_item(const Exit& exit, Access access) {
  for (std::size_t i = 0; i < exit.count; ++i) {
    access(PioAddress(exit.port), exit.data.subspan(i * exit.item_bytes, exit.item_bytes));
  }
}

}  // namespace

std::optional<VcpuEnd> end_of(const exits::SystemEvent& event) {
  switch (event.type) {
    case exits::SystemEvent::kShutdown:
      return VcpuEnd::kPowerOff;
    case exits::SystemEvent::kReset:
      return VcpuEnd::kReset;
    case exits::SystemEvent::kCrash:
    case exits::SystemEvent::kSevTerm:
    case exits::SystemEvent::kTdxFatal:
      return VcpuEnd::kCrashed;
    default:
      return std::nullopt;
  }
}

Result<void> VcpuRunner::handle_signal() {
  return sys_util::set_empty_signal_handler(vcpu_signal());
}

VcpuRunner::VcpuRunner(kvm_ioctls::Vcpu vcpu, const Wiring& wiring)
    : vcpu_(std::move(vcpu)),
      kick_(vcpu_.kick_handle()),
      mmio_(*wiring.mmio),
      other_exits_(wiring.other_exits) {
  if (wiring.ports != nullptr) ports_.emplace(*wiring.ports);
}

Result<VcpuEnd> VcpuRunner::run() {
  thread_.store(::gettid());
  Result<VcpuEnd> result = VcpuEnd::kStopped;
  for (bool running = true; running && !stop_.load();) {
    Result<kvm_ioctls::VcpuExit> exit = vcpu_.run();
    if (!exit) {
      result = fail(exit.error());
      break;
    }
    Result<std::optional<VcpuEnd>> answered = answer(*exit);
    if (!answered) {
      result = fail(answered.error());
      running = false;
    } else if (answered->has_value()) {
      result = **answered;
      running = false;
    }
  }
  stop_.store(false);
  thread_.store(0);
  return result;
}

// The flag first, then the request in the run page, then the signal: whichever point of its loop
// the thread is at, it sees one of the three before it is in the guest for good.
void VcpuRunner::request_stop() {
  stop_.store(true);
  kick_.request();
  const int thread = thread_.load();
  if (thread != 0) (void)kick_.kick(thread, vcpu_signal()).has_value();  // it may be gone already
}

// One signal can come too early, just before the thread begins to wait in a device; so it is
// repeated.
void VcpuRunner::stop() {
  constexpr std::chrono::milliseconds kLongest(100);
  request_stop();
  for (auto wait = std::chrono::milliseconds(1); thread_.load() != 0;
       wait = std::min(2 * wait, kLongest)) {
    std::this_thread::sleep_for(wait);
    if (const int thread = thread_.load()) (void)kick_.kick(thread, vcpu_signal()).has_value();
  }
}

bool VcpuRunner::answer_access(const kvm_ioctls::VcpuExit& exit) {
  if (const auto* store = std::get_if<exits::MmioWrite>(&exit)) {
    (void)mmio_.write(store->address, store->data);
  } else if (const auto* load = std::get_if<exits::MmioRead>(&exit)) {
    (void)mmio_.read(load->address, load->data);
  } else if (const auto* out = std::get_if<exits::IoOut>(&exit)) {
    if (ports_) for_each_item(*out, [&](auto at, auto data) { (void)ports_->write(at, data); });
  } else if (const auto* in = std::get_if<exits::IoIn>(&exit)) {
    std::ranges::fill(in->data, std::byte{0xff});
    if (ports_) for_each_item(*in, [&](auto at, auto data) { (void)ports_->read(at, data); });
  } else {
    return false;
  }
  return true;
}

Result<std::optional<VcpuEnd>> VcpuRunner::answer(const kvm_ioctls::VcpuExit& exit) {
  const std::optional<VcpuEnd> go_on;
  if (answer_access(exit)) return go_on;
  if (std::holds_alternative<exits::Interrupted>(exit)) {
    kick_.clear();  // before the flag is looked at, which is set before the request
    return go_on;
  }
  if (other_exits_ && other_exits_(vcpu_, exit)) return go_on;
  if (std::holds_alternative<exits::Hlt>(exit)) return std::optional(VcpuEnd::kHalted);
  if (std::holds_alternative<exits::Shutdown>(exit)) return std::optional(VcpuEnd::kReset);
  if (const auto* event = std::get_if<exits::SystemEvent>(&exit)) {
    if (const auto end = end_of(*event)) return end;
  }
  VMM_LOG(kError, "vCPU: %s", kvm_ioctls::name_of(exit));
  return fail(Error::os(EIO, "answer an exit of the vCPU"));
}

}  // namespace vmm::kvm_board
