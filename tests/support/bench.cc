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

using Loop = std::function<void(std::size_t)>;

struct Options {
  std::size_t count = 0;  // operations to bracket under callgrind; 0: measure time
  double round_ms = 20;
  int rounds = 7;
  bool list = false;
  std::regex filter{""};
};

constexpr double kCountBudgetNs = 1e9;  // about what one row may take under callgrind
constexpr const char* kUsage =
    "usage: %s [--count OPS] [--filter REGEX] [--rounds N] [--round-ms MS] [--list]\n"
    "Prints the best time of each row in ns per operation; with --count it brackets that many\n"
    "operations of each row for callgrind instead.\n";

Options& options() {
  static Options value;
  return value;
}

std::vector<void (*)(Bench&)>& bodies() {
  static std::vector<void (*)(Bench&)> value;
  return value;
}

double nanoseconds(const Loop& loop, std::size_t calls) {
  const auto start = std::chrono::steady_clock::now();
  loop(calls);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

// Nothing but the operations stands between the two requests: the text is made before them.
void bracket(const std::string& row, std::size_t ops, const Loop& loop, std::size_t calls) {
  const std::string text = row + "\t" + std::to_string(calls * ops);
  CALLGRIND_ZERO_STATS;
  loop(calls);
  CALLGRIND_DUMP_STATS_AT(text.c_str());
}

void count_instructions(const std::string& row, std::size_t ops, const Loop& loop,
                        const Loop& less) {
  loop(1);  // first-use work (lazy binding, callgrind's translation) is not the operation
  const double once = std::max(1.0, nanoseconds(loop, 1));
  const std::size_t affordable = static_cast<std::size_t>(kCountBudgetNs / once);
  const std::size_t calls = std::max<std::size_t>(
      1, std::min(std::max<std::size_t>(1, options().count / ops), affordable));
  bracket(row, ops, loop, calls);
  if (less) bracket("prepare:" + row, ops, less, calls);
}

// The bracket itself costs a few instructions, the same for every row: the report subtracts this.
void count_empty_bracket() {
  const auto nothing = [](std::size_t calls) {
    for (std::size_t i = 0; i < calls; ++i) asm volatile("");
  };
  bracket("bench:empty", 1, nothing, 0);
  bracket("bench:empty", 1, nothing, 0);
}

double best_ns(const Loop& loop, std::size_t calls) {
  double best = nanoseconds(loop, calls);
  for (int i = 1; i < options().rounds; ++i) best = std::min(best, nanoseconds(loop, calls));
  return best / static_cast<double>(calls);
}

void time_row(const std::string& row, std::size_t ops, const Loop& loop, const Loop& less) {
  const double target = options().round_ms * 1e6;
  std::size_t calls = 1;
  double spent = nanoseconds(loop, calls);
  while (spent < target && calls < (std::size_t{1} << 40)) {
    const double scale = spent <= 0 ? 16 : std::clamp(1.2 * target / spent, 1.5, 16.0);
    calls = static_cast<std::size_t>(static_cast<double>(calls) * scale) + 1;
    spent = nanoseconds(loop, calls);
  }
  const double ns = best_ns(loop, calls) - (less ? best_ns(less, calls) : 0);
  std::printf("%s\t%.3f\n", row.c_str(), ns / static_cast<double>(ops));
  std::fflush(stdout);
}

// Returns how many arguments were taken, 0 if `name` is no option.
int parse_option(const char* name, const char* value) {
  if (std::strcmp(name, "--list") == 0) {
    options().list = true;
    return 1;
  }
  if (value == nullptr) return 0;
  if (std::strcmp(name, "--count") == 0) {
    options().count = std::strtoul(value, nullptr, 10);
  } else if (std::strcmp(name, "--filter") == 0) {
    options().filter = std::regex(value);
  } else if (std::strcmp(name, "--rounds") == 0) {
    options().rounds = std::max(1, static_cast<int>(std::strtol(value, nullptr, 10)));
  } else if (std::strcmp(name, "--round-ms") == 0) {
    options().round_ms = std::strtod(value, nullptr);
  } else {
    return 0;
  }
  return 2;
}

}  // namespace

Registration::Registration(void (*body)(Bench&)) { bodies().push_back(body); }

bool Bench::selected(std::string_view name) const {
  const std::string row =
      name.starts_with("floor:") ? std::string(name.substr(6)) : std::string(name);
  return std::regex_search(row, options().filter);
}

void Bench::measure(std::string_view name, std::size_t ops, const Loop& loop, const Loop& less) {
  const std::string row(name);
  if (options().list) {
    std::puts(row.c_str());
  } else if (options().count != 0) {
    count_instructions(row, ops, loop, less);
  } else {
    time_row(row, ops, loop, less);
  }
}

}  // namespace vmm::bench

int main(int argc, char** argv) {
  using namespace vmm::bench;
  for (int i = 1; i < argc;) {
    const int taken = parse_option(argv[i], i + 1 < argc ? argv[i + 1] : nullptr);
    if (taken == 0) {
      std::fprintf(stderr, kUsage, argv[0]);
      return 2;
    }
    i += taken;
  }
  if (options().count != 0 && !options().list) count_empty_bracket();
  Bench bench;
  for (const auto body : bodies()) body(bench);
  return 0;
}
