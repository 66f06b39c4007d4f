// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/base/result.h"
#include "vmm/block/image.h"
#include "vmm/block/open_image.h"

namespace vmm::block {

/// A disk that is the first `bytes` bytes of `file`, a multiple of 512. What comes behind them
/// belongs to a format, so the disk keeps its size.
std::unique_ptr<Image> open_fixed_part(ImageFile file, const ImageOptions& options,
                                       std::uint64_t bytes);

}  // namespace vmm::block
