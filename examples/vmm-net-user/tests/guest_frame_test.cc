// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "../guest_frame.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <vector>

namespace vmm::net_user {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Header {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t csum_start = 0;
  std::uint16_t csum_offset = 0;
};

Bytes message(const Header& header, const Bytes& frame) {
  const auto low = [](std::uint16_t value) { return static_cast<std::uint8_t>(value & 0xff); };
  const auto high = [](std::uint16_t value) { return static_cast<std::uint8_t>(value >> 8); };
  Bytes bytes(kVnetHeaderBytes + frame.size());
  bytes[0] = header.flags;
  bytes[1] = header.gso_type;
  bytes[6] = low(header.csum_start);
  bytes[7] = high(header.csum_start);
  bytes[8] = low(header.csum_offset);
  bytes[9] = high(header.csum_offset);
  std::copy(frame.begin(), frame.end(), bytes.begin() + kVnetHeaderBytes);
  return bytes;
}

/// What becomes of the frame; empty: it is dropped.
Bytes completed(const Header& header, const Bytes& frame) {
  Bytes bytes = message(header, frame);
  const Bytes before = bytes;
  if (!complete_frame(bytes)) {
    CHECK(bytes == before);
    return {};
  }
  CHECK(std::equal(bytes.begin(), bytes.begin() + kVnetHeaderBytes, before.begin()));
  return {bytes.begin() + kVnetHeaderBytes, bytes.end()};
}

constexpr Header kNeedsSum{.flags = 1, .csum_start = 2, .csum_offset = 4};

TEST_CASE("a frame with nothing left to do goes on as it is", "[guest-frame]") {
  const Bytes frame{1, 2, 3};
  CHECK(completed({}, frame) == frame);
  CHECK(completed({.flags = kChecksumsAreValid, .csum_start = 99}, frame) == frame);
}

// The words of RFC 1071, section 3: their sum is 0xddf2.
TEST_CASE("a frame's open checksum is computed from where it starts", "[guest-frame]") {
  const Bytes frame{0xaa, 0xbb, 0x00, 0x01, 0xf2, 0x03, 0, 0, 0xf4, 0xf5, 0xf6, 0xf7};
  Bytes wanted = frame;
  wanted[6] = 0x22;
  wanted[7] = 0x0d;
  CHECK(completed(kNeedsSum, frame) == wanted);
  Bytes odd = frame;
  odd.push_back(0x10);  // a word with a zero behind it
  wanted = odd;
  wanted[6] = 0x12;
  wanted[7] = 0x0d;
  CHECK(completed(kNeedsSum, odd) == wanted);
}

TEST_CASE("what the field holds is part of the sum, and none is never the answer",
          "[guest-frame]") {
  const Header header{.flags = 1};
  CHECK(completed(header, {0x12, 0x34}) == Bytes{0xed, 0xcb});
  CHECK(completed(header, {0xff, 0xff}) == Bytes{0xff, 0xff});
  CHECK(completed(header, {0, 0}) == Bytes{0xff, 0xff});
}

TEST_CASE("a checksum outside of the frame drops it", "[guest-frame]") {
  const Bytes frame(8);
  CHECK_FALSE(completed({.flags = 1, .csum_start = 6}, frame).empty());
  CHECK(completed({.flags = 1, .csum_start = 7}, frame).empty());
  CHECK(completed({.flags = 1, .csum_start = 6, .csum_offset = 1}, frame).empty());
  CHECK(completed({.flags = 1, .csum_start = 9}, frame).empty());
  CHECK(completed({.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, frame).empty());
}

TEST_CASE("segments of TCP over IPv4 go on when their checksum is open", "[guest-frame]") {
  const Bytes frame(10);
  for (const int kind : {1, 0x81}) {
    Header header = kNeedsSum;
    header.gso_type = static_cast<std::uint8_t>(kind);
    CHECK_FALSE(completed(header, frame).empty());
    header.flags = 0;
    CHECK(completed(header, frame).empty());
  }
  for (const int kind : {2, 3, 4, 5, 0x84}) {
    Header header = kNeedsSum;
    header.gso_type = static_cast<std::uint8_t>(kind);
    CHECK(completed(header, frame).empty());
  }
}

TEST_CASE("a message without a frame is dropped", "[guest-frame]") {
  Bytes bytes = message({}, {1});
  CHECK(complete_frame(bytes));
  while (!bytes.empty()) {
    bytes.pop_back();
    CHECK_FALSE(complete_frame(bytes));
  }
}

}  // namespace
}  // namespace vmm::net_user
