// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// core-cookies PID
//
// Prints the cookie of core scheduling of each thread of a process, "NAME COOKIE" a line, 0 for
// none; exits with 3 when the machine's cores have one thread each, 4 when its kernel has no core
// scheduling, 1 for other errors.

#include <sys/prctl.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  constexpr int kSchedCore = 62;
  constexpr unsigned long kGet = 0;
  for (const auto& thread :
       std::filesystem::directory_iterator(std::string("/proc/") + argv[1] + "/task")) {
    std::string name;
    std::getline(std::ifstream(thread.path() / "comm"), name);
    const unsigned long id = std::strtoul(thread.path().filename().c_str(), nullptr, 10);
    std::uint64_t cookie = 0;
    if (prctl(kSchedCore, kGet, id, 0ul, &cookie) != 0) {
      const int error = errno;
      std::perror("core-cookies");
      if (error == ENODEV) return 3;
      return error == EINVAL ? 4 : 1;
    }
    std::printf("%s %llx\n", name.c_str(), static_cast<unsigned long long>(cookie));
  }
  return 0;
}
