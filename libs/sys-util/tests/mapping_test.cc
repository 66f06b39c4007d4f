// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/mapping.h"

#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>

#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/page_size.h"

using namespace vmm;
using sys_util::Mapping;
using sys_util::MemFd;

namespace {

constexpr Mapping::Options kAnonymous{.protection = PROT_READ | PROT_WRITE,
                                      .flags = MAP_PRIVATE | MAP_ANONYMOUS};

bool is_mapped(const void* at) {
  unsigned char resident = 0;
  return ::mincore(const_cast<void*>(at), 1, &resident) == 0;
}

}  // namespace

TEST_CASE("a mapping is usable while it lives and gone afterwards") {
  const void* at = nullptr;
  {
    const Mapping mapping = *Mapping::create(8192, kAnonymous);
    REQUIRE(mapping.size() == 8192);
    REQUIRE(mapping.bytes().size() == 8192);
    std::memset(mapping.data(), 0x5a, mapping.size());
    at = mapping.data();
    REQUIRE(is_mapped(at));
  }
  REQUIRE_FALSE(is_mapped(at));
}

TEST_CASE("a mapping moves: one owner at a time") {
  Mapping first = *Mapping::create(4096, kAnonymous);
  const void* at = first.data();
  Mapping second = std::move(first);
  REQUIRE(first.data() == nullptr);
  REQUIRE(first.size() == 0);
  REQUIRE(second.data() == at);
  second = *Mapping::create(4096, kAnonymous);
  REQUIRE_FALSE((second.data() != at && is_mapped(at)));
}

TEST_CASE("two mappings of one file see each other's writes, at the offset asked for") {
  const std::size_t page = sys_util::page_size();
  const MemFd file = *MemFd::create(2 * page);
  const auto map = [&](std::size_t bytes, std::uint64_t offset) {
    return *Mapping::create(bytes, {.protection = PROT_READ | PROT_WRITE,
                                    .flags = MAP_SHARED,
                                    .fd = file.fd(),
                                    .offset = offset});
  };
  const Mapping whole = map(2 * page, 0);
  const Mapping second_page = map(page, page);
  second_page.data()[1] = std::byte{42};
  REQUIRE(whole.data()[page + 1] == std::byte{42});
}

TEST_CASE("mappings that make no sense are refused", "[hostile]") {
  Mapping::Options options = kAnonymous;
  REQUIRE(Mapping::create(0, options).error().is_os(EINVAL));
  options.flags |= MAP_FIXED;
  REQUIRE(Mapping::create(4096, options).error().is_os(EINVAL));
  options = kAnonymous;
  options.offset = ~std::uint64_t{0};
  REQUIRE(Mapping::create(4096, options).error().is_os(EINVAL));
  REQUIRE(Mapping::create(std::size_t{1} << 62, kAnonymous).error().is_os(ENOMEM));
  REQUIRE(Mapping::create(4096, {.protection = PROT_READ, .flags = MAP_SHARED, .fd = -1})
              .error()
              .is_os(EBADF));
}

TEST_CASE("a mapping is where its alignment says, and takes no more than its bytes") {
  const std::size_t page = sys_util::page_size();
  constexpr std::size_t kAlignment = std::size_t{4} << 20;
  const auto pages_of_process = [] {
    std::ifstream statm("/proc/self/statm");
    std::size_t pages = 0;
    statm >> pages;
    return pages;
  };
  const MemFd file = *MemFd::create(8 * page);
  for (const std::size_t phase : {std::size_t{0}, page, kAlignment / 2, kAlignment - page}) {
    for (const int fd : {-1, file.fd()}) {
      Mapping::Options options = kAnonymous;
      if (fd >= 0) options = {.protection = PROT_READ | PROT_WRITE, .flags = MAP_SHARED, .fd = fd};
      options.alignment = kAlignment;
      options.phase = phase;
      const std::size_t before = pages_of_process();
      {
        const Mapping mapping = *Mapping::create(7 * page + 1, options);
        CHECK(pages_of_process() == before + 8);
        CHECK(reinterpret_cast<std::uintptr_t>(mapping.data()) % kAlignment == phase);
        std::memset(mapping.data(), 0x5a, mapping.size());
      }
      CHECK(pages_of_process() == before);
    }
  }
}

TEST_CASE("alignments that are none are refused", "[hostile]") {
  const std::size_t page = sys_util::page_size();
  struct Case {
    std::size_t alignment;
    std::size_t phase;
  };
  for (const Case bad :
       {Case{3 * page, 0}, Case{0, page}, Case{2 * page, 2 * page}, Case{2 * page, page / 2}}) {
    Mapping::Options options = kAnonymous;
    options.alignment = bad.alignment;
    options.phase = bad.phase;
    CHECK(Mapping::create(page, options).error().is_os(EINVAL));
  }
  Mapping::Options options = kAnonymous;
  options.alignment = std::size_t{1} << 63;  // there is no such room
  options.phase = page;
  CHECK(Mapping::create(page, options).error().is_os(ENOMEM));
}
