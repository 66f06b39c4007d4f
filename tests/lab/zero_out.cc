// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// zero-out DEVICE OFFSET BYTES
//
// Asks the kernel to make a range of a block device read as zeros; exits with 1 when it cannot.

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int device = open(argv[1], O_RDWR | O_CLOEXEC);
  std::uint64_t range[2] = {std::strtoull(argv[2], nullptr, 0), std::strtoull(argv[3], nullptr, 0)};
  if (device >= 0 && ioctl(device, BLKZEROOUT, range) == 0 && close(device) == 0) return 0;
  std::perror(argv[1]);
  return 1;
}
