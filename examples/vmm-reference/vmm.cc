// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "api_service.h"
#include "end_request.h"
#include "event_monitor.h"
#include "launcher.h"
#include "opener.h"
#include "thread_filters.h"
#include "vcpu_thread.h"
#include "vm_control.h"
#include "vm_events.h"
#include "vmm/base/log.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/signal.h"
#include "vmm/sys_util/signal_fd.h"

namespace vmm::reference {
namespace {

using event_manager::EventLoop;

// The kernel makes every thread wait when the descriptor table of a process with threads grows.
void grow_descriptor_table() {
  constexpr rlim_t kDescriptors = 4096;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto last = static_cast<int>(std::min(limit.rlim_cur, kDescriptors)) - 1;
  const UniqueFd any(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (any) const UniqueFd high(::fcntl(any.get(), F_DUPFD_CLOEXEC, last));
}

// Files that the VMM makes are the user's alone.
Outcome<void> prepare_process() {
  ::umask(077);
  grow_descriptor_table();
  VMM_STEP_DO("signals", sys_util::ignore_signal(SIGPIPE));
  VMM_STEP_DO("signals", sys_util::ignore_signal(SIGCHLD));
  return prepare_vcpu_signal();
}

/// The control loop of one VMM process.
class Vmm {
 public:
  explicit Vmm(const VmmOptions& options) : options_(options) {}
  Vmm(const Vmm&) = delete;
  Vmm& operator=(const Vmm&) = delete;
  ~Vmm() { forget_ends(); }

  Outcome<void> run();

 private:
  Outcome<void> open_everything();
  Outcome<void> begin_net_launcher();
  Outcome<void> boot(const VmConfig& config);
  Outcome<void> serve();
  void take_end();
  void take_signal();

  const VmmOptions& options_;
  std::optional<sys_util::SignalFd> ends_;
  std::optional<sys_util::SignalFd> signals_;
  std::unique_ptr<EventMonitor> monitor_;
  std::unique_ptr<Opener> opener_;
  std::optional<VmEvents> events_;
  std::optional<EventLoop> loop_;
  std::optional<VmControl> control_;
  std::unique_ptr<ApiService> api_;
};

Outcome<void> Vmm::open_everything() {
  VMM_TRY_DO(prepare_process());
  VMM_TRY(ends_, receive_ends());
  constexpr std::array kSignals{SIGUSR1, SIGWINCH};
  VMM_STEP("signals", signals_, sys_util::SignalFd::create(kSignals));
  VMM_TRY_DO(begin_net_launcher());
  VMM_TRY_DO(prepare_filters(options_.seccomp));
  VMM_TRY(monitor_, EventMonitor::open(options_.event_monitor,
                                       [] { return enter_filter(ThreadKind::kEvents); }));
  VMM_TRY(opener_, Opener::start());
  monitor_->report(Event::kVmmStarting);
  VMM_STEP("events", auto events, VmEvents::create());
  events_.emplace(std::move(events));
  VMM_STEP("event loop", loop_, EventLoop::create());
  control_.emplace(Vm::Host{.loop = *loop_,
                            .events = *events_,
                            .monitor = *monitor_,
                            .hotplug = options_.api_socket.given()},
                   VmControl::Options{.stay_after_power_off = options_.no_shutdown,
                                      .landlock = options_.landlock,
                                      .landlock_rules = options_.landlock_rules,
                                      .api_socket = options_.api_socket.path,
                                      .on_end = [this] { loop_->stop(); }});
  if (options_.api_socket.given()) {
    VMM_TRY(api_, ApiService::open(options_.api_socket, {.loop = *loop_, .control = *control_},
                                   options_.version));
  }
  VMM_TRY_DO(enter_filter(ThreadKind::kControl));
  monitor_->report(Event::kVmmStarted);
  return {};
}

// Behind filters, nothing can be started any more; clients may ask for any device later.
Outcome<void> Vmm::begin_net_launcher() {
  const bool has_one = options_.vm && std::ranges::any_of(options_.vm->nets, &NetConfig::user);
  if (!has_one && !options_.api_socket.given()) return {};
  VMM_STEP_DO("--net: user", net_user::begin_launcher());
  return {};
}

// What fails as the process is to end has been given up for that.
Outcome<void> Vmm::run() {
  if (auto opened = open_everything(); !opened) {
    if (end_is_asked()) return {};
    return opened;
  }
  if (options_.vm) {
    auto booted = boot(*options_.vm);
    if (!booted && !end_is_asked()) return booted;
  }
  VMM_TRY_DO(serve());
  control_->finish();
  api_.reset();
  if (auto failure = control_->take_failure()) return fail(*std::move(failure));
  return {};
}

Outcome<void> Vmm::boot(const VmConfig& config) {
  if (!options_.landlock_rules.empty() && !options_.landlock && !config.landlock) {
    VMM_LOG(kWarn, "--landlock-rules: without --landlock, any file can be opened");
  }
  if (!config.memory.file.empty()) {
    VMM_LOG(kWarn, "--memory: file=%s: passed over; --pmem gives a guest a file",
            config.memory.file.c_str());
  }
  auto booted = control_->create(config);
  if (booted) booted = control_->boot();
  if (booted) return {};
  const CallFailure& failure = booted.error();
  const bool usage_error = failure.kind == CallFailure::Kind::kBadRequest;
  return fail(usage_error ? usage(failure.message) : runtime(failure.message));
}

Outcome<void> Vmm::serve() {
  VMM_STEP("events", const auto end_watch,
           loop_->add(events_->fd(), event_manager::kReadable,
                      [this](event_manager::EventSet) { control_->take_end(); }));
  VMM_STEP("signals", const auto end_signal_watch,
           loop_->add(ends_->fd(), event_manager::kReadable,
                      [this](event_manager::EventSet) { take_end(); }));
  VMM_STEP("signals", const auto signal_watch,
           loop_->add(signals_->fd(), event_manager::kReadable,
                      [this](event_manager::EventSet) { take_signal(); }));
  VMM_STEP_DO("event loop", loop_->run());
  return {};
}

// From here on nobody gives up what he waits for: the VM is taken apart in order.
void Vmm::take_end() {
  (void)ends_->take().has_value();
  loop_->stop();
}

// SIGUSR1 presses the power button, SIGWINCH tells of the terminal's size.
void Vmm::take_signal() {
  const auto signal = signals_->take();
  if (!signal || !*signal) return;
  if ((*signal)->number == SIGUSR1) {
    (void)control_->press_power_button().has_value();  // without a VM there is none
  } else {
    control_->fit_console();
  }
}

}  // namespace

Outcome<void> run_vmm(const VmmOptions& options) { return Vmm(options).run(); }

}  // namespace vmm::reference
