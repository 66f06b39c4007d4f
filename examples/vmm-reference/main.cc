// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "options.h"
#include "vmm.h"
#include "vmm/base/log.h"
#include "vmm/base/unique_fd.h"

namespace {

using namespace vmm;
using namespace vmm::reference;

constexpr const char* kVersion = "vmm-reference " VMM_VERSION;

// Started under the other name, the program says what it stands in for: clients that look for that
// name want to know which options and calls there are.
constexpr std::string_view kOtherName = "cloud-hypervisor";
constexpr const char* kOtherVersion = "cloud-hypervisor v53.0.0";

// Where log lines go; set once, before there are threads.
constinit int g_log_fd = STDERR_FILENO;

// One write a line, so that threads do not mix within a line. The terminal may be raw: \r\n.
void write_log(LogLevel level, std::string_view line) {
  static constexpr const char* kNames[] = {"error", "warning", "info", "debug", "trace"};
  char text[320];
  const int size = std::snprintf(text, sizeof(text), "vmm-reference: %s: %.*s\r\n",
                                 kNames[static_cast<std::size_t>(level)],
                                 static_cast<int>(line.size()), line.data());
  if (size > 0) (void)!::write(g_log_fd, text, static_cast<std::size_t>(size));
}

Outcome<void> set_up_log(const Invocation& invocation) {
  if (!invocation.log_file.empty()) {
    UniqueFd file(::open(invocation.log_file.c_str(),
                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
    if (!file) {
      return fail(runtime("--log-file: " + invocation.log_file, Error::from_errno("open")));
    }
    g_log_fd = file.release();
  }
  constexpr LogLevel kLevels[] = {LogLevel::kWarn, LogLevel::kInfo, LogLevel::kDebug,
                                  LogLevel::kTrace};
  set_log_level(kLevels[std::min(invocation.verbosity, 3u)]);
  set_log_sink(&write_log);
  return {};
}

bool has_other_name(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1) == kOtherName;  // npos + 1 is 0
}

Outcome<void> run(std::string_view path, const std::vector<std::string>& arguments) {
  VMM_TRY(Invocation invocation, parse_command_line(arguments));
  switch (invocation.action) {
    case Invocation::Action::kShowHelp:
      std::fputs(help_text().c_str(), stdout);
      return {};
    case Invocation::Action::kShowVersion:
      if (has_other_name(path)) std::puts(kOtherVersion);
      std::puts(kVersion);
      if (invocation.verbosity != 0) std::puts("features: kvm io_uring");
      return {};
    case Invocation::Action::kRun:
      break;
  }
  VMM_TRY_DO(set_up_log(invocation));
  VMM_LOG(kInfo, "%s, process %d", kVersion, ::getpid());
  invocation.vmm.version = VMM_VERSION;
  return run_vmm(invocation.vmm);
}

// What threads have for themselves: stacks of the usual 8 MiB get huge pages from the kernel, of
// which a thread needs a few KiB, and malloc(3)'s pools for many threads are for programs that
// allocate all the time.
void bound_memory_of_threads() {
  constexpr std::size_t kStackBytes = std::size_t{1} << 20;
  (void)::mallopt(M_ARENA_MAX, 1);
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return;
  if (::pthread_attr_setstacksize(&attributes, kStackBytes) == 0) {
    (void)::pthread_setattr_default_np(&attributes);
  }
  (void)::pthread_attr_destroy(&attributes);
}

// A standard stream that is closed would be the next file that is opened, and guests' output would
// go into that.
bool hold_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (!hold_standard_streams()) return 1;
  bound_memory_of_threads();
  if (argc < 2) {
    std::fputs(help_text().c_str(), stderr);
    return 2;
  }
  const std::vector<std::string> words(argv, argv + argc);
  const auto done = words.empty() ? run({}, {}) : run(words[0], {words.begin() + 1, words.end()});
  if (done) return 0;
  std::fprintf(stderr, "vmm-reference: %s\n", done.error().message.c_str());
  if (done.error().kind == Failure::Kind::kUsage) {
    std::fputs("Try 'vmm-reference --help'.\n", stderr);
  }
  return done.error().exit_code();
}
