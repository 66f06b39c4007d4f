// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <linux/vfio.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "vmm/vfio/device_info.h"

using namespace vmm;
using namespace vmm::vfio;

namespace {

constexpr std::uint64_t kPage = 4096;

/// An answer of the kernel, put together by hand.
class Answer {
 public:
  explicit Answer(std::uint32_t flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_MMAP |
                                        VFIO_REGION_INFO_FLAG_CAPS) {
    vfio_region_info head{};
    head.flags = flags;
    head.index = 2;
    head.cap_offset = sizeof(head);
    head.size = 8 * kPage;
    head.offset = 1 << 20;
    add(head);
  }
  template <class T>
  Answer& add(const T& object) {
    const std::size_t where = bytes_.size();
    bytes_.resize(where + sizeof(T));
    std::memcpy(bytes_.data() + where, &object, sizeof(T));
    return *this;
  }
  Answer& capability(std::uint16_t id, std::uint32_t next) {
    return add(vfio_info_cap_header{.id = id, .version = 1, .next = next});
  }
  Answer& sparse(std::uint32_t areas, std::uint32_t next = 0) {
    return capability(VFIO_REGION_INFO_CAP_SPARSE_MMAP, next).add(areas).add(std::uint32_t{0});
  }
  Answer& area(std::uint64_t offset, std::uint64_t bytes) { return add(offset).add(bytes); }
  template <class T>
  Answer& put(std::size_t where, const T& object) {
    std::memcpy(bytes_.data() + where, &object, sizeof(T));
    return *this;
  }
  [[nodiscard]] Result<RegionInfo, VfioError> parse() const { return parse_region_info(bytes_); }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

VfioError error_of(const Answer& answer) {
  const auto info = answer.parse();
  REQUIRE_FALSE(info);
  return info.error();
}

}  // namespace

TEST_CASE("a region without capabilities has none, whatever its offset says", "[info]") {
  const auto info = Answer(VFIO_REGION_INFO_FLAG_WRITE).parse();
  REQUIRE(info);
  CHECK(info->index == 2);
  CHECK(info->bytes == 8 * kPage);
  CHECK(info->file_offset == 1 << 20);
  CHECK_FALSE(info->readable);
  CHECK(info->writable);
  CHECK(info->mappable.empty());
  CHECK_FALSE(info->type);
}

TEST_CASE("a region that can be mapped is mapped as a whole unless areas are listed", "[info]") {
  const auto whole = Answer(VFIO_REGION_INFO_FLAG_MMAP).parse();
  REQUIRE(whole);
  CHECK(whole->mappable == std::vector<RegionArea>{{.offset = 0, .bytes = 8 * kPage}});
  const auto none = Answer().sparse(0).parse();
  REQUIRE(none);
  CHECK(none->mappable.empty());
  const auto two = Answer().sparse(2).area(4 * kPage, 4 * kPage).area(0, kPage).parse();
  REQUIRE(two);
  CHECK(two->mappable == std::vector<RegionArea>{{.offset = 0, .bytes = kPage},
                                                 {.offset = 4 * kPage, .bytes = 4 * kPage}});
  Answer odd(VFIO_REGION_INFO_FLAG_MMAP);
  odd.put(offsetof(vfio_region_info, size), std::uint64_t{100});
  CHECK(odd.parse()->mappable.empty());
}

TEST_CASE("areas of parts of pages and of no bytes are left out", "[info]") {
  const auto info = Answer().sparse(3).area(0, 0).area(100, kPage).area(kPage, kPage).parse();
  REQUIRE(info);
  CHECK(info->mappable == std::vector<RegionArea>{{.offset = kPage, .bytes = kPage}});
}

TEST_CASE("capabilities are found in any order, and unknown ones passed over", "[info]") {
  Answer answer;
  answer.capability(VFIO_REGION_INFO_CAP_TYPE, 48).add(std::uint32_t{7}).add(std::uint32_t{9});
  answer.capability(999, 64).add(std::uint64_t{0});
  answer.capability(VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 0);
  const auto info = answer.parse();
  REQUIRE(info);
  CHECK(info->type == RegionType{.type = 7, .subtype = 9});
  CHECK(info->msix_mappable);

  Answer backwards;
  backwards.put(offsetof(vfio_region_info, cap_offset), std::uint32_t{40});
  backwards.capability(VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 0).capability(5, 32);
  CHECK(backwards.parse()->msix_mappable);
}

TEST_CASE("broken answers are errors", "[info][hostile]") {
  for (std::size_t bytes = 0; bytes < sizeof(vfio_region_info); ++bytes) {
    const std::vector<std::byte> part(bytes);
    CHECK(parse_region_info(part).error() == VfioError::kShortInfo);
  }
  CHECK(error_of(Answer()) == VfioError::kBadCapability);  // none where it should begin
  CHECK(error_of(Answer().capability(5, 32)) == VfioError::kBadCapability);  // a loop
  CHECK(error_of(Answer().capability(5, 40).capability(5, 32)) == VfioError::kBadCapability);
  CHECK(error_of(Answer().capability(5, 8)) == VfioError::kBadCapability);  // in the fixed part
  CHECK(error_of(Answer().capability(5, 36)) == VfioError::kBadCapability);
  CHECK(error_of(Answer().capability(5, 0xffffffff)) == VfioError::kBadCapability);
  CHECK(error_of(Answer().capability(VFIO_REGION_INFO_CAP_TYPE, 0)) == VfioError::kBadCapability);
  CHECK(error_of(Answer().capability(VFIO_REGION_INFO_CAP_SPARSE_MMAP, 0)) ==
        VfioError::kBadCapability);
  CHECK(error_of(Answer().sparse(2).area(0, kPage)) == VfioError::kBadCapability);
  CHECK(error_of(Answer().sparse(0xffffffff).area(0, 0)) == VfioError::kBadCapability);
}

TEST_CASE("of a list of areas without an end, the first are mapped", "[info][hostile]") {
  constexpr std::uint32_t kListed = 4000;
  Answer answer;
  answer.put(offsetof(vfio_region_info, size), std::uint64_t{2 * kListed * kPage});
  answer.sparse(kListed);
  for (std::uint64_t i = 0; i < kListed; ++i) answer.area(2 * i * kPage, kPage);
  const auto info = answer.parse();
  REQUIRE(info);
  CHECK(info->mappable.size() == kMaxAreas);
  CHECK(info->mappable.back() == RegionArea{.offset = 2 * (kMaxAreas - 1) * kPage, .bytes = kPage});
}

TEST_CASE("areas outside the region, or one in the other, are errors", "[info][hostile]") {
  CHECK(error_of(Answer().sparse(1).area(8 * kPage, kPage)) == VfioError::kBadArea);
  CHECK(error_of(Answer().sparse(1).area(0, 9 * kPage)) == VfioError::kBadArea);
  CHECK(error_of(Answer().sparse(1).area(kPage, UINT64_MAX)) == VfioError::kBadArea);
  CHECK(error_of(Answer().sparse(1).area(UINT64_MAX - kPage + 1, kPage)) == VfioError::kBadArea);
  CHECK(error_of(Answer().sparse(2).area(0, 2 * kPage).area(kPage, kPage)) == VfioError::kBadArea);
  Answer wraps(0);
  wraps.put(offsetof(vfio_region_info, offset), UINT64_MAX);
  CHECK(error_of(wraps) == VfioError::kBadArea);
}
