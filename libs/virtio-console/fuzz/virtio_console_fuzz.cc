// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver and a terminal: what the driver sends comes out, in order, and what is typed comes to
// the driver, in order.

#include <algorithm>

#include "device_fuzz.h"
#include "vmm/virtio_console/console.h"

namespace {

using Bytes = std::vector<std::byte>;

bool is_prefix(const Bytes& of, const Bytes& bytes) {
  return bytes.size() <= of.size() && std::equal(bytes.begin(), bytes.end(), of.begin());
}

/// Takes as much as the script lets it.
class Output final : public vmm::virtio_console::ConsoleOutput {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    const std::size_t taken = std::min(bytes.size(), room_);
    set_room(room_ - taken);
    const auto front = bytes.first(taken);
    if (!is_emergency) written.insert(written.end(), front.begin(), front.end());
    return taken;
  }
  [[nodiscard]] int room_fd() const override { return waits ? event_.fd() : -1; }
  void add_room(std::size_t bytes) { set_room(room_ + bytes); }

  bool waits = true;
  bool is_emergency = false;  // through the configuration space, not the queue
  Bytes written;              // since the start of the device

 private:
  // A counter that is at its highest value cannot be written to.
  void set_room(std::size_t bytes) {
    constexpr std::uint64_t kFull = ~std::uint64_t{1};
    if (room_ == 0 && bytes != 0) (void)event_.take();
    if (room_ != 0 && bytes == 0) (void)event_.add(kFull);
    room_ = bytes;
  }

  std::size_t room_ = 100;
  vmm::sys_util::EventFd event_ = *vmm::sys_util::EventFd::create();
};

class Watch final : public DriverWatch {
 public:
  explicit Watch(Output& output) : output_(output) {}

  void typed(const Bytes& bytes) { typed_.insert(typed_.end(), bytes.begin(), bytes.end()); }

  // What a driver got before a start is gone, and nobody knows how much that was.
  void started(std::uint64_t) override {
    is_known_ = true;
    output_.written.clear();
    sent_.clear();
    answered_ = 0;
    received_.clear();
    if (starts_++ != 0) typed_known_ = false;
  }
  void lost() override {
    is_known_ = false;
    typed_known_ = false;
  }
  std::uint64_t sent(std::uint16_t queue,
                     const vmm::virtio_device::testing::Request& request) override {
    const Exchange exchange{.queue = queue, .request = request, .answer = {}};
    if (queue == 0 || exchange.room() != 0) return 0;
    const Bytes bytes = exchange.sent();
    sent_.insert(sent_.end(), bytes.begin(), bytes.end());
    return bytes.size();
  }
  void answered(const Exchange& exchange) override {
    if (exchange.queue == 0) return receive(exchange);
    exchange.require_written(0);
    answered_ += exchange.mark;
    check_output();
  }
  void config_write(bool begins) override { output_.is_emergency = begins; }

  void check_output() const {
    if (!is_known_ || !output_.waits) return;
    require(is_prefix(sent_, output_.written));
    require(output_.written.size() >= answered_);
  }

 private:
  void receive(const Exchange& exchange) {
    const std::uint32_t bytes = exchange.answer.written;
    exchange.require_written(bytes);
    if (!Exchange(exchange).sent().empty()) return require(bytes == 0);
    require(bytes != 0 || exchange.room() == 0);
    const auto& from = exchange.answer.bytes;
    received_.insert(received_.end(), from.begin(), from.begin() + bytes);
    if (typed_known_) require(is_prefix(typed_, received_));
  }

  Output& output_;
  bool is_known_ = false;
  bool typed_known_ = true;
  int starts_ = 0;
  Bytes sent_;
  std::size_t answered_ = 0;  // bytes of requests that came back
  Bytes typed_;
  Bytes received_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Output output;
  output.waits = (input.byte() & 1) == 0;
  const auto device = *vmm::virtio_console::Console::create(
      {.output = &output, .capacity = 64, .size = {.columns = 80, .rows = 25}});
  Watch watch(output);
  const auto host_event = [&](Input& script) {
    watch.check_output();
    switch (script.byte() % 4) {
      case 0:
        output.add_room(script.byte());
        return;
      case 1:
        return device->resize({.columns = script.byte(), .rows = script.byte()});
      default:
        const std::size_t space = device->space();
        const Bytes bytes = script.bytes(script.byte() % 80u);
        const bool taken = device->enqueue(bytes);
        require(taken == (bytes.size() <= space));
        if (taken) watch.typed(bytes);
    }
  };
  fuzz_device(device, input, host_event, &watch);
  return 0;
}
