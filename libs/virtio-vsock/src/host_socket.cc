// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_vsock/host_socket.h"

#include <sys/socket.h>

namespace vmm::virtio_vsock {
namespace {

// So that messages fit that are as large as a connection's buffer.
constexpr int kSendBuffer = 512 << 10;

}  // namespace

Result<HostSocket> HostSocket::listen(const std::string& path) {
  VMM_TRY(auto listener, sys_util::UnixListener::create(path));
  return HostSocket(std::move(listener));
}

Result<UniqueFd> HostSocket::connect(std::uint32_t port, SocketType type) const {
  const bool messages = type == SocketType::kSeqpacket;
  VMM_TRY(UniqueFd fd, sys_util::connect_unix(path() + "_" + std::to_string(port),
                                              messages ? sys_util::UnixSocketType::kSeqpacket
                                                       : sys_util::UnixSocketType::kStream));
  if (messages) {
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
  }
  return fd;
}

}  // namespace vmm::virtio_vsock
