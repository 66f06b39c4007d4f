// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_console/multiport.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "config.h"
#include "multiport_worker.h"
#include "ports.h"

namespace vmm::virtio_console {
namespace {

bool makes_sense(const PortOptions& port) {
  return port.output != nullptr && port.capacity != 0 && port.capacity <= Console::kMaxCapacity &&
         port.name.size() <= MultiportConsole::kMaxNameBytes &&
         port.name.find('\0') == std::string::npos;
}

// A byte of the state for each port: the news that wait, and these.
constexpr unsigned kReady = 1u << 4;
constexpr unsigned kToldConnected = 1u << 5;
constexpr unsigned kIsOpen = 1u << 6;

}  // namespace

MultiportConsole::MultiportConsole(std::shared_ptr<Ports> ports)
    : ports_(std::move(ports)), queue_sizes_(2 * (ports_->count() + 1), kQueueSize) {}

MultiportConsole::~MultiportConsole() = default;

Result<std::shared_ptr<MultiportConsole>> MultiportConsole::create(
    std::span<const PortOptions> ports) {
  if (ports.empty() || ports.size() > kMaxPorts || !std::ranges::all_of(ports, makes_sense)) {
    return fail(Error::os(EINVAL, "virtio console"));
  }
  std::vector<Ports::Port> made;
  for (const PortOptions& options : ports) {
    VMM_TRY(auto wake, sys_util::EventFd::create());
    made.push_back({.options = options,
                    .input = std::make_shared<PortInput>(options.capacity, std::move(wake))});
  }
  VMM_TRY(auto news, sys_util::EventFd::create());
  return std::shared_ptr<MultiportConsole>(
      new MultiportConsole(std::make_shared<Ports>(std::move(made), std::move(news))));
}

std::size_t MultiportConsole::port_count() const { return ports_->count(); }

ConsoleInput& MultiportConsole::input(std::size_t port) { return *(*ports_)[port].input; }

bool MultiportConsole::is_open(std::size_t port) const { return ports_->is_open(port); }

void MultiportConsole::set_on_open(std::size_t port, std::function<void(bool)> on_open) {
  ports_->set_on_open(port, std::move(on_open));
}

void MultiportConsole::set_connected(std::size_t port, bool connected) {
  ports_->set_connected(port, connected);
}

std::size_t MultiportConsole::config_bytes() const { return sizeof(Config); }

void MultiportConsole::read_config(std::span<std::byte> config) {
  Config fields{};
  fields.max_ports = Le32(static_cast<std::uint32_t>(ports_->count()));
  std::memcpy(config.data(), &fields, std::min(sizeof(fields), config.size()));
}

// The lowest byte of emerg_wr is a character, for a driver that has no queues yet: 5.3.4.
void MultiportConsole::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset == kEmergencyOffset && !data.empty()) {
    (void)(*ports_)[0].options.output->write(data.first(1));
  }
}

Result<virtio_device::WorkerList> MultiportConsole::activate(virtio_device::Activation activation) {
  if (!activation.has(kFeatureMultiport)) {
    for (std::size_t port = 0; port < ports_->count(); ++port) ports_->set_open(port, port == 0);
  }
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<MultiportWorker>(ports_, std::move(activation)));
  return workers;
}

void MultiportConsole::reset() {
  for (std::size_t port = 0; port < ports_->count(); ++port) {
    ports_->set_talk(port, {});
    ports_->set_open(port, false);
  }
}

std::vector<std::byte> MultiportConsole::save_state() {
  std::vector<std::byte> state;
  for (std::size_t port = 0; port < ports_->count(); ++port) {
    const Ports::Talk talk = ports_->talk(port);
    state.push_back(static_cast<std::byte>(talk.news | (talk.ready ? kReady : 0) |
                                           (talk.told_connected ? kToldConnected : 0) |
                                           (ports_->is_open(port) ? kIsOpen : 0)));
  }
  return state;
}

Result<void> MultiportConsole::load_state(std::span<const std::byte> state) {
  constexpr unsigned kOthers = kReady | kToldConnected | kIsOpen;
  bool good = state.size() == ports_->count();
  for (std::size_t port = 0; good && port < state.size(); ++port) {
    good = (std::to_integer<unsigned>(state[port]) & ~(ports_->news_of(port) | kOthers)) == 0;
  }
  if (!good) return fail(Error::os(EINVAL, "virtio console: state"));
  for (std::size_t port = 0; port < state.size(); ++port) {
    const auto bits = std::to_integer<unsigned>(state[port]);
    ports_->set_talk(port, {.news = static_cast<std::uint8_t>(bits & ~kOthers),
                            .ready = (bits & kReady) != 0,
                            .told_connected = (bits & kToldConnected) != 0});
    ports_->set_open(port, (bits & kIsOpen) != 0);
  }
  return {};
}

}  // namespace vmm::virtio_console
