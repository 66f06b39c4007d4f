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

namespace {

/// The first piece from `next` on that is not empty.
std::span<std::byte> take_piece(const Cursor::IoVec** next) {
  while ((*next)->bytes == 0) ++*next;
  const Cursor::IoVec& piece = *(*next)++;
  return {static_cast<std::byte*>(piece.base), piece.bytes};
}

}  // namespace

void Cursor::copy_pieces(const IoVec* next, std::span<std::byte> here, std::span<std::byte> to) {
  while (!to.empty()) {
    if (here.empty()) here = take_piece(&next);
    const std::size_t n = std::min(here.size(), to.size());
    vm_memory::detail::copy_out(to.data(), here.data(), n);
    here = here.subspan(n);
    to = to.subspan(n);
  }
}

void Cursor::copy_pieces(const IoVec* next, std::span<std::byte> here,
                         std::span<const std::byte> from, const ChainLabel& label) {
  while (!from.empty()) {
    if (here.empty()) here = take_piece(&next);
    const std::size_t n = std::min(here.size(), from.size());
    vm_memory::detail::copy_in(here.data(), from.data(), n);
    label.mark(here.data(), n);
    here = here.subspan(n);
    from = from.subspan(n);
  }
}

}  // namespace detail

Result<void, QueueError> Writer::commit(std::uint32_t bytes) {
  if (bytes > remaining()) return fail(QueueError::kEndOfChain);
  while (bytes != 0) {
    const auto part = cursor_.take_some(bytes);
    label_->mark(part.data(), part.size());
    bytes -= static_cast<std::uint32_t>(part.size());
  }
  return {};
}

void Chain::mark_written(std::uint32_t bytes) const {
  Writer all = writer();
  (void)all.commit(std::min(bytes, bytes_.writable));
}

}  // namespace vmm::virtio_queue
