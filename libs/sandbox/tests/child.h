// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A process to take rights from, as none comes back.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <string>

#include "shared_counters.h"
#include "vmm/sys_util/file_io.h"

namespace vmm::sandbox::testing {

struct Ended {
  bool by_signal = false;
  int code = 0;        ///< the exit status, or the signal
  std::string errors;  ///< what it wrote to standard error
};

/// Runs `body` in a child, whose exit status is what it returns.
inline Ended in_child(const std::function<int()>& body) {
  share_counters();
  int pipe[2] = {-1, -1};
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(pipe[1], STDERR_FILENO);
    ::close(pipe[0]);
    ::close(pipe[1]);
    for (const int number : {SIGSYS, SIGABRT, SIGSEGV}) ::signal(number, SIG_DFL);
    ::_exit(body());
  }
  ::close(pipe[1]);
  const auto text = sys_util::read_to_end(pipe[0], 1 << 20);
  ::close(pipe[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  Ended ended{.by_signal = WIFSIGNALED(status), .code = 0, .errors = {}};
  ended.code = ended.by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
  if (text) {
    ended.errors.assign(reinterpret_cast<const char*>(text->data()), text->size());
  }
  return ended;
}

}  // namespace vmm::sandbox::testing
