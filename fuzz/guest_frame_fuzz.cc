// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A guest's frame with its header, as vmm-net-user gets it: of all bytes only the checksum may
// change, to the one that RFC 1071 says, computed here the slow way.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "fuzz_input.h"
#include "guest_frame.h"

namespace {

using vmm::net_user::complete_frame;
using vmm::net_user::kVnetHeaderBytes;

std::size_t number_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  return bytes[at] + 256u * bytes[at + 1];
}

/// Big-endian words, the last one filled up with a zero.
std::uint32_t checksum(std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? bytes[i] * 256u : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum == 0xffff ? 0xffff : 0xffff - sum;  // 0 would say that there is none
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::uint8_t> before(data, data + size);
  std::vector<std::uint8_t> message = before;
  const bool is_good = complete_frame(message);
  if (!is_good || (before[0] & 1) == 0) {
    require(message == before);
    if (is_good) require(size > kVnetHeaderBytes && (before[1] & 0x7f) == 0);
    return 0;
  }
  require((before[1] & 0x7f) <= 1);
  const std::size_t start = kVnetHeaderBytes + number_at(before, 6);
  const std::size_t field = start + number_at(before, 8);
  require(field + 2 <= size);
  const std::uint32_t sum = checksum(std::span(before).subspan(start));
  require(message[field] == sum >> 8 && message[field + 1] == (sum & 0xff));
  std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(field), 2,
              message.begin() + static_cast<std::ptrdiff_t>(field));
  require(message == before);
  return 0;
}
