// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The small devices of the PC's port space: i8042, ACPI registers, debug ports.

#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/vm_device/testing/recorders.h"
#include "vmm/vm_superio/acpi.h"
#include "vmm/vm_superio/debug_port.h"
#include "vmm/vm_superio/i8042.h"
#include "vmm/vm_superio/testing/fakes.h"

namespace {

using namespace vmm;
using namespace vmm::vm_superio;

std::uint8_t read_byte(vm_device::BusDevice& device, std::uint64_t offset) {
  std::array<std::byte, 1> data = {std::byte{0xcc}};
  device.read(offset, data);
  return std::to_integer<std::uint8_t>(data[0]);
}

void write_byte(vm_device::BusDevice& device, std::uint64_t offset, std::uint8_t value) {
  const std::array data = {std::byte{value}};
  device.write(offset, data);
}

TEST_CASE("command 0xfe resets, and nothing else does", "[i8042]") {
  int resets = 0;
  I8042 device([&resets] { ++resets; });
  for (unsigned offset = 0; offset < 8; ++offset) {
    for (unsigned value = 0; value < 256; ++value) {
      write_byte(device, offset, static_cast<std::uint8_t>(value));
      CHECK(resets == (offset > 4 || (offset == 4 && value >= 0xfe) ? 1 : 0));
    }
  }
}

TEST_CASE("the keyboard reads as idle", "[i8042]") {
  I8042 device([] {});
  for (const std::uint64_t offset : {0u, 2u, 3u, 4u, 5u, 100u}) {
    CHECK(read_byte(device, offset) == 0);
  }
  std::array<std::byte, 5> wide{};
  device.read(0, wide);
  CHECK(wide[0] == std::byte{0});
  CHECK(wide[4] == std::byte{0});
}

TEST_CASE("port 0x61 never lets a guest wait for ever", "[i8042]") {
  I8042 device([] {});
  const std::uint8_t first = read_byte(device, 1);
  const std::uint8_t second = read_byte(device, 1);
  CHECK((first & 0x20) == 0x20);             // timer 2 has fired
  CHECK(((first ^ second) & 0x10) == 0x10);  // memory is being refreshed
  write_byte(device, 1, 0xff);
  CHECK((read_byte(device, 1) & 0xcf) == 0x03);
  write_byte(device, 1, 0x00);
  CHECK((read_byte(device, 1) & 0xcf) == 0x00);
}

TEST_CASE("the ACPI register resets on 1, powers off on 0x34 and ignores the rest", "[acpi]") {
  int resets = 0;
  int offs = 0;
  AcpiShutdown device({.on_reset = [&] { ++resets; }, .on_power_off = [&] { ++offs; }});
  for (unsigned value = 0; value < 256; ++value) {
    write_byte(device, 0, static_cast<std::uint8_t>(value));
    CHECK(resets == (value >= 1 ? 1 : 0));
    CHECK(offs == (value >= 0x34 ? 1 : 0));
  }
  write_byte(device, 1, 0x34);
  const std::array wide = {std::byte{0x34}, std::byte{0}};
  device.write(0, wide);
  CHECK(offs == 2);
  CHECK(read_byte(device, 0) == 0);
}

TEST_CASE("callbacks may be missing", "[acpi][i8042]") {
  AcpiShutdown shutdown({});
  write_byte(shutdown, 0, 0x34);
  write_byte(shutdown, 0, 0x01);
  CHECK(read_byte(shutdown, 0) == 0);
  I8042 keyboard(nullptr);
  const auto status = read_byte(keyboard, 4);
  write_byte(keyboard, 4, 0xfe);
  CHECK(read_byte(keyboard, 4) == status);
  DebugPort port(nullptr);
  const auto id = read_byte(port, 0);
  write_byte(port, 0, 0x42);
  CHECK(read_byte(port, 0) == id);
}

TEST_CASE("the event status collects events until it is read", "[acpi]") {
  vm_device::testing::FakeTrigger irq;
  GedStatus device(irq);
  CHECK(read_byte(device, 0) == 0);
  device.notify(GedEvent::kPowerButton);
  device.notify(GedEvent::kMemory);
  CHECK(irq.count() == 2);
  write_byte(device, 0, 0);  // no effect
  CHECK(read_byte(device, 1) == 0);
  CHECK(device.state() == 0x0a);
  CHECK(read_byte(device, 0) == 0x0a);
  CHECK(read_byte(device, 0) == 0);

  device.restore(0xf8);
  CHECK(irq.count() == 3);
  CHECK(read_byte(device, 0) == 0x08);
  device.restore(0xf0);
  CHECK(irq.count() == 3);
}

TEST_CASE("a wide read of the event status gives zeros behind the register", "[acpi][hostile]") {
  vm_device::testing::FakeTrigger irq;
  GedStatus device(irq);
  device.notify(GedEvent::kCpu);
  std::array<std::byte, 4> data{};
  data.fill(std::byte{0xcc});
  device.read(0, data);
  CHECK(data == std::array{std::byte{1}, std::byte{0}, std::byte{0}, std::byte{0}});
}

TEST_CASE("the debug port reports codes with growing time", "[debug]") {
  std::vector<std::uint8_t> codes;
  std::chrono::nanoseconds last{0};
  DebugPort device([&](std::uint8_t code, std::chrono::nanoseconds elapsed) {
    codes.push_back(code);
    CHECK(elapsed >= last);
    last = elapsed;
  });
  write_byte(device, 0, 0x40);
  write_byte(device, 0, 0x41);
  write_byte(device, 1, 0x42);  // another port
  CHECK(codes == std::vector<std::uint8_t>{0x40, 0x41});
  CHECK(read_byte(device, 0) == 0);
}

TEST_CASE("the debug console prints lines and is found by reading it", "[debug]") {
  testing::StringSink sink;
  DebugConsole device(sink);
  CHECK(read_byte(device, 0) == 0xe9);
  const std::string_view text = "one\ntwo";
  device.write(0, std::as_bytes(std::span(text)));
  CHECK(sink.text == "one\n");
  device.flush();
  CHECK(sink.text == "one\ntwo");
}

}  // namespace
