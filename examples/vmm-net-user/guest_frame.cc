// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "guest_frame.h"

#include <cstring>

#include "vmm/base/endian.h"

namespace vmm::net_user {
namespace {

struct VnetHeader {
  std::uint8_t flags;
  std::uint8_t gso_type;
  Le16 header_bytes;
  Le16 gso_bytes;
  Le16 csum_start;
  Le16 csum_offset;
  Le16 buffers;
};
static_assert(sizeof(VnetHeader) == kVnetHeaderBytes);

constexpr std::uint8_t kNeedsCsum = 1;
constexpr std::uint8_t kGsoNone = 0;
constexpr std::uint8_t kGsoTcp4 = 1;
constexpr std::uint8_t kGsoEcn = 0x80;

// RFC 1071: the sum is the same for words in any byte order, and of any width.
std::uint16_t checksum(std::span<const std::uint8_t> bytes) {
  std::uint64_t sum = 0;
  std::uint32_t word = 0;
  for (; bytes.size() >= sizeof(word); bytes = bytes.subspan(sizeof(word))) {
    std::memcpy(&word, bytes.data(), sizeof(word));
    sum += word;
  }
  word = 0;
  if (!bytes.empty()) std::memcpy(&word, bytes.data(), bytes.size());
  sum += word;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

// The field holds the sum of the pseudo header.
bool fill_in_checksum(std::span<std::uint8_t> frame, std::size_t start, std::size_t offset) {
  std::uint16_t sum = 0;
  if (start > frame.size() || offset + sizeof(sum) > frame.size() - start) return false;
  sum = checksum(frame.subspan(start));
  if (sum == 0) sum = 0xffff;  // 0 means none in UDP, and is the same number everywhere else
  std::memcpy(frame.data() + start + offset, &sum, sizeof(sum));
  return true;
}

}  // namespace

bool complete_frame(std::span<std::uint8_t> message) {
  VnetHeader header{};
  if (message.size() <= sizeof(header)) return false;
  std::memcpy(&header, message.data(), sizeof(header));
  const auto kind = static_cast<std::uint8_t>(header.gso_type & ~kGsoEcn);
  if (kind != kGsoNone && kind != kGsoTcp4) return false;
  if ((header.flags & kNeedsCsum) == 0) return kind == kGsoNone;
  return fill_in_checksum(message.subspan(sizeof(header)), header.csum_start.get(),
                          header.csum_offset.get());
}

}  // namespace vmm::net_user
