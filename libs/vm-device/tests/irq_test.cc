// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_device/irq.h"

#include <catch2/catch.hpp>

#include "vmm/vm_device/testing/recorders.h"

namespace {

using namespace vmm::vm_device;

TEST_CASE("an edge line triggers once for each change to asserted", "[irq]") {
  testing::FakeTrigger trigger;
  EdgeLine line(trigger);
  line.set(false);
  CHECK(trigger.count() == 0);
  line.set(true);
  line.set(true);
  CHECK(trigger.count() == 1);
  line.set(false);
  line.set(true);
  CHECK(trigger.count() == 2);
}

TEST_CASE("messages compare by address, data and device", "[irq]") {
  const MsiMessage message{.address = 0xfee00000, .data = 0x31};
  CHECK(message == MsiMessage{.address = 0xfee00000, .data = 0x31});
  CHECK_FALSE(message == MsiMessage{.address = 0xfee00000, .data = 0x31, .device_id = 8});
  testing::FakeMsi sender;
  sender.send(message);
  CHECK(sender.sent().size() == 1);
  sender.clear();
  CHECK(sender.sent().empty());
}

}  // namespace
