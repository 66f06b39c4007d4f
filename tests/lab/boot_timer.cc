// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// boot-timer MARK GUEST_MIB COMMAND [ARGUMENT...]
//
// Starts COMMAND and prints how many nanoseconds of this machine's clock pass until it has written
// a line that starts with MARK (under lab run --icount, a nanosecond is an instruction), and the
// resident memory it then has outside the guest's: "NANOSECONDS KIB". Then ends it.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// The child's part: stdout into the pipe, no input.
[[noreturn]] void run(int out, char** command) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, 0);
  dup2(out, 1);
  execvp(command[0], command);
  std::perror(command[0]);
  _exit(127);
}

// True when a line that starts with `mark` has come, false when the output ends before.
bool wait_for_line(int in, const std::string& mark) {
  std::string line;
  char byte = 0;
  while (read(in, &byte, 1) == 1) {
    if (byte != '\n') {
      line += byte;
      if (line == mark) return true;
    } else {
      line.clear();
    }
  }
  return false;
}

// Resident KiB of the process in mappings smaller than half the guest's memory.
long resident_beyond_guest_kib(pid_t process, long guest_mib) {
  const std::string path = "/proc/" + std::to_string(process) + "/smaps";
  std::FILE* maps = std::fopen(path.c_str(), "re");
  if (maps == nullptr) return -1;
  long size = 0;
  long sum = 0;
  char line[512];
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    if (std::strncmp(line, "Size:", 5) == 0) size = std::strtol(line + 5, nullptr, 10);
    if (std::strncmp(line, "Rss:", 4) == 0 && size < guest_mib * 1024 / 2) {
      sum += std::strtol(line + 4, nullptr, 10);
    }
  }
  std::fclose(maps);
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  int ends[2];
  if (argc < 4 || pipe2(ends, O_CLOEXEC) != 0) {
    std::fprintf(stderr, "usage: %s MARK GUEST_MIB COMMAND [ARGUMENT...]\n", argv[0]);
    return 2;
  }
  const std::int64_t start = now_ns();
  const pid_t child = fork();
  if (child == 0) run(ends[1], argv + 3);
  close(ends[1]);
  const bool reached = wait_for_line(ends[0], argv[1]);
  const std::int64_t spent = now_ns() - start;
  const long resident = resident_beyond_guest_kib(child, std::strtol(argv[2], nullptr, 10));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  if (!reached) {
    std::fprintf(stderr, "%s ended before the guest said \"%s\"\n", argv[3], argv[1]);
    return 1;
  }
  std::printf("%lld %ld\n", static_cast<long long>(spent), resident);
  return 0;
}
