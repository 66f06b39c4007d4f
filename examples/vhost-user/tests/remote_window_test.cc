// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A back end maps files into the shared memory of a RemoteDevice.

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <mutex>

#include "backend_rig.h"
#include "remote_rig.h"
#include "soon.h"
#include "vmm/virtio_device/testing/echo_device.h"

namespace {

using namespace vmm;
using vhost_user::ProtocolFeature;
using vhost_user::ShmemArea;
using vhost_user_backend::DeviceExtension;
using vhost_user_backend::FrontendServices;
using vhost_user_backend::Process;
using vhost_user_frontend::RemoteDevice;
using vhost_user_frontend::RemoteOptions;
using vhost_user_frontend::WindowSlot;
using virtio_device::testing::EchoDevice;

constexpr std::uint64_t kWindow = 1 << 20;
constexpr std::uint64_t kPage = 4096;

/// A back end with a region 0.
class Files final : public DeviceExtension {
 public:
  explicit Files(std::uint64_t bytes, std::uint64_t features = bit(ProtocolFeature::kShmem))
      : bytes_(bytes), features_(features) {}
  std::uint64_t protocol_features() const override { return features_; }
  void set_services(std::shared_ptr<FrontendServices> given) override {
    const std::scoped_lock lock(mutex_);
    services_ = std::move(given);
  }
  vhost_user::ShmemConfig shmem_config() const override {
    vhost_user::ShmemConfig config{.count = 1};
    config.bytes[0] = bytes_;
    return config;
  }
  std::shared_ptr<FrontendServices> services() {
    const std::scoped_lock lock(mutex_);
    return services_;
  }

 private:
  std::uint64_t bytes_;
  std::uint64_t features_;
  std::mutex mutex_;
  std::shared_ptr<FrontendServices> services_;
};

struct Slot final : WindowSlot {
  Result<void> show(std::span<std::byte> memory, const GuestAddress* address) override {
    seen = memory;
    at = address == nullptr ? std::nullopt : std::optional(*address);
    return {};
  }
  // As the guest sees it: what is mapped there changes on another thread. That it has, a message
  // said, on a socket that came by another one: an order that ThreadSanitizer does not know.
  __attribute__((no_sanitize("thread"))) char letter(std::uint64_t offset) const {
    return static_cast<char>(*(seen.data() + offset));
  }
  __attribute__((no_sanitize("thread"))) void put(std::uint64_t offset, char value) const {
    *(seen.data() + offset) = static_cast<std::byte>(value);
  }
  std::span<std::byte> seen;
  std::optional<GuestAddress> at;
};

struct Machine : vhost_user_frontend::RemoteRig {
  explicit Machine(std::uint64_t wanted = 0) {
    start_back_end(kWindow);
    put_in(RemoteDevice::create({.queue_sizes = {16},
                                 .config = std::vector<std::byte>(12),
                                 .window = RemoteOptions::Window{.bytes = wanted, .slot = slot},
                                 .resumable = false},
                                [this]() -> Result<UniqueFd> {
                                  const std::scoped_lock lock(mutex);
                                  if (!back_end) return fail(Error::os(ENOENT, "test"));
                                  return back_end->connect();
                                }));
    const GuestAddress at(kPlace);
    REQUIRE(device->shared_memory_owner() != nullptr);
    REQUIRE(device->shared_memory_owner()->place_shared_memory(&at));
  }
  ~Machine() { end(); }
  void start_back_end(std::uint64_t bytes) {
    files = std::make_shared<Files>(bytes);
    const std::scoped_lock lock(mutex);
    back_end = std::make_unique<Process>(echo, false, files);
  }
  void kill_back_end() {
    std::unique_ptr<Process> old;
    const std::scoped_lock lock(mutex);
    old.swap(back_end);
  }
  bool start() {
    negotiate(virtio_device::kFeatureVersion1);
    core->set_status(15);
    return core->status() == 15;
  }
  Result<void> map(std::uint64_t offset, std::uint64_t flags = 0, std::uint8_t id = 0) {
    return files->services()->map_shmem(
        {.id = id, .offset = offset, .bytes = kPage, .flags = flags}, file.fd());
  }
  Result<void> unmap(std::uint64_t offset) {
    return files->services()->unmap_shmem({.offset = offset, .bytes = kPage});
  }

  static constexpr std::uint64_t kPlace = 0x40'0000'0000;
  std::shared_ptr<Slot> slot = std::make_shared<Slot>();
  std::shared_ptr<EchoDevice> echo = std::make_shared<EchoDevice>(1);
  std::shared_ptr<Files> files;
  std::mutex mutex;
  std::unique_ptr<Process> back_end;
  sys_util::MemFd file = *sys_util::MemFd::create(kPage);
};

TEST_CASE("a back end maps files where the guest sees them", "[window]") {
  Machine machine;
  CHECK(machine.device->shared_memory_owner()->shared_memory().id == 0);
  CHECK(machine.device->shared_memory_owner()->shared_memory().bytes == kWindow);
  CHECK(machine.slot->seen.size() == kWindow);
  CHECK(machine.slot->at == GuestAddress(Machine::kPlace));
  REQUIRE(::pwrite(machine.file.fd(), "text", 4, 0) == 4);
  REQUIRE(machine.start());
  REQUIRE(soon([&] { return machine.files->services() != nullptr; }));

  REQUIRE(machine.map(kPage));
  CHECK(machine.slot->letter(kPage) == 't');
  CHECK(machine.slot->letter(0) == 0);
  REQUIRE(machine.map(kWindow - kPage, ShmemArea::kWritable));
  machine.slot->put(kWindow - kPage, 'n');
  CHECK(machine.slot->letter(kPage) == 'n');

  // What cannot be is refused, and the channel goes on.
  CHECK_FALSE(machine.map(kPage));
  CHECK_FALSE(machine.map(kWindow));
  CHECK_FALSE(machine.map(2 * kPage, 0, 1));
  CHECK_FALSE(machine.unmap(2 * kPage));
  REQUIRE(machine.unmap(kPage));
  CHECK(machine.slot->letter(kPage) == 0);

  SECTION("the driver's reset takes all of it away") {
    machine.core->set_status(0);
    CHECK(machine.slot->letter(kWindow - kPage) == 0);
    REQUIRE(machine.start());
    REQUIRE(soon([&] { return machine.map(kWindow - kPage).has_value(); }));
    CHECK(machine.slot->letter(kWindow - kPage) == 'n');
  }
  SECTION("so does the end of the back end, and the next one begins with an empty window") {
    machine.kill_back_end();
    REQUIRE(soon([&] { return (machine.core->status() & 64) != 0; }));
    CHECK(machine.slot->letter(kWindow - kPage) == 0);
    machine.slot->put(kWindow - kPage, 'x');  // and nobody else's
    std::array<char, 1> read{};
    REQUIRE(::pread(machine.file.fd(), read.data(), 1, 0) == 1);
    CHECK(read[0] == 'n');

    machine.start_back_end(kWindow);
    machine.core->set_status(0);
    REQUIRE(machine.start());
    REQUIRE(soon([&] {
      return machine.files->services() != nullptr && machine.map(kWindow - kPage).has_value();
    }));
    CHECK(machine.slot->letter(kWindow - kPage) == 'n');
  }
}

TEST_CASE("a window may be smaller than the back end's region", "[window]") {
  Machine machine(kWindow / 2);
  CHECK(machine.device->shared_memory_owner()->shared_memory().bytes == kWindow / 2);
  REQUIRE(machine.start());
  REQUIRE(soon([&] { return machine.files->services() != nullptr; }));
  REQUIRE(soon([&] { return machine.map(0).has_value(); }));
  CHECK_FALSE(machine.map(kWindow / 2));
}

TEST_CASE("a back end without such a region is refused", "[window]") {
  struct Case {
    const char* name;
    std::uint64_t region, features, wanted;
  };
  const std::uint64_t shmem = bit(ProtocolFeature::kShmem);
  for (const Case& c : {Case{"no shared memory at all", kWindow, 0, 0},
                        Case{"no region of this number", 0, shmem, 0},
                        Case{"smaller than what is wanted", kWindow, shmem, 2 * kWindow},
                        Case{"no power of two", kWindow + kPage, shmem, 0}}) {
    CAPTURE(c.name);
    Process back_end(std::make_shared<EchoDevice>(1), false,
                     std::make_shared<Files>(c.region, c.features));
    const auto made = RemoteDevice::create(
        {.queue_sizes = {16},
         .config = std::vector<std::byte>(12),
         .window = RemoteOptions::Window{.bytes = c.wanted, .slot = std::make_shared<Slot>()}},
        [&]() -> Result<UniqueFd> { return back_end.connect(); });
    CHECK_FALSE(made);
  }
}

}  // namespace
