// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "transmitter.h"

#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "vmm/virtio_net/net.h"

namespace vmm::virtio_net {
namespace {

constexpr std::uint32_t kEthernetHeaderBytes = 14;

}  // namespace

// Packets one by one, as a port takes them; buffers are given back all together.
void Transmitter::serve() {
  if (full_) return;
  virtio_queue::Queue& queue = runner_.queue();
  if (!queue.refresh()) return (void)runner_.pop(chain_);  // tells the driver
  queue.disable_notifications();
  std::uint32_t left = virtio_device::QueueRunner::kBudget;
  for (; left != 0; --left) {
    if (!runner_.pop(chain_)) {
      if (runner_.broken() || !queue.enable_notifications()) break;
      continue;
    }
    if (!send(chain_)) {
      full_ = queue.undo_pop(chain_).has_value();
      break;
    }
    runner_.complete(chain_.head(), 0);
  }
  if (runner_.broken()) return;
  runner_.flush();
  if (left == 0) runner_.kick_again();
}

bool Transmitter::send(const virtio_queue::Chain& chain) const {
  const std::uint32_t bytes = chain.readable_bytes();
  if (bytes < kNetHeaderBytes + kEthernetHeaderBytes || bytes > kNetHeaderBytes + kMaxPacketBytes) {
    return true;
  }
  virtio_queue::Reader packet = chain.reader();
  if (!port_.has_header()) (void)packet.skip(kNetHeaderBytes);
  std::array<virtio_queue::IoVec, kMaxPieces> pieces;
  const std::size_t count = packet.unsafe_iovec(pieces);
  // The kernel copies the header before it checks it; a packet it refuses is dropped.
  ssize_t sent = 0;
  do {
    sent = ::writev(port_.fd(), reinterpret_cast<const iovec*>(pieces.data()),
                    static_cast<int>(count));
  } while (sent < 0 && errno == EINTR);
  return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

}  // namespace vmm::virtio_net
