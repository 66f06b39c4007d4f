// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "net_user_process.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "launcher.h"
#include "vmm/sys_util/unix_socket.h"

namespace vmm::net_user {
namespace {

constexpr int kPatienceMs = 10'000;

std::vector<std::string> arguments_of(const NetUserOptions& options) {
  std::vector<std::string> arguments{kProgram, "--fd=" + std::to_string(kGuestSocket),
                                     "--vnet-header", "--seccomp=" + options.seccomp};
  if (options.mtu) arguments.push_back("--mtu=" + std::to_string(*options.mtu));
  for (const std::string& rule : options.host_forwards) arguments.push_back("--hostfwd=" + rule);
  return arguments;
}

bool becomes_ready(int socket) {
  pollfd poll{.fd = socket, .events = POLLIN, .revents = 0};
  char word = 0;
  return ::poll(&poll, 1, kPatienceMs) == 1 && ::recv(socket, &word, 1, MSG_DONTWAIT) == 1;
}

}  // namespace

Result<std::unique_ptr<NetUserProcess>> NetUserProcess::start(const NetUserOptions& options,
                                                              UniqueFd& socket) {
  VMM_TRY(auto ends, sys_util::unix_socket_pair(sys_util::UnixSocketType::kSeqpacket));
  socket = std::move(ends.first);
  VMM_TRY(const pid_t pid, launch(arguments_of(options), ends.second.get()));
  std::unique_ptr<NetUserProcess> process(new NetUserProcess(pid));
  ends.second.reset();
  if (!becomes_ready(socket.get())) return fail(Error::os(ECHILD, kProgram));
  return process;
}

NetUserProcess::~NetUserProcess() { end_launched(pid_); }

}  // namespace vmm::net_user
