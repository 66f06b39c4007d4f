// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_list.h"

#include <catch2/catch.hpp>

namespace vmm::vhost_user_daemon {
namespace {

TEST_CASE("a list of I2C buses", "[device-list]") {
  const auto one = parse_i2c_list("1:32:64");
  REQUIRE(one);
  REQUIRE(one->size() == 1);
  CHECK((*one)[0].host == 1);
  CHECK((*one)[0].addresses == std::vector<std::uint8_t>{32, 64});

  const auto two = parse_i2c_list("12:0x21,sim:80:0x51");
  REQUIRE(two);
  REQUIRE(two->size() == 2);
  CHECK((*two)[0].host == 12);
  CHECK((*two)[0].addresses == std::vector<std::uint8_t>{0x21});
  CHECK_FALSE((*two)[1].host);
  CHECK((*two)[1].addresses == std::vector<std::uint8_t>{80, 0x51});
}

TEST_CASE("lists that name no I2C device", "[device-list]") {
  for (const char* const text :
       {"",           "1",       "1:",    ":32",          "1:32:",   "1:32,", ",1:32",
        "1:32,,2:33", "x:32",    "1:x",   "1:0x",         "1:256",   "1:-1",  "1: 32",
        "-1:32",      "simx:32", "1:32 ", "4294967296:1", "1:65536", "sim"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_i2c_list(text));
  }
}

TEST_CASE("a GPIO chip", "[device-list]") {
  const auto host = parse_gpio_list("3");
  REQUIRE(host);
  CHECK(host->host == 3);
  const auto simulated = parse_gpio_list("sim:8");
  REQUIRE(simulated);
  CHECK_FALSE(simulated->host);
  CHECK(simulated->simulated_lines == 8);
}

TEST_CASE("texts that name no GPIO chip", "[device-list]") {
  for (const char* const text : {"", "x", "3:", "3:4", "-1", "sim", "sim:", "sim:0", "sim:x",
                                 "sim:65536", "sim:8:9", "3 "}) {
    CAPTURE(text);
    CHECK_FALSE(parse_gpio_list(text));
  }
}

}  // namespace
}  // namespace vmm::vhost_user_daemon
