// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/block/open_image.h"

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "qcow2_image.h"
#include "vmm/sys_util/file_space.h"

namespace vmm::block {
namespace {

using qcow2::Header;
using qcow2::Qcow2Image;

/// Where an image stands in a chain of backing files.
struct Place {
  std::string folder{};  // with a slash at its end; empty: the current one
  bool has_folder = true;
  int depth = 0;
};

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

Result<std::string> backing_path(const Header& header, const Place& place) {
  const std::string& name = *header.backing_file;
  if (name.front() == '/') return name;
  // "nbd://host/disk", "json:{...}": a colon before any slash.
  const std::size_t colon = name.find(':');
  if (colon != std::string::npos && colon < name.find('/')) {
    return fail(Error::os(ENOTSUP, "open the backing file: its name has a protocol"));
  }
  if (!place.has_folder) {
    return fail(Error::os(EINVAL, "open the backing file: its name is relative to nothing"));
  }
  return place.folder + name;
}

Result<ImageFormat> backing_format(const Header& header) {
  if (!header.backing_format) {
    return fail(Error::os(EINVAL, "open the backing file: the image does not say its format"));
  }
  if (*header.backing_format == "raw") return ImageFormat::kRaw;
  if (*header.backing_format == "qcow2") return ImageFormat::kQcow2;
  if (*header.backing_format == "vhdx") return ImageFormat::kVhdx;
  if (*header.backing_format == "vpc") return ImageFormat::kVhd;  // QEMU's name of it
  return fail(Error::os(ENOTSUP, "open the backing file: its format is not supported"));
}

Result<std::unique_ptr<Image>> open_format(ImageFile file, ImageFormat format, const Place& place,
                                           const OpenOptions& options);

Result<std::unique_ptr<Image>> open_backing(const Header& header, const Place& place,
                                            const OpenOptions& options) {
  if (!options.backing_files) {
    return fail(Error::os(EACCES, "open the image: it has a backing file, which is not allowed"));
  }
  if (place.depth + 1 >= kMaxBackingDepth) {
    return fail(Error::os(ELOOP, "open the backing file: the chain is too long"));
  }
  VMM_TRY(const ImageFormat format, backing_format(header));
  VMM_TRY(const std::string path, backing_path(header, place));
  // Through the page cache: others may have other alignments.
  VMM_TRY(ImageFile file, ImageFile::open(path, {.writable = false}));
  OpenOptions further = options;
  further.readonly = true;
  further.direct = false;
  return open_format(std::move(file), format, {.folder = folder_of(path), .depth = place.depth + 1},
                     further);
}

// For formats whose disk is in the file as it is.
Result<void> reserve_file(const ImageFile& file) {
  if (!file.writable() || file.is_block_device()) return {};
  VMM_TRY(const std::uint64_t bytes, file.size_bytes());
  // A file system that cannot do it gives space when it is needed.
  if (bytes != 0) (void)sys_util::reserve_space(file.fd(), {.offset = 0, .length = bytes});
  return {};
}

Result<std::unique_ptr<Image>> open_format(ImageFile file, ImageFormat format, const Place& place,
                                           const OpenOptions& options) {
  if (options.lock) VMM_TRY_DO(file.lock(*options.lock));
  const ImageOptions image_options = {.sparse = options.sparse,
                                      .guard_first_sector = !options.format && place.depth == 0};
  if (format == ImageFormat::kRaw || format == ImageFormat::kVhd) {
    if (!options.sparse) VMM_TRY_DO(reserve_file(file));
    return format == ImageFormat::kRaw ? open_raw(std::move(file), image_options)
                                       : open_vhd(std::move(file), image_options);
  }
  if (format == ImageFormat::kVhdx) return open_vhdx(std::move(file), image_options);
  if (format != ImageFormat::kQcow2) {
    return fail(Error::os(ENOTSUP, "open the image: its format is not supported"));
  }
  VMM_TRY(const Header header, qcow2::read_header(file));
  std::unique_ptr<Image> backing;
  if (header.backing_file) {
    VMM_TRY(backing, open_backing(header, place, options));
  }
  return Qcow2Image::open(std::move(file), header, std::move(backing), image_options);
}

Result<std::unique_ptr<Image>> open_top(ImageFile file, const Place& place,
                                        const OpenOptions& options) {
  if (options.format) return open_format(std::move(file), *options.format, place, options);
  VMM_TRY(const ImageFormat format, probe_format(file));
  OpenOptions wary = options;
  wary.backing_files = false;
  return open_format(std::move(file), format, place, wary);
}

}  // namespace

Result<std::unique_ptr<Image>> open_qcow2(ImageFile file, const ImageOptions& options) {
  VMM_TRY(const Header header, qcow2::read_header(file));
  if (header.backing_file) {
    return fail(Error::os(ENOTSUP, "open the qcow2 image: it has a backing file"));
  }
  return Qcow2Image::open(std::move(file), header, nullptr, options);
}

Result<std::unique_ptr<Image>> open_image(const std::string& path, const OpenOptions& options) {
  VMM_TRY(ImageFile file,
          ImageFile::open(path, {.writable = !options.readonly, .direct = options.direct}));
  return open_top(std::move(file), {.folder = folder_of(path)}, options);
}

Result<std::unique_ptr<Image>> open_image(UniqueFd fd, const OpenOptions& options) {
  VMM_TRY(ImageFile file, ImageFile::adopt(std::move(fd), {.writable = !options.readonly,
                                                           .direct = options.direct}));
  return open_top(std::move(file), {.has_folder = false}, options);
}

}  // namespace vmm::block
