// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "daemon_options.h"

#include <sys/socket.h>

#include <array>
#include <csignal>
#include <cstdio>

#include "vmm/base/log.h"
#include "vmm/sys_util/signal.h"

namespace vmm::daemon {

int complain(const char* program, const std::string& what, int status) {
  std::fprintf(stderr, "%s: %s\n", program, what.c_str());
  return status;
}

void print_help(const char* program, const std::vector<Option>& options) {
  std::printf("usage: %s --socket-path=PATH | --fd=N [OPTION...]\n\n", program);
  for (const Option& option : options) {
    const std::string left = std::string("--") + option.name +
                             (option.value != nullptr ? "=" : "") +
                             (option.value != nullptr ? option.value : "");
    std::printf("  %-22s  %s\n", left.c_str(), option.help);
  }
}

bool is_complete(const Socket& socket) { return socket.path.empty() != (socket.fd < 0); }

std::vector<Option> socket_options(Socket& socket) {
  return {
      {"socket-path", "PATH", "listen here for clients, one after another",
       [&](std::string_view value) {
         socket.path = value;
         return !value.empty();
       }},
      {"fd", "N", "serve this socket: one that listens, or is connected to a client",
       [&](std::string_view value) { return parse_number(value, socket.fd) && socket.fd >= 0; }}};
}

std::optional<std::string> parse(const std::vector<Option>& options, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const Option* found = nullptr;
    for (const Option& option : options) {
      if (name == std::string("--") + option.name) found = &option;
    }
    if (found == nullptr) return std::string(word) + ": no such option";
    const bool has_value = equals != std::string_view::npos;
    if (has_value && found->value == nullptr) return std::string(name) + " takes no value";
    std::string_view value = has_value ? word.substr(equals + 1) : std::string_view();
    if (found->value != nullptr && !has_value) {
      if (i + 1 == argc) return std::string(name) + " needs a value";
      value = argv[++i];
    }
    if (!found->set(value)) return std::string(word) + ": bad value";
  }
  return std::nullopt;
}

bool listens(int fd) {
  int yes = 0;
  socklen_t size = sizeof(yes);
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) == 0 && yes != 0;
}

Result<sys_util::UnixListener> open_listener(const Socket& socket) {
  if (socket.fd >= 0) return sys_util::UnixListener::adopt(UniqueFd(socket.fd));
  return sys_util::UnixListener::create(socket.path);
}

Result<SignalWatch> SignalWatch::create(event_manager::EventLoop& loop) {
  constexpr std::array kEnd{SIGTERM, SIGINT};
  VMM_TRY(auto signals, sys_util::SignalFd::create(kEnd));
  VMM_TRY_DO(sys_util::ignore_signal(SIGPIPE));
  SignalWatch made(std::move(signals));
  VMM_TRY(made.watch_, loop.add(made.signals_.fd(), event_manager::kReadable,
                                [&loop](event_manager::EventSet) { loop.stop(); }));
  return made;
}

void log_to_stderr() {
  set_log_sink([](LogLevel, std::string_view line) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  });
}

}  // namespace vmm::daemon
