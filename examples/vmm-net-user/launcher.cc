// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <vector>

#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/fd_passing.h"
#include "vmm/sys_util/unix_socket.h"

namespace vmm::net_user {
namespace {

// A request is the arguments, each with its NUL, and a descriptor; or the number of a process that
// is to end, without one. The answer is a number: of the process, or less than 0, an errno.
constexpr std::size_t kMaxRequest = 64 * 1024;
using Answer = std::int64_t;

// Of the process that asks; stays open to its end.
constinit int g_launcher = -1;

// The program beside this one; its bare name, to be looked for in PATH, when there is none.
std::string find_program() {
  std::array<char, PATH_MAX> self{};
  const ssize_t size = ::readlink("/proc/self/exe", self.data(), self.size());
  if (size <= 0) return kProgram;
  std::string path(self.data(), static_cast<std::size_t>(size));
  path = path.substr(0, path.rfind('/') + 1) + kProgram;
  return ::access(path.c_str(), X_OK) == 0 ? path : kProgram;
}

// The process gets the standard descriptors, its end of the socket, and no others; and none of the
// signals that the VMM takes in its own way are blocked in it.
Answer spawn(std::vector<std::string> arguments, int socket) {
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  pid_t pid = -1;
  ::sigemptyset(&none);
  (void)::posix_spawn_file_actions_init(&files);
  (void)::posix_spawnattr_init(&attributes);
  (void)::posix_spawn_file_actions_adddup2(&files, socket, kGuestSocket);
  (void)::posix_spawn_file_actions_addclosefrom_np(&files, kGuestSocket + 1);
  (void)::posix_spawnattr_setsigmask(&attributes, &none);
  (void)::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error =
      ::posix_spawnp(&pid, find_program().c_str(), &files, &attributes, words.data(), ::environ);
  (void)::posix_spawnattr_destroy(&attributes);
  (void)::posix_spawn_file_actions_destroy(&files);
  return error == 0 ? pid : -error;
}

// In the launcher, a child that has ended stays, so that nobody else gets its number. Where SIGCHLD
// is ignored, it leaves nothing behind.
void end(pid_t process) {
  // What the guest's packets have made of it may not obey: nobody waits for its consent.
  (void)::kill(process, SIGKILL);
  while (::waitpid(process, nullptr, 0) < 0 && errno == EINTR) continue;
}

std::vector<std::string> words_of(std::span<const std::byte> request) {
  std::vector<std::string> words;
  const std::string_view text(reinterpret_cast<const char*>(request.data()), request.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t nul = std::min(text.find('\0', at), text.size());
    words.emplace_back(text.substr(at, nul - at));
    at = nul + 1;
  }
  return words;
}

// Numbers of processes that are not the launcher's own children do not matter to it.
void serve(int socket) {
  std::vector<std::byte> room(kMaxRequest);
  std::vector<pid_t> children;
  for (;;) {
    UniqueFd fd;
    const auto got = sys_util::receive_with_fds(socket, room, std::span(&fd, 1));
    if (!got || got->bytes == 0) return;
    const auto request = std::span(room).first(got->bytes);
    Answer answer = 0;
    if (fd) {
      answer = spawn(words_of(request), fd.get());
      if (answer > 0) children.push_back(static_cast<pid_t>(answer));
    } else if (request.size() == sizeof(answer)) {
      std::memcpy(&answer, request.data(), sizeof(answer));
      const auto wanted = static_cast<pid_t>(answer);
      if (std::erase(children, wanted) != 0) end(wanted);
    }
    if (::send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) < 0) return;
  }
}

// It has nothing of the VMM's but the standard descriptors and what signals do, but SIGCHLD, and
// ends when its socket does.
[[noreturn]] void run_launcher(int socket) {
  constexpr int kOwn = 3;
  (void)::prctl(PR_SET_NAME, "net-launcher");
  (void)::signal(SIGCHLD, SIG_DFL);
  if (::dup2(socket, kOwn) == kOwn && ::close_range(kOwn + 1, ~0u, 0) == 0 &&
      ::fcntl(kOwn, F_SETFD, FD_CLOEXEC) == 0) {
    serve(kOwn);
  }
  ::_exit(0);
}

Result<Answer> ask(std::span<const std::byte> request, std::span<const int> fds) {
  VMM_TRY_DO(sys_util::send_with_fds(g_launcher, request, fds));
  Answer answer = 0;
  const ssize_t got = ::recv(g_launcher, &answer, sizeof(answer), 0);
  if (got < 0) return fail(Error::from_errno("ask the launcher"));
  if (got != sizeof(answer)) return fail(Error::os(EPIPE, "ask the launcher"));
  return answer;
}

}  // namespace

Result<void> begin_launcher() {
  VMM_TRY(auto ends, sys_util::unix_socket_pair(sys_util::UnixSocketType::kSeqpacket));
  const pid_t pid = ::fork();
  if (pid < 0) return fail(Error::from_errno("fork"));
  if (pid == 0) {
    ends.first.reset();
    run_launcher(ends.second.get());
  }
  g_launcher = ends.first.release();
  return {};
}

Result<pid_t> launch(std::span<const std::string> arguments, int socket) {
  Answer answer = 0;
  if (g_launcher < 0) {
    answer = spawn({arguments.begin(), arguments.end()}, socket);
  } else {
    std::string request;
    for (const std::string& argument : arguments) request += argument + '\0';
    if (request.size() > kMaxRequest) return fail(Error::os(E2BIG, kProgram));
    VMM_TRY(answer, ask(std::as_bytes(std::span(request)), std::span(&socket, 1)));
  }
  if (answer < 0) return fail(Error::os(static_cast<int>(-answer), kProgram));
  return static_cast<pid_t>(answer);
}

void end_launched(pid_t process) {
  if (g_launcher < 0) return end(process);
  const Answer request = process;
  (void)ask(std::as_bytes(std::span(&request, 1)), {}).has_value();  // it has gone: so has that
}

}  // namespace vmm::net_user
