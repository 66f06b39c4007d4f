// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver of lines that the host drives from outside: each request is answered as a model of the
// lines says. Lines 0 and 1 are joined by a wire, and 2 and 3.

#include <algorithm>
#include <array>
#include <string_view>

#include "device_fuzz.h"
#include "src/messages.h"
#include "vmm/virtio_gpio/gpio.h"
#include "vmm/virtio_gpio/simulated_chip.h"

namespace {

using namespace vmm::virtio_gpio;

constexpr std::size_t kLines = 4;
constexpr std::string_view kNames{"a\0\0led\0\0", 8};
constexpr std::uint32_t kOut = 1;
constexpr std::uint32_t kIn = 2;

struct Line {
  std::uint32_t direction = 0;
  bool output = false;
  std::uint32_t irq = 0;
};

/// What the driver made of the lines, and the host at the other side of them.
class Model {
 public:
  explicit Model(bool has_irq) : has_irq_(has_irq) {}

  /// nullopt: it fails. `driven`: what the host may have driven, bits 0 and 1 for low and high.
  std::optional<std::uint8_t> answer(const Request& request, std::uint8_t driven) {
    const std::uint16_t line = request.line.get();
    const std::uint32_t value = request.value.get();
    if (line >= kLines) return std::nullopt;
    switch (static_cast<Message>(request.message.get())) {
      case Message::kGetDirection:
        return static_cast<std::uint8_t>(lines_[line].direction);
      case Message::kSetDirection:
        return done(set_direction(lines_[line], value));
      case Message::kGetValue:
        return get_value(line, driven);
      case Message::kSetValue:
        if (value <= 1) lines_[line].output = value != 0;
        return done(value <= 1);
      case Message::kSetIrqType:
        return done(set_irq(lines_[line], value));
      default:
        return std::nullopt;
    }
  }
  static constexpr std::uint8_t kEither = 2;  ///< a value that cannot be known

 private:
  static std::optional<std::uint8_t> done(bool good) {
    return good ? std::optional<std::uint8_t>(0) : std::nullopt;
  }
  [[nodiscard]] std::uint8_t get_value(std::size_t line, std::uint8_t driven) const {
    if (lines_[line].direction == kOut) return std::uint8_t{lines_[line].output};
    if (lines_[line ^ 1].direction == kOut) return std::uint8_t{lines_[line ^ 1].output};
    if (driven == 3) return kEither;
    return driven == 2 ? 1 : 0;
  }
  static bool set_direction(Line& line, std::uint32_t direction) {
    if (direction > kIn) return false;
    if (direction == 0) line = {};
    if (line.irq != 0) return direction == kIn;
    line.direction = direction;
    return true;
  }
  bool set_irq(Line& line, std::uint32_t type) const {
    if (!has_irq_ || (type > 4 && type != 8)) return false;
    if (type != 0 && line.irq != 0) return type == line.irq;
    if (type != 0 && line.direction == kOut) return false;
    if (type != 0) line.direction = kIn;
    line.irq = type;
    return true;
  }

  bool has_irq_;
  std::array<Line, kLines> lines_{};
};

class Watch final : public DriverWatch {
 public:
  void drive(std::uint16_t line, bool high) {
    auto now = driven_.back();
    now[line] = high;
    driven_.push_back(now);
  }

  void started(std::uint64_t features) override {
    model_ = Model((features & kFeatureIrq) != 0);
    driven_ = {driven_.back()};
  }
  std::uint64_t sent(std::uint16_t, const vmm::virtio_device::testing::Request&) override {
    return driven_.size() - 1;
  }
  void answered(const Exchange& exchange) override {
    if (exchange.queue == 0) return check_request(exchange);
    require(exchange.answer.written <= 1);
    exchange.require_written(exchange.answer.written);
  }

 private:
  void check_request(const Exchange& exchange) {
    const auto bytes = exchange.sent();
    Request request{};
    if (bytes.size() < sizeof(request)) return check(exchange, std::nullopt);
    std::copy_n(bytes.begin(), sizeof(request),
                std::as_writable_bytes(std::span(&request, 1)).begin());
    if (request.message.get() == 1) return check_names(exchange);
    if (exchange.room() < sizeof(Response)) return check(exchange, std::nullopt);
    std::uint8_t driven = 0;
    const std::size_t line = request.line.get() % kLines;
    for (std::size_t i = exchange.mark; i < driven_.size(); ++i)
      driven |= driven_[i][line] ? std::uint8_t{2} : std::uint8_t{1};
    check(exchange, model_.answer(request, driven));
  }
  static void check(const Exchange& exchange, std::optional<std::uint8_t> value) {
    const std::size_t written = std::min(exchange.room(), sizeof(Response));
    exchange.require_written(written);
    if (written == 0) return;
    require(exchange.answer.bytes[0] == (value ? std::byte{0} : std::byte{1}));
    if (written == 1) return;
    const auto got = std::to_integer<std::uint8_t>(exchange.answer.bytes[1]);
    require(value == Model::kEither && is_get_value(exchange) ? got <= 1
                                                              : got == value.value_or(0));
  }
  static bool is_get_value(const Exchange& exchange) { return exchange.sent()[0] == std::byte{4}; }
  static void check_names(const Exchange& exchange) {
    if (exchange.room() == 0) return exchange.require_written(0);
    const bool fits = exchange.room() > kNames.size();
    exchange.require_written(fits ? 1 + kNames.size() : 1);
    require(exchange.answer.bytes[0] == (fits ? std::byte{0} : std::byte{1}));
    for (std::size_t i = 0; fits && i < kNames.size(); ++i) {
      require(exchange.answer.bytes[1 + i] == static_cast<std::byte>(kNames[i]));
    }
  }

  Model model_{true};
  std::vector<std::array<bool, kLines>> driven_{std::array<bool, kLines>{}};  // since the start
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const auto chip = *SimulatedChip::create({.lines = kLines, .names = {"a", "", "led"}});
  Watch watch;
  const auto host_event = [&](Input& script) {
    const std::uint8_t what = script.byte();
    chip->drive(what % kLines, (what & 4) != 0);
    watch.drive(what % kLines, (what & 4) != 0);
  };
  fuzz_device(*Gpio::create(chip), input, host_event, &watch);
  return 0;
}
