// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm.h"

#include <signal.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <optional>
#include <utility>

#include "console.h"
#include "device_set.h"
#include "machine.h"
#include "serial_input.h"
#include "vcpu_thread.h"
#include "vm_events.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/kvm_ioctls/system.h"
#include "vmm/sys_util/signal.h"
#include "vmm/sys_util/signal_fd.h"

namespace vmm::reference {
namespace {

using event_manager::EventLoop;

// What the handler of fatal signals restores. Written once, before the handler is installed.
constinit sys_util::TerminalSettings g_terminal_before;

void restore_and_die(int number) {
  g_terminal_before.restore();
  ::signal(number, SIG_DFL);
  ::raise(number);
}

// A crash must not leave the user with a raw terminal.
Outcome<void> restore_terminal_on_crash(const Console& console) {
  if (!console.terminal_before().is_terminal()) return {};
  g_terminal_before = console.terminal_before();
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, SIGQUIT}) {
    VMM_STEP_DO("signals", sys_util::set_signal_handler(number, &restore_and_die));
  }
  return {};
}

// Files that the VMM makes are the user's alone, and the descriptor table is grown while there is
// one thread, as growing it later makes every thread wait.
Outcome<void> prepare_process() {
  ::umask(077);
  VMM_STEP_DO("signals", sys_util::ignore_signal(SIGPIPE));
  VMM_STEP_DO("signals", sys_util::ignore_signal(SIGCHLD));
  return prepare_vcpu_signal();
}

/// The control loop of one VMM process.
class Vmm {
 public:
  explicit Vmm(const VmConfig& config) : config_(config) {}

  Outcome<void> run();

 private:
  Outcome<void> open_everything();
  Outcome<void> feed_console();
  Outcome<VmEnd> run_machine(GuestImage image);
  void take_signal();

  const VmConfig& config_;
  std::optional<kvm_ioctls::System> system_;
  std::optional<sys_util::SignalFd> signals_;
  std::optional<VmEvents> events_;
  std::optional<EventLoop> loop_;
  std::unique_ptr<Console> serial_;
  std::unique_ptr<Console> debug_console_;
  std::unique_ptr<Console> console_;
  std::unique_ptr<SerialInput> console_input_;
  event_manager::Registration serial_output_;
  event_manager::Registration debug_output_;
  event_manager::Registration console_output_;
  std::optional<DeviceSet> devices_;
  std::unique_ptr<Machine> machine_;
};

Outcome<void> Vmm::open_everything() {
  VMM_TRY_DO(prepare_process());
  constexpr std::array kSignals{SIGTERM, SIGINT, SIGHUP, SIGUSR1};
  VMM_STEP("signals", signals_, sys_util::SignalFd::create(kSignals));
  VMM_STEP("events", auto events, VmEvents::create());
  events_.emplace(std::move(events));
  VMM_STEP("event loop", loop_, EventLoop::create());
  VMM_TRY(debug_console_, Console::open("--debug-console", config_.debug_console));
  VMM_TRY(serial_, Console::open("--serial", config_.serial));
  VMM_TRY(console_, Console::open("--console", config_.console));
  for (const auto& [option, console] :
       {std::pair("--debug-console", debug_console_.get()), std::pair("--serial", serial_.get()),
        std::pair("--console", console_.get())}) {
    if (console->pty_path().empty()) continue;
    std::fprintf(stderr, "%s: %s\n", option, console->pty_path().c_str());
  }
  VMM_TRY(serial_output_, serial_->watch_output(*loop_));
  VMM_TRY(debug_output_, debug_console_->watch_output(*loop_));
  VMM_TRY(console_output_, console_->watch_output(*loop_));
  const bool serial_has_it = config_.serial.mode == ConsoleConfig::Mode::kTty;
  return restore_terminal_on_crash(serial_has_it ? *serial_ : *console_);
}

// The images come first, then the consoles, then KVM: each mistake is told on every host, and a
// file for a console that was made for nothing is taken away again.
Outcome<void> Vmm::run() {
  VMM_TRY(GuestImage image, load_image(config_));
  VMM_TRY_DO(open_everything());
  VMM_TRY(devices_, DeviceSet::create(config_, *console_, *events_));
  if (devices_->console() != nullptr) VMM_TRY_DO(feed_console());
  VMM_STEP("/dev/kvm", system_, kvm_ioctls::System::open());
  for (;;) {
    VMM_TRY(const VmEnd end, run_machine(std::move(image)));
    machine_.reset();  // stops and joins its threads
    if (end == VmEnd::kFailed) return fail(events_->failure());
    if (end != VmEnd::kReset) return {};
    events_->clear();
    VMM_TRY(image, load_image(config_));
  }
}

// What the user types reaches the virtio console; it lives as long as we do.
Outcome<void> Vmm::feed_console() {
  virtio_console::Console& device = *devices_->console();
  console_input_ = std::make_unique<SerialInput>(*console_, *loop_,
                                                 [this] { events_->report(VmEnd::kStopped); });
  device.set_on_space([input = console_input_.get()] { input->input_space(); });
  return console_input_->start(device);
}

Outcome<VmEnd> Vmm::run_machine(GuestImage image) {
  VMM_TRY(machine_, create_machine(config_,
                                   {.system = *system_,
                                    .serial = *serial_,
                                    .debug = *debug_console_,
                                    .events = *events_,
                                    .loop = *loop_,
                                    .devices = *devices_},
                                   std::move(image)));
  VMM_STEP("events", const auto end_watch,
           loop_->add(events_->fd(), event_manager::kReadable,
                      [this](event_manager::EventSet) { loop_->stop(); }));
  VMM_STEP("signals", const auto signal_watch,
           loop_->add(signals_->fd(), event_manager::kReadable,
                      [this](event_manager::EventSet) { take_signal(); }));
  serial_->begin();
  debug_console_->begin();
  console_->begin();
  machine_->start();
  VMM_STEP_DO("event loop", loop_->run());
  return events_->end();
}

// SIGUSR1 presses the power button; the others end the VM.
void Vmm::take_signal() {
  const auto signal = signals_->take();
  if (!signal || !*signal) return;
  if ((*signal)->number == SIGUSR1) {
    machine_->press_power_button();
  } else {
    events_->report(VmEnd::kStopped);
  }
}

}  // namespace

Outcome<void> run_vmm(const VmConfig& config) { return Vmm(config).run(); }

}  // namespace vmm::reference
