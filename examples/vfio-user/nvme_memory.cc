// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "nvme_memory.h"

#include <algorithm>

#include "vmm/base/payload.h"

namespace vmm::nvme {
namespace {

constexpr std::uint64_t kEntry = sizeof(std::uint64_t);

/// Entries of lists one after the other: the last one of a page leads to the next list, unless the
/// data ends with it.
class ListReader {
 public:
  ListReader(const vfio_user::DmaSpace& dma, std::uint64_t at) : dma_(dma), at_(at) {}

  Result<std::uint64_t, Status> next(bool is_last) {
    VMM_TRY(std::uint64_t entry, read());
    const bool leads_on = at_ % kPage == kPage - kEntry && !is_last;
    at_ += kEntry;
    if (!leads_on) return entry;
    if (entry % kPage != 0) return fail(Status::kBadField);
    at_ = entry;
    VMM_TRY(entry, read());
    at_ += kEntry;
    return entry;
  }

 private:
  Result<std::uint64_t, Status> read() const {
    std::uint64_t entry = 0;
    if (!dma_.read(at_, std::as_writable_bytes(std::span(&entry, 1)))) {
      return fail(Status::kTransferError);
    }
    return entry;
  }

  const vfio_user::DmaSpace& dma_;
  std::uint64_t at_;
};

}  // namespace

Result<std::vector<Piece>, Status> pieces_of(const vfio_user::DmaSpace& dma, const Command& command,
                                             std::size_t bytes) {
  std::vector<Piece> pieces;
  if (bytes == 0) return pieces;
  const std::size_t first = std::min<std::size_t>(bytes, kPage - command.prp1 % kPage);
  pieces.push_back({.address = command.prp1, .bytes = first});
  std::size_t left = bytes - first;
  if (left == 0) return pieces;
  if (left <= kPage) {
    if (command.prp2 % kPage != 0) return fail(Status::kBadField);
    pieces.push_back({.address = command.prp2, .bytes = left});
    return pieces;
  }
  if (command.prp2 % kEntry != 0) return fail(Status::kBadField);
  ListReader list(dma, command.prp2);
  while (left != 0) {
    VMM_TRY(const std::uint64_t page, list.next(left <= kPage));
    if (page % kPage != 0) return fail(Status::kBadField);
    const std::size_t part = std::min<std::size_t>(left, kPage);
    pieces.push_back({.address = page, .bytes = part});
    left -= part;
  }
  return pieces;
}

Result<void, Status> read_pieces(const vfio_user::DmaSpace& dma, std::span<const Piece> pieces,
                                 std::span<std::byte> to) {
  for (const Piece& piece : pieces) {
    if (!dma.read(piece.address, to.first(piece.bytes))) return fail(Status::kTransferError);
    to = to.subspan(piece.bytes);
  }
  return {};
}

Result<void, Status> write_pieces(vfio_user::DmaSpace& dma, std::span<const Piece> pieces,
                                  std::span<const std::byte> from) {
  for (const Piece& piece : pieces) {
    if (!dma.write(piece.address, from.first(piece.bytes))) return fail(Status::kTransferError);
    from = from.subspan(piece.bytes);
  }
  return {};
}

}  // namespace vmm::nvme
