// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "net_user_process.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <string>
#include <vector>

namespace vmm::reference {
namespace {

constexpr const char* kProgram = "vmm-net-user";
constexpr int kSocket = 3;  // its number in the new process, behind the standard ones
constexpr int kPatienceMs = 10'000;

// The program beside this one; its bare name, to be looked for in PATH, when there is none.
std::string find_program() {
  std::array<char, PATH_MAX> self{};
  const ssize_t size = ::readlink("/proc/self/exe", self.data(), self.size());
  if (size <= 0) return kProgram;
  std::string path(self.data(), static_cast<std::size_t>(size));
  path = path.substr(0, path.rfind('/') + 1) + kProgram;
  return ::access(path.c_str(), X_OK) == 0 ? path : kProgram;
}

std::vector<std::string> arguments_of(const NetConfig& config) {
  std::vector<std::string> arguments{kProgram, "--fd=" + std::to_string(kSocket)};
  if (config.mtu) arguments.push_back("--mtu=" + std::to_string(*config.mtu));
  for (const std::string& rule : config.host_forwards) arguments.push_back("--hostfwd=" + rule);
  return arguments;
}

// The process gets the standard descriptors, its end of the socket, and no others; and none of the
// signals that the VMM takes in its own way are blocked in it.
int spawn(const std::string& program, std::vector<std::string> arguments, int socket, pid_t& pid) {
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  ::sigemptyset(&none);
  (void)::posix_spawn_file_actions_init(&files);
  (void)::posix_spawnattr_init(&attributes);
  (void)::posix_spawn_file_actions_adddup2(&files, socket, kSocket);
  (void)::posix_spawn_file_actions_addclosefrom_np(&files, kSocket + 1);
  (void)::posix_spawnattr_setsigmask(&attributes, &none);
  (void)::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error =
      ::posix_spawnp(&pid, program.c_str(), &files, &attributes, words.data(), ::environ);
  (void)::posix_spawnattr_destroy(&attributes);
  (void)::posix_spawn_file_actions_destroy(&files);
  return error;
}

bool becomes_ready(int socket) {
  pollfd poll{.fd = socket, .events = POLLIN, .revents = 0};
  char word = 0;
  return ::poll(&poll, 1, kPatienceMs) == 1 && ::recv(socket, &word, 1, MSG_DONTWAIT) == 1;
}

}  // namespace

Outcome<std::unique_ptr<NetUserProcess>> NetUserProcess::start(const NetConfig& config,
                                                               UniqueFd& socket) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail(runtime("--net: user", Error::from_errno("socketpair")));
  }
  socket = UniqueFd(ends[0]);
  UniqueFd theirs(ends[1]);
  const std::string program = find_program();
  pid_t pid = -1;
  const int error = spawn(program, arguments_of(config), theirs.get(), pid);
  if (error == ENOENT) {
    return fail(runtime(std::string("--net: user: there is no program ") + kProgram +
                        " beside vmm-reference or in PATH"));
  }
  if (error != 0) return fail(runtime("--net: user: " + program, Error::os(error, "start")));
  std::unique_ptr<NetUserProcess> process(new NetUserProcess(pid));
  theirs.reset();
  if (!becomes_ready(socket.get())) {
    return fail(runtime("--net: user: " + program + " ended before it was ready"));
  }
  return process;
}

NetUserProcess::~NetUserProcess() {
  (void)::kill(pid_, SIGTERM);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

}  // namespace vmm::reference
