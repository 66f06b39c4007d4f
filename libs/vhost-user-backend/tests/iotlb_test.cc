// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Devices behind an IOMMU of the front end: VIRTIO_F_ACCESS_PLATFORM and IOTLB messages.

#include <algorithm>
#include <vector>

#include "backend_rig.h"
#include "open_fds.h"
#include "vmm/vhost_user/backend_request.h"
#include "vmm/virtio_device/testing/echo_device.h"

namespace vmm::vhost_user_backend {
namespace {

using vhost_user::IotlbMessage;
using virtio_device::testing::EchoDevice;
using virtio_queue::driver::Buffer;

constexpr std::uint64_t kPage = 4096;

/// What an IOMMU has of one page.
struct PageEntry {
  std::uint64_t iova;
  std::uint64_t guest;
  IotlbMessage::Permission permission = IotlbMessage::kReadWrite;
};

/// The front end's IOMMU, which answers what it can and keeps what it was asked.
class Iommu final : public vhost_user::BackendRequestHandler {
 public:
  explicit Iommu(Guest& guest) : guest_(guest) {
    auto [ours, theirs] = socket_pair();
    REQUIRE(guest_.frontend().set_backend_channel(theirs.get()));
    channel_.emplace(*vhost_user::Connection::adopt(std::move(ours)), *this);
  }

  Result<UniqueFd> handle(vhost_user::BackendRequest& request) override {
    const auto* const iotlb = std::get_if<vhost_user::backend_request::Iotlb>(&request);
    if (iotlb != nullptr) asked_.push_back(iotlb->message);
    return UniqueFd();
  }

  /// The rings, in pages of their own.
  void map_rings() {
    for (std::uint64_t at = 0x1'0000; at < 0x1'6000; at += kPage) map({kIo + at, at});
  }
  void map(const PageEntry& page) { pages_.push_back(page); }
  void unmap(std::uint64_t iova) {
    std::erase_if(pages_, [&](const PageEntry& page) { return page.iova == iova; });
    REQUIRE(tell({.iova = iova, .bytes = kPage, .type = IotlbMessage::kInvalidate}));
  }
  Result<void> tell(const IotlbMessage& message) { return guest_.frontend().iotlb(message); }
  Result<void> tell(const PageEntry& page) {
    return tell({.iova = page.iova,
                 .bytes = kPage,
                 .user_address = kUser + page.guest,
                 .permission = page.permission,
                 .type = IotlbMessage::kUpdate});
  }
  /// Serves the back end until queue 0 calls, or nothing comes for a time.
  bool serve(std::uint32_t queue) {
    for (;;) {
      std::array fds = {pollfd{.fd = channel_->fd(), .events = POLLIN, .revents = 0},
                        pollfd{.fd = guest_.call_fd(queue), .events = POLLIN, .revents = 0}};
      if (::poll(fds.data(), fds.size(), kPatienceMs) <= 0) return false;
      if (fds[1].revents != 0) return true;
      take();
    }
  }
  /// Takes what the back end says until it says nothing for a while.
  void listen() {
    while (Guest::readable(channel_->fd(), 50)) take();
  }
  /// The same, after a question about this address, which has to come.
  void listen_for(std::uint64_t iova) {
    while (asked_.empty() || last().iova != iova) {
      REQUIRE(Guest::readable(channel_->fd()));
      take();
    }
    listen();
  }
  /// The message that was asked last.
  const IotlbMessage& last() const { return asked_.back(); }
  std::size_t count() const { return asked_.size(); }
  std::size_t count(IotlbMessage::Type type) const {
    return static_cast<std::size_t>(std::ranges::count(asked_, type, &IotlbMessage::type));
  }

 private:
  void take() {
    REQUIRE(channel_->serve());
    answer();
  }
  void answer() {
    if (asked_.size() == answered_) return;
    answered_ = asked_.size();
    if (last().type != IotlbMessage::kMiss) return;
    for (const PageEntry& page : pages_) {
      if (last().iova - page.iova < kPage) REQUIRE(tell(page));
    }
  }

  Guest& guest_;
  std::optional<vhost_user::FrontendChannel> channel_;
  std::vector<PageEntry> pages_;
  std::vector<IotlbMessage> asked_;
  std::size_t answered_ = 0;
};

struct Rig {
  explicit Rig(bool packed = false)
      : guest(process.connect(), 2, {.packed = packed, .iommu = true}) {
    guest.negotiate();
    iommu.emplace(guest);
    guest.share_memory();
    for (std::uint32_t i = 0; i < 2; ++i) {
      guest.set_up_ring(i, guest.start_base());
      guest.enable(i);
    }
    guest.driver_ok();
  }
  /// Runs with its rings mapped.
  void run() {
    iommu->map_rings();
    iommu->listen();
    REQUIRE(process.running());
  }
  /// A request of a text at an I/O address, and what is answered at another one.
  void offer(const std::string& text, std::uint64_t from, std::uint64_t to, std::uint32_t room = 64,
             std::uint32_t queue = 0) {
    const std::array parts = {
        Buffer{GuestAddress(from), static_cast<std::uint32_t>(text.size()), false},
        Buffer{GuestAddress(to), room, true}};
    guest.offer_parts(queue, parts);
    guest.kick(queue);
  }
  void write(std::uint64_t guest_address, const std::string& text) {
    REQUIRE(guest.view().write_bytes(GuestAddress(guest_address), std::as_bytes(std::span(text))));
  }
  std::string read(std::uint64_t guest_address, std::size_t bytes) {
    std::string text(bytes, '\0');
    REQUIRE(guest.view().read_bytes(GuestAddress(guest_address),
                                    std::as_writable_bytes(std::span(text))));
    return text;
  }
  /// The bytes that were written for the oldest request.
  std::optional<std::uint32_t> finish(std::uint32_t queue = 0) {
    for (int i = 0; i < 100; ++i) {
      if (const auto used = guest.reap(queue)) return used->written;
      if (!iommu->serve(queue)) return std::nullopt;
      std::uint64_t calls = 0;
      (void)!::read(guest.call_fd(queue), &calls, sizeof(calls));
    }
    return std::nullopt;
  }

  std::shared_ptr<EchoDevice> device = std::make_shared<EchoDevice>();
  Process process{device, true};
  Guest guest;
  std::optional<Iommu> iommu;
};

TEST_CASE("behind an IOMMU what is missing is asked for: rings first, then buffers", "[iotlb]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    Rig rig(packed);
    CHECK_FALSE(rig.process.running());
    rig.run();
    CHECK((rig.device->negotiated() & virtio_device::kFeatureAccessPlatform) != 0);
    rig.iommu->map({kIo + 0x8'0000, 0x8'0000, IotlbMessage::kRead});
    rig.iommu->map({kIo + 0x8'1000, 0x8'1000, IotlbMessage::kWrite});
    rig.write(0x8'0000, "hello");
    const std::size_t before = rig.iommu->count();
    for (int i = 0; i < 40; ++i) {
      rig.offer("hello", kIo + 0x8'0000, kIo + 0x8'1000);
      CHECK(rig.finish() == 5u);
    }
    CHECK(rig.read(0x8'1000, 5) == "hello");
    CHECK(rig.iommu->count() == before + 2);  // each page once
    CHECK(rig.iommu->last().permission == IotlbMessage::kWrite);
  }
}

TEST_CASE("a buffer may be of pages that are nowhere near each other", "[iotlb]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    Rig rig(packed);
    rig.run();
    // Three pages in a row for the driver, in the wrong order in memory.
    rig.iommu->map({kIo + 0x20'0000, 0x9'0000});
    rig.iommu->map({kIo + 0x20'1000, 0x8'0000});
    rig.iommu->map({kIo + 0x20'2000, 0x8'8000});
    rig.write(0x9'0ffe, "ab");
    rig.write(0x8'0000, "cd");
    rig.offer("abcd", kIo + 0x20'0ffe, kIo + 0x20'1ffd);
    CHECK(rig.finish() == 4u);
    CHECK(rig.read(0x8'0ffd, 3) == "abc");
    CHECK(rig.read(0x8'8000, 1) == "d");
  }
}

TEST_CASE("a mapping permits what it says and no more", "[iotlb]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    Rig rig(packed);
    rig.run();
    rig.iommu->map({kIo + 0x8'0000, 0x8'0000, IotlbMessage::kRead});
    rig.iommu->map({kIo + 0x8'1000, 0x8'1000, IotlbMessage::kWrite});
    rig.write(0x8'0000, "12345");
    rig.offer("12345", kIo + 0x8'0000, kIo + 0x8'1000);
    REQUIRE(rig.finish() == 5u);
    rig.offer("12345", kIo + 0x8'0000, kIo + 0x8'0000);  // writes to what may be read
    CHECK(rig.finish() == 0u);
    rig.offer("12345", kIo + 0x8'1000, kIo + 0x8'1000);  // reads what may be written
    CHECK(rig.finish() == 0u);
    CHECK(rig.read(0x8'0000, 5) == "12345");
    rig.iommu->listen();
    CHECK(rig.iommu->count(IotlbMessage::kAccessFail) == 2);
    // Again and again: one who cannot be stopped from asking does not have us tell it each time.
    for (int i = 0; i < 50; ++i) {
      rig.offer("12345", kIo + 0x8'1000, kIo + 0x8'1000);
      CHECK(rig.finish() == 0u);
    }
    rig.iommu->listen();
    CHECK(rig.iommu->count(IotlbMessage::kAccessFail) <= 4);
    CHECK(rig.device->served() == 1);
  }
}

TEST_CASE("what was invalidated is asked for again, and is where it is then", "[iotlb]") {
  Rig rig;
  rig.run();
  rig.iommu->map({kIo + 0x8'0000, 0x8'0000});
  rig.write(0x8'0000, "old");
  rig.write(0x9'0000, "new");
  rig.offer("old", kIo + 0x8'0000, kIo + 0x8'0100);
  REQUIRE(rig.finish() == 3u);
  CHECK(rig.read(0x8'0100, 3) == "old");
  rig.iommu->unmap(kIo + 0x8'0000);
  rig.iommu->map({kIo + 0x8'0000, 0x9'0000});
  rig.offer("new", kIo + 0x8'0000, kIo + 0x8'0100);
  REQUIRE(rig.finish() == 3u);
  CHECK(rig.read(0x9'0100, 3) == "new");
  CHECK(rig.read(0x8'0100, 3) == "old");
}

TEST_CASE("a ring that loses its memory stops, and goes on when it has it again", "[iotlb]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    Rig rig(packed);
    rig.run();
    rig.iommu->map({kIo + 0x8'0000, 0x8'0000});
    rig.write(0x8'0000, "a");
    rig.offer("a", kIo + 0x8'0000, kIo + 0x8'0100);
    REQUIRE(rig.finish() == 1u);
    rig.iommu->unmap(kIo + 0x1'0000);
    CHECK_FALSE(rig.process.running());
    rig.offer("a", kIo + 0x8'0000, kIo + 0x8'0100);
    rig.iommu->listen_for(kIo + 0x1'0000);
    CHECK(rig.device->served() == 1);
    REQUIRE(rig.iommu->tell(PageEntry{kIo + 0x1'0000, 0x1'0000}));
    CHECK(rig.finish() == 1u);
    CHECK(rig.device->served() == 2);
  }
}

TEST_CASE("a driver that offers what is not mapped waits alone", "[iotlb]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    Rig rig(packed);
    rig.run();
    rig.iommu->map({kIo + 0x8'0000, 0x8'0000});
    rig.write(0x8'0000, "b");
    const std::size_t before = rig.iommu->count();
    rig.offer("a", 0xdead'0000, kIo + 0x8'0000);
    for (int i = 0; i < 200; ++i) rig.guest.kick(0);
    rig.iommu->listen_for(0xdead'0000);
    CHECK(rig.iommu->count() <= before + 2);
    CHECK(rig.iommu->last().iova == 0xdead'0000);
    CHECK_FALSE(rig.guest.reap(0));
    rig.offer("b", kIo + 0x8'0000, kIo + 0x8'0100, 64, 1);
    CHECK(rig.finish(1) == 1u);
    // The ring is where the request is, and can be stopped.
    CHECK(gives(rig.guest.frontend().get_vring_base(0), packed ? 0x8000'8000 : 0));
  }
}

TEST_CASE("a cache that is full forgets, and asks again", "[iotlb]") {
  Rig rig;
  rig.run();
  rig.iommu->map({kIo + 0x8'0000, 0x8'0000});
  rig.write(0x8'0000, "a");
  // Every other page, so that none continues another.
  for (std::uint64_t i = 0; i < 5000; ++i) {
    REQUIRE(rig.iommu->tell(PageEntry{0x100'0000'0000 + i * 2 * kPage, 0x9'0000}));
  }
  rig.offer("a", kIo + 0x8'0000, kIo + 0x8'0100);
  CHECK(rig.finish() == 1u);
}

TEST_CASE("what the front end says about I/O addresses is not believed", "[iotlb]") {
  const std::size_t before = open_fds();
  {
    Rig rig;
    rig.run();
    using vhost_user::MessageError;
    const auto refused = [&](const IotlbMessage& message) {
      const auto told = rig.iommu->tell(message);
      return !told && is(told.error(), MessageError::kRefused);
    };
    IotlbMessage update{.iova = kIo,
                        .bytes = kPage,
                        .user_address = kUser + kRamBytes,
                        .permission = IotlbMessage::kReadWrite,
                        .type = IotlbMessage::kUpdate};
    CHECK(refused(update));  // beyond memory
    update.user_address = kUser + kRamBytes - 1;
    CHECK(refused(update));
    update.user_address = 0;
    CHECK(refused(update));
    CHECK(rig.process.serving());
    // Memory that goes takes its mappings with it.
    rig.iommu->map({kIo + 0x8'0000, 0x8'0000});
    rig.offer("a", kIo + 0x8'0000, kIo + 0x8'0100);
    CHECK(rig.finish() == 1u);
    const vhost_user::MemoryRegion region{
        .guest_address = 0, .bytes = kRamBytes, .user_address = kUser, .mmap_offset = 0};
    REQUIRE(rig.guest.frontend().remove_region(region));
    update.user_address = kUser;
    CHECK(refused(update));
  }
  CHECK(open_fds() == before);
}

TEST_CASE("IOTLB messages need an IOMMU", "[iotlb]") {
  const auto device = std::make_shared<EchoDevice>();
  Process process(device);
  Guest guest(process.connect(), 2, {});
  CHECK((guest.frontend().features() & virtio_device::kFeatureAccessPlatform) == 0);
  guest.start();
  const IotlbMessage message{.iova = 0, .bytes = kPage, .type = IotlbMessage::kInvalidate};
  const auto told = guest.frontend().iotlb(message);
  REQUIRE_FALSE(told);
  CHECK(is(told.error(), vhost_user::MessageError::kRefused));
  CHECK(guest.echo(0, "still") == "still");
}

}  // namespace
}  // namespace vmm::vhost_user_backend
