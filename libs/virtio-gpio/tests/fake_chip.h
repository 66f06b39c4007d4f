// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A GPIO chip of the test's own behind the kernel's ioctls, as strict as <linux/gpio.h> allows it
// to be. It stands in for a real one only because machines that run unit tests have none:
// tests/vhost-user/boards_test.py asks a kernel that has.

#include <fcntl.h>
#include <linux/gpio.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "answered_ioctls.h"
#include "vmm/base/unique_fd.h"

namespace vmm::virtio_gpio::testing {

/// Threads: answers on one, is looked at by another, which waits meanwhile.
class FakeChip {
 public:
  static constexpr std::uint8_t kType = 0xb4;  ///< of its ioctls

  /// A line that was requested at least once. Its file is one end of a pair of sockets.
  struct Line {
    UniqueFd kernel{};             ///< the other end
    int file = -1;                 ///< only a number: it is the code's
    std::string consumer{};        ///< as requested last
    gpio_v2_line_config config{};  ///< as requested or set last
    bool high = false;
  };

  std::uint32_t count = 0;         ///< of lines
  std::vector<std::string> names;  ///< of the first lines; up to GPIO_MAX_NAME_SIZE bytes
  std::map<std::uint16_t, Line> lines;
  std::vector<unsigned long> requests;   ///< all that was asked
  std::map<unsigned long, int> refused;  ///< request -> errno value
  std::vector<std::uint32_t> infos;      ///< lines whose names were asked for
  std::string wrong;                     ///< what no kernel takes
  UniqueFd next_file;  ///< given out for the next line, if `other_file`, instead of a socket
  bool other_file = false;

  int operator()(const vmm::testing::AskedIoctl& asked) {
    requests.push_back(asked.request);
    if (const auto found = refused.find(asked.request); found != refused.end()) {
      return -found->second;
    }
    auto* const argument = reinterpret_cast<void*>(asked.argument);
    switch (asked.request) {
      case GPIO_GET_CHIPINFO_IOCTL:
        static_cast<gpiochip_info*>(argument)->lines = count;
        return 0;
      case GPIO_V2_GET_LINEINFO_IOCTL:
        return tell_name(*static_cast<gpio_v2_line_info*>(argument));
      case GPIO_V2_GET_LINE_IOCTL:
        return give(*static_cast<gpio_v2_line_request*>(argument));
      case GPIO_V2_LINE_SET_CONFIG_IOCTL:
        return configure(asked.fd, *static_cast<gpio_v2_line_config*>(argument));
      case GPIO_V2_LINE_GET_VALUES_IOCTL:
      case GPIO_V2_LINE_SET_VALUES_IOCTL:
        return values(asked, *static_cast<gpio_v2_line_values*>(argument));
      default:
        return refuse("request");
    }
  }

  [[nodiscard]] std::ptrdiff_t times(unsigned long request) const {
    return std::ranges::count(requests, request);
  }
  /// Whether the code has a file of this line.
  [[nodiscard]] bool is_held(std::uint16_t line) const {
    const auto found = lines.find(line);
    if (found == lines.end() || !found->second.kernel) return false;
    pollfd poll{.fd = found->second.kernel.get(), .events = 0, .revents = 0};
    return ::poll(&poll, 1, 0) == 0;
  }
  [[nodiscard]] bool holds_any() const {
    return std::ranges::any_of(lines, [&](const auto& line) { return is_held(line.first); });
  }
  /// Lets edges of a line be read. Precondition: it is held.
  void add_edges(std::uint16_t line, std::size_t edges = 1) {
    std::vector<gpio_v2_line_event> events(edges);
    for (auto& event : events) {
      event.id = GPIO_V2_LINE_EVENT_RISING_EDGE;
      event.offset = line;
    }
    const std::size_t bytes = edges * sizeof(events[0]);
    if (::send(lines[line].kernel.get(), events.data(), bytes, MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(bytes)) {
      wrong += "edges without room; ";
    }
  }
  /// From now on reads of a line's file fail with ECONNRESET: what was sent to it was never read.
  void unplug(std::uint16_t line) {
    (void)!::send(lines[line].file, "", 1, MSG_NOSIGNAL);
    lines[line].kernel.reset();
  }

 private:
  int refuse(const char* what) {
    wrong += what;
    wrong += "; ";
    return -EINVAL;
  }
  int tell_name(gpio_v2_line_info& info) {
    infos.push_back(info.offset);
    if (std::ranges::any_of(info.padding, [](auto word) { return word != 0; })) {
      return refuse("padding of a line info");
    }
    if (info.offset >= count) return refuse("line");
    // What the name does not fill is not zero, but for the byte after it.
    std::memset(&info.consumer, 'x', sizeof(info.consumer));
    std::memset(&info.name, 'y', sizeof(info.name));
    const std::string name = info.offset < names.size() ? names[info.offset] : "";
    std::memcpy(info.name, name.c_str(), std::min(name.size() + 1, sizeof(info.name)));
    return 0;
  }
  int give(gpio_v2_line_request& request) {
    if (request.num_lines != 1 || request.event_buffer_size != 0 || request.fd != 0) {
      return refuse("line request");
    }
    if (std::ranges::any_of(request.padding, [](auto word) { return word != 0; })) {
      return refuse("padding of a line request");
    }
    if (request.offsets[0] >= count) return refuse("line");
    if (!is_good(request.config)) return refuse("configuration");
    const auto number = static_cast<std::uint16_t>(request.offsets[0]);
    if (is_held(number)) return -EBUSY;
    Line& line = lines[number];
    line.consumer.assign(request.consumer, ::strnlen(request.consumer, sizeof(request.consumer)));
    apply(line, request.config);
    if (other_file) {
      request.fd = line.file = next_file.release();
      return 0;
    }
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return -errno;
    line.kernel = UniqueFd(pair[0]);
    request.fd = line.file = pair[1];
    return 0;
  }
  int configure(int fd, const gpio_v2_line_config& config) {
    Line* const line = find(fd);
    if (line == nullptr) return refuse("file of a line");
    if (!is_good(config)) return refuse("configuration");
    apply(*line, config);
    return 0;
  }
  int values(const vmm::testing::AskedIoctl& asked, gpio_v2_line_values& values) {
    Line* const line = find(asked.fd);
    if (line == nullptr) return refuse("file of a line");
    if (values.mask != 1) return refuse("mask");
    if (asked.request == GPIO_V2_LINE_GET_VALUES_IOCTL) {
      values.bits = line->high ? 1 : 0;
      return 0;
    }
    if ((line->config.flags & GPIO_V2_LINE_FLAG_OUTPUT) == 0) return -EPERM;
    line->high = (values.bits & 1) != 0;
    return 0;
  }
  Line* find(int fd) {
    for (auto& [number, line] : lines) {
      if (line.file == fd && is_held(number)) return &line;
    }
    return nullptr;
  }
  static bool is_good(const gpio_v2_line_config& config) {
    constexpr std::uint64_t kEdges = GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING;
    const bool input = (config.flags & GPIO_V2_LINE_FLAG_INPUT) != 0;
    const bool output = (config.flags & GPIO_V2_LINE_FLAG_OUTPUT) != 0;
    if ((input && output) || ((config.flags & kEdges) != 0 && !input)) return false;
    if ((config.flags & ~(kEdges | GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_OUTPUT)) != 0) {
      return false;
    }
    if (std::ranges::any_of(config.padding, [](auto word) { return word != 0; })) return false;
    const auto& first = config.attrs[0];
    if (!output) return config.num_attrs == 0;
    return config.num_attrs == 1 && first.attr.id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES &&
           first.attr.padding == 0 && first.mask == 1 && first.attr.values <= 1;
  }
  static void apply(Line& line, const gpio_v2_line_config& config) {
    line.config = config;
    if (config.num_attrs != 0) line.high = config.attrs[0].attr.values != 0;
  }
};

}  // namespace vmm::virtio_gpio::testing
