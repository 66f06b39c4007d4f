// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/loop_thread.h"

#include <pthread.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>

namespace vmm::event_manager {
namespace {

TEST_CASE("a loop's thread has a name, and runs what it is called for", "[loop_thread]") {
  auto thread = LoopThread::create("sixteen letters and more");
  REQUIRE(thread);
  std::array<char, 32> name{};
  std::thread::id id;
  (*thread)->call([&] {
    id = std::this_thread::get_id();
    (void)::pthread_getname_np(::pthread_self(), name.data(), name.size());
  });
  CHECK(id != std::this_thread::get_id());
  CHECK(id != std::thread::id());
  CHECK(std::string(name.data()) == "sixteen letters");
}

TEST_CASE("the thread ends with the object; its poster says so", "[loop_thread]") {
  auto thread = LoopThread::create("short");
  REQUIRE(thread);
  const Poster poster = (*thread)->loop().poster();
  CHECK(poster.post([] {}));
  thread->reset();
  CHECK_FALSE(poster.post([] {}));
}

}  // namespace
}  // namespace vmm::event_manager
