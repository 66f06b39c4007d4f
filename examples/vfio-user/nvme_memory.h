// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nvme_spec.h"
#include "vmm/base/result.h"
#include "vmm/vfio_user/dma_space.h"

namespace vmm::nvme {

/// A piece of the driver's memory.
struct Piece {
  std::uint64_t address = 0;
  std::size_t bytes = 0;
};

/// Where a command's data is: physical region pages (NVM Express, 4.3). Lists are read as far as
/// the data needs them. Errors: kBadField for addresses that are not those of pages; kTransferError
/// for lists that cannot be read.
Result<std::vector<Piece>, Status> pieces_of(const vfio_user::DmaSpace& dma, const Command& command,
                                             std::size_t bytes);

/// Moves data between memory and a buffer. Errors: kTransferError.
Result<void, Status> read_pieces(const vfio_user::DmaSpace& dma, std::span<const Piece> pieces,
                                 std::span<std::byte> to);
Result<void, Status> write_pieces(vfio_user::DmaSpace& dma, std::span<const Piece> pieces,
                                  std::span<const std::byte> from);

}  // namespace vmm::nvme
