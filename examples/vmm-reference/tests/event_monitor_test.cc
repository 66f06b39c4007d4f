// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "event_monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "fd_pairs.h"
#include "json_text.h"

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
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
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
