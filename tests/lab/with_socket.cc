// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// with-socket PATH COMMAND...: runs the command with a connection to that Unix socket open as
// descriptor 3: a back end whose front end listens. Waits for the front end, a minute at most.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (argc < 3 || std::strlen(argv[1]) >= sizeof(address.sun_path)) return 2;
  std::memcpy(address.sun_path, argv[1], std::strlen(argv[1]));
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd != 3) return 1;
  for (int tenths = 600;
       ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0; --tenths) {
    if (tenths == 0) {
      std::perror(argv[1]);
      return 1;
    }
    ::usleep(100'000);
  }
  ::execvp(argv[2], argv + 2);
  std::perror(argv[2]);
  return 1;
}
