// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_gpio/host_chip.h"

#include <fcntl.h>
#include <linux/gpio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "vmm/sys_util/fd_flags.h"
#include "vmm/sys_util/ioctl.h"

namespace vmm::virtio_gpio {
namespace {

constexpr std::string_view kConsumer = "cpp-vmm";
constexpr std::size_t kEventsAtOnce = 16;

std::string to_string(const char (&text)[GPIO_MAX_NAME_SIZE]) {
  return {text, ::strnlen(text, sizeof(text))};
}

gpio_v2_line_config make_config(std::uint64_t flags, bool high) {
  gpio_v2_line_config config{};
  config.flags = flags;
  if ((flags & GPIO_V2_LINE_FLAG_OUTPUT) != 0) {
    config.num_attrs = 1;
    config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
    config.attrs[0].attr.values = high ? 1 : 0;
    config.attrs[0].mask = 1;
  }
  return config;
}

std::uint64_t edge_flags(Edges edges) {
  const auto bits = static_cast<unsigned>(edges);
  return ((bits & 1) != 0 ? std::uint64_t{GPIO_V2_LINE_FLAG_EDGE_RISING} : 0) |
         ((bits & 2) != 0 ? std::uint64_t{GPIO_V2_LINE_FLAG_EDGE_FALLING} : 0);
}

/// What was taken of a line's edges.
enum class Taken : std::uint8_t { kSome, kNone, kGone };

/// Takes up to kEventsAtOnce edges of a line.
Taken read_edges(int line) {
  std::array<gpio_v2_line_event, kEventsAtOnce> events;
  const ssize_t got = ::read(line, events.data(), sizeof(events));
  if (got > 0) return Taken::kSome;
  return got < 0 && (errno == EAGAIN || errno == EINTR) ? Taken::kNone : Taken::kGone;
}

}  // namespace

Result<std::shared_ptr<HostChip>> HostChip::open(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return fail(Error::from_errno("open GPIO chip"));
  gpiochip_info info{};
  VMM_TRY_DO(sys_util::ioctl(file.get(), VMM_IOCTL(GPIO_GET_CHIPINFO_IOCTL), &info));
  if (info.lines > std::numeric_limits<std::uint16_t>::max()) {
    return fail(Error::os(ERANGE, "lines of GPIO chip"));
  }
  VMM_TRY(sys_util::Epoll epoll, sys_util::Epoll::create());
  std::shared_ptr<HostChip> chip(new HostChip(std::move(file), std::move(epoll)));
  VMM_TRY_DO(chip->read_names(info.lines));
  return chip;
}

Result<std::shared_ptr<HostChip>> HostChip::open(unsigned number) {
  return open("/dev/gpiochip" + std::to_string(number));
}

Result<void> HostChip::read_names(std::uint32_t lines) {
  for (std::uint32_t line = 0; line < lines; ++line) {
    gpio_v2_line_info info{};
    info.offset = line;
    VMM_TRY_DO(sys_util::ioctl(file_.get(), VMM_IOCTL(GPIO_V2_GET_LINEINFO_IOCTL), &info));
    lines_.push_back({.name = to_string(info.name), .file = {}});
  }
  return {};
}

// A line that nobody knows yet is requested as it is to be, so that an output never has another
// value.
Result<void> HostChip::take(std::uint16_t line, std::uint64_t flags, bool high) {
  gpio_v2_line_request request{};
  request.offsets[0] = line;
  request.num_lines = 1;
  request.config = make_config(flags, high);
  kConsumer.copy(request.consumer, sizeof(request.consumer) - 1);
  VMM_TRY_DO(sys_util::ioctl(file_.get(), VMM_IOCTL(GPIO_V2_GET_LINE_IOCTL), &request));
  UniqueFd file(request.fd);
  VMM_TRY_DO(sys_util::set_nonblocking(file.get(), "GPIO line"));
  VMM_TRY_DO(epoll_.add(file.get(), sys_util::kReadable, line));
  lines_[line].file = std::move(file);
  return {};
}

Result<void> HostChip::configure(std::uint16_t line, std::uint64_t flags, bool high) {
  gpio_v2_line_config config = make_config(flags, high);
  VMM_TRY_DO(
      sys_util::ioctl(lines_[line].file.get(), VMM_IOCTL(GPIO_V2_LINE_SET_CONFIG_IOCTL), &config));
  return {};
}

void HostChip::release(Line& line) {
  if (!line.file) return;
  (void)epoll_.remove(line.file.get()).has_value();  // it was added when the line was taken
  line.file.reset();
}

Result<void> HostChip::set_direction(std::uint16_t line, Direction direction, bool high) {
  if (direction == Direction::kNone) {
    release(lines_[line]);
    return {};
  }
  const std::uint64_t flags =
      direction == Direction::kOut ? GPIO_V2_LINE_FLAG_OUTPUT : GPIO_V2_LINE_FLAG_INPUT;
  return lines_[line].file ? configure(line, flags, high) : take(line, flags, high);
}

Result<bool> HostChip::value(std::uint16_t line) {
  const bool taken_before = static_cast<bool>(lines_[line].file);
  if (!taken_before) VMM_TRY_DO(take(line, 0, false));
  gpio_v2_line_values values{.bits = 0, .mask = 1};
  const auto done =
      sys_util::ioctl(lines_[line].file.get(), VMM_IOCTL(GPIO_V2_LINE_GET_VALUES_IOCTL), &values);
  if (done) return (values.bits & 1) != 0;
  if (!taken_before) release(lines_[line]);  // the caller, who got nothing, will not
  return fail(done.error());
}

Result<void> HostChip::set_value(std::uint16_t line, bool high) {
  if (!lines_[line].file) return fail(Error::os(ENODEV, "GPIO line"));
  gpio_v2_line_values values{.bits = high ? 1u : 0u, .mask = 1};
  VMM_TRY_DO(
      sys_util::ioctl(lines_[line].file.get(), VMM_IOCTL(GPIO_V2_LINE_SET_VALUES_IOCTL), &values));
  return {};
}

Result<void> HostChip::watch(std::uint16_t line, Edges edges) {
  if (!lines_[line].file) return fail(Error::os(ENODEV, "GPIO line"));
  VMM_TRY_DO(configure(line, GPIO_V2_LINE_FLAG_INPUT | edge_flags(edges), false));
  // What the kernel still holds is of before: at most GPIO_V2_LINES_MAX * kEventsAtOnce.
  for (int i = 0; i < GPIO_V2_LINES_MAX; ++i) {
    if (read_edges(lines_[line].file.get()) != Taken::kSome) break;
  }
  return {};
}

std::size_t HostChip::take_edges(std::span<std::uint16_t> lines) {
  std::array<sys_util::EpollEvent, 64> ready;
  if (lines.empty()) return 0;
  const auto count = epoll_.wait(std::span(ready).first(std::min(ready.size(), lines.size())), 0);
  std::size_t taken = 0;
  for (std::size_t i = 0; count && i < *count; ++i) {
    const auto line = static_cast<std::uint16_t>(ready[i].token);
    switch (read_edges(lines_[line].file.get())) {
      case Taken::kSome:
        lines[taken++] = line;
        break;
      case Taken::kNone:
        break;
      case Taken::kGone:  // the chip, too
        release(lines_[line]);
        break;
    }
  }
  return taken;
}

}  // namespace vmm::virtio_gpio
