// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "vmm/block/open_image.h"

namespace vmm::block {
namespace {

struct Mark {
  ImageFormat format;
  std::size_t offset;
  std::string_view text;
};

using namespace std::string_view_literals;

constexpr std::array kMarks = {
    Mark{ImageFormat::kQcow2, 0, "QFI\xfb"sv},
    Mark{ImageFormat::kVhd, 0, "conectix"sv},
    Mark{ImageFormat::kVhdx, 0, "vhdxfile"sv},
    Mark{ImageFormat::kVmdk, 0, "KDMV"sv},
    Mark{ImageFormat::kVmdk, 0, "COWD"sv},
    Mark{ImageFormat::kVmdk, 0, "# Disk DescriptorFile"sv},
    Mark{ImageFormat::kVdi, 0x40, "\x7f\x10\xda\xbe"sv},
};

}  // namespace

ImageFormat probe_format(std::span<const std::byte> first_sector) {
  for (const Mark& mark : kMarks) {
    if (first_sector.size() < mark.offset + mark.text.size()) continue;
    if (std::memcmp(first_sector.data() + mark.offset, mark.text.data(), mark.text.size()) == 0) {
      return mark.format;
    }
  }
  return ImageFormat::kRaw;
}

Result<ImageFormat> probe_format(const ImageFile& file) {
  std::array<std::byte, 512> sector{};
  ssize_t got = 0;
  do {
    got = ::pread(file.buffered_fd(), sector.data(), sector.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return fail(Error::from_errno("read the start of the image"));
  return probe_format(std::span(sector).first(static_cast<std::size_t>(got)));
}

}  // namespace vmm::block
