// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "src/greeting.h"

#include <catch2/catch.hpp>
#include <string>

namespace vmm::virtio_vsock {
namespace {

TEST_CASE("a client's first line", "[vsock][hostile]") {
  struct Case {
    std::string text;
    GreetingState state;
    std::uint32_t port = 0;
    std::size_t bytes = 0;
  };
  using enum GreetingState;
  const Case cases[] = {
      {"CONNECT 1024\n", kDone, 1024, 13},
      {"connect 1024\n", kDone, 1024, 13},
      {"CONNECT   7 \r\n", kDone, 7, 14},
      {"CONNECT 22\nSSH-2.0", kDone, 22, 11},
      {"CONNECT 0\n", kDone, 0, 10},
      {"CONNECT 4294967294\n", kDone, 4294967294, 19},
      {"CONNECT 00000000000000000000001\n", kDone, 1, 32},
      {"", kPartial},
      {"C", kPartial},
      {"CONNECT", kPartial},
      {"CONNECT 1024", kPartial},
      {"CONNECT x", kPartial},  // its end is still to come
      {"CONNECT 000000000000000000000001\n", kBad},
      {std::string("CONNECT ") + std::string(24, '1'), kBad},
      {"CONNECT 4294967295\n", kBad},
      {"CONNECT 4294967296\n", kBad},
      {"CONNECT -1\n", kBad},
      {"CONNECT +1\n", kBad},
      {"CONNECT 0x10\n", kBad},
      {"CONNECT 1 2\n", kBad},
      {"CONNECT \n", kBad},
      {"CONNECT\n", kBad},
      {"CONNECT1024\n", kBad},
      {" CONNECT 1024\n", kBad},
      {"\n", kBad},
      {"GET / HTTP/1.1\r\n", kBad},
      {std::string("CONNECT 1\0002\n", 12), kBad},
      {std::string("\0\0\0", 3), kBad},
  };
  for (const Case& one : cases) {
    CAPTURE(one.text);
    Greeting greeting;
    CHECK(parse_greeting(one.text, &greeting) == one.state);
    CHECK(greeting.port == one.port);
    CHECK(greeting.bytes == one.bytes);
  }
}

}  // namespace
}  // namespace vmm::virtio_vsock
