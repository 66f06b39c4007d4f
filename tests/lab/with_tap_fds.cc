// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// with-tap-fds NAME QUEUES COMMAND...: runs the command with the queues of a tap open as
// descriptors 3, 4, ..., as a manager of VMs does that gives them no right to open taps themselves.

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

int main(int argc, char** argv) {
  if (argc < 4 || std::strlen(argv[1]) >= IFNAMSIZ) return 2;
  const long queues = std::strtol(argv[2], nullptr, 10);
  for (long i = 0; i < queues; ++i) {
    const int fd = ::open("/dev/net/tun", O_RDWR);
    ifreq request{};
    std::memcpy(request.ifr_name, argv[1], std::strlen(argv[1]));
    request.ifr_flags =
        static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0));
    if (fd != 3 + i || ::ioctl(fd, TUNSETIFF, &request) != 0) {
      std::perror("with-tap-fds");
      return 1;
    }
  }
  ::execvp(argv[3], argv + 3);
  std::perror(argv[3]);
  return 1;
}
