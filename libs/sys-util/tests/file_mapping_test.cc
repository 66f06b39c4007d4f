// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/file_mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/page_size.h"

namespace vmm::sys_util {
namespace {

TEST_CASE("a range of a file is mapped at any offset", "[file_mapping]") {
  const std::uint64_t page = page_size();
  const auto file = MemFd::create(4 * page);
  const std::byte mark{42};
  REQUIRE(::pwrite(file->fd(), &mark, 1, static_cast<off_t>(page + 5)) == 1);
  const auto mapped = map_file(file->fd(), page + 5, page, PROT_READ | PROT_WRITE);
  REQUIRE(mapped);
  CHECK(*mapped->data == mark);
  CHECK(mapped->mapping.size() == 2 * page);
}

TEST_CASE("files of huge pages are told apart", "[file_mapping]") {
  CHECK_FALSE(has_huge_pages(MemFd::create(page_size())->fd()));
  CHECK_FALSE(has_huge_pages(-1));
  const UniqueFd huge(::memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB));
  if (huge) CHECK(has_huge_pages(huge.get()));  // else a kernel without them
}

TEST_CASE("what a file does not hold is refused", "[file_mapping][hostile]") {
  const std::uint64_t page = page_size();
  const auto file = MemFd::create(2 * page);
  struct Case {
    std::uint64_t offset;
    std::uint64_t bytes;
  };
  const Case cases[] = {{0, 0},        {0, 2 * page + 1}, {2 * page, 1},
                        {page, ~0ull}, {~0ull, 2},        {~0ull - page + 1, page}};
  for (const Case& one : cases) {
    CAPTURE(one.offset, one.bytes);
    CHECK(map_file(file->fd(), one.offset, one.bytes, PROT_READ).error().is_os(ERANGE));
  }
  const auto event = EventFd::create();
  CHECK(check_file_range(event->fd(), 0, 8).error().is_os(ERANGE));
  CHECK(check_file_range(-1, 0, 8).error().is_os(EBADF));
}

}  // namespace
}  // namespace vmm::sys_util
