// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "host_cpus.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>

namespace vmm::reference {
namespace {

struct FreeSet {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};

std::string list_of(const std::vector<std::uint64_t>& cpus) {
  std::string text;
  for (const std::uint64_t cpu : cpus) text += (text.empty() ? "" : ",") + std::to_string(cpu);
  return '[' + text + ']';
}

}  // namespace

// cpu_set_t itself ends at 1024 CPUs; how large numbers are, the options bound.
Outcome<void> run_on(const std::vector<std::uint64_t>& cpus, std::string_view context) {
  if (cpus.empty()) return {};
  const std::size_t count = std::ranges::max(cpus) + 1;
  const std::size_t bytes = CPU_ALLOC_SIZE(count);
  const std::unique_ptr<cpu_set_t, FreeSet> set(CPU_ALLOC(count));
  const std::string name = std::string(context) + ": host CPUs " + list_of(cpus);
  if (set == nullptr) return fail(runtime(name, Error::os(ENOMEM, "CPU_ALLOC")));
  CPU_ZERO_S(bytes, set.get());
  for (const std::uint64_t cpu : cpus) CPU_SET_S(cpu, bytes, set.get());
  if (::sched_setaffinity(0, bytes, set.get()) != 0) {
    return fail(runtime(name, Error::from_errno("sched_setaffinity")));
  }
  return {};
}

}  // namespace vmm::reference
