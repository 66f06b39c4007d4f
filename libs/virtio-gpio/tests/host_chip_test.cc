// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_gpio/host_chip.h"

#include <catch2/catch.hpp>
#include <cerrno>

#include "vmm/virtio_gpio/gpio.h"

// What a chip of the host does is tested where a kernel has one: tests/vhost-user/boards_test.py.

namespace vmm::virtio_gpio {
namespace {

// As in the README.
Result<std::shared_ptr<Gpio>> example() {
  VMM_TRY(auto chip, vmm::virtio_gpio::HostChip::open(0));  // /dev/gpiochip0
  VMM_TRY(auto device, vmm::virtio_gpio::Gpio::create(chip));
  return device;
}

TEST_CASE("the README's example says what is missing", "[host]") {
  const auto device = example();
  if (!device) CHECK(device.error().code() != 0);
}

TEST_CASE("a chip that is not there is an error", "[host]") {
  const auto nothing = HostChip::open("/nonexistent");
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().is_os(ENOENT));
  CHECK_FALSE(HostChip::open(4'000'000'000u));
}

TEST_CASE("a file that is no chip is an error", "[host]") {
  const auto nothing = HostChip::open("/dev/null");
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().is_os(ENOTTY));
  CHECK(std::string(nothing.error().what()) == "GPIO_GET_CHIPINFO_IOCTL");
}

}  // namespace
}  // namespace vmm::virtio_gpio
