// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "fd_pairs.h"
#include "soon.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/temp_directory.h"

namespace vmm::net_user {
namespace {

/// The letter of a process's state; 0: there is no such process.
char state_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string number;
  std::string name;
  char state = 0;
  file >> number >> name >> state;
  return state;
}

/// A launcher, and a program in PATH that ends at once, or lives when it is given a descriptor. So
/// does the real one, where that is beside the test.
struct Launcher {
  Launcher() {
    const std::string program = folder.path() + "/" + kProgram;
    std::ofstream(program) << "#!/bin/sh\ncase $1 in --fd=*) exec sleep 60;; esac\nexit 1\n";
    REQUIRE(::chmod(program.c_str(), 0700) == 0);
    const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
    const std::string all = folder.path() + ":" + (path == nullptr ? "/bin" : path);
    REQUIRE(::setenv("PATH", all.c_str(), 1) == 0);    // NOLINT(concurrency-mt-unsafe)
    REQUIRE((::signal(SIGCHLD, SIG_IGN) != SIG_ERR));  // as in a VMM
    REQUIRE(begin_launcher());
    REQUIRE((::signal(SIGCHLD, SIG_DFL) != SIG_ERR));
  }
  const sys_util::TempDirectory folder = *sys_util::TempDirectory::create();
};

void begin_once() { static const Launcher launcher; }

TEST_CASE("a program that ended by itself keeps its number until it is ended", "[launcher]") {
  begin_once();
  const UniqueFd any(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const std::vector<std::string> arguments{kProgram, "--no-such-option"};
  const auto process = launch(arguments, any.get());
  REQUIRE(process);
  const auto ended = [&] { return state_of(*process) == 0 || state_of(*process) == 'Z'; };
  REQUIRE(soon(ended));
  CHECK(state_of(*process) == 'Z');
  end_launched(*process);
  CHECK(state_of(*process) == 0);
}

TEST_CASE("a program that does not obey is ended all the same", "[launcher][hostile]") {
  begin_once();
  const auto ends = socket_pair();
  const std::vector<std::string> arguments{kProgram, "--fd=3", "--seccomp=false"};
  const auto process = launch(arguments, ends.first.get());
  REQUIRE(process);
  REQUIRE(::kill(*process, SIGSTOP) == 0);
  REQUIRE(soon([&] { return state_of(*process) == 'T'; }));
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds kLong{30};
  const auto begun = Clock::now();
  std::atomic<bool> over{false};
  std::thread rescue([&] {
    while (!over && Clock::now() < begun + kLong) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (!over) (void)::kill(*process, SIGCONT);
  });
  end_launched(*process);
  over = true;
  rescue.join();
  CHECK(Clock::now() < begun + kLong);
  CHECK(state_of(*process) == 0);
}

}  // namespace
}  // namespace vmm::net_user
