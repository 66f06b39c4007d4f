// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Fixed VHD images: the disk, and a footer of one sector behind it. Numbers are big-endian.

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "file_parts.h"
#include "fixed_part.h"
#include "vmm/base/endian.h"
#include "vmm/block/open_image.h"

namespace vmm::block {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kFooterBytes = 512;
constexpr std::string_view kCookie = "conectix"sv;
constexpr std::uint32_t kMajorVersion = 1;
constexpr std::uint32_t kFixed = 2;

struct Footer {
  std::array<char, 8> cookie{};
  Be32 features;
  Be32 version;    // major and minor, 16 bits each
  Be64 header_at;  // of images that grow; fixed ones have 32 or 64 bits of ones here, or nothing
  std::array<std::byte, 24> made_by{};  // when, by what, and of which size at first
  Be64 disk_bytes;
  Be32 geometry;
  Be32 type;
  Be32 checksum;
  std::array<std::byte, kFooterBytes - 68> rest{};
};
static_assert(sizeof(Footer) == kFooterBytes);

// The ones' complement of the sum of all bytes but its own.
std::uint32_t checksum_of(Footer footer) {
  footer.checksum = Be32(0);
  std::array<unsigned char, kFooterBytes> bytes{};
  std::memcpy(bytes.data(), &footer, sizeof(footer));
  std::uint32_t sum = 0;
  for (const unsigned char byte : bytes) sum += byte;
  return ~sum;
}

/// The size of the disk, as the footer says it.
Result<std::uint64_t> read_footer(const ImageFile& file) {
  VMM_TRY(const std::uint64_t file_bytes, file.size_bytes());
  if (file_bytes < kFooterBytes) return fail(Error::os(EINVAL, "open the VHD image: no footer"));
  std::array<std::byte, kFooterBytes> bytes{};
  VMM_TRY_DO(read_all(file.buffered_fd(), bytes, file_bytes - kFooterBytes));
  Footer footer;
  std::memcpy(&footer, bytes.data(), sizeof(footer));
  if (!std::ranges::equal(footer.cookie, kCookie)) {
    return fail(Error::os(EINVAL, "open the VHD image: no footer"));
  }
  if (footer.checksum.get() != checksum_of(footer)) {
    return fail(Error::os(EINVAL, "open the VHD image: the footer's checksum is wrong"));
  }
  if (footer.version.get() >> 16 != kMajorVersion) {
    return fail(Error::os(ENOTSUP, "open the VHD image: its version is not known"));
  }
  if (footer.type.get() != kFixed) {
    return fail(Error::os(ENOTSUP, "open the VHD image: it is not a fixed one"));
  }
  const std::uint64_t disk_bytes = footer.disk_bytes.get();
  if (disk_bytes % 512 != 0 || disk_bytes > file_bytes - kFooterBytes) {
    return fail(Error::os(EINVAL, "open the VHD image: its size cannot be"));
  }
  return disk_bytes;
}

}  // namespace

Result<std::unique_ptr<Image>> open_vhd(ImageFile file, const ImageOptions& options) {
  VMM_TRY(const std::uint64_t bytes, read_footer(file));
  return open_fixed_part(std::move(file), options, bytes);
}

}  // namespace vmm::block
