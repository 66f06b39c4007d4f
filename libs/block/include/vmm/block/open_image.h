// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "vmm/base/result.h"
#include "vmm/block/image.h"
#include "vmm/block/image_file.h"

namespace vmm::block {

/// Formats that are recognised. Only some can be opened.
enum class ImageFormat : std::uint8_t { kRaw, kQcow2, kVhd, kVhdx, kVmdk, kVdi };

/// What the first 512 bytes of a file look like; kRaw when like nothing in particular.
[[nodiscard]] ImageFormat probe_format(std::span<const std::byte> first_sector);
/// The same for a file. Errors: those of pread(2).
Result<ImageFormat> probe_format(const ImageFile& file);

struct ImageOptions {
  bool sparse = true;               ///< discards may make holes
  bool guard_first_sector = false;  ///< the format is a guess; see Image::guards_first_sector()
};

/// A raw image: the disk is the file. A last partial sector is not part of it.
/// Errors: those of ImageFile::size_bytes().
Result<std::unique_ptr<Image>> open_raw(ImageFile file, const ImageOptions& options);

}  // namespace vmm::block
