// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "filter.h"
#include "host_forward.h"
#include "parse_number.h"
#include "user_network.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/signal.h"

namespace {

using namespace vmm;
using daemon::parse_number;
using net_user::HostForward;

constexpr const char* kHelp =
    "usage: vmm-net-user --fd=N [--vnet-header] [--mtu=N] [--hostfwd=RULE]... [--seccomp=HOW]\n"
    "\n"
    "A network for one guest, without privileges. Descriptor N is a socket that carries one\n"
    "Ethernet frame a message. A message of one byte says that everything is ready; the program\n"
    "ends when the other end of the socket is closed. With --vnet-header the 12 bytes of a virtio\n"
    "network header precede each frame, and the guest may leave it checksums and segmentation.\n"
    "\n"
    "RULE: tcp:PORT:PORT or udp:PORT:PORT, of the host and of the guest; tcp:ADDRESS:PORT:PORT\n"
    "      listens on another address than 127.0.0.1\n"
    "HOW: true (the default), false, log or errno: what becomes of system calls that the program\n"
    "     has no need for: its end, nothing, a line in the kernel's log, EPERM\n";

struct Options {
  int fd = -1;
  net_user::UserNetwork::Options network;
  std::vector<HostForward> forwards;
  std::string seccomp = "true";
};

int complain(const std::string& what, int exit_code) {
  std::fprintf(stderr, "vmm-net-user: %s\n", what.c_str());
  return exit_code;
}

bool parse(std::string_view argument, Options& options) {
  if (argument == "--vnet-header") return options.network.has_header = true;
  const std::size_t equals = argument.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = argument.substr(0, equals);
  const std::string_view value = argument.substr(equals + 1);
  if (name == "--fd") return parse_number(value, options.fd) && options.fd >= 0;
  if (name == "--mtu") {
    return parse_number(value, options.network.mtu) && options.network.mtu >= 68;
  }
  if (name == "--seccomp") {
    options.seccomp = value;
    return net_user::is_filter_mode(value);
  }
  const auto forward = net_user::parse_host_forward(value);
  if (name != "--hostfwd" || !forward) return false;
  options.forwards.push_back(*forward);
  return true;
}

// Everything that can be given up, after the ports are open.
Result<void> drop_privileges() {
  if (::geteuid() == 0) {
    constexpr unsigned kNobody = 65534;
    if (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
        ::setresuid(kNobody, kNobody, kNobody) != 0) {
      return fail(Error::from_errno("become nobody"));
    }
  }
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return fail(Error::from_errno("capset"));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail(Error::from_errno("PR_SET_NO_NEW_PRIVS"));
  }
  (void)::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return {};
}

// The guest's end is the one thing that this program needs of who started it. The terminal's
// signals are for the VMM, after which this program ends.
Result<void> prepare(int fd) {
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return fail(Error::from_errno("--fd"));
  for (const int signal : {SIGINT, SIGQUIT, SIGHUP}) {
    VMM_TRY_DO(sys_util::ignore_signal(signal));
  }
  return {};
}

Result<void> serve(const Options& options, std::string& context) {
  VMM_TRY_DO(prepare(options.fd));
  VMM_TRY(const auto network, net_user::UserNetwork::create(options.fd, options.network));
  for (const HostForward& forward : options.forwards) {
    context = "--hostfwd: port " + std::to_string(forward.host_port) + " of the host";
    VMM_TRY_DO(network->add_forward(forward));
  }
  context.clear();
  VMM_TRY_DO(drop_privileges());
  VMM_TRY_DO(net_user::enter_filter(options.seccomp));
  const char ready = 0;
  if (::send(options.fd, &ready, 1, MSG_NOSIGNAL) != 1) return fail(Error::from_errno("--fd"));
  return network->run();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    if (argv[i] == std::string_view("--help")) return std::fputs(kHelp, stdout) < 0 ? 1 : 0;
    if (!parse(argv[i], options)) return complain(std::string(argv[i]) + ": not understood", 2);
  }
  if (options.fd < 0) return complain("--fd=N is needed; see --help", 2);
  std::string context;
  const auto served = serve(options, context);
  if (served) return 0;
  return complain((context.empty() ? "" : context + ": ") + to_string(served.error()), 1);
}
