// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/loop_thread.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <string_view>
#include <thread>

#include "no_threads.h"
#include "vmm/base/log.h"
#include "vmm/base/unique_fd.h"

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

TEST_CASE("where no thread can be started there is no loop's thread", "[loop_thread]") {
  const NoThreads none;
  CHECK(LoopThread::create("none").error().is_os(EAGAIN));
}

TEST_CASE("a thread whose loop fails says so", "[loop_thread]") {
  static std::string line;  // written by the thread, read after its end
  line.clear();
  set_log_sink([](LogLevel, std::string_view text) { line = text; });
  auto thread = LoopThread::create("broken");
  REQUIRE(thread);
  const UniqueFd other(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  (*thread)->call([&] { (void)::dup2(other.get(), (*thread)->loop().fd()); });
  thread->reset();
  set_log_sink(nullptr);
  CHECK(line.find("broken") != std::string::npos);
}

}  // namespace
}  // namespace vmm::event_manager
