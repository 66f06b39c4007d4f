// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/stream.h"

#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_queue {
namespace detail {

std::size_t Cursor::list(std::span<IoVec> out, std::uint32_t bytes) const {
  Cursor rest = *this;
  std::uint32_t left = std::min(bytes, remaining_);
  std::size_t count = 0;
  for (; left != 0 && count < out.size(); ++count) {
    const std::span<std::byte> part = rest.take_some(left);
    out[count] = {part.data(), part.size()};
    left -= static_cast<std::uint32_t>(part.size());
  }
  return count;
}

}  // namespace detail

detail::Cursor Reader::copy_slowly(detail::Cursor cursor, std::span<std::byte> to) {
  while (!to.empty()) {
    const auto part = cursor.take_some(static_cast<std::uint32_t>(to.size()));
    vm_memory::detail::copy_out(to.data(), part.data(), part.size());
    to = to.subspan(part.size());
  }
  return cursor;
}

detail::Cursor Writer::copy_slowly(detail::Cursor cursor, const detail::Ram* ram,
                                   std::span<const std::byte> from) {
  while (!from.empty()) {
    const auto part = cursor.take_some(static_cast<std::uint32_t>(from.size()));
    vm_memory::detail::copy_in(part.data(), from.data(), part.size());
    mark(ram, part.data(), part.size());
    from = from.subspan(part.size());
  }
  return cursor;
}

Result<void, QueueError> Writer::commit(std::uint32_t bytes) {
  if (bytes > remaining()) return fail(QueueError::kEndOfChain);
  while (bytes != 0) {
    const auto part = cursor_.take_some(bytes);
    mark(ram_, part.data(), part.size());
    bytes -= static_cast<std::uint32_t>(part.size());
  }
  return {};
}

void Chain::mark_written(std::uint32_t bytes) const {
  Writer all = writer();
  (void)all.commit(std::min(bytes, bytes_.writable));
}

}  // namespace vmm::virtio_queue
