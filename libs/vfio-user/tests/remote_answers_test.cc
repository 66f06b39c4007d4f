// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Answers of a server that a kernel would not give.

#include <linux/vfio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "raw_peer.h"
#include "vmm/vfio_user/remote_kernel.h"
#include "vmm/vfio_user/remote_space.h"

namespace vmm::vfio_user {
namespace {

constexpr std::uint64_t kPage = 4096;

/// A client whose space has a server that says what it is told to say.
struct Rig {
  Rig() : Rig(socket_pair()) {}
  explicit Rig(std::pair<UniqueFd, UniqueFd> ends) : peer(std::move(ends.first)) {
    say(Command::kVersion, to_bytes(Version{}));
    say(Command::kGetInfo, to_bytes(DeviceInfo{.argsz = sizeof(DeviceInfo),
                                               .flags = DeviceInfo::kPci,
                                               .regions = 0,
                                               .interrupts = 0}));
    space = RemoteSpace::create({.client = {.patience = Client::Milliseconds(30'000)},
                                 .on_connect = [this](const auto& made) {
                                   client = made;
                                   return Result<void>();
                                 }});
    auto made = space->connect(std::move(ends.second));
    REQUIRE(made);
    device = std::move(*made);
    REQUIRE((client && !client->over()));
  }
  void say(Command command, const Bytes& payload, std::size_t fds = 0) {
    peer.send(command, payload, fds, kReply, next_++);
  }
  void say_log(std::uint32_t flags, const LogReport& echo, std::uint64_t bits) {
    say(Command::kFeature,
        to_bytes(Feature{.argsz = 0, .flags = flags}) + to_bytes(echo) + to_bytes(bits));
  }

  RawPeer peer;
  std::shared_ptr<Client> client;
  std::shared_ptr<RemoteSpace> space;
  std::unique_ptr<vfio::Device> device;

 private:
  std::uint16_t next_ = 0;
};

TEST_CASE("a log of dirty pages is of what was asked for and no more", "[remote][hostile]") {
  Rig rig;
  constexpr std::uint32_t kFlags = kFeatureLogReport | Feature::kGet;
  const LogReport asked{.iova = 16 * kPage, .bytes = 3 * kPage, .page_bytes = kPage};
  const LogReport others[] = {
      {.iova = 0, .bytes = 3 * kPage, .page_bytes = kPage},
      {.iova = 16 * kPage, .bytes = 4 * kPage, .page_bytes = kPage},
      {.iova = 16 * kPage, .bytes = 3 * kPage, .page_bytes = 2 * kPage},
  };
  SECTION("of a space") {
    const vfio::DmaSpan range{.iova = asked.iova, .bytes = asked.bytes};
    rig.say(Command::kFeature,
            to_bytes(Feature{.argsz = 0, .flags = kFeatureLogStart | Feature::kSet}));
    REQUIRE(rig.space->set_dirty_tracking(true));
    std::array<std::uint64_t, 1> bitmap{};
    rig.say_log(kFlags, asked, ~std::uint64_t{0} - 1);
    REQUIRE(rig.space->read_dirty(range, kPage, bitmap));
    CHECK(bitmap[0] == 0b110);
    for (const LogReport& other : others) {
      rig.say_log(kFlags, other, 1);
      CHECK_FALSE(rig.space->read_dirty(range, kPage, bitmap));
    }
    CHECK(bitmap[0] == 0b110);
  }
  SECTION("of a device") {
    RemoteKernel kernel(rig.client);
    std::array<std::uint64_t, 1> bitmap{};
    struct {
      Feature head;  // as the kernel has it
      vfio_device_feature_dma_logging_report report;
    } question{};
    question.head = {.argsz = sizeof(question), .flags = kFlags};
    question.report = {.iova = asked.iova,
                       .length = asked.bytes,
                       .page_size = asked.page_bytes,
                       .bitmap = reinterpret_cast<std::uintptr_t>(bitmap.data())};
    const auto ask = [&] {
      return kernel.ioctl(-1, VMM_IOCTL(VFIO_DEVICE_FEATURE),
                          reinterpret_cast<std::uintptr_t>(&question));
    };
    rig.say_log(kFlags, asked, ~std::uint64_t{0} - 1);
    REQUIRE(ask());
    CHECK(bitmap[0] == 0b110);
    for (const LogReport& other : others) {
      rig.say_log(kFlags, other, 1);
      CHECK_FALSE(ask());
    }
    CHECK(bitmap[0] == 0b110);
  }
}

TEST_CASE("a device that cannot be used keeps nothing of what it was told", "[remote][hostile]") {
  auto ends = socket_pair();
  RawPeer peer(std::move(ends.first));
  std::shared_ptr<Client> client;  // as who serves it would keep it
  const auto space = RemoteSpace::create({.client = {.patience = Client::Milliseconds(30'000)},
                                          .on_connect = [&client](const auto& made) {
                                            client = made;
                                            return Result<void>();
                                          }});
  const auto memory = sys_util::Mapping::create(
      2 * kPage, {.protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS});
  REQUIRE(memory);
  const auto at = [&](std::uint64_t iova) {
    return vfio::DmaMemory{.iova = iova,
                           .memory = memory->bytes().subspan(iova, kPage),
                           .owner = nullptr,
                           .device_writes = true};
  };
  const auto mapping = space->map(at(0));
  REQUIRE(mapping);
  peer.send(Command::kVersion, to_bytes(Version{}), 0, kReply, 0);
  peer.send(Command::kDmaMap, {}, 0, kReply, 1);
  peer.send(Command::kGetInfo, {}, 0, kReply | kError, 2);
  peer.send(Command::kDmaWrite,
            to_bytes(DmaAccess{.iova = 0, .count = 1}) + Bytes(1, std::byte{9}));
  CHECK_FALSE(space->connect(std::move(ends.second)));
  REQUIRE(client != nullptr);
  CHECK(client->over());
  (void)client->serve();
  CHECK(memory->bytes()[0] == std::byte{0});
  while (peer.receive()) continue;
  char byte = 0;
  CHECK(::recv(peer.fd(), &byte, 1, MSG_DONTWAIT) == 0);
  CHECK(space->map(at(kPage)));  // nobody is asked
}

// The kernel maps whole ones, and unmaps no parts of them.
TEST_CASE("parts of huge pages are not mapped", "[remote][hostile]") {
  constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;
  const UniqueFd file(::memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB));
  if (!file) return;  // a kernel without them
  REQUIRE(::ftruncate(file.get(), off_t{kBytes}) == 0);
  Rig rig;
  RemoteKernel kernel(rig.client);
  const RegionInfo info{.argsz = sizeof(RegionInfo),
                        .flags = RegionInfo::kRead | RegionInfo::kMap,
                        .index = 0,
                        .capabilities = 0,
                        .bytes = kBytes,
                        .offset = 0};
  rig.peer.send_bytes(
      to_bytes(Header{.id = 2,
                      .command = static_cast<std::uint16_t>(Command::kGetRegionInfo),
                      .bytes = sizeof(Header) + sizeof(info),
                      .flags = kReply,
                      .error = 0}) +
          to_bytes(info),
      {file.get()});
  CHECK(kernel.map(-1, kPage, PROT_READ, 0).error().is_os(ENODEV));
  CHECK(kernel.map(-1, kBytes / 2, PROT_READ, kPage).error().is_os(ENODEV));
}

}  // namespace
}  // namespace vmm::vfio_user
