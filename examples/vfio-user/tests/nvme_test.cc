// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include <poll.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "driver.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/vfio/irq_events.h"
#include "vmm/vfio_user/server_session.h"

namespace vmm::nvme {
namespace {

constexpr std::uint64_t kDisk = 1 << 20;

/// A controller on a thread of its own, and its driver.
class Rig : public Driver {
 public:
  explicit Rig(bool with_file = true)
      : controller_(std::move(*sys_util::MemFd::create(kDisk)).release(), kDisk, "serial"),
        server_([this] { serve(); }) {
    conversation_.emplace(
        std::move(ends_.client), memory, with_file,
        [this](const std::shared_ptr<vfio_user::Client>&, std::uint32_t index, int fd) {
          unmask_index = index;
          unmask_fd = fd;
          return Result<void>();
        });
    use(device());
  }
  ~Rig() {
    conversation_.reset();
    server_.join();
  }

  vfio::Device& device() { return conversation_->device(); }
  void unmap() { conversation_->unmap(); }
  /// What the descriptor that unmasks asks for.
  void unmask() { REQUIRE(conversation_->client().unmask_irq(unmask_index)); }
  int unmask_fd = -1;
  std::uint32_t unmask_index = 99;

 private:
  void serve() {
    auto session = vfio_user::ServerSession::create(std::move(ends_.server), controller_);
    using Event = vfio_user::ServerSession::Event;
    for (;;) {
      const auto event = (*session)->serve();
      if (!event || *event == Event::kClosed) return;
      pollfd one{.fd = (*session)->fd(), .events = POLLIN, .revents = 0};
      if (*event == Event::kNothing) (void)::poll(&one, 1, -1);
    }
  }

  Ends ends_;
  Controller controller_;
  std::thread server_;
  std::optional<Conversation> conversation_;
};

TEST_CASE("the controller is a PCI device with MSI-X", "[nvme]") {
  Rig rig;
  CHECK(rig.device().region(0).bytes == Controller::kBarBytes);
  CHECK(rig.device().irq(vfio::PciIrq::kMsix).count == Controller::kVectors);
  std::array<std::uint8_t, 64> config{};
  REQUIRE(rig.device().read(vfio::kConfigRegion, 0, std::as_writable_bytes(std::span(config))));
  CHECK(config[0x0b] == 1);
  CHECK(config[0x0a] == 8);
  CHECK(config[0x09] == 2);
  CHECK(config[0x34] == 0x40);
  CHECK(rig.get(kVersion) == 0x10200);
  CHECK((rig.get(kCapabilities) & 0xffff) == Controller::kMaxEntries - 1);
}

TEST_CASE("it gets ready and stops", "[nvme]") {
  Rig rig;
  CHECK(rig.get(kStatus) == 0);
  rig.enable();
  CHECK(rig.get(kStatus) == kReady);
  rig.set(kConfiguration, kEnable | 1 << 14);
  CHECK(rig.get(kStatus) == (kReady | kShutdownDone));
  rig.set(kConfiguration, 0);
  CHECK(rig.get(kStatus) == 0);
  rig.set(kAdminSizes, 0);
  rig.set(kConfiguration, kEnable);
  CHECK(rig.get(kStatus) == kFatal);
  REQUIRE(rig.device().reset());
  CHECK(rig.get(kStatus) == 0);
  CHECK(rig.get(kAdminSubmissions) == 0);
}

TEST_CASE("a driver finds the disk", "[nvme]") {
  Rig rig;
  rig.enable();
  REQUIRE(rig.run(0, {.opcode = 6, .prp1 = page(kData), .words = {1}}) == Status::kSuccess);
  CHECK(std::memcmp(&rig.at<char>(kData, 4), "serial ", 7) == 0);
  REQUIRE(
      rig.run(0,
              {.opcode = 6, .name_space = 1, .prp1 = page(kData) + 512, .prp2 = page(kData + 1)}) ==
      Status::kSuccess);
  CHECK(rig.at<std::uint64_t>(kData, 512) == kDisk / 512);
  REQUIRE(rig.run(0, {.opcode = 6, .prp1 = page(kData), .words = {2}}) == Status::kSuccess);
  CHECK(rig.at<std::uint32_t>(kData) == 1);
  CHECK(rig.run(0, {.opcode = 9, .words = {7}}) == Status::kSuccess);
  CHECK(rig.result == 0x70007);
}

TEST_CASE("data goes to the disk and comes back, with interrupts", "[nvme]") {
  const bool with_file = GENERATE(true, false);
  Rig rig(with_file);
  const auto event = sys_util::EventFd::create();
  std::vector<std::int32_t> fds(Controller::kVectors, -1);
  fds[1] = event->fd();
  REQUIRE(rig.device().set_irqs(2, 0, fds));
  rig.enable();
  REQUIRE(rig.create_queues() == Status::kSuccess);

  // 3.5 pages from the middle of one: a list of the others.
  constexpr std::uint32_t kBlocks = 28;
  for (std::size_t i = 0; i < kBlocks * 512; ++i) {
    rig.at<std::uint8_t>(kData, 2048 + i) = static_cast<std::uint8_t>(i * 11 / 3);
  }
  for (std::uint64_t i = 0; i < 3; ++i) {
    rig.at<std::uint64_t>(kList, 8 * i) = page(kData + 1 + i);
    // To another place, whose list ends with the page and goes on in the next one.
    rig.at<std::uint64_t>(kList + 1, kPage - 16) = page(kData + 32);
    rig.at<std::uint64_t>(kList + 1, kPage - 8) = page(kList + 2);
    rig.at<std::uint64_t>(kList + 2, 8 * i) = page(kData + 33 + i);
  }
  REQUIRE(rig.run(1, transfer(true, 100, kBlocks, page(kData) + 2048, page(kList))) ==
          Status::kSuccess);
  CHECK(*event->take() == 1);
  REQUIRE(rig.run(1, {.opcode = 0, .id = 3, .name_space = 1}) == Status::kSuccess);
  REQUIRE(rig.run(1, transfer(false, 100, kBlocks, page(kData + 31) + 2048,
                              page(kList + 1) + kPage - 16)) == Status::kSuccess);
  CHECK(*event->take() == 2);
  CHECK(std::memcmp(&rig.at<char>(kData, 2048), &rig.at<char>(kData + 31, 2048), kBlocks * 512) ==
        0);
}

TEST_CASE("without MSI-X a pin is high while answers wait", "[nvme]") {
  Rig rig;
  CHECK(rig.device().irq(vfio::PciIrq::kIntx).count == 1);
  const auto pin = vfio::IrqEvents::create(true);
  REQUIRE(pin);
  REQUIRE(pin->enable(rig.device(), 0));
  CHECK(rig.unmask_fd == pin->unmask_fd());
  CHECK(rig.unmask_index == 0);
  const auto rings = [&pin] {  // how often it was heard
    const auto event = sys_util::EventFd::adopt(UniqueFd(::dup(pin->trigger_fd())));
    const auto count = event.take();
    return count ? *count : 0;
  };
  rig.enable();
  rig.put(0, {.opcode = 8, .id = 1});
  rig.put(0, {.opcode = 8, .id = 2});
  rig.ring(0);
  CHECK(rings() == 1);  // masked by the first
  rig.take(0);
  rig.unmask();
  CHECK(rings() == 1);  // one more waits
  rig.take(0);
  rig.unmask();
  CHECK(rings() == 0);

  rig.set(kMaskSet, 1);
  CHECK(rig.get(kMaskClear) == 1);
  rig.put(0, {.opcode = 8, .id = 3});
  rig.ring(0);
  CHECK(rings() == 0);
  rig.set(kMaskClear, 1);
  CHECK(rings() == 1);
  rig.take(0);
  rig.unmask();
  constexpr auto kPinOff = std::uint16_t{1 << 10};
  REQUIRE(rig.device().write(vfio::kConfigRegion, 4, bytes_of(kPinOff)));
  rig.put(0, {.opcode = 8, .id = 4});
  rig.ring(0);
  CHECK(rings() == 0);
  REQUIRE(rig.device().write(vfio::kConfigRegion, 4, bytes_of(std::uint16_t{0})));
  CHECK(rings() == 1);
  REQUIRE(rig.device().disable_irqs(0));
  CHECK(rig.unmask_fd == -1);
}

TEST_CASE("what a driver may not do fails the command", "[nvme][hostile]") {
  Rig rig;
  rig.enable();
  REQUIRE(rig.create_queues() == Status::kSuccess);
  struct Case {
    unsigned queue;
    Command command;
    Status status;
  };
  const std::uint64_t nowhere = std::uint64_t{1} << 60;
  const auto create = [](std::uint8_t opcode, std::uint32_t number, std::uint32_t entries,
                         std::uint32_t flags, std::uint64_t at = page(kData)) {
    return Command{.opcode = opcode, .prp1 = at, .words = {(entries - 1) << 16 | number, flags}};
  };
  const Case cases[] = {
      {0, {.opcode = 0x55}, Status::kBadOpcode},
      {0, {.opcode = 6, .flags = 0x40, .prp1 = page(kData), .words = {1}}, Status::kBadField},
      {0, {.opcode = 6, .prp1 = page(kData), .words = {99}}, Status::kBadField},
      {0, {.opcode = 6, .name_space = 2, .prp1 = page(kData)}, Status::kBadNamespace},
      {0, {.opcode = 6, .prp1 = nowhere, .words = {1}}, Status::kTransferError},
      {0, {.opcode = 6, .prp1 = page(kData) + 8, .prp2 = 3, .words = {1}}, Status::kBadField},
      {0, create(5, 1, 8, 3), Status::kBadQueue},
      {0, create(5, 0, 8, 3), Status::kBadQueue},
      {0, create(5, 9, 8, 3), Status::kBadQueue},
      {0, create(5, 2, 1, 3), Status::kBadQueueSize},
      {0, create(5, 2, 257, 3), Status::kBadQueueSize},
      {0, create(5, 2, 8, 2), Status::kBadField},
      {0, create(5, 2, 8, 3, page(kData) + 1), Status::kBadField},
      {0, create(5, 2, 8, 9 << 16 | 3), Status::kBadVector},
      {0, create(1, 1, 8, 1 << 16 | 1), Status::kBadQueue},
      {0, create(1, 2, 8, 2 << 16 | 1), Status::kBadCompletionQueue},
      {0, create(1, 2, 8, 1), Status::kBadCompletionQueue},
      {0, create(1, 2, 300, 1 << 16 | 1), Status::kBadQueueSize},
      {0, create(4, 1, 1, 0), Status::kBadField},  // in use
      {0, create(4, 5, 1, 0), Status::kBadQueue},
      {0, create(0, 0, 1, 0), Status::kBadQueue},
      {0, {.opcode = 10, .words = {1}}, Status::kBadField},
      {1, {.opcode = 1, .name_space = 2}, Status::kBadNamespace},
      {1, {.opcode = 0x99, .name_space = 1}, Status::kBadOpcode},
      {1, transfer(false, kDisk / 512, 1, page(kData)), Status::kBadRange},
      {1, transfer(false, ~std::uint64_t{0}, 2, page(kData)), Status::kBadRange},
      {1, transfer(false, 0, 257, page(kData), page(kList)), Status::kBadField},
      {1, transfer(false, 0, 1, nowhere), Status::kTransferError},
      {1, transfer(true, 0, 16, page(kData), nowhere), Status::kTransferError},
      {1, transfer(true, 0, 24, page(kData), nowhere), Status::kTransferError},
      {1, transfer(true, 0, 24, page(kData), page(kList) + 4), Status::kBadField},
  };
  for (const Case& one : cases) {
    CAPTURE(one.queue, int{one.command.opcode}, one.command.words[0], one.command.words[1]);
    CHECK(rig.run(one.queue, one.command) == one.status);
  }
  CHECK(rig.get(kStatus) == kReady);
  CHECK(rig.run(0, create(0, 1, 1, 0)) == Status::kSuccess);
  CHECK(rig.run(0, create(4, 1, 1, 0)) == Status::kSuccess);
}

TEST_CASE("a queue whose answers have no room waits", "[nvme]") {
  Rig rig;
  rig.enable();
  for (unsigned round = 0; round < 2; ++round) {
    for (std::uint16_t i = 0; i < kEntries - 1; ++i) rig.put(0, {.opcode = 8, .id = i});
    rig.ring(0);
  }
  for (unsigned round = 0; round < 2; ++round) {
    for (std::uint16_t i = 0; i < kEntries - 1; ++i) CHECK(rig.take(0).id == i);
  }
  rig.set(kDoorbells, kEntries);    // no such entry
  rig.set(kDoorbells + 8 * 50, 1);  // no such queue
  CHECK(rig.get(kStatus) == kReady);
}

TEST_CASE("a controller that cannot reach its queues gives up", "[nvme][hostile]") {
  Rig rig;
  rig.enable();
  rig.unmap();
  rig.put(0, {.opcode = 8});
  rig.ring(0);
  CHECK(rig.get(kStatus) == (kReady | kFatal));
  rig.ring(0);
  rig.set(kConfiguration, 0);
  CHECK(rig.get(kStatus) == 0);
}

}  // namespace
}  // namespace vmm::nvme
