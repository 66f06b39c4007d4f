// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_i2c/host_adapter.h"

#include <catch2/catch.hpp>
#include <cerrno>

#include "vmm/virtio_i2c/i2c.h"

// What an adapter of the host does is tested where a kernel has one:
// tests/vhost-user/boards_test.py.

namespace vmm::virtio_i2c {
namespace {

// As in the README.
Result<std::shared_ptr<I2c>> example() {
  VMM_TRY(auto bus, vmm::virtio_i2c::HostAdapter::open(1));  // /dev/i2c-1
  VMM_TRY(auto device, vmm::virtio_i2c::I2c::create({{bus, {{.number = 0x20}, {.number = 0x40}}}}));
  return device;
}

TEST_CASE("the README's example says what is missing", "[host]") {
  const auto device = example();
  if (!device) CHECK(device.error().code() != 0);
}

TEST_CASE("an adapter that is not there is an error", "[host]") {
  const auto nothing = HostAdapter::open("/nonexistent");
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().is_os(ENOENT));
  CHECK_FALSE(HostAdapter::open(4'000'000'000u));
}

TEST_CASE("a file that is no adapter is an error", "[host]") {
  const auto nothing = HostAdapter::open("/dev/null");
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().is_os(ENOTTY));
  CHECK(std::string(nothing.error().what()) == "I2C_FUNCS");
}

}  // namespace
}  // namespace vmm::virtio_i2c
