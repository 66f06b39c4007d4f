// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/thread_name.h"

#include <catch2/catch.hpp>
#include <thread>

using namespace vmm::sys_util;

TEST_CASE("a thread has the name it gave itself, cut to what the kernel keeps") {
  const std::string before = thread_name();
  std::string seen[2];
  std::thread([&] {
    set_thread_name("vcpu0");
    seen[0] = thread_name();
    set_thread_name("0123456789abcdefgh");
    seen[1] = thread_name();
  }).join();
  REQUIRE(seen[0] == "vcpu0");
  REQUIRE(seen[1] == "0123456789abcde");
  REQUIRE(thread_name() == before);
}
