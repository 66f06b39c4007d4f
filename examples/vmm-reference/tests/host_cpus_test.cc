// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "host_cpus.h"

#include <sched.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <thread>
#include <vector>

namespace vmm::reference {
namespace {

Outcome<void> on_a_thread(const std::vector<std::uint64_t>& cpus, cpu_set_t& allowed) {
  Outcome<void> done;
  std::thread([&] {
    done = run_on(cpus, "of mine");
    if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) CPU_ZERO(&allowed);
  }).join();
  return done;
}

TEST_CASE("a thread runs on the CPUs that it is told", "[host-cpus]") {
  cpu_set_t here;
  cpu_set_t there;
  REQUIRE(::sched_getaffinity(0, sizeof(here), &here) == 0);
  REQUIRE(on_a_thread({}, there));
  CHECK(CPU_EQUAL(&here, &there));
  std::uint64_t last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(last, &here)) --last;
  for (const std::uint64_t beyond : {std::uint64_t{1023}, std::uint64_t{5000}}) {
    if (beyond == last) continue;
    REQUIRE(on_a_thread({last, beyond}, there));  // one is enough
    CHECK(CPU_COUNT(&there) == 1);
    CHECK(CPU_ISSET(last, &there));
  }
}

TEST_CASE("CPUs that the host has not are named", "[host-cpus]") {
  cpu_set_t there;
  const auto none = on_a_thread({4999, 5000}, there);
  REQUIRE_FALSE(none);
  CHECK(none.error().message ==
        "of mine: host CPUs [4999,5000]: sched_setaffinity: Invalid argument");
}

}  // namespace
}  // namespace vmm::reference
