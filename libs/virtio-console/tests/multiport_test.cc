// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_console/multiport.h"

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "fd_pairs.h"
#include "vmm/base/endian.h"
#include "vmm/virtio_console/fd_port.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"
#include "vmm/virtio_device/testing/restart_queue.h"

namespace vmm::virtio_console {

/// A message of the control queues.
struct Message {
  std::uint32_t port = 0;
  std::uint16_t event = 0;
  std::uint16_t value = 0;
  std::string name{};

  friend bool operator==(const Message&, const Message&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Message& message) {
    return out << "{" << message.port << ", " << message.event << ", " << message.value << ", \""
               << message.name << "\"}";
  }
};

namespace {

using virtio_device::testing::Bytes;
using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::HostileChain;
using virtio_device::testing::restart_queue;
using virtio_device::testing::RigOptions;
using Messages = std::vector<Message>;

constexpr std::uint16_t kToDriver = 2;
constexpr std::uint16_t kFromDriver = 3;

// Events of 5.3.6.2.
constexpr std::uint16_t kDeviceReady = 0;
constexpr std::uint16_t kPortAdd = 1;
constexpr std::uint16_t kPortReady = 3;
constexpr std::uint16_t kConsolePort = 4;
constexpr std::uint16_t kPortOpen = 6;
constexpr std::uint16_t kPortName = 7;

class Paper final : public ConsoleOutput {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    for (const std::byte b : bytes) text += static_cast<char>(b);
    return bytes.size();
  }
  [[nodiscard]] int room_fd() const override { return -1; }

  std::string text;
};

std::uint16_t receive_queue(std::size_t port) {
  return static_cast<std::uint16_t>(port == 0 ? 0 : 2 + 2 * port);
}
std::uint16_t transmit_queue(std::size_t port) {
  return static_cast<std::uint16_t>(receive_queue(port) + 1);
}

/// A device with a console, a named port, and one where nobody of the host is.
struct Desk {
  explicit Desk(const RigOptions& options = {.features = kFeatureMultiport})
      : device(*MultiportConsole::create(
            std::array{PortOptions{.output = &papers[0], .console = true},
                       PortOptions{.output = &papers[1], .name = "agent"},
                       PortOptions{.output = &papers[2], .connected = false, .capacity = 16}})),
        rig(device, options) {
    REQUIRE(rig.start());
  }

  void say(std::uint32_t port, std::uint16_t event, std::uint16_t value) {
    Bytes bytes(8);
    store_le(bytes.data(), port);
    store_le(bytes.data() + 4, event);
    store_le(bytes.data() + 6, value);
    const auto answer = rig.exchange(kFromDriver, {.readable = {bytes}, .writable = {}});
    REQUIRE(answer);
    CHECK(answer->written == 0);
  }
  /// All that the device tells, in buffers of so many bytes.
  Messages hear(std::uint32_t room = 64) {
    Messages heard;
    for (;;) {
      if (!waiting_) REQUIRE(rig.send(kToDriver, {.readable = {}, .writable = {room}}));
      waiting_ = true;
      rig.run();
      const auto answer = rig.receive(kToDriver);
      if (!answer) return heard;
      waiting_ = false;
      if (answer->written == 0) return heard;  // no room
      REQUIRE(answer->written >= 8);
      Message message{.port = load_le<std::uint32_t>(answer->bytes.data()),
                      .event = load_le<std::uint16_t>(answer->bytes.data() + 4),
                      .value = load_le<std::uint16_t>(answer->bytes.data() + 6)};
      for (std::size_t i = 8; i < answer->written; ++i) {
        message.name += static_cast<char>(answer->bytes[i]);
      }
      heard.push_back(message);
    }
  }
  /// Makes the driver know all ports.
  void introduce() {
    say(0, kDeviceReady, 1);
    for (std::uint32_t port = 0; port < 3; ++port) say(port, kPortReady, 1);
    (void)hear();
  }
  [[nodiscard]] bool type(std::size_t port, std::string_view text) {
    return device->input(port).enqueue(std::as_bytes(std::span(text)));
  }
  /// What the driver gets of a port, in a buffer that it offers now; nullopt: nothing.
  std::optional<std::string> read(std::size_t port) {
    if (!reading_[port]) {
      REQUIRE(rig.send(receive_queue(port), {.readable = {}, .writable = {64}}));
    }
    reading_[port] = true;
    rig.run();
    const auto answer = rig.receive(receive_queue(port));
    if (!answer) return std::nullopt;
    reading_[port] = false;
    std::string text;
    for (std::uint32_t i = 0; i < answer->written; ++i) text += answer->at<char>(i);
    return text;
  }
  [[nodiscard]] bool print(std::size_t port, std::string_view text) {
    const auto answer =
        rig.exchange(transmit_queue(port), {.readable = {bytes_of(text)}, .writable = {}});
    return answer && answer->written == 0;
  }

  /// Buffers that wait in queues which are reset.
  void forget() {
    waiting_ = false;
    reading_ = {};
  }

  std::array<Paper, 3> papers;
  std::shared_ptr<MultiportConsole> device;
  DeviceRig rig;

 private:
  bool waiting_ = false;
  std::array<bool, 3> reading_{};
};

TEST_CASE("the driver is told of each port, and then what the port is", "[multiport]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    Desk desk({.packed = packed, .features = kFeatureMultiport});
    CHECK(desk.rig.config<Le32>(4).get() == 3);
    CHECK(desk.hear().empty());
    desk.say(0, kDeviceReady, 1);
    CHECK(desk.hear() == Messages{{0, kPortAdd, 1}, {1, kPortAdd, 1}, {2, kPortAdd, 1}});
    desk.say(1, kPortReady, 1);
    CHECK(desk.hear() == Messages{{1, kPortName, 1, "agent"}, {1, kPortOpen, 1}});
    desk.say(0, kPortReady, 1);
    desk.say(2, kPortReady, 1);
    CHECK(desk.hear() == Messages{{0, kConsolePort, 1}, {0, kPortOpen, 1}, {2, kPortOpen, 0}});
    CHECK(desk.hear().empty());
  }
}

TEST_CASE("ports have queues of their own, both ways", "[multiport]") {
  Desk desk;
  desk.introduce();
  for (std::uint32_t port = 0; port < 3; ++port) {
    CAPTURE(port);
    desk.say(port, kPortOpen, 1);
    const std::string name = "port " + std::to_string(port);
    CHECK(desk.print(port, "from " + name));
    CHECK(desk.papers[port].text == "from " + name);
    CHECK(desk.type(port, "to " + name));
    CHECK(desk.read(port) == "to " + name);
  }
}

TEST_CASE("a port's input waits until a program of the guest has it open", "[multiport]") {
  Desk desk;
  desk.introduce();
  CHECK(desk.type(1, "hello"));
  CHECK_FALSE(desk.read(1));
  desk.say(1, kPortOpen, 1);
  CHECK(desk.read(1) == "hello");
  desk.say(1, kPortOpen, 0);
  CHECK(desk.type(1, "again"));
  CHECK_FALSE(desk.read(1));
  desk.say(1, kPortOpen, 1);
  CHECK(desk.read(1) == "again");
  // Its capacity is that of its own.
  CHECK(desk.device->input(2).space() == 16);
  CHECK_FALSE(desk.type(2, "more than 16 bytes"));
}

TEST_CASE("the host hears of a port that is opened and closed", "[multiport]") {
  Desk desk;
  std::vector<bool> heard;
  desk.device->set_on_open(1, [&heard](bool open) { heard.push_back(open); });
  desk.introduce();
  CHECK_FALSE(desk.device->is_open(1));
  desk.say(1, kPortOpen, 1);
  desk.say(1, kPortOpen, 1);
  desk.say(0, kPortOpen, 1);
  CHECK(desk.device->is_open(1));
  desk.say(1, kPortOpen, 0);
  CHECK_FALSE(desk.device->is_open(1));
  desk.say(1, kPortOpen, 1);
  desk.rig.reset();
  CHECK_FALSE(desk.device->is_open(1));
  CHECK(heard == std::vector<bool>{true, false, true, false});
  desk.device->set_on_open(1, {});
  REQUIRE(desk.rig.start());
  desk.say(1, kPortOpen, 1);
  CHECK(heard.size() == 4);
}

TEST_CASE("the driver hears whether somebody of the host is there", "[multiport]") {
  Desk desk;
  desk.say(0, kDeviceReady, 1);
  (void)desk.hear();
  desk.device->set_connected(1, false);
  CHECK(desk.hear().empty());  // it does not know the port yet
  desk.say(1, kPortReady, 1);
  CHECK(desk.hear() == Messages{{1, kPortName, 1, "agent"}, {1, kPortOpen, 0}});
  desk.device->set_connected(1, true);
  CHECK(desk.hear() == Messages{{1, kPortOpen, 1}});
  desk.device->set_connected(1, true);
  CHECK(desk.hear().empty());
  // What changed back is told once, as it is.
  desk.device->set_connected(1, false);
  desk.device->set_connected(1, true);
  CHECK(desk.hear() == Messages{{1, kPortOpen, 1}});
}

TEST_CASE("a driver that knows of one port only has port 0", "[multiport]") {
  Desk desk({.features = 0});
  CHECK(desk.device->is_open(0));
  CHECK_FALSE(desk.device->is_open(1));
  CHECK(desk.print(0, "hello"));
  CHECK(desk.papers[0].text == "hello");
  CHECK(desk.type(0, "you"));
  CHECK(desk.read(0) == "you");
  CHECK(desk.rig.running());
}

TEST_CASE("a device starts anew after a reset", "[multiport]") {
  Desk desk;
  desk.introduce();
  desk.say(1, kPortOpen, 1);
  desk.device->set_connected(2, true);
  desk.rig.reset();
  CHECK(desk.type(1, "kept"));
  REQUIRE(desk.rig.start());
  const auto buffer = desk.rig.exchange(receive_queue(1), {.readable = {}, .writable = {8}},
                                        DeviceRig::Milliseconds(0));
  CHECK_FALSE(buffer);
  desk.say(1, kPortOpen, 1);
  const auto answer = desk.rig.wait(receive_queue(1));
  REQUIRE(answer);
  CHECK(answer->written == 4);
}

// Bits of the state of a port, beside the news that wait.
constexpr std::byte kReady{0x10};
constexpr std::byte kToldConnected{0x20};
constexpr std::byte kIsOpen{0x40};

TEST_CASE("a device goes on with the ports of another one", "[multiport]") {
  Paper paper;
  const auto device = *MultiportConsole::create(
      std::array{PortOptions{.output = &paper, .console = true},
                 PortOptions{.output = &paper, .name = "agent", .connected = false},
                 PortOptions{.output = &paper}});
  std::vector<bool> heard;
  device->set_on_open(1, [&heard](bool open) { heard.push_back(open); });
  // The driver does not know the first one yet, and is still to hear the name of the second.
  const Bytes state{std::byte{1}, kReady | kToldConnected | kIsOpen | std::byte{4},
                    kReady | kToldConnected};
  REQUIRE(device->state_owner()->load_state(state));
  CHECK(device->state_owner()->save_state() == state);
  CHECK(heard == std::vector{true});
  DeviceRig rig(device, {.features = kFeatureMultiport});
  REQUIRE(rig.start());
  const auto tell = [&rig]() -> Bytes {
    REQUIRE(rig.send(kToDriver, {.readable = {}, .writable = {64}}));
    rig.run();
    const auto answer = rig.receive(kToDriver);
    return answer ? Bytes(answer->bytes.begin(), answer->bytes.begin() + answer->written) : Bytes();
  };
  const auto message = [](std::uint8_t port, std::uint8_t event, std::uint8_t value) {
    return Bytes{std::byte{port}, {}, {}, {}, std::byte{event}, {}, std::byte{value}, {}};
  };
  CHECK(tell() == message(0, kPortAdd, 1));
  CHECK(tell().size() == 8 + 5);
  CHECK(tell() == message(1, kPortOpen, 0));  // nobody is at this device
  CHECK(tell().empty());
  REQUIRE(device->input(1).enqueue(bytes_of("kept")));
  REQUIRE(rig.send(receive_queue(1), {.readable = {}, .writable = {8}}));
  rig.run();
  CHECK(rig.receive(receive_queue(1)));
  rig.reset();
  CHECK(heard == std::vector{true, false});
  CHECK(device->state_owner()->save_state() == Bytes(3));
}

TEST_CASE("a state that is no state of such ports is refused, and changes nothing",
          "[multiport][hostile]") {
  Desk desk;
  desk.rig.reset();
  virtio_device::StateOwner& owner = *desk.device->state_owner();
  const Bytes good{std::byte{0x7b}, std::byte{0x7d}, std::byte{0x79}};
  REQUIRE(owner.load_state(good));
  for (const Bytes& bad : {Bytes(), Bytes(2), Bytes(4), Bytes{{}, {}, std::byte{0x80}},
                           Bytes{std::byte{4}, {}, {}}, Bytes{{}, std::byte{2}, {}}}) {
    const auto done = owner.load_state(bad);
    REQUIRE_FALSE(done);
    CHECK(done.error().is_os(EINVAL));
    CHECK(owner.save_state() == good);
  }
}

TEST_CASE("a driver that has one port only has no others open", "[multiport][hostile]") {
  Desk desk;
  desk.rig.reset();
  REQUIRE(desk.device->state_owner()->load_state(Bytes(3, kIsOpen)));
  DeviceRig rig(desk.device, {.features = 0});
  REQUIRE(rig.start());
  CHECK(desk.device->is_open(0));
  CHECK_FALSE(desk.device->is_open(1));
}

TEST_CASE("a driver that begins has no port open", "[multiport]") {
  Desk desk;
  desk.introduce();
  desk.say(1, kPortOpen, 1);
  desk.say(0, kDeviceReady, 1);
  CHECK_FALSE(desk.device->is_open(1));
  CHECK(desk.hear() == Messages{{0, kPortAdd, 1}, {1, kPortAdd, 1}, {2, kPortAdd, 1}});
  CHECK(desk.type(1, "waits"));
  CHECK_FALSE(desk.read(1));
}

TEST_CASE("each queue is served again after its own reset", "[multiport][ring-reset]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    Desk desk({.packed = packed, .features = kFeatureMultiport | virtio_queue::kFeatureRingReset});
    for (int round = 0; round < 2; ++round) {
      for (std::uint16_t queue = 0; queue < desk.rig.core().queue_count(); ++queue) {
        CAPTURE(queue);
        CHECK(restart_queue(desk.rig, queue));
      }
      desk.introduce();
      for (std::uint32_t port = 0; port < 3; ++port) {
        CAPTURE(port);
        desk.say(port, kPortOpen, 1);
        CHECK(desk.print(port, "out"));
        CHECK(desk.type(port, "in"));
        CHECK(desk.read(port) == "in");
      }
      CHECK(desk.hear().empty());
      desk.forget();
    }
  }
}

TEST_CASE("an emergency write is port 0's", "[multiport]") {
  Desk desk;
  desk.rig.set_config(8, Le32('!'));
  CHECK(desk.papers[0].text == "!");
}

TEST_CASE("a descriptor is the other end of a port", "[multiport]") {
  Desk desk;
  desk.introduce();
  desk.say(1, kPortOpen, 1);
  Pipe pipe(O_CLOEXEC | O_NONBLOCK);
  const auto input = *FdInput::create(desk.rig.loop(), pipe.read.get(), desk.device->input(1));
  pipe.put("typed");
  desk.rig.run();
  CHECK(desk.read(1) == "typed");
}

TEST_CASE("messages that no driver sends change nothing", "[multiport][hostile]") {
  Desk desk;
  desk.introduce();
  desk.say(3, kPortReady, 1);
  desk.say(3, kPortOpen, 1);
  desk.say(0xffff'ffff, kPortReady, 1);
  desk.say(0xffff'ffff, kPortOpen, 1);
  desk.say(1, kPortReady, 0);
  desk.say(0, kDeviceReady, 0);
  for (const std::uint16_t event : {kPortAdd, kConsolePort, kPortName}) desk.say(1, event, 1);
  for (const std::uint16_t event :
       {std::uint16_t{2}, std::uint16_t{5}, std::uint16_t{8}, std::uint16_t{0xffff}}) {
    desk.say(1, event, 1);
  }
  for (const std::size_t bytes : {0u, 1u, 7u}) {
    REQUIRE(desk.rig.exchange(kFromDriver, {.readable = {Bytes(bytes)}, .writable = {}}));
  }
  REQUIRE(desk.rig.exchange(kFromDriver, {.readable = {Bytes(8)}, .writable = {8}}));
  CHECK(desk.hear().empty());
  for (std::size_t port = 0; port < 3; ++port) CHECK_FALSE(desk.device->is_open(port));
  CHECK(desk.rig.running());
}

TEST_CASE("a message waits for a buffer that has room for it", "[multiport][hostile]") {
  Desk desk;
  desk.say(1, kPortReady, 1);
  CHECK(desk.hear(12).empty());
  CHECK(desk.hear(7).empty());
  CHECK(desk.hear(13) == Messages{{1, kPortName, 1, "agent"}, {1, kPortOpen, 1}});
}

TEST_CASE("a driver that asks again and again is told once", "[multiport][hostile]") {
  Desk desk;
  for (int i = 0; i < 300; ++i) {
    desk.say(0, kDeviceReady, 1);
    desk.say(0, kPortReady, 1);
  }
  CHECK(desk.hear().size() == 5);
}

TEST_CASE("a console of several ports outlives each hostile chain on each queue",
          "[multiport][hostile]") {
  for (const bool packed : {false, true}) {
    for (std::uint16_t queue = 0; queue < 8; ++queue) {
      for (const HostileChain& chain : virtio_device::testing::hostile_chains()) {
        CAPTURE(packed, queue, chain.name);
        Desk desk({.packed = packed, .features = kFeatureMultiport});
        desk.say(0, kDeviceReady, 1);  // so that there is something to tell
        for (std::uint32_t port = 0; port < 3; ++port) {
          desk.say(port, kPortOpen, 1);
          REQUIRE(desk.type(port, "0123456789"));
        }
        CHECK(outlive(desk.rig, queue, chain) == "");
      }
    }
  }
}

TEST_CASE("options that make no console of several ports", "[multiport]") {
  Paper paper;
  const PortOptions good{.output = &paper};
  const auto refused = [](const std::vector<PortOptions>& ports) {
    const auto made = MultiportConsole::create(ports);
    return !made && made.error().is_os(EINVAL);
  };
  CHECK(refused({}));
  CHECK(refused({good, {}}));
  CHECK(refused(std::vector<PortOptions>(MultiportConsole::kMaxPorts + 1, good)));
  for (const std::size_t capacity : {std::size_t{0}, Console::kMaxCapacity + 1}) {
    CHECK(refused({{.output = &paper, .capacity = capacity}}));
  }
  CHECK(
      refused({{.output = &paper, .name = std::string(MultiportConsole::kMaxNameBytes + 1, 'n')}}));
  CHECK(refused({{.output = &paper, .name = std::string("a\0b", 3)}}));
  const auto most =
      MultiportConsole::create(std::vector<PortOptions>(MultiportConsole::kMaxPorts, good));
  REQUIRE(most);
  CHECK((*most)->queue_sizes().size() == 64);
  CHECK((*most)->port_count() == MultiportConsole::kMaxPorts);
}

}  // namespace
}  // namespace vmm::virtio_console
