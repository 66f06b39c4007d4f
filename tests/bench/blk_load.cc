// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-blk-load SOCKET DEPTH SECONDS read|write: is the front end and the driver of a
// vhost-user block device, and keeps DEPTH requests of 4 KiB in flight at random places of the
// first 64 MiB. Prints how many were done, in how many nanoseconds, with how many kicks and
// interrupts. It sleeps until the interrupt as a driver does, and asks for as few of them: by event
// indices.

#include <poll.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vhost_user/frontend.h"
#include "vmm/virtio_blk/layout.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_queue/driver/driver.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/vm_memory/guest_memory.h"

namespace {

using namespace vmm;
using Clock = std::chrono::steady_clock;
using vhost_user::ProtocolFeature;

constexpr std::uint16_t kQueueSize = 128;
constexpr std::uint32_t kMaxDepth = kQueueSize / 3;
constexpr std::uint32_t kBytes = 4096;
constexpr std::uint64_t kPlaces = (std::uint64_t{64} << 20) / kBytes;
constexpr std::uint64_t kRamBytes = 1 << 20;
constexpr std::uint64_t kUser = 0x7000'0000'0000;  // where RAM would be in a VMM
constexpr virtio_queue::RingAddresses kRings{GuestAddress(0x1000), GuestAddress(0x2000),
                                             GuestAddress(0x3000)};
constexpr GuestAddress kHeaders{0x4000};
constexpr GuestAddress kStatus{0x5000};
constexpr GuestAddress kData{0x1'0000};
constexpr int kPatienceMs = 10'000;

/// What only a broken device or program can bring about.
const Error kOdd = Error::os(EPROTO, "rings");

struct Load {
  const char* socket = nullptr;
  std::uint32_t depth = 0;
  unsigned seconds = 0;
  bool write = false;
};

struct Counts {
  std::uint64_t requests = 0;
  std::uint64_t kicks = 0;
  std::uint64_t interrupts = 0;
  std::chrono::nanoseconds time{};
};

std::uint64_t user_address(GuestAddress address) { return kUser + address.raw(); }

virtio_queue::QueueShape shape() {
  return {.rings = kRings, .size = kQueueSize, .packed = false, .event_idx = true};
}

Result<vm_memory::GuestMemory> map(const sys_util::MemFd& ram) {
  const vm_memory::RegionConfig config{.base = GuestAddress(0),
                                       .bytes = kRamBytes,
                                       .backing = vm_memory::Backing::kFile,
                                       .fd = ram.fd()};
  return vm_memory::GuestMemory::create({&config, 1});
}

/// The front end: it sets the device up, and keeps it so as long as it lives.
struct Device {
  vhost_user::Frontend frontend;
  sys_util::EventFd kick;
  sys_util::EventFd call;

  static Result<Device> connect(const char* path, int ram) {
    VMM_TRY(UniqueFd socket, sys_util::connect_unix(path));
    VMM_TRY(auto connection, vhost_user::Connection::adopt(std::move(socket)));
    VMM_TRY(auto frontend, vhost_user::Frontend::create(std::move(connection)));
    VMM_TRY(auto kick, sys_util::EventFd::create());
    VMM_TRY(auto call, sys_util::EventFd::create());
    Device device{std::move(frontend), std::move(kick), std::move(call)};
    VMM_TRY_DO(device.start(ram));
    return device;
  }

 private:
  Result<void> start(int ram) {
    VMM_TRY_DO(frontend.negotiate(bit(ProtocolFeature::kConfig) | bit(ProtocolFeature::kReplyAck)));
    VMM_TRY_DO(frontend.set_features(
        virtio_device::kFeatureVersion1 | virtio_queue::kFeatureEventIdx |
        bit(virtio_blk::BlkFeature::kFlush) | vhost_user::kFeatureProtocolFeatures));
    const vhost_user::MemoryRegion region{
        .guest_address = 0, .bytes = kRamBytes, .user_address = kUser, .mmap_offset = 0};
    VMM_TRY_DO(frontend.set_mem_table({&region, 1}, {&ram, 1}));
    VMM_TRY_DO(frontend.set_vring_num(0, kQueueSize));
    VMM_TRY_DO(frontend.set_vring_base(0, 0));
    VMM_TRY_DO(frontend.set_vring_addr({.index = 0,
                                        .descriptors = user_address(kRings.descriptors),
                                        .used = user_address(kRings.device),
                                        .available = user_address(kRings.driver)}));
    VMM_TRY_DO(frontend.set_vring_call(0, call.fd()));
    VMM_TRY_DO(frontend.set_vring_kick(0, kick.fd()));
    return frontend.set_vring_enable(0, true);
  }
};

/// The driver: each request has a header, data and a status of its own, used again and again.
class Driver {
 public:
  Driver(const Load& load, Device& device, vm_memory::MemoryView memory,
         virtio_queue::driver::Driver ring)
      : load_(load), device_(device), memory_(memory), ring_(std::move(ring)) {}

  Result<Counts> run() {
    for (std::uint32_t i = 0; i < load_.depth; ++i) VMM_TRY_DO(offer(i));
    VMM_TRY_DO(publish());
    const Clock::time_point begin = Clock::now();
    const Clock::time_point end = begin + std::chrono::seconds(load_.seconds);
    while (Clock::now() < end) {
      ring_.disable_interrupts();
      VMM_TRY(const bool some, renew());
      if (some) {
        VMM_TRY_DO(publish());
      } else if (!ring_.enable_interrupts()) {
        VMM_TRY_DO(sleep());
      }
    }
    counts_.time = Clock::now() - begin;
    return counts_;
  }

 private:
  Result<void> offer(std::uint32_t slot) {
    random_ = random_ * 6364136223846793005 + 1442695040888963407;
    const std::uint64_t place = (random_ >> 33) % kPlaces;
    const auto type = load_.write ? virtio_blk::RequestType::kOut : virtio_blk::RequestType::kIn;
    const virtio_blk::RequestHeader header{.type = Le32(static_cast<std::uint32_t>(type)),
                                           .reserved = {},
                                           .sector = Le64(place * (kBytes / 512))};
    const GuestAddress at(kHeaders.raw() + slot * sizeof(header));
    const GuestAddress status(kStatus.raw() + slot);
    if (!memory_.write(at, header) || !memory_.write(status, std::uint8_t{0xff})) return fail(kOdd);
    const std::array<virtio_queue::driver::Buffer, 3> buffers{
        {{at, sizeof(header), false},
         {GuestAddress(kData.raw() + slot * kBytes), kBytes, !load_.write},
         {status, 1, true}}};
    const auto token = ring_.add(buffers);
    if (!token) return fail(kOdd);
    slots_[*token] = slot;
    return {};
  }

  /// Replaces all requests that came back. False: there were none.
  Result<bool> renew() {
    bool some = false;
    for (;;) {
      const auto used = ring_.reap();
      if (!used) return fail(kOdd);
      if (!*used) return some;
      some = true;
      const std::uint32_t slot = slots_[(*used)->token];
      const auto status = memory_.read<std::uint8_t>(GuestAddress(kStatus.raw() + slot));
      if (!status || *status != 0) return fail(Error::os(EIO, "a request"));
      ++counts_.requests;
      VMM_TRY_DO(offer(slot));
    }
  }

  Result<void> publish() {
    if (!ring_.publish()) return {};
    ++counts_.kicks;
    return device_.kick.add();
  }

  Result<void> sleep() {
    pollfd call{.fd = device_.call.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&call, 1, kPatienceMs) != 1) return fail(Error::os(ETIMEDOUT, "an interrupt"));
    ++counts_.interrupts;
    VMM_TRY_DO(device_.call.take());
    return {};
  }

  const Load& load_;
  Device& device_;
  vm_memory::MemoryView memory_;
  virtio_queue::driver::Driver ring_;
  std::array<std::uint32_t, kQueueSize> slots_{};
  std::uint64_t random_ = 1;
  Counts counts_;
};

Result<Counts> run(const Load& load) {
  VMM_TRY(const auto ram, sys_util::MemFd::create(kRamBytes));
  VMM_TRY(const auto memory, map(ram));
  auto ring = virtio_queue::driver::Driver::create(shape(), memory.view());
  if (!ring) return fail(kOdd);
  VMM_TRY(Device device, Device::connect(load.socket, ram.fd()));
  return Driver(load, device, memory.view(), std::move(*ring)).run();
}

template <class T>
bool parse(std::string_view text, T& number) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end && number != 0;
}

}  // namespace

int main(int argc, char** argv) {
  Load load;
  if (argc != 5 || !parse(argv[2], load.depth) || load.depth > kMaxDepth ||
      !parse(argv[3], load.seconds)) {
    std::fprintf(stderr, "usage: %s SOCKET DEPTH SECONDS read|write\n", argv[0]);
    return 2;
  }
  load.socket = argv[1];
  load.write = argv[4] == std::string_view("write");
  const auto counts = run(load);
  if (!counts) {
    std::fprintf(stderr, "%s: %s\n", argv[0], to_string(counts.error()).c_str());
    return 1;
  }
  std::printf("%llu %lld %llu %llu\n", static_cast<unsigned long long>(counts->requests),
              static_cast<long long>(counts->time.count()),
              static_cast<unsigned long long>(counts->kicks),
              static_cast<unsigned long long>(counts->interrupts));
  return 0;
}
