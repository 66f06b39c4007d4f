// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/block/image.h"
#include "vmm/block/image_file.h"

namespace vmm::block {

/// Formats that are recognised. Only some can be opened.
enum class ImageFormat : std::uint8_t { kRaw, kQcow2, kVhd, kVhdx, kVmdk, kVdi };

/// What the first 512 bytes of a file look like; kRaw when like nothing in particular.
[[nodiscard]] ImageFormat probe_format(std::span<const std::byte> first_sector);
/// The same for a file. Errors: those of pread(2).
Result<ImageFormat> probe_format(const ImageFile& file);

/// How to read a format.
struct ImageOptions {
  bool sparse = true;                  ///< discards may make holes
  bool guard_first_sector = false;     ///< the format is a guess; see Image::guards_first_sector()
  std::size_t cache_bytes = 16 << 20;  ///< for metadata of qcow2; at least 64 KiB are used
};

/// A raw image: the disk is the file. A last partial sector is not part of it.
/// Errors: those of ImageFile::size_bytes().
Result<std::unique_ptr<Image>> open_raw(ImageFile file, const ImageOptions& options);

/// A qcow2 image (version 2 or 3) without a backing file; writable when `file` is. One of version 3
/// that was not closed, here or elsewhere, gets its refcounts counted again first.
///
/// Errors, each of which says what it is: EINVAL for broken headers and tables, and for direct I/O
/// with clusters smaller than its alignment; ENOTSUP for encryption, external data files,
/// subclusters and unknown features, and for a backing file; EROFS when `file` is writable and the
/// image is marked corrupt or its metadata overlaps.
Result<std::unique_ptr<Image>> open_qcow2(ImageFile file, const ImageOptions& options);

/// A fixed VHD image: the disk, and a footer of one sector at the end of the file. It keeps its
/// size. Its format has to be said: without the footer it is a raw image, and the guest of one may
/// write what looks like a footer.
///
/// Errors: EINVAL for a footer that is not there, or not sound; ENOTSUP for images that grow and
/// those that are the difference to another one; those of ImageFile::size_bytes() and pread(2).
Result<std::unique_ptr<Image>> open_vhd(ImageFile file, const ImageOptions& options);

/// A VHDX image, of any size of blocks, that grows or has all of its space. It keeps the size of
/// its disk, and its blocks.
///
/// Errors, each of which says what it is: EINVAL for what makes no sense; ENOTSUP for a log that is
/// not empty, differences to other images, sectors of 4096 bytes, and what is not known; EFBIG for
/// a disk of more than 4 Mi blocks; EROFS when `file` is writable and a block is where no data can
/// be.
Result<std::unique_ptr<Image>> open_vhdx(ImageFile file, const ImageOptions& options);

/// How to open an image as a user asks for it.
struct OpenOptions {
  /// nullopt: look at the file. A format found like that is not trusted: a raw one guards its first
  /// sector, and no backing file is opened.
  std::optional<ImageFormat> format{};
  bool readonly = false;  ///< else for writing
  bool direct = false;    ///< O_DIRECT for the disk's data
  bool sparse = true;     ///< discards may make holes; false: a raw or VHD file gets all its space
  bool backing_files = false;  ///< qcow2 images may name another image that has the rest
  /// On every file of the chain; nullopt: not locked.
  std::optional<LockKind> lock = LockKind::kByteRange;
};

/// How many images a chain of backing files may have.
inline constexpr int kMaxBackingDepth = 16;

/// Opens an image and, if allowed, its backing files, read-only.
///
/// The name of a backing file is relative to the folder of the image that names it; the image
/// must say its format. Errors: those of ImageFile::open(), lock(), open_raw(), open_qcow2(),
/// open_vhd() and open_vhdx(); ENOTSUP for formats that cannot be opened and names with a protocol;
/// EACCES for a backing file that is not allowed; ELOOP for a longer chain; EINVAL for a backing
/// file of unsaid format.
Result<std::unique_ptr<Image>> open_image(const std::string& path, const OpenOptions& options);
/// The same for a file that somebody opened, as `options` ask for; it has no folder for relative
/// names.
Result<std::unique_ptr<Image>> open_image(UniqueFd fd, const OpenOptions& options);

}  // namespace vmm::block
