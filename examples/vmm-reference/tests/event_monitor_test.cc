// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "event_monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>

#include "fd_pairs.h"
#include "json_text.h"
#include "observed_device.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/sys_util/temp_file.h"

namespace vmm::reference {
namespace {

TEST_CASE("events are JSON objects with an empty line behind each", "[event-monitor]") {
  Pipe pipe;
  {
    auto monitor = EventMonitor::open({.path = {}, .fd = pipe.write.release()});
    REQUIRE(monitor.has_value());
    (*monitor)->report(Event::kVmmStarting);
    (*monitor)->report(Event::kDeviceActivated, {{"id", "a\"b"}, {"more", "x"}});
  }
  const std::string all = pipe.drain();
  const std::size_t end = all.find("\n\n");
  REQUIRE(end != std::string::npos);
  const auto first = parse_json_object(all.substr(0, end));
  REQUIRE(first.has_value());
  CHECK(whole_number(*find_member(*first, "timestamp/secs")) == 0u);
  CHECK(whole_number(*find_member(*first, "timestamp/nanos")).has_value());
  CHECK(plain_string(*find_member(*first, "source")) == "vmm");
  CHECK(plain_string(*find_member(*first, "event")) == "starting");
  CHECK(first->at("properties").is_null());
  const auto second = parse_json_object(all.substr(end + 2));
  REQUIRE(second.has_value());
  CHECK(plain_string(*find_member(*second, "properties/id")) == "a\"b");
  CHECK(plain_string(*find_member(*second, "properties/more")) == "x");
  CHECK(all.ends_with("}\n\n"));
}

TEST_CASE("a listener that does not listen holds nobody up", "[event-monitor][hostile]") {
  Pipe pipe;
  const auto begin = std::chrono::steady_clock::now();
  {
    auto monitor = EventMonitor::open({.path = {}, .fd = pipe.write.release()});
    REQUIRE(monitor.has_value());
    for (int i = 0; i < 100'000; ++i) (*monitor)->report(Event::kPaused);
  }
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
}

TEST_CASE("nor does one that stops within a long event", "[event-monitor][hostile]") {
  Pipe pipe;
  REQUIRE(sys_util::set_nonblocking(pipe.read.get(), "pipe"));
  constexpr std::chrono::seconds kLong{30};
  const auto begun = std::chrono::steady_clock::now();
  std::atomic<bool> over{false};
  std::thread rescue([&] {
    while (!over) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (std::chrono::steady_clock::now() < begun + kLong) continue;
      std::array<char, 4096> part{};
      (void)!::read(pipe.read.get(), part.data(), part.size());
    }
  });
  {
    auto monitor = EventMonitor::open({.path = {}, .fd = pipe.write.release()});
    REQUIRE(monitor.has_value());
    (*monitor)->report(Event::kDeviceRemoved, {{"id", std::string(1 << 20, 'x')}});
  }
  over = true;
  rescue.join();
  CHECK(std::chrono::steady_clock::now() < begun + kLong);
}

TEST_CASE("of long events few wait for a listener that does not listen",
          "[event-monitor][hostile]") {
  Pipe pipe;
  REQUIRE(sys_util::set_nonblocking(pipe.read.get(), "pipe"));
  std::atomic<bool> over{false};
  std::size_t all = 0;
  std::thread listener;
  {
    auto monitor = EventMonitor::open({.path = {}, .fd = pipe.write.release()});
    REQUIRE(monitor.has_value());
    for (int i = 0; i < 64; ++i) {
      (*monitor)->report(Event::kDeviceRemoved, {{"id", std::string(1 << 19, 'x')}});
    }
    listener = std::thread([&] {
      for (;;) {
        std::array<char, 65536> part{};
        const ssize_t got = ::read(pipe.read.get(), part.data(), part.size());
        if (got > 0) all += static_cast<std::size_t>(got);
        if (got <= 0 && over) return;
      }
    });
  }
  over = true;
  listener.join();
  CHECK(all >= std::size_t{1} << 20);
  CHECK(all < std::size_t{4} << 20);
}

std::size_t count_of(const std::string& text, std::string_view word) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

TEST_CASE("a guest that resets its devices without an end is not told of each time",
          "[event-monitor][hostile]") {
  const auto file = sys_util::TempFile::create();
  REQUIRE(file);
  std::size_t most = DeviceEvents::kBurst + 10;
  {
    auto monitor = EventMonitor::open({.path = file->path(), .fd = -1});
    REQUIRE(monitor.has_value());
    const auto begun = std::chrono::steady_clock::now();
    DeviceEvents events(**monitor);
    for (int i = 0; i < 20'000; ++i) {
      events.report(i % 2 == 0 ? Event::kDeviceActivated : Event::kDeviceReset, "disk");
      if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
    most += static_cast<std::size_t>(took.count() * DeviceEvents::kBurst / DeviceEvents::kRefillMs);
    (*monitor)->report(Event::kShutdown);
  }
  std::ifstream stream(file->path());
  const std::string all(std::istreambuf_iterator<char>(stream), {});
  CHECK(count_of(all, "\"disk\"") <= most);
  CHECK(count_of(all, "\"shutdown\"") == 1);
}

TEST_CASE("what the VM has to say is not lost to what its guest does", "[event-monitor][hostile]") {
  const auto id_bytes = GENERATE(as<std::size_t>{}, 64, 4096);  // too many, and too long
  Pipe pipe;
  std::string all;
  {
    auto monitor = EventMonitor::open({.path = {}, .fd = pipe.write.release()});
    REQUIRE(monitor.has_value());
    DeviceEvents events(**monitor);
    for (int i = 0; i < 20'000; ++i) events.report(Event::kDeviceReset, std::string(id_bytes, 'd'));
    (*monitor)->report(Event::kShutdown);
    REQUIRE(sys_util::set_nonblocking(pipe.read.get(), "pipe"));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (all.find("shutdown") == std::string::npos && std::chrono::steady_clock::now() < end) {
      std::array<char, 4096> part{};
      const ssize_t got = ::read(pipe.read.get(), part.data(), part.size());
      if (got > 0) all.append(part.data(), static_cast<std::size_t>(got));
    }
  }
  CHECK(all.find("shutdown") != std::string::npos);
}

TEST_CASE("a listener that has gone is no harm, nor is none", "[event-monitor][hostile]") {
  Pipe pipe;
  pipe.read.reset();
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  REQUIRE(::sigaction(SIGPIPE, &ignore, nullptr) == 0);
  auto gone = EventMonitor::open({.path = {}, .fd = pipe.write.release()});
  REQUIRE(gone.has_value());
  (*gone)->report(Event::kPaused);
  auto none = EventMonitor::open({});
  REQUIRE(none.has_value());
  (*none)->report(Event::kPaused);
  CHECK_FALSE(EventMonitor::open({.path = {}, .fd = 1000}).has_value());
  CHECK_FALSE(EventMonitor::open({.path = "/nowhere/at/all"}).has_value());
}

}  // namespace
}  // namespace vmm::reference
