// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_console/console.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "config.h"
#include "port_input.h"
#include "port_server.h"

namespace vmm::virtio_console {
namespace {

constexpr std::uint16_t kReceiveQueue = 0;

/// Serves both queues of the only port.
class ConsoleWorker final : public virtio_device::Worker {
 public:
  ConsoleWorker(ConsoleOutput& output, std::shared_ptr<PortInput> input,
                virtio_device::Activation activation)
      : port_(output, std::move(input)),
        interrupt_(std::move(activation.interrupt)),
        waiting_(std::move(activation.queues)) {}

  Result<void> start(event_manager::EventLoop& loop) override {
    loop_ = &loop;
    for (virtio_device::ActiveQueue& queue : waiting_) VMM_TRY_DO(start_queue(queue));
    waiting_.clear();
    return {};
  }
  Result<void> start_queue(virtio_device::ActiveQueue& queue) override {
    return queue.index == kReceiveQueue
               ? port_.start_receive(*loop_, std::move(queue), interrupt_)
               : port_.start_transmit(*loop_, std::move(queue), interrupt_);
  }
  [[nodiscard]] bool stop_queue(std::uint16_t index) override {
    index == kReceiveQueue ? port_.stop_receive() : port_.stop_transmit();
    return true;
  }
  void drain() override { port_.drain(); }

 private:
  PortServer port_;
  std::shared_ptr<virtio_device::Interrupt> interrupt_;
  std::vector<virtio_device::ActiveQueue> waiting_;  // for start()
  event_manager::EventLoop* loop_ = nullptr;
};

}  // namespace

Console::Console(const Options& options, std::shared_ptr<PortInput> input)
    : output_(*options.output), input_(std::move(input)), size_(options.size) {}

Console::~Console() = default;

Result<std::shared_ptr<Console>> Console::create(const Options& options) {
  if (options.output == nullptr || options.capacity == 0 || options.capacity > kMaxCapacity) {
    return fail(Error::os(EINVAL, "virtio console"));
  }
  VMM_TRY(auto wake, sys_util::EventFd::create());
  auto input = std::make_shared<PortInput>(options.capacity, std::move(wake));
  return std::shared_ptr<Console>(new Console(options, std::move(input)));
}

std::size_t Console::space() { return input_->space(); }

void Console::set_on_space(std::function<void()> on_space) {
  input_->set_on_space(std::move(on_space));
}

bool Console::enqueue(std::span<const std::byte> bytes) { return input_->enqueue(bytes); }

void Console::resize(const TerminalSize& size) {
  std::shared_ptr<virtio_device::Interrupt> interrupt;
  {
    const MutexLock lock(mutex_);
    if (size_ == size) return;
    size_ = size;
    interrupt = interrupt_;
  }
  if (interrupt != nullptr) interrupt->config_changed();
}

std::size_t Console::config_bytes() const { return sizeof(Config); }

void Console::read_config(std::span<std::byte> config) {
  Config fields{};
  {
    const MutexLock lock(mutex_);
    fields.columns = Le16(size_.columns);
    fields.rows = Le16(size_.rows);
  }
  fields.max_ports = Le32(1);
  std::memcpy(config.data(), &fields, std::min(sizeof(fields), config.size()));
}

// The lowest byte of emerg_wr is a character, for a driver that has no queues yet: 5.3.4.
void Console::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset == kEmergencyOffset && !data.empty()) (void)output_.write(data.first(1));
}

Result<virtio_device::WorkerList> Console::activate(virtio_device::Activation activation) {
  bool has_size = false;
  {
    const MutexLock lock(mutex_);
    if (activation.has(kFeatureSize)) interrupt_ = activation.interrupt;
    has_size = interrupt_ != nullptr && size_ != TerminalSize();
  }
  // Linux reads the size when it hears that it has changed, and not before.
  if (has_size) activation.interrupt->config_changed();
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<ConsoleWorker>(output_, input_, std::move(activation)));
  return workers;
}

void Console::reset() {
  const MutexLock lock(mutex_);
  interrupt_.reset();
}

}  // namespace vmm::virtio_console
