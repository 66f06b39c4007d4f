// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-net-frames SOCKET PAIRS [packed] [server]: has a vhost-user back end serve a network
// device, and is its driver; with `server` the back end is the one that connects. What it does is
// said line by line on its standard input, and answered by a line:
//
//   echo COUNT BYTES   sends frames on all pairs, which somebody has to send back with their
//                      addresses exchanged: "echo N", how many came back as they should
//   try BYTES          one frame on each pair, which may be lost: "try 0" when one was
//   restart            resets the device and starts it again: "restart 1"; 0 when it does not start
//   grow               plugs memory, where the buffers are from then on: "grow 1"
//   features           the features that were chosen: "features NUMBER"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "vmm/event_manager/loop_thread.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vhost_user_frontend/remote_device.h"
#include "vmm/virtio_device/transport_core.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_queue/driver/driver.h"
#include "vmm/vm_memory/guest_memory.h"

namespace {

using namespace vmm;
using vhost_user_frontend::RemoteDevice;
using virtio_net::NetFeature;
using virtio_queue::driver::Buffer;
using virtio_queue::driver::Driver;
using Clock = std::chrono::steady_clock;

constexpr std::uint16_t kQueueSize = 64;
constexpr std::uint32_t kBufferBytes = 2048;
constexpr std::uint64_t kQueueBuffers = std::uint64_t{kQueueSize} * kBufferBytes;
constexpr std::uint64_t kRamBytes = 4 << 20;
constexpr std::uint64_t kMoreRam = 0x1'0000'0000;
constexpr std::size_t kLeastFrame = 18;  // two addresses, a type, and a number of ours
constexpr std::size_t kMostFrame = 1514;
constexpr std::chrono::milliseconds kPatience{10'000};
constexpr std::chrono::milliseconds kTryPatience{500};
constexpr std::chrono::seconds kConnectPatience{60};

constexpr std::array<std::uint8_t, 14> kFrameHeader{0x52, 0x54, 0, 0, 0, 1,    0x52,
                                                    0x54, 0,    0, 0, 2, 0x88, 0xb5};

/// The driver looks for itself.
struct NoInterrupts final : virtio_device::InterruptSink {
  void queue_interrupt(std::uint16_t) override {}
  void config_interrupt() override {}
  int queue_interrupt_fd(std::uint16_t) override { return -1; }
};

struct Queue {
  Driver driver;
  struct Place {
    std::uint16_t slot = 0;
    GuestAddress address;
  };
  std::vector<Place> places = {};        ///< the buffer that a token names
  std::vector<std::uint16_t> free = {};  ///< slots that are not with the device
};

class Machine {
 public:
  Machine(std::string socket, std::uint16_t pairs, bool packed)
      : socket_(std::move(socket)), pairs_(pairs), packed_(packed) {}

  /// From now on back ends connect.
  Result<void> listen();
  Result<void> connect();
  Result<void> start();
  Result<void> restart();
  Result<void> grow();
  /// How many of `count` frames came back.
  Result<unsigned> echo(unsigned count, std::size_t bytes, std::chrono::milliseconds patience);
  [[nodiscard]] std::uint64_t features() const { return features_; }
  [[nodiscard]] unsigned pairs() const { return pairs_; }

 private:
  Result<UniqueFd> back_end();
  Result<void> make_device();
  [[nodiscard]] std::uint64_t wanted_features() const;
  Result<void> start_queue(std::uint16_t index);
  Result<void> offer(std::uint16_t index, std::uint16_t slot, std::uint32_t bytes);
  Result<void> send(std::uint16_t index, std::uint32_t number, std::size_t bytes);
  Result<bool> receive(std::uint16_t index, std::size_t bytes, std::vector<bool>& seen);
  [[nodiscard]] GuestAddress buffer(std::uint16_t index, std::uint16_t slot) const {
    return GuestAddress(buffers_ + index * kQueueBuffers + std::uint64_t{slot} * kBufferBytes);
  }

  std::string socket_;
  std::uint16_t pairs_;
  bool packed_;
  std::optional<sys_util::UnixListener> listener_;
  std::uint64_t features_ = 0;
  std::uint64_t buffers_ = 1 << 20;
  std::uint32_t next_number_ = 0;   // of frames
  std::uint32_t first_number_ = 0;  // of those that are waited for
  vm_memory::GuestMemory memory_ = vm_memory::GuestMemory::adopt(vm_memory::RegionMap::empty());
  std::unique_ptr<event_manager::LoopThread> io_;
  std::unique_ptr<virtio_device::LoopWorkers> workers_;
  NoInterrupts sink_;
  std::shared_ptr<RemoteDevice> device_;
  std::unique_ptr<virtio_device::TransportCore> core_;
  std::vector<Queue> queues_;
};

Result<void> Machine::listen() {
  VMM_TRY(auto listener, sys_util::UnixListener::create(socket_));
  listener_.emplace(std::move(listener));
  return {};
}

Result<UniqueFd> Machine::back_end() {
  if (!listener_) return sys_util::connect_unix(socket_);
  VMM_TRY(auto next, listener_->accept());
  if (!next) return fail(Error::os(EAGAIN, "no back end"));
  return *std::move(next);
}

// The first one may take its time.
Result<void> Machine::make_device() {
  const vhost_user_frontend::RemoteOptions options{
      .type = virtio_device::DeviceType::kNet,
      .queue_sizes = std::vector<std::uint16_t>(std::size_t{2} * pairs_, kQueueSize),
      .least_queues = pairs_,
      .config = std::vector<std::byte>(12),
      .own_config = {{.offset = 0, .bytes = 12}}};
  const auto end = Clock::now() + kConnectPatience;
  while (true) {
    auto made = RemoteDevice::create(options, [this] { return back_end(); });
    const bool nobody = !made && (made.error().is_os(EAGAIN) || made.error().is_os(ENOENT) ||
                                  made.error().is_os(ECONNREFUSED));
    if (!nobody || Clock::now() >= end) {
      VMM_TRY(device_, std::move(made));
      return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

Result<void> Machine::connect() {
  VMM_TRY_DO(memory_.plug(
      {.base = GuestAddress(0), .bytes = kRamBytes, .backing = vm_memory::Backing::kMemfd}));
  VMM_TRY(io_, event_manager::LoopThread::create("io"));
  workers_ = std::make_unique<virtio_device::LoopWorkers>(
      std::vector<event_manager::EventLoop*>{&io_->loop()});
  VMM_TRY_DO(make_device());
  VMM_TRY(core_,
          virtio_device::TransportCore::create({.device = device_,
                                                .memory = memory_,
                                                .workers = *workers_,
                                                .sink = sink_,
                                                .queue_features = device_->ring_features()}));
  return start();
}

std::uint64_t Machine::wanted_features() const {
  return virtio_device::kFeatureVersion1 | (packed_ ? virtio_queue::kFeaturePacked : 0) |
         bit(NetFeature::kMrgRxbuf) | (pairs_ > 1 ? bit(NetFeature::kMq) : 0);
}

Result<void> Machine::start() {
  for (const std::uint8_t status : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{3}}) {
    core_->set_status(status);
  }
  features_ = wanted_features() &
              (device_->features() | device_->ring_features() | virtio_device::kFeatureVersion1);
  core_->set_driver_features(0, static_cast<std::uint32_t>(features_));
  core_->set_driver_features(1, static_cast<std::uint32_t>(features_ >> 32));
  core_->set_status(11);
  queues_.clear();
  for (std::uint16_t i = 0; i < 2 * pairs_; ++i) VMM_TRY_DO(start_queue(i));
  core_->set_status(15);
  if (core_->status() != 15) return fail(Error::os(EIO, "the device does not start"));
  for (std::uint16_t i = 0; i < 2 * pairs_; i += 2) core_->kick(i);
  return {};
}

Result<void> Machine::start_queue(std::uint16_t index) {
  const std::uint64_t base = 0x1'0000 + 0x4000 * std::uint64_t{index};
  const virtio_queue::QueueShape shape{
      .rings = {GuestAddress(base), GuestAddress(base + 0x1000), GuestAddress(base + 0x2000)},
      .size = kQueueSize,
      .packed = (features_ & virtio_queue::kFeaturePacked) != 0};
  VMM_TRY(Driver driver, Driver::create(shape, memory_.view()));
  queues_.push_back({.driver = std::move(driver), .places = std::vector<Queue::Place>(kQueueSize)});
  virtio_queue::QueueConfig* const queue = core_->editable_queue(index);
  if (queue == nullptr) return fail(Error::os(EIO, "features are refused"));
  VMM_TRY_DO(queue->set_size(kQueueSize));
  VMM_TRY_DO(queue->set_descriptors(shape.rings.descriptors));
  VMM_TRY_DO(queue->set_driver(shape.rings.driver));
  VMM_TRY_DO(queue->set_device(shape.rings.device));
  core_->enable_queue(index);
  const bool receives = index % 2 == 0;
  for (std::uint16_t slot = 0; slot < kQueueSize; ++slot) {
    if (receives) VMM_TRY_DO(offer(index, slot, kBufferBytes));
    if (!receives) queues_[index].free.push_back(slot);
  }
  if (receives) (void)queues_[index].driver.publish();
  return {};
}

Result<void> Machine::restart() {
  core_->set_status(0);
  return start();
}

Result<void> Machine::grow() {
  VMM_TRY_DO(memory_.plug(
      {.base = GuestAddress(kMoreRam), .bytes = kRamBytes, .backing = vm_memory::Backing::kMemfd}));
  VMM_TRY_DO(device_->memory_changed(memory_));
  buffers_ = kMoreRam;
  return {};
}

Result<void> Machine::offer(std::uint16_t index, std::uint16_t slot, std::uint32_t bytes) {
  const Buffer one{buffer(index, slot), bytes, index % 2 == 0};
  VMM_TRY(const std::uint16_t token, queues_[index].driver.add({&one, 1}));
  queues_[index].places[token] = {.slot = slot, .address = one.address};
  return {};
}

Result<void> Machine::send(std::uint16_t index, std::uint32_t number, std::size_t bytes) {
  Queue& queue = queues_[index];
  std::vector<std::uint8_t> frame(virtio_net::kNetHeaderBytes + bytes, std::uint8_t(number));
  std::memset(frame.data(), 0, virtio_net::kNetHeaderBytes);
  std::memcpy(frame.data() + virtio_net::kNetHeaderBytes, kFrameHeader.data(), kFrameHeader.size());
  std::memcpy(frame.data() + virtio_net::kNetHeaderBytes + kFrameHeader.size(), &number,
              sizeof(number));
  const std::uint16_t slot = queue.free.back();
  queue.free.pop_back();
  VMM_TRY_DO(memory_.view().write_bytes(buffer(index, slot), std::as_bytes(std::span(frame))));
  VMM_TRY_DO(offer(index, slot, static_cast<std::uint32_t>(frame.size())));
  if (queue.driver.publish()) core_->kick(index);
  return {};
}

// A buffer that was offered before memory was plugged is where it was.
Result<bool> Machine::receive(std::uint16_t index, std::size_t bytes, std::vector<bool>& seen) {
  Queue& queue = queues_[index];
  VMM_TRY(const auto used, queue.driver.reap());
  if (!used) return false;
  const Queue::Place place = queue.places[used->token];
  std::vector<std::uint8_t> frame(kBufferBytes);
  VMM_TRY_DO(memory_.view().read_bytes(place.address, std::as_writable_bytes(std::span(frame))));
  VMM_TRY_DO(offer(index, place.slot, kBufferBytes));
  if (queue.driver.publish()) core_->kick(index);
  const std::uint8_t* const at = frame.data() + virtio_net::kNetHeaderBytes;
  const bool exchanged = std::memcmp(at, kFrameHeader.data() + 6, 6) == 0 &&
                         std::memcmp(at + 6, kFrameHeader.data(), 6) == 0 &&
                         std::memcmp(at + 12, kFrameHeader.data() + 12, 2) == 0;
  if (!exchanged || used->written != virtio_net::kNetHeaderBytes + bytes) return true;
  std::uint32_t number = 0;
  std::memcpy(&number, at + kFrameHeader.size(), sizeof(number));
  const std::uint32_t place_in_seen = number - first_number_;
  bool whole = place_in_seen < seen.size();
  for (std::size_t i = kLeastFrame; i < bytes; ++i) whole = whole && at[i] == std::uint8_t(number);
  if (whole) seen[place_in_seen] = true;
  return true;
}

Result<unsigned> Machine::echo(unsigned count, std::size_t bytes,
                               std::chrono::milliseconds patience) {
  std::vector<bool> seen(count);
  const auto end = Clock::now() + patience;
  first_number_ = next_number_;
  unsigned back = 0;
  while (Clock::now() < end) {
    bool idle = true;
    for (std::uint16_t i = 0; i < 2 * pairs_; i += 2) {
      Queue& transmit = queues_[i + 1u];
      VMM_TRY(const auto done, transmit.driver.reap());
      if (done) transmit.free.push_back(transmit.places[done->token].slot);
      const std::uint32_t sent = next_number_ - first_number_;
      // A frame for which there is no buffer would be lost.
      const bool room = sent < count && sent - back < kQueueSize / 2 && !transmit.free.empty();
      if (room) VMM_TRY_DO(send(static_cast<std::uint16_t>(i + 1), next_number_++, bytes));
      VMM_TRY(const bool came, receive(i, bytes, seen));
      idle = idle && !done && !room && !came;
    }
    back = static_cast<unsigned>(std::ranges::count(seen, true));
    if (back == count) return back;
    if (idle) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return back;
}

int serve(Machine& machine, std::string_view line) {
  unsigned count = 0;
  std::size_t bytes = 0;
  Result<unsigned> answer = 1u;
  const std::string text(line);
  if (std::sscanf(text.c_str(), "echo %u %zu", &count, &bytes) == 2 && bytes >= kLeastFrame &&
      bytes <= kMostFrame) {
    answer = machine.echo(count, bytes, kPatience);
  } else if (std::sscanf(text.c_str(), "try %zu", &bytes) == 1 && bytes >= kLeastFrame &&
             bytes <= kMostFrame) {
    const auto came = machine.echo(machine.pairs(), bytes, kTryPatience);
    answer = came && *came == machine.pairs() ? 1u : 0u;
  } else if (line == "restart") {
    answer = machine.restart() ? 1u : 0u;
  } else if (line == "grow") {
    if (const auto done = machine.grow(); !done) answer = fail(done.error());
  } else if (line == "features") {
    std::printf("features %#llx\n", static_cast<unsigned long long>(machine.features()));
    return 0;
  } else {
    std::fprintf(stderr, "vhost-user-net-frames: what is '%s'?\n", text.c_str());
    return 2;
  }
  if (!answer) {
    std::fprintf(stderr, "vhost-user-net-frames: %s: %s\n", text.c_str(),
                 to_string(answer.error()).c_str());
    return 1;
  }
  std::printf("%s %u\n", text.substr(0, text.find(' ')).c_str(), *answer);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int pairs = argc > 2 ? std::atoi(argv[2]) : 0;
  bool packed = false;
  bool server = false;
  bool good = pairs >= 1 && pairs <= 4;
  for (int i = 3; i < argc; ++i) {
    const std::string_view word(argv[i]);
    packed = packed || word == "packed";
    server = server || word == "server";
    good = good && (word == "packed" || word == "server");
  }
  if (!good) {
    std::fprintf(stderr, "usage: vhost-user-net-frames SOCKET PAIRS [packed] [server]\n");
    return 2;
  }
  Machine machine(argv[1], static_cast<std::uint16_t>(pairs), packed);
  Result<void> ready;
  if (server) ready = machine.listen();
  if (ready) ready = machine.connect();
  if (!ready) {
    std::fprintf(stderr, "vhost-user-net-frames: %s\n", to_string(ready.error()).c_str());
    return 1;
  }
  std::printf("ready\n");
  std::array<char, 100> line{};
  int status = 0;
  while (status == 0 && std::fflush(stdout) == 0 &&
         std::fgets(line.data(), line.size(), stdin) != nullptr) {
    std::string_view text(line.data());
    if (text.ends_with('\n')) text.remove_suffix(1);
    status = serve(machine, text);
  }
  return status;
}
