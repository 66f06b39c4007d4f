// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vm.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "crash_terminal.h"
#include "device_names.h"
#include "opener.h"

namespace vmm::reference {
namespace {

using Numbers = std::vector<std::pair<const char*, std::uint64_t>>;

void add(const virtio_blk::BlkCounters& disk, Numbers& numbers) {
  const auto mean = [](const virtio_blk::TransferCounters& transfers) {
    return transfers.requests == 0 ? 0 : transfers.latency_total / transfers.requests;
  };
  for (const auto& [name, number] : Numbers{{"read_ops", disk.reads.requests},
                                            {"read_bytes", disk.reads.bytes},
                                            {"read_latency_min", disk.reads.latency_min},
                                            {"read_latency_max", disk.reads.latency_max},
                                            {"read_latency_avg", mean(disk.reads)},
                                            {"write_ops", disk.writes.requests},
                                            {"write_bytes", disk.writes.bytes},
                                            {"write_latency_min", disk.writes.latency_min},
                                            {"write_latency_max", disk.writes.latency_max},
                                            {"write_latency_avg", mean(disk.writes)},
                                            {"flushes", disk.flushes},
                                            {"errors", disk.errors},
                                            {"throttled", disk.throttled}}) {
    numbers.emplace_back(name, number);
  }
}

void add(const virtio_net::NetCounters& net, Numbers& numbers) {
  numbers.emplace_back("rx_frames", net.received.packets);
  numbers.emplace_back("rx_bytes", net.received.bytes);
  numbers.emplace_back("tx_frames", net.transmitted.packets);
  numbers.emplace_back("tx_bytes", net.transmitted.bytes);
}

}  // namespace

Outcome<std::unique_ptr<Vm>> Vm::create(VmConfig config, const Host& host) {
  std::unique_ptr<Vm> vm(new Vm(std::move(config), host));
  name_devices(vm->config_);
  VMM_TRY_DO(give_macs(vm->config_));
  VMM_TRY_DO(opening([&vm] { return check_host_paths(vm->config_); }));
  VMM_TRY_DO(vm->open_consoles());
  return vm;
}

Outcome<void> Vm::open_consoles() {
  VMM_TRY_DO(opening([this]() -> Outcome<void> {
    VMM_TRY(debug_console_, Console::open("--debug-console", config_.debug_console));
    VMM_TRY(serial_, Console::open("--serial", config_.serial));
    const bool serial_has_it = config_.serial.mode == ConsoleConfig::Mode::kTty;
    const auto terminal = serial_has_it ? Console::Terminal::kShared : Console::Terminal::kOwn;
    VMM_TRY(console_, Console::open("--console", config_.console, terminal));
    const Console& owner = serial_has_it ? *serial_ : *console_;
    return restore_terminal_on_crash(owner.terminal_before());
  }));
  struct Opened {
    const char* option;
    const Console& console;
    ConsoleConfig& config;
  };
  for (const Opened& opened : {Opened{"--debug-console", *debug_console_, config_.debug_console},
                               Opened{"--serial", *serial_, config_.serial},
                               Opened{"--console", *console_, config_.console}}) {
    if (opened.console.pty_path().empty()) continue;
    opened.config.path = opened.console.pty_path();
    std::fprintf(stderr, "%s: %s\n", opened.option, opened.console.pty_path().c_str());
  }
  VMM_TRY(serial_output_, serial_->watch_output(host_.loop));
  VMM_TRY(debug_output_, debug_console_->watch_output(host_.loop));
  VMM_TRY(console_output_, console_->watch_output(host_.loop));
  return {};
}

Vm::~Vm() {
  stop();
  for (const NetConfig& net : config_.nets) close_descriptors(net);
  for (auto* const output : {&serial_output_, &debug_output_, &console_output_}) output->reset();
  opening([this] {
    for (auto* const console : {&debug_console_, &serial_, &console_}) console->reset();
  });
}

Outcome<void> Vm::boot() {
  Outcome<void> done = assemble();
  if (done) done = stand_by();
  if (!done) stop();
  return done;
}

// The image comes before everything else, and KVM last: each mistake is told on every host.
Outcome<void> Vm::assemble() {
  VMM_TRY(GuestImage image, opening([this] { return load_image(config_); }));
  VMM_TRY_DO(open_devices());
  hot_devices_.emplace(config_, *devices_, host_.monitor);
  if (devices_->console() != nullptr) VMM_TRY_DO(feed_console());
  if (!system_) {
    VMM_STEP("/dev/kvm", system_, opening([] { return kvm_ioctls::System::open(); }));
  }
  return make_machine(std::move(image));
}

Outcome<void> Vm::open_devices() {
  VMM_TRY(devices_, opening([this] {
            return DeviceSet::create(
                config_,
                {.console = *console_, .events = host_.events, .device_events = device_events_});
          }));
  return {};
}

Outcome<void> Vm::make_machine(GuestImage image) {
  VMM_TRY(machine_, create_machine(
                        config_,
                        {.system = *system_,
                         .serial = *serial_,
                         .debug = *debug_console_,
                         .events = host_.events,
                         .loop = host_.loop,
                         .devices = *devices_,
                         .hotplug = host_.hotplug,
                         .on_removed = [this](const std::string& id) { hot_devices_->removed(id); },
                         .on_wanted = [this](const std::string& id) { hot_devices_->wanted(id); },
                         .on_guest_panic =
                             [&monitor = host_.monitor](const char* event) {
                               monitor.report(Event::kGuestPanic, {{"event", event}});
                             },
                         .on_memory_changed =
                             [this](const vm_memory::GuestMemory& memory) {
                               hot_devices_->memory_changed(memory);
                             }},
                        std::move(image)));
  hot_devices_->use_machine(machine_->hotplug());
  return {};
}

// What the user types reaches the virtio console, whichever machine it is in.
Outcome<void> Vm::feed_console() {
  virtio_console::Console& device = *devices_->console();
  console_input_ = std::make_unique<SerialInput>(
      *console_, host_.loop, [&events = host_.events] { events.report(VmEnd::kStopped); });
  console_input_->set_on_input([this] { fit_console(); });
  device.set_on_space([input = console_input_.get()] { input->input_space(); });
  return console_input_->start(device);
}

void Vm::fit_console() {
  if (devices_) devices_->fit_console(*console_);
}

void Vm::start() {
  serial_->begin();
  debug_console_->begin();
  console_->begin();
  machine_->start();
}

// The vCPUs first, as they may wait for the devices' threads; those go on before them.
void Vm::pause() {
  machine_->stop();
  if (machine_->hotplug() != nullptr) machine_->hotplug()->pause();
  devices_->pause();
  if (machine_->iommu() != nullptr) machine_->iommu()->slot().pause();
  paused_ = true;
}

// Of devices; not twice.
void Vm::resume_threads() {
  if (!std::exchange(paused_, false)) return;
  devices_->resume();
  if (machine_->iommu() != nullptr) machine_->iommu()->slot().resume();
}

void Vm::resume() {
  resume_threads();
  if (machine_->hotplug() != nullptr) machine_->hotplug()->resume();
  machine_->start();
}

// Stopped vCPUs stay so; what is taken apart waits for the devices' threads.
void Vm::take_machine_apart() {
  if (machine_ != nullptr) machine_->stop();
  resume_threads();
  device_events_.mute(true);
  // The end of its devices is the opener's business, and vm.info is asked for meanwhile.
  if (hot_devices_) hot_devices_->use_machine(nullptr);
  machine_.reset();
  if (hot_devices_) hot_devices_->forget_machine();
  if (devices_ && devices_->hot_memory() != nullptr) devices_->hot_memory()->release();
  device_events_.mute(false);
  host_.events.clear();
}

Outcome<void> Vm::reset() {
  take_machine_apart();
  Outcome<void> done = make_again();
  if (done) done = stand_by();
  if (!done) stop();
  return done;
}

Outcome<void> Vm::make_again() {
  VMM_TRY(GuestImage image, opening([this] { return load_image(config_); }));
  return make_machine(std::move(image));
}

void Vm::stop() {
  take_machine_apart();
  console_input_.reset();
  hot_devices_.reset();
  opening([this] { devices_.reset(); });
}

Result<std::optional<AddedDevice>, DeviceRefusal> Vm::add_device(const HotDevice& device) {
  HotDevice addressed = device;
  auto* const net = std::get_if<NetConfig>(&addressed);
  const Outcome<void> good = net == nullptr ? Outcome<void>() : give_mac(*net);
  auto added = good ? try_to_add(addressed)
                    : fail(DeviceRefusal{DeviceRefusal::Kind::kFailed, good.error().message});
  if (!added) close_descriptors(device);
  return added;
}

Result<std::optional<AddedDevice>, DeviceRefusal> Vm::try_to_add(const HotDevice& device) {
  if (!hot_devices_) {
    VMM_TRY_DO(opening([&] { return reference::add_device(config_, device); }));
    return std::optional<AddedDevice>();
  }
  VMM_TRY(AddedDevice added, hot_devices_->add(device));
  return std::optional(std::move(added));
}

Result<void, DeviceRefusal> Vm::remove_device(const std::string& id) {
  NetConfig removed;
  for (const NetConfig& net : config_.nets) {
    if (net.device.id == id) removed = net;
  }
  VMM_TRY_DO(hot_devices_ ? hot_devices_->remove(id) : reference::remove_device(config_, id));
  close_descriptors(removed);
  return {};
}

std::vector<Vm::Counters> Vm::counters() const {
  std::vector<Counters> all;
  for (const DeviceSlot& slot : devices_->slots()) {
    Counters counters{.id = slot.id,
                      .numbers = {{"activations", slot.observed->activations()},
                                  {"resets", slot.observed->resets()}}};
    if (slot.disk != nullptr) add(slot.disk->counters(), counters.numbers);
    if (slot.net != nullptr) add(slot.net->counters(), counters.numbers);
    all.push_back(std::move(counters));
  }
  return all;
}

std::uint64_t Vm::actual_memory() const {
  const auto* balloon = devices_ ? devices_->balloon() : nullptr;
  const std::uint64_t away = balloon == nullptr ? 0 : balloon->actual();
  const HotMemory* const hot = devices_ ? devices_->hot_memory() : nullptr;
  const std::uint64_t all = config_.memory.size + (hot == nullptr ? 0 : hot->device()->plugged());
  return all - std::min(away, all);
}

}  // namespace vmm::reference
