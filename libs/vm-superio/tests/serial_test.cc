// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/serial.h"

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>

#include "stalled_sink.h"
#include "vmm/vm_device/testing/recorders.h"
#include "vmm/vm_superio/testing/fakes.h"

namespace {

using namespace vmm;
using namespace vmm::vm_superio;

std::uint8_t read_byte(Serial& serial, std::uint64_t offset) {
  std::array<std::byte, 1> data{};
  serial.read(offset, data);
  return std::to_integer<std::uint8_t>(data[0]);
}

void write_byte(Serial& serial, std::uint64_t offset, std::uint8_t value) {
  const std::array data = {std::byte{value}};
  serial.write(offset, data);
}

TEST_CASE("a wide access is one access for each register it covers", "[serial][hostile]") {
  vm_device::testing::FakeLine irq;
  testing::StringSink sink;
  Serial serial(irq, sink);
  std::array<std::byte, 8> all{};
  serial.read(0, all);
  const std::array<unsigned, 8> expected = {0, 0, 0xc1, 0x03, 0x08, 0x60, 0xb0, 0};
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(std::to_integer<unsigned>(all[i]) == expected[i]);
  }
  const std::array wide = {std::byte{0x55}, std::byte{0xff}, std::byte{0xff}};
  serial.write(7, wide);  // beyond the last register: ignored
  CHECK(read_byte(serial, 7) == 0x55);
  std::array<std::byte, 4> beyond{};
  beyond.fill(std::byte{0xee});
  serial.read(7, beyond);
  CHECK(beyond[0] == std::byte{0x55});
  CHECK(beyond[1] == std::byte{0});
}

TEST_CASE("who may not wait is told that a vCPU waits for the sink", "[serial]") {
  vm_device::testing::FakeLine irq;
  StalledSink sink;
  Serial serial(irq, sink);
  const std::array input{std::byte{'x'}};
  CHECK(serial.try_space() == 64u);
  std::thread vcpu([&] { write_byte(serial, 0, '\n'); });
  sink.wait();
  CHECK_FALSE(serial.try_space());
  CHECK_FALSE(serial.try_enqueue(input));
  sink.go_on();
  vcpu.join();
  CHECK(serial.try_enqueue(input) == 1u);
  CHECK(serial.try_space() == 63u);
}

TEST_CASE("the listener is told once, when refused input has room again", "[serial]") {
  vm_device::testing::FakeLine irq;
  testing::StringSink sink;
  testing::CountingListener listener;
  Serial serial(irq, sink, &listener);
  std::array<std::byte, 100> input{};
  CHECK(serial.enqueue(input) == 64);
  for (int i = 0; i < 63; ++i) (void)read_byte(serial, 0);
  CHECK(listener.count == 0);
  (void)read_byte(serial, 0);
  CHECK(listener.count == 1);
  (void)read_byte(serial, 0);
  CHECK(listener.count == 1);

  SECTION("FCR makes room") {
    CHECK(serial.enqueue(input) == 64);
    write_byte(serial, 2, 0x03);
    CHECK(listener.count == 2);
  }
  SECTION("the end of loopback makes room") {
    write_byte(serial, 4, 0x10);
    CHECK(serial.space() == 0);
    CHECK(listener.count == 1);
    write_byte(serial, 4, 0x00);
    CHECK(listener.count == 2);
  }
  SECTION("nothing was refused") {
    CHECK(serial.enqueue(std::span(input).first(10)) == 10);
    for (int i = 0; i < 10; ++i) (void)read_byte(serial, 0);
    CHECK(listener.count == 1);
  }
}

TEST_CASE("a saved port goes on where it was", "[serial][state]") {
  vm_device::testing::FakeLine irq;
  testing::StringSink sink;
  Serial serial(irq, sink);
  std::array<std::byte, 40> input{};
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = std::byte{static_cast<uint8_t>(i)};
  // So that the ring wraps.
  CHECK(serial.enqueue(input) == 40);
  for (int i = 0; i < 40; ++i) (void)read_byte(serial, 0);
  CHECK(serial.enqueue(input) == 40);
  write_byte(serial, 1, 0x0f);
  write_byte(serial, 7, 0x77);
  write_byte(serial, 3, 0x83);
  write_byte(serial, 0, 0x01);

  const SerialState state = serial.state();
  vm_device::testing::FakeLine other_irq;
  Serial other(other_irq, sink);
  REQUIRE(other.restore(state));
  CHECK(other.state() == state);
  CHECK(other_irq.level());
  CHECK(read_byte(other, 0) == 0x01);
  write_byte(other, 3, 0x03);
  CHECK(read_byte(other, 2) == 0xc4);
  for (unsigned i = 0; i < 40; ++i) CHECK(read_byte(other, 0) == i);
  CHECK(read_byte(other, 2) == 0xc2);
  CHECK_FALSE(other_irq.level());
  write_byte(other, 0, 'z');
  CHECK(other_irq.level());
}

TEST_CASE("a state that no port can be in is refused without a change",
          "[serial][state][hostile]") {
  struct Case {
    const char* name;
    void (*spoil)(SerialState&);
    StateError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"too much input", [](SerialState& s) { s.input_size = 65; }, StateError::kTooMuchInput},
      {"IER", [](SerialState& s) { s.ier = 0x10; }, StateError::kReservedBits},
      {"MCR", [](SerialState& s) { s.mcr = 0x20; }, StateError::kReservedBits},
      {"FCR", [](SerialState& s) { s.fcr = 0x03; }, StateError::kReservedBits},
      {"MSR", [](SerialState& s) { s.msr_delta = 0x10; }, StateError::kReservedBits},
      {"overrun", [](SerialState& s) { s.overrun = 2; }, StateError::kReservedBits},
      {"THR-empty", [](SerialState& s) { s.thre_pending = 2; }, StateError::kReservedBits},
  }));
  CAPTURE(c.name);
  vm_device::testing::FakeLine irq;
  testing::StringSink sink;
  Serial serial(irq, sink);
  const SerialState before = serial.state();
  SerialState state = before;
  c.spoil(state);
  state.scr = 0x99;
  const auto result = serial.restore(state);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error() == c.expected);
  CHECK(serial.state() == before);
  CHECK_FALSE(to_string(make_error(c.expected)).empty());
}

TEST_CASE("a full saved FIFO is accepted and the line is driven even when low", "[serial][state]") {
  vm_device::testing::FakeLine irq;
  testing::StringSink sink;
  Serial serial(irq, sink);
  write_byte(serial, 1, 0x02);
  CHECK(irq.level());
  SerialState state;
  state.input_size = 64;
  REQUIRE(serial.restore(state));
  CHECK_FALSE(irq.level());
  CHECK(serial.space() == 0);
}

TEST_CASE("vCPU and I/O threads may use one port at once", "[serial][threads]") {
  class AtomicLine final : public vm_device::IrqLine {
   public:
    void set(bool asserted) override { level.store(asserted); }
    std::atomic<bool> level{false};
  };
  AtomicLine irq;
  testing::StringSink sink;
  Serial serial(irq, sink);
  write_byte(serial, 1, 0x01);
  constexpr int kBytes = 20'000;
  std::thread input([&] {
    const std::array byte = {std::byte{'i'}};
    for (int sent = 0; sent < kBytes;) {
      sent += static_cast<int>(serial.enqueue(byte));
    }
  });
  std::thread output([&] {
    for (int i = 0; i < kBytes; ++i) write_byte(serial, 0, 'o');
  });
  int received = 0;
  while (received < kBytes) {
    if ((read_byte(serial, 5) & 1) != 0 && read_byte(serial, 0) == 'i') ++received;
  }
  input.join();
  output.join();
  serial.flush();
  CHECK(sink.text == std::string(kBytes, 'o'));
  CHECK_FALSE(irq.level.load());
}

}  // namespace
