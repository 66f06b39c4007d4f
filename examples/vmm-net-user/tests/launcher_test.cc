// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

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

TEST_CASE("a program that ended by itself keeps its number until it is ended", "[launcher]") {
  // It ends at once, whether this is found in PATH or the real one is beside the test.
  const auto folder = *sys_util::TempDirectory::create();
  const std::string program = folder.path() + "/" + kProgram;
  std::ofstream(program) << "#!/bin/sh\nexit 1\n";
  REQUIRE(::chmod(program.c_str(), 0700) == 0);
  const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
  const std::string all = folder.path() + ":" + (path == nullptr ? "/bin" : path);
  REQUIRE(::setenv("PATH", all.c_str(), 1) == 0);    // NOLINT(concurrency-mt-unsafe)
  REQUIRE((::signal(SIGCHLD, SIG_IGN) != SIG_ERR));  // as in a VMM
  REQUIRE(begin_launcher());
  REQUIRE((::signal(SIGCHLD, SIG_DFL) != SIG_ERR));

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

}  // namespace
}  // namespace vmm::net_user
