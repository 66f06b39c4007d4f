// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "console.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "vmm/sys_util/temp_directory.h"
#include "vmm/sys_util/temp_file.h"

namespace vmm::reference {
namespace {

using Clock = std::chrono::steady_clock;

/// A FIFO whose reader has stopped for `stall`.
struct StalledFifo {
  explicit StalledFifo(std::chrono::seconds stall) : until(Clock::now() + stall) {
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    read.reset(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    REQUIRE(read);
    reader = std::thread([this] {
      while (!over.load()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        if (Clock::now() < until) continue;
        std::array<char, 65536> part;
        (void)!::read(read.get(), part.data(), part.size());
      }
    });
  }
  ~StalledFifo() {
    over.store(true);
    reader.join();
  }

  const Clock::time_point until;
  sys_util::TempDirectory folder = *sys_util::TempDirectory::create();
  const std::string path = std::string(folder.path()) + "/fifo";
  UniqueFd read;
  std::atomic<bool> over{false};
  std::thread reader;
};

std::unique_ptr<Console> file_console(const std::string& path) {
  auto console = Console::open("--console",
                               {.mode = ConsoleConfig::Mode::kFile, .path = path, .escape = false});
  REQUIRE(console);
  (*console)->begin();
  return std::move(*console);
}

TEST_CASE("the reader of a FIFO that has stopped holds up nobody who may not wait",
          "[console][hostile]") {
  const StalledFifo fifo(std::chrono::seconds(30));
  const auto console = file_console(fifo.path);
  const std::vector<std::byte> much(std::size_t{1} << 20);
  CHECK(console->room_fd() >= 0);
  CHECK(console->write_ready(much) < much.size());
  CHECK(console->write_ready(much) == 0);
  console->set_patient(false);
  CHECK(console->write(much) == 0);
  CHECK(Clock::now() < fifo.until);
}

TEST_CASE("who may wait does so until the reader goes on", "[console]") {
  const StalledFifo fifo(std::chrono::seconds(2));
  const auto console = file_console(fifo.path);
  const std::vector<std::byte> much(std::size_t{1} << 20);
  CHECK(console->write(much) == much.size());
  CHECK(Clock::now() >= fifo.until);
}

TEST_CASE("a file takes all at once", "[console]") {
  const auto file = sys_util::TempFile::create();
  REQUIRE(file);
  const auto console = file_console(file->path());
  const std::vector<std::byte> much(std::size_t{1} << 20);
  CHECK(console->room_fd() == -1);
  CHECK(console->write_ready(much) == much.size());
}

}  // namespace
}  // namespace vmm::reference
