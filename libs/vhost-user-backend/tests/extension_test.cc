// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What a device does of the protocol that is not virtio, and what it asks of its front end.

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "backend_rig.h"
#include "open_fds.h"
#include "vmm/vhost_user/backend_request.h"
#include "vmm/vhost_user/gpu_session.h"
#include "vmm/virtio_device/testing/echo_device.h"

namespace vmm::vhost_user_backend {
namespace {

using vhost_user::MessageError;
using vhost_user::ProtocolFeature;
using vhost_user::SharedObjectId;
using virtio_device::testing::EchoDevice;

constexpr SharedObjectId kObject{.uuid = {1, 2, 3}};
constexpr SharedObjectId kOther{.uuid = {9}};

/// A device that does everything, and keeps what it was told.
class Everything final : public DeviceExtension {
 public:
  explicit Everything(std::uint64_t features = kKnown) : features_(features) {}

  std::uint64_t protocol_features() const override { return features_; }
  void set_services(std::shared_ptr<FrontendServices> given) override {
    const MutexLock lock(mutex_);
    services_ = std::move(given);
  }
  Result<void> set_mtu(std::uint16_t mtu) override {
    if (mtu < 68) return fail(MessageError::kBadValue);
    mtu_ = mtu;
    return {};
  }
  Result<void> send_rarp(const std::array<std::uint8_t, 6>& mac) override {
    last_byte_ = mac[5];
    return {};
  }
  Result<UniqueFd> shared_object(const SharedObjectId& id) override {
    if (!(id == kObject)) return fail(MessageError::kNotFound);
    return UniqueFd(::dup(file_.fd()));
  }
  vhost_user::ShmemConfig shmem_config() const override {
    vhost_user::ShmemConfig config{.count = 1};
    config.bytes[5] = 1 << 20;
    return config;
  }
  Result<void> set_gpu_socket(UniqueFd socket) override {
    VMM_TRY(auto channel, vhost_user::gpu::GpuChannel::adopt(std::move(socket)));
    return channel.set_scanout({.scanout = 1, .width = 2, .height = 3});
  }
  Result<std::uint64_t> create_crypto_session(std::span<const std::byte> session) override {
    if (session[8] != std::byte{1}) return fail(MessageError::kNotSupported);
    return std::uint64_t{77};
  }
  Result<void> close_crypto_session(std::uint64_t session) override {
    if (session != 77) return fail(MessageError::kNotFound);
    return {};
  }

  std::shared_ptr<FrontendServices> services() {
    const MutexLock lock(mutex_);
    return services_;
  }
  int mtu() const { return mtu_; }
  int last_byte() const { return last_byte_; }

 private:
  std::uint64_t features_;
  sys_util::MemFd file_ = *sys_util::MemFd::create(4096);
  std::atomic<int> mtu_{0};
  std::atomic<int> last_byte_{0};
  Mutex mutex_;
  std::shared_ptr<FrontendServices> services_ VMM_GUARDED_BY(mutex_);
};

struct Rig {
  explicit Rig(std::uint64_t offered = DeviceExtension::kKnown, const Setup& setup = {})
      : extension(std::make_shared<Everything>(offered)), guest(process.connect(), 2, setup) {}

  std::shared_ptr<EchoDevice> device = std::make_shared<EchoDevice>();
  std::shared_ptr<Everything> extension;
  Process process{device, false, extension};
  Guest guest;
};

/// The front end's end of the channel, on a thread: what it was asked, and with which file.
class Front final : public vhost_user::BackendRequestHandler {
 public:
  explicit Front(Guest& guest) {
    auto [ours, theirs] = socket_pair();
    channel_.emplace(*vhost_user::Connection::adopt(std::move(ours)), *this);
    REQUIRE(guest.frontend().set_backend_channel(theirs.get()));
    thread_ = std::thread([this] {
      while (!stop_) {
        pollfd one{.fd = channel_->fd(), .events = POLLIN, .revents = 0};
        if (::poll(&one, 1, 10) == 1 && !channel_->serve()) return;
      }
    });
  }
  ~Front() {
    stop_ = true;
    thread_.join();
  }
  Result<UniqueFd> handle(vhost_user::BackendRequest& request) override {
    using namespace vhost_user::backend_request;
    const std::lock_guard lock(mutex_);
    kind_ = request.index();
    if (auto* const notifier = std::get_if<VringHostNotifier>(&request)) {
      if (notifier->index > 1) return fail(MessageError::kBadQueue);
      file_ = std::move(notifier->fd);
    }
    if (auto* const map = std::get_if<ShmemMap>(&request)) file_ = std::move(map->fd);
    if (const auto* const look = std::get_if<SharedObjectLookup>(&request)) {
      if (!(look->id == kOther)) return fail(MessageError::kNotFound);
      return UniqueFd(::dup(1));
    }
    return UniqueFd();
  }

  [[nodiscard]] std::size_t kind() {
    const std::lock_guard lock(mutex_);
    return kind_;
  }
  [[nodiscard]] bool has_file() {
    const std::lock_guard lock(mutex_);
    return static_cast<bool>(file_);
  }

 private:
  std::optional<vhost_user::FrontendChannel> channel_;
  std::mutex mutex_;
  std::size_t kind_ = 99;
  UniqueFd file_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

template <class Request>
std::size_t kind_of() {
  return vhost_user::BackendRequest(Request{}).index();
}

TEST_CASE("an extension is told of the network", "[extension]") {
  Rig rig;
  rig.guest.negotiate();
  REQUIRE(rig.guest.frontend().net_set_mtu(9000));
  CHECK(rig.extension->mtu() == 9000);
  CHECK(is_error(rig.guest.frontend().net_set_mtu(67), MessageError::kRefused));
  CHECK(rig.extension->mtu() == 9000);
  REQUIRE(rig.guest.frontend().send_rarp({2, 0, 0, 0, 0, 0x42}));
  CHECK(rig.extension->last_byte() == 0x42);
}

TEST_CASE("an extension shares objects, and has regions", "[extension]") {
  const std::size_t before = open_fds();
  {
    Rig rig;
    rig.guest.negotiate();
    const auto object = rig.guest.frontend().get_shared_object(kObject);
    REQUIRE(object);
    struct stat status{};
    REQUIRE(::fstat(object->get(), &status) == 0);
    CHECK(status.st_size == 4096);
    CHECK(is_error(rig.guest.frontend().get_shared_object(kOther), MessageError::kRefused));
    const auto config = rig.guest.frontend().get_shmem_config();
    REQUIRE(config);
    CHECK(config->bytes[5] == 1 << 20);
  }
  CHECK(open_fds() == before);
}

TEST_CASE("an extension makes crypto sessions", "[extension]") {
  Rig rig;
  rig.guest.negotiate();
  std::vector<std::byte> session(1072);
  CHECK(is_error(rig.guest.frontend().create_crypto_session(session), MessageError::kRefused));
  session[8] = std::byte{1};
  CHECK(gives(rig.guest.frontend().create_crypto_session(session), 77));
  CHECK(is_error(rig.guest.frontend().close_crypto_session(1), MessageError::kRefused));
  REQUIRE(rig.guest.frontend().close_crypto_session(77));
}

TEST_CASE("an extension shows on the GPU socket", "[extension][gpu]") {
  Rig rig;
  rig.guest.negotiate();
  auto [ours, theirs] = socket_pair();
  REQUIRE(rig.guest.frontend().gpu_set_socket(theirs.get()));
  theirs.reset();
  std::array<std::uint32_t, 6> message{};
  REQUIRE(::read(ours.get(), message.data(), sizeof(message)) == sizeof(message));
  CHECK(message == std::array<std::uint32_t, 6>{7, 0, 12, 1, 2, 3});
}

TEST_CASE("a device asks its front end for what it wants of it", "[extension][channel]") {
  const std::size_t before = open_fds();
  {
    using namespace vhost_user::backend_request;
    Rig rig;
    rig.guest.negotiate();
    CHECK(rig.extension->services() == nullptr);
    const sys_util::MemFd file = *sys_util::MemFd::create(8192);
    std::shared_ptr<FrontendServices> kept;
    {
      Front front(rig.guest);
      // The answer means that it is there.
      const auto services = rig.extension->services();
      REQUIRE(services != nullptr);
      REQUIRE(services->set_host_notifier({.index = 1, .bytes = 4096, .offset = 0}, file.fd()));
      CHECK(front.kind() == kind_of<VringHostNotifier>());
      CHECK(front.has_file());
      REQUIRE(services->set_host_notifier({.index = 1}, -1));
      CHECK_FALSE(front.has_file());
      CHECK(is_error(services->set_host_notifier({.index = 2, .bytes = 1}, file.fd()),
                     MessageError::kRefused));
      REQUIRE(services->map_shmem({.id = 5, .offset = 0, .bytes = 8192}, file.fd()));
      CHECK(front.kind() == kind_of<ShmemMap>());
      REQUIRE(services->unmap_shmem({.id = 5, .offset = 0, .bytes = 8192}));
      CHECK(front.kind() == kind_of<ShmemUnmap>());
      REQUIRE(services->add_shared_object(kObject));
      CHECK(front.kind() == kind_of<SharedObjectAdd>());
      REQUIRE(services->remove_shared_object(kObject));
      CHECK(front.kind() == kind_of<SharedObjectRemove>());
      CHECK(services->look_up_shared_object(kOther));
      CHECK(is_error(services->look_up_shared_object(kObject), MessageError::kRefused));
      kept = services;
    }
    CHECK_FALSE(kept->add_shared_object(kObject));  // nobody is there
    REQUIRE(rig.guest.frontend().reset_owner());
  }
  CHECK(open_fds() == before);
}

TEST_CASE("what was not agreed on is not asked for", "[extension][channel]") {
  Rig rig(DeviceExtension::kKnown, {.protocol_features = bit(ProtocolFeature::kReplyAck) |
                                                         bit(ProtocolFeature::kBackendReq)});
  rig.guest.negotiate();
  Front front(rig.guest);
  const auto services = rig.extension->services();
  REQUIRE(services != nullptr);
  CHECK(is_error(services->set_host_notifier({}, -1), MessageError::kNotNegotiated));
  CHECK(is_error(services->map_shmem({}, -1), MessageError::kNotNegotiated));
  CHECK(is_error(services->unmap_shmem({}), MessageError::kNotNegotiated));
  CHECK(is_error(services->add_shared_object(kObject), MessageError::kNotNegotiated));
  CHECK(is_error(services->look_up_shared_object(kOther), MessageError::kNotNegotiated));
  CHECK(front.kind() == 99);
}

TEST_CASE("an extension offers what it knows, and no more", "[extension]") {
  {
    Rig rig(~std::uint64_t{0});
    const std::uint64_t offered = rig.guest.frontend().offered_protocol_features();
    CHECK((offered & DeviceExtension::kKnown) == DeviceExtension::kKnown);
    CHECK((offered & bit(ProtocolFeature::kXenMmap)) == 0);
    CHECK((offered & bit(ProtocolFeature::kBackendSendFd)) != 0);
  }
  const auto device = std::make_shared<EchoDevice>();
  Process process(device);
  Guest guest(process.connect(), 2, {});
  CHECK((guest.frontend().offered_protocol_features() & DeviceExtension::kKnown) == 0);
  guest.negotiate();
  CHECK(is_error(guest.frontend().gpu_set_socket(1), MessageError::kRefused));
  guest.start();
  CHECK(guest.echo(0, "a") == "a");
}

TEST_CASE("rings are little-endian", "[backend]") {
  const auto device = std::make_shared<EchoDevice>();
  Process process(device);
  Guest guest(process.connect(), 2, {});
  guest.negotiate();
  REQUIRE(guest.frontend().set_vring_endian(0, false));
  CHECK(is_error(guest.frontend().set_vring_endian(0, true), MessageError::kRefused));
  CHECK(is_error(guest.frontend().set_vring_endian(2, false), MessageError::kRefused));
}

TEST_CASE("a ring without a kick descriptor is polled", "[backend]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    const auto device = std::make_shared<EchoDevice>();
    Process process(device);
    Guest guest(process.connect(), 1, {.packed = packed});
    guest.negotiate();
    guest.share_memory();
    guest.set_up_ring(0, guest.start_base());
    REQUIRE(guest.frontend().set_vring_kick(0, -1));
    guest.enable(0);
    guest.driver_ok();
    for (int i = 0; i < 10; ++i) {
      guest.offer(0, "nobody kicks");
      CHECK(guest.answer(0) == "nobody kicks");
    }
    const auto base = guest.frontend().get_vring_base(0);
    REQUIRE(base);
    guest.offer(0, "stopped");
    CHECK_FALSE(guest.answer(0, 50));
    guest.set_up_ring(0, *base);  // with a kick again
    CHECK(guest.answer(0) == "stopped");
    guest.offer(0, "kicked");
    CHECK_FALSE(guest.answer(0, 50));
    guest.kick(0);
    CHECK(guest.answer(0) == "kicked");
  }
}

}  // namespace
}  // namespace vmm::vhost_user_backend
