// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "bench.h"

#include <valgrind/callgrind.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <regex>
#include <vector>

namespace vmm::bench {
namespace {

struct Options {
  std::size_t count = 0;  // operations to bracket under callgrind; 0: measure time
  double round_ms = 20;
  int rounds = 7;
  std::regex filter{""};
};

Options& options() {
  static Options value;
  return value;
}

std::vector<void (*)(Bench&)>& bodies() {
  static std::vector<void (*)(Bench&)> value;
  return value;
}

double nanoseconds(const std::function<void(std::size_t)>& loop, std::size_t calls) {
  const auto start = std::chrono::steady_clock::now();
  loop(calls);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Registration::Registration(void (*body)(Bench&)) { bodies().push_back(body); }

bool Bench::selected(std::string_view name) const {
  const std::string row =
      name.starts_with("floor:") ? std::string(name.substr(6)) : std::string(name);
  return std::regex_search(row, options().filter);
}

void Bench::measure(std::string_view name, std::size_t ops,
                    const std::function<void(std::size_t)>& loop) {
  const std::string row(name);
  if (options().count != 0) {
    const std::size_t calls = std::max<std::size_t>(1, options().count / ops);
    loop(1);  // first-use work is not the operation
    // The bracket itself costs a few instructions, the same for every row; an empty one is
    // dumped once and subtracted by the report.
    CALLGRIND_ZERO_STATS;
    loop(calls);
    CALLGRIND_DUMP_STATS_AT((row + "\t" + std::to_string(calls * ops)).c_str());
    return;
  }
  std::size_t calls = 1;
  double spent = nanoseconds(loop, calls);
  while (spent < options().round_ms * 1e6 && calls < (std::size_t{1} << 40)) {
    const double scale =
        spent <= 0 ? 16 : std::clamp(options().round_ms * 1.2e6 / spent, 1.5, 16.0);
    calls = static_cast<std::size_t>(static_cast<double>(calls) * scale) + 1;
    spent = nanoseconds(loop, calls);
  }
  double best = spent;
  for (int i = 1; i < options().rounds; ++i) best = std::min(best, nanoseconds(loop, calls));
  std::printf("%s\t%.3f\n", row.c_str(),
              best / static_cast<double>(calls) / static_cast<double>(ops));
  std::fflush(stdout);
}

}  // namespace vmm::bench

int main(int argc, char** argv) {
  using namespace vmm::bench;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--count") == 0) {
      options().count = std::strtoul(argv[i + 1], nullptr, 10);
    } else if (std::strcmp(argv[i], "--filter") == 0) {
      options().filter = std::regex(argv[i + 1]);
    } else if (std::strcmp(argv[i], "--round-ms") == 0) {
      options().round_ms = std::strtod(argv[i + 1], nullptr);
    } else {
      std::fprintf(stderr, "usage: %s [--count OPS] [--filter REGEX] [--round-ms MS]\n", argv[0]);
      return 2;
    }
  }
  Bench bench;
  for (const auto body : bodies()) body(bench);
  return 0;
}
