// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A controller that goes from one process to another while its driver goes on.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "driver.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/temp_directory.h"
#include "vmm/vfio/migration.h"

namespace vmm::nvme {
namespace {

using State = vfio::MigrationState;
using Bytes = std::vector<std::byte>;

/// A file of 1 MiB that is gone with its folder.
class DiskFile {
 public:
  DiskFile() {
    REQUIRE(folder_);
    const UniqueFd file(::open(path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(file);
    REQUIRE(::ftruncate(file.get(), 1 << 20) == 0);
  }
  [[nodiscard]] std::string path() const { return std::string(folder_->path()) + "/disk"; }

 private:
  Result<sys_util::TempDirectory> folder_ = sys_util::TempDirectory::create("/tmp/nvme-test-");
};

/// vfio-user-nvme in a process, and the client's end of its conversation.
class Server {
 public:
  Server(const DiskFile& disk, const DriverMemory& memory, const char* serial = "the disk")
      : id_(start(disk.path(), serial)),
        conversation_(std::move(ends_.client), memory, /*with_file=*/true) {}
  ~Server() {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] vfio::Device& device() const { return conversation_.device(); }
  [[nodiscard]] vfio_user::Client& client() const { return conversation_.client(); }
  [[nodiscard]] bool go(State state) const {
    if (!vfio::set_migration_state(device(), state)) return false;
    const auto now = vfio::migration_state(device());
    return now && *now == state;
  }
  [[nodiscard]] Bytes save() const {
    Bytes all;
    Bytes part(100);
    for (;;) {
      const auto n = client().read_migration(part);
      REQUIRE(n);
      all.insert(all.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(*n));
      if (*n < part.size()) return all;
    }
  }
  /// Takes a state, and is stopped.
  [[nodiscard]] bool take(std::span<const std::byte> state) const {
    REQUIRE(go(State::kResuming));
    for (std::size_t i = 0; i < state.size(); i += 77) {
      if (!client().write_migration(state.subspan(i, std::min<std::size_t>(77, state.size() - i))))
        return false;
    }
    return go(State::kStop);
  }

 private:
  pid_t start(const std::string& path, const char* serial) {
    const pid_t id = ::fork();
    if (id != 0) {
      ends_.server.reset();
      return id;
    }
    const int fd = ::dup(ends_.server.get());  // which outlives exec()
    const std::string file = "--file=" + path, name = std::string("--serial=") + serial,
                      socket = "--fd=" + std::to_string(fd);
    ::execl(std::getenv("VFIO_USER_NVME"), "vfio-user-nvme", file.c_str(), name.c_str(),
            socket.c_str(), nullptr);
    ::_exit(127);
  }

  Ends ends_;
  pid_t id_;
  Conversation conversation_;
};

std::uint64_t rings(const sys_util::EventFd& event) {
  const auto count = event.take();
  return count ? *count : 0;
}

void fill(Driver& driver, std::uint64_t page_number, std::uint8_t first) {
  for (std::size_t i = 0; i < kPage; ++i) {
    driver.at<std::uint8_t>(page_number, i) = static_cast<std::uint8_t>(first + i * 7 / 3);
  }
}

TEST_CASE("a controller goes on in another process", "[nvme][migration]") {
  const DiskFile disk;
  Driver driver;
  Bytes state;
  {
    const Server from(disk, driver.memory);
    driver.use(from.device());
    const auto support = vfio::migration_support(from.device());
    REQUIRE((support && *support));
    CHECK((*support)->stop_copy);
    CHECK_FALSE((*support)->pre_copy);
    driver.enable();
    REQUIRE(driver.create_queues(3) == Status::kSuccess);
    driver.put(0, {.opcode = 0x0c, .id = 1});  // an event, of which there are none
    driver.ring(0);
    fill(driver, kData, 1);
    for (std::uint64_t i = 0; i < 11; ++i) {  // past the queue's end
      REQUIRE(driver.run(1, transfer(true, 8 * i, 8, page(kData))) == Status::kSuccess);
    }
    // One answer waits for the driver, and one command for the controller, which has stopped.
    fill(driver, kData + 1, 77);
    driver.put(1, transfer(true, 800, 8, page(kData + 1)));
    driver.ring(1);
    REQUIRE(from.go(State::kStop));
    driver.put(1, transfer(false, 800, 8, page(kData + 2)));
    driver.ring(1);
    REQUIRE(from.go(State::kStopCopy));
    state = from.save();
    CHECK(state.size() == sizeof(ControllerState));
    CHECK(from.save().empty());
  }

  const Server to(disk, driver.memory);
  driver.use(to.device());
  const auto event = sys_util::EventFd::create();
  std::vector<std::int32_t> fds(Controller::kVectors, -1);
  fds[3] = event->fd();
  REQUIRE(to.device().set_irqs(2, 0, fds));
  REQUIRE(to.take(state));
  CHECK(driver.get(kStatus) == kReady);
  CHECK(driver.at<std::uint8_t>(kData + 2) == 0);
  REQUIRE(to.go(State::kRunning));
  CHECK(rings(*event) != 0);  // of the answer that waits, and of that to the command
  CHECK(driver.take(1).status >> 1 == 0);
  CHECK(driver.take(1).status >> 1 == 0);
  CHECK(std::memcmp(&driver.at<char>(kData + 2), &driver.at<char>(kData + 1), kPage) == 0);
  for (std::uint64_t i = 0; i < 11; ++i) {
    REQUIRE(driver.run(1, transfer(false, 8 * i, 8, page(kData + 3))) == Status::kSuccess);
    CHECK(std::memcmp(&driver.at<char>(kData + 3), &driver.at<char>(kData), kPage) == 0);
  }
  CHECK(rings(*event) == 11);
  // The event is still asked for: three more are as many as there may be.
  for (std::uint16_t i = 0; i < 3; ++i) driver.put(0, {.opcode = 0x0c, .id = i});
  CHECK(driver.run(0, {.opcode = 0x0c, .id = 9}) == Status::kTooManyEvents);
}

TEST_CASE("a controller that was only stopped goes on", "[nvme][migration]") {
  const DiskFile disk;
  Driver driver;
  const Server server(disk, driver.memory);
  driver.use(server.device());
  driver.enable();
  REQUIRE(server.go(State::kStopCopy));
  driver.put(0, {.opcode = 8, .id = 5});
  driver.ring(0);
  CHECK(driver.peek(0).id == 0);
  REQUIRE(server.go(State::kRunning));
  CHECK(driver.take(0).id == 5);
  // A reset is another way out.
  REQUIRE(server.go(State::kStop));
  REQUIRE(server.device().reset());
  driver.enable();
  CHECK(driver.run(0, {.opcode = 8, .id = 6}) == Status::kSuccess);
}

TEST_CASE("states that no controller has are refused", "[nvme][migration][hostile]") {
  const DiskFile disk;
  Driver driver;
  ControllerState good;
  {
    const Server from(disk, driver.memory);
    driver.use(from.device());
    driver.enable();
    REQUIRE(driver.create_queues() == Status::kSuccess);
    REQUIRE(from.go(State::kStopCopy));
    good = *exactly_as<ControllerState>(from.save());
  }
  const Server to(disk, driver.memory);
  driver.use(to.device());
  using Change = void (*)(ControllerState&);
  const Change changes[] = {
      [](ControllerState& state) { ++state.magic; },
      [](ControllerState& state) { ++state.blocks; },
      [](ControllerState& state) { state.serial[0] = 'x'; },
      [](ControllerState& state) { state.registers[kCapabilities / 4] ^= 1; },
      [](ControllerState& state) { state.registers[kVersion / 4] = 0; },
      [](ControllerState& state) { state.registers[15] = 1; },
      [](ControllerState& state) { state.registers[kStatus / 4] |= 16; },
      [](ControllerState& state) { state.registers[kMaskSet / 4] = 1; },
      [](ControllerState& state) { state.events = Controller::kMaxEvents + 1; },
      [](ControllerState& state) { state.submissions[1].base += 8; },
      [](ControllerState& state) { state.submissions[1].entries = 1; },
      [](ControllerState& state) { state.submissions[1].entries = Controller::kMaxEntries + 1; },
      [](ControllerState& state) { state.submissions[0].entries = 4097; },
      [](ControllerState& state) { state.submissions[1].head = kEntries; },
      [](ControllerState& state) { state.submissions[1].tail = kEntries; },
      [](ControllerState& state) { state.submissions[1].completions = 9; },
      [](ControllerState& state) { state.submissions[1].completions = 2; },
      [](ControllerState& state) { state.submissions[1].completions = 0; },
      [](ControllerState& state) { state.submissions[0].completions = 1; },
      [](ControllerState& state) { state.completions[1].base += 8; },
      [](ControllerState& state) { state.completions[1].entries = 1; },
      [](ControllerState& state) { state.completions[1].entries = 257; },
      [](ControllerState& state) { state.completions[0] = {}; },
      [](ControllerState& state) { state.completions[1].head = kEntries; },
      [](ControllerState& state) { state.completions[1].tail = kEntries; },
      [](ControllerState& state) { state.completions[1].vector = Controller::kVectors; },
      [](ControllerState& state) { state.completions[1].phase = 2; },
      [](ControllerState& state) { state.completions[1].interrupts = 2; },
  };
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    CAPTURE(i);
    ControllerState bad = good;
    changes[i](bad);
    CHECK_FALSE(to.take(bytes_of(bad)));
    CHECK(*vfio::migration_state(to.device()) == State::kResuming);
    REQUIRE(to.device().reset());
    CHECK(driver.get(kStatus) == 0);
  }
  CHECK_FALSE(to.take(bytes_of(good).first(sizeof(good) - 1)));
  REQUIRE(to.device().reset());
  Bytes more(sizeof(good) + 1);
  CHECK_FALSE(to.take(more));
  REQUIRE(to.device().reset());
  CHECK_FALSE(to.go(State::kPreCopy));
  REQUIRE(to.take(bytes_of(good)));
  REQUIRE(to.go(State::kRunning));
  CHECK(driver.get(kStatus) == kReady);
  CHECK(driver.run(1, transfer(false, 0, 8, page(kData))) == Status::kSuccess);
}

}  // namespace
}  // namespace vmm::nvme
