// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Whether the second agent of double-fetch mode is what the other targets take it for: in its turn
// it changes words of RAM and nothing else, the same for the same script; out of its turn it does
// nothing.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fuzz_input.h"
#include "second_agent.h"

namespace {

constexpr std::size_t kWords = 256;
constexpr std::size_t kGuard = 8;  // words before and behind RAM
constexpr std::uint32_t kUntouched = 0xa5a5'a5a5;

using Words = std::vector<std::uint32_t>;

std::uint32_t load(const std::uint32_t& word) { return __atomic_load_n(&word, __ATOMIC_RELAXED); }

/// What a device sees that reads each word twice; how many differ between the two reads.
struct Seen {
  Words values;
  std::size_t differ = 0;
};

Seen read_twice(Words& memory, std::uint32_t script) {
  Seen seen;
  const auto ram = std::as_writable_bytes(std::span(memory).subspan(kGuard, kWords));
  SecondAgent agent(ram, script);
  {
    const SecondAgent::Turn turn(agent);
    for (std::size_t i = 0; i < kWords; ++i) {
      const std::uint32_t first = load(memory[kGuard + i]);
      const std::uint32_t second = load(memory[kGuard + i]);
      seen.values.push_back(second);
      if (first != second) ++seen.differ;
    }
  }
  for (std::size_t i = 0; i < kGuard; ++i) {
    require(memory[i] == kUntouched && memory[kGuard + kWords + i] == kUntouched);
  }
  const Words after = memory;
  for (std::size_t i = 0; i < memory.size(); ++i) require(load(memory[i]) == after[i]);
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const auto script = input.take<std::uint32_t>();
  Words one(kWords + 2 * kGuard, kUntouched);
  Words other = one;
  const Seen first = read_twice(one, script);
  const Seen second = read_twice(other, script);
#if defined(VMM_TRACE_LOADS)
  require(first.values == second.values && first.differ == second.differ && one == other);
  // An agent that acts on each load comes between the two reads of a word again and again.
  if (script >> 24 == 0) require(first.differ != 0);
#else
  require(first.values.size() == second.values.size());
#endif
  return 0;
}
