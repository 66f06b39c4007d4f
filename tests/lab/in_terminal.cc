// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// in-terminal COLUMNS ROWS COMMAND...: runs the command in the foreground of a terminal of its own,
// which has that size; standard error stays. What the command prints there goes to standard output.
// A line "COLUMNS ROWS" on standard input gives the terminal another size; other lines are typed.
// Ends with the command's exit status.

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(125);
}

[[noreturn]] void run(int terminal, char** command) {
  if (::setsid() < 0 || ::ioctl(terminal, TIOCSCTTY, 0) != 0) die("controlling terminal");
  if (::dup2(terminal, STDIN_FILENO) < 0 || ::dup2(terminal, STDOUT_FILENO) < 0) die("dup2");
  ::execvp(command[0], command);
  die(command[0]);
}

void obey(int controller, const std::string& line) {
  winsize size{};
  if (std::sscanf(line.c_str(), "%hu %hu", &size.ws_col, &size.ws_row) == 2) {
    if (::ioctl(controller, TIOCSWINSZ, &size) != 0) die("TIOCSWINSZ");
  } else if (::write(controller, line.data(), line.size()) < 0) {
    die("write");
  }
}

/// Until the command and all that it has begun have closed the terminal.
void serve(int controller) {
  pollfd watched[2] = {{.fd = controller, .events = POLLIN, .revents = 0},
                       {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}};
  std::string line;
  char bytes[512];
  for (;;) {
    if (::poll(watched, 2, -1) < 0) die("poll");
    if (watched[0].revents != 0) {
      const ssize_t got = ::read(controller, bytes, sizeof(bytes));
      if (got <= 0) return;
      if (::write(STDOUT_FILENO, bytes, static_cast<std::size_t>(got)) != got) die("write");
    }
    if (watched[1].revents != 0) {
      const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof(bytes));
      if (got <= 0) watched[1].fd = -1;
      for (ssize_t i = 0; i < got; ++i) {
        line += bytes[i];
        if (bytes[i] != '\n') continue;
        obey(controller, line);
        line.clear();
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 125;
  const int controller = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (controller < 0 || ::grantpt(controller) != 0 || ::unlockpt(controller) != 0) die("pty");
  char path[64];
  if (::ptsname_r(controller, path, sizeof(path)) != 0) die("ptsname_r");
  const int terminal = ::open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) die(path);
  obey(controller, std::string(argv[1]) + " " + argv[2]);
  const pid_t child = ::fork();
  if (child < 0) die("fork");
  if (child == 0) run(terminal, argv + 3);
  ::close(terminal);
  serve(controller);
  int status = 0;
  if (::waitpid(child, &status, 0) != child) die("waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
