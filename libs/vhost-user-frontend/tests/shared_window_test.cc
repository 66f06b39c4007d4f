// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user_frontend/shared_window.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "errors.h"
#include "mapping_count.h"
#include "vmm/vhost_user/message_error.h"

namespace {

using namespace vmm;
using vhost_user::MessageError;
using vhost_user::ShmemArea;
using vhost_user_frontend::SharedWindow;

const auto kPage = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
constexpr std::uint64_t kPages = 16;

/// A file of four pages; each page says which one it is.
UniqueFd lettered_file() {
  UniqueFd file(::memfd_create("lettered", MFD_CLOEXEC));
  REQUIRE(file);
  for (const char letter : {'a', 'b', 'c', 'd'}) {
    const std::string page(kPage, letter);
    REQUIRE(::write(file.get(), page.data(), page.size()) == static_cast<ssize_t>(kPage));
  }
  return file;
}

ShmemArea area(std::uint64_t page, std::uint64_t count, std::uint64_t file_page = 0,
               std::uint64_t flags = 0) {
  return {.fd_offset = file_page * kPage,
          .offset = page * kPage,
          .bytes = count * kPage,
          .flags = flags};
}

/// The first byte of each page of the window, a dot for 0.
std::string letters(const SharedWindow& window) {
  std::string text;
  for (std::uint64_t at = 0; at < window.bytes().size(); at += kPage) {
    const char letter = static_cast<char>(window.bytes()[at]);
    text += letter == 0 ? '.' : letter;
  }
  return text;
}

/// The process's right to a page, as in /proc/self/maps; empty when it is not mapped.
std::string rights_at(const std::byte* address) {
  std::FILE* const maps = std::fopen("/proc/self/maps", "r");
  REQUIRE(maps != nullptr);
  std::array<char, 512> line{};
  std::string rights;
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  while (std::fgets(line.data(), line.size(), maps) != nullptr) {
    unsigned long long first = 0;
    unsigned long long end = 0;
    std::array<char, 5> found{};
    if (std::sscanf(line.data(), "%llx-%llx %4s", &first, &end, found.data()) != 3) continue;
    if (wanted >= first && wanted < end) rights = found.data();
  }
  (void)std::fclose(maps);
  return rights;
}

TEST_CASE("files are mapped into the window, and go again", "[window]") {
  const auto window = *SharedWindow::create(kPages * kPage);
  const UniqueFd file = lettered_file();
  CHECK(letters(*window) == "................");

  REQUIRE(window->map(area(2, 2, 1), file));
  REQUIRE(window->map(area(0, 1, 3, ShmemArea::kWritable), file));
  REQUIRE(window->map(area(15, 1, 0), file));
  CHECK(letters(*window) == "d.bc...........a");
  CHECK(window->mappings() == 3);
  CHECK(rights_at(window->bytes().data()) == "rw-s");
  CHECK(rights_at(window->bytes().data() + 2 * kPage) == "r--s");
  CHECK(rights_at(window->bytes().data() + 4 * kPage) == "rw-p");

  window->bytes()[0] = std::byte{'D'};
  std::array<char, 1> read{};
  REQUIRE(::pread(file.get(), read.data(), 1, static_cast<off_t>(3 * kPage)) == 1);
  CHECK(read[0] == 'D');

  window->bytes()[5 * kPage] = std::byte{'x'};  // where nothing is mapped
  CHECK(letters(*window) == "D.bc.x.........a");
  REQUIRE(window->unmap(area(2, 2)));
  CHECK(letters(*window) == "D....x.........a");
  REQUIRE(window->map(area(3, 3, 0), file));
  CHECK(letters(*window) == "D..abc.........a");
  REQUIRE(window->unmap(area(3, 3)));
  CHECK(letters(*window) == "D..............a");

  window->clear();
  CHECK(letters(*window) == "................");
  CHECK(window->mappings() == 0);
  REQUIRE(window->map(area(0, 4, 0), file));
}

TEST_CASE("what does not fit is refused, and changes nothing", "[window][hostile]") {
  const auto window = *SharedWindow::create(kPages * kPage);
  const UniqueFd file = lettered_file();
  REQUIRE(window->map(area(4, 2), file));
  struct Case {
    const char* name;
    ShmemArea area;
    MessageError expected;
  };
  const std::uint64_t top = ~std::uint64_t{0};
  const std::array cases{
      Case{"nothing", area(0, 0), MessageError::kBadRange},
      Case{"behind the end", area(kPages, 1), MessageError::kBadRange},
      Case{"over the end", area(kPages - 1, 2), MessageError::kBadRange},
      Case{"offset and length wrap",
           {.offset = top - kPage + 1, .bytes = 2 * kPage},
           MessageError::kBadRange},
      Case{"the file's offset is negative",
           {.fd_offset = top - kPage + 1, .bytes = kPage},
           MessageError::kBadRange},
      Case{"half a page", {.offset = 0, .bytes = kPage / 2}, MessageError::kBadRange},
      Case{"at half a page", {.offset = kPage / 2, .bytes = kPage}, MessageError::kBadRange},
      Case{"of half a page", {.fd_offset = kPage / 2, .bytes = kPage}, MessageError::kBadRange},
      Case{"the same again", area(4, 2), MessageError::kOverlap},
      Case{"its first page", area(3, 2), MessageError::kOverlap},
      Case{"its last page", area(5, 2), MessageError::kOverlap},
      Case{"within it", area(4, 1), MessageError::kOverlap},
      Case{"around it", area(0, kPages), MessageError::kOverlap},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    CHECK(is_error(window->map(c.area, file), c.expected));
  }
  for (const ShmemArea& other : {area(4, 1), area(5, 1), area(3, 3), area(0, 1), area(4, 3)}) {
    CHECK(is_error(window->unmap(other), MessageError::kBadRange));
  }
  CHECK(letters(*window) == "....ab..........");
  CHECK(window->mappings() == 1);
}

TEST_CASE("only regular files are mapped, with the rights that they are open for",
          "[window][hostile]") {
  const auto window = *SharedWindow::create(kPages * kPage);
  const UniqueFd zero(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  CHECK(is_error(window->map(area(0, 1), zero), MessageError::kBadValue));
  CHECK(is_error(window->map(area(0, 1), UniqueFd()), MessageError::kBadValue));
  const UniqueFd file = lettered_file();
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  const UniqueFd to_read(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  CHECK_FALSE(window->map(area(0, 1, 0, ShmemArea::kWritable), to_read));
  CHECK(letters(*window) == "................");
  CHECK(window->map(area(0, 1), to_read));
}

// Of these the kernel maps more than it is asked for, and over what is behind the window.
TEST_CASE("files of huge pages are refused", "[window][hostile]") {
  const auto window = *SharedWindow::create(kPages * kPage);
  const UniqueFd file(::memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB));
  if (!file) return;  // a kernel without them
  REQUIRE(::ftruncate(file.get(), off_t{1} << 30) == 0);
  REQUIRE(window->map(area(0, 1), lettered_file()));
  const auto before = mapping_count();
  CHECK(is_error(window->map(area(1, 1), file), MessageError::kBadValue));
  CHECK(mapping_count() == before);
  CHECK(letters(*window) == "a...............");
}

TEST_CASE("a back end cannot use up the process's mappings", "[window][hostile]") {
  const std::uint64_t most = SharedWindow::kMostMappings;
  const auto window = *SharedWindow::create(2 * (most + 1) * kPage);
  const UniqueFd file = lettered_file();
  for (std::uint64_t i = 0; i < most; ++i) {
    if (!window->map(area(2 * i, 1), file)) FAIL("mapping " << i);
  }
  CHECK(is_error(window->map(area(2 * most, 1), file), MessageError::kTooMany));
  CHECK(window->unmap(area(0, 1)));
  CHECK(window->map(area(2 * most, 1), file));
}

TEST_CASE("a window is of whole pages", "[window]") {
  CHECK_FALSE(SharedWindow::create(0));
  CHECK_FALSE(SharedWindow::create(kPage + 1));
  CHECK_FALSE(SharedWindow::create(~std::uint64_t{0} - kPage + 1));
}

}  // namespace
