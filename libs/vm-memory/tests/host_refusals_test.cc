// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What happens when the host refuses a system call.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "vmm/sys_util/page_size.h"
#include "vmm/vm_memory/dirty_bitmap.h"
#include "vmm/vm_memory/discard.h"
#include "vmm/vm_memory/region.h"

namespace vmm::vm_memory {
namespace {

const std::uint64_t kPage = sys_util::page_size();

/// A limit of this process that is smaller for a while.
class SmallerLimit {
 public:
  SmallerLimit(__rlimit_resource resource, rlim_t value) : resource_(resource) {
    REQUIRE(::getrlimit(resource, &before_) == 0);
    const rlimit small = {.rlim_cur = value, .rlim_max = before_.rlim_max};
    REQUIRE(::setrlimit(resource, &small) == 0);
  }
  SmallerLimit(const SmallerLimit&) = delete;
  SmallerLimit& operator=(const SmallerLimit&) = delete;
  ~SmallerLimit() { ::setrlimit(resource_, &before_); }

 private:
  __rlimit_resource resource_;
  rlimit before_{};
};

/// Addresses where nothing is mapped. (Sanitizers keep theirs elsewhere.)
std::byte* unmapped(std::uint64_t bytes) {
  void* const at = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(at != MAP_FAILED);
  REQUIRE(::munmap(at, bytes) == 0);
  return static_cast<std::byte*>(at);
}

/// Whether mlock(2) locks: under sanitizers it does nothing, and says that it has.
bool locks() { return ::mlock(unmapped(kPage), kPage) != 0; }

TEST_CASE("advice that the host refuses is an error", "[region][hostile]") {
  const RegionConfig plain{.base = GuestAddress(0),
                           .bytes = 4 * kPage,
                           .backing = Backing::kExternal,
                           .external = unmapped(4 * kPage)};
  CHECK(Region::create(plain));
  RegionConfig no_dump = plain;
  no_dump.dump = false;
  CHECK(Region::create(no_dump).error().is_os(ENOMEM));
  RegionConfig populated = plain;
  populated.prefault = Prefault::kPopulate;
  CHECK(Region::create(populated).error().is_os(ENOMEM));
  if (!locks()) return;
  RegionConfig locked = plain;
  locked.prefault = Prefault::kLock;
  CHECK(Region::create(locked).error().is_os(ENOMEM));
}

TEST_CASE("files that cannot be made or kept are an error", "[region][hostile]") {
  const UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(::ftruncate(file.get(), static_cast<off_t>(kPage)) == 0);
  const SmallerLimit no_more(RLIMIT_NOFILE, 3);
  CHECK(Region::create({.base = GuestAddress(0), .bytes = kPage, .backing = Backing::kMemfd})
            .error()
            .is_os(EMFILE));
  CHECK(Region::create(
            {.base = GuestAddress(0), .bytes = kPage, .backing = Backing::kFile, .fd = file.get()})
            .error()
            .is_os(EMFILE));
}

TEST_CASE("a memfd that cannot have its size is an error, not a later fault", "[region][hostile]") {
  RegionConfig config{.base = GuestAddress(0), .bytes = 2 * kPage, .backing = Backing::kMemfd};
  const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
  {
    const SmallerLimit small(RLIMIT_FSIZE, kPage);
    CHECK(Region::create(config).error().is_os(EFBIG));
  }
  ::signal(SIGXFSZ, ignored);
  for (const std::uint64_t bytes : {std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    config.bytes = bytes;
    CHECK(Region::create(config).error().is_os(EINVAL));
  }
}

TEST_CASE("locked pages are not discarded, and not marked", "[discard]") {
  if (!locks()) return;
  const auto region = Region::create({.base = GuestAddress(0),
                                      .bytes = 2 * kPage,
                                      .prefault = Prefault::kLock,
                                      .dirty_tracking = true});
  if (!region) {
    WARN("this process may lock no memory");
    return;
  }
  CHECK(discard(**region, {0, kPage}).error().is_os(EINVAL));
  CHECK_FALSE((*region)->dirty()->is_dirty(0));
}

/// Of the calling thread and those that it starts. Whether the kernel has such filters.
bool refuse_membarrier() {
  std::array code{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {.len = code.size(), .filter = code.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// How many numbers a harvester did not have in the end of those that writers stored and marked.
std::size_t lost_between_harvests(DirtyBitmap& bitmap) {
  // Writers store ever larger numbers to their page and mark it; the reader copies the numbers of
  // pages it finds marked. After the last harvest its copies must be up to date.
  constexpr std::size_t kWriters = 2;
  constexpr std::uint64_t kRounds = 60000;
  struct alignas(128) Page {
    std::atomic<std::uint64_t> value{0};
  };
  std::vector<Page> pages(kWriters);
  std::vector<std::uint64_t> copies(kWriters);
  std::atomic<std::size_t> running{kWriters};
  std::vector<std::thread> writers;
  for (std::size_t i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] {
      for (std::uint64_t n = 1; n <= kRounds; ++n) {
        pages[i].value.store(n, std::memory_order_relaxed);
        bitmap.mark(i * 4096, 8);
      }
      running.fetch_sub(1);
    });
  }
  const auto harvest = [&] {
    const std::uint64_t bits = bitmap.get_and_reset()[0];
    for (std::size_t i = 0; i < kWriters; ++i) {
      if ((bits >> i & 1) != 0) copies[i] = pages[i].value.load(std::memory_order_relaxed);
    }
  };
  while (running.load() != 0) harvest();
  for (std::thread& writer : writers) writer.join();
  harvest();
  return static_cast<std::size_t>(
      std::ranges::count_if(copies, [](std::uint64_t copy) { return copy != kRounds; }));
}

TEST_CASE("no write is lost between two harvests", "[dirty_bitmap]") {
  DirtyBitmap bitmap(2 * 4096);
  CHECK(lost_between_harvests(bitmap) == 0);
}

TEST_CASE("without membarrier(2) no write is lost either", "[dirty_bitmap]") {
  std::size_t lost = 0;
  std::size_t lost_later = 0;
  DirtyBitmap from_before(2 * 4096);  // it is taken away when this one is there
  std::thread([&] {
    if (!refuse_membarrier()) return;
    DirtyBitmap bitmap(2 * 4096);
    lost = lost_between_harvests(bitmap);
    lost_later = lost_between_harvests(from_before);
  }).join();
  CHECK(lost == 0);
  CHECK(lost_later == 0);
}

TEST_CASE("what is harvested without a barrier stays marked", "[dirty_bitmap]") {
  DirtyBitmap bitmap(200 * 4096);
  bitmap.mark(0, 1);
  bitmap.mark(199 * 4096, 1);
  std::vector<std::uint64_t> seen;
  bool refused = false;
  std::thread([&] {
    refused = refuse_membarrier();
    seen = bitmap.get_and_reset();
  }).join();
  const std::vector<std::uint64_t> marked{1, 0, 0, 1 << 7};
  CHECK(seen == marked);
  // Once: from then on whoever marks has a fence of its own.
  if (refused) CHECK(bitmap.get_and_reset() == marked);
  CHECK(bitmap.get_and_reset() == std::vector<std::uint64_t>(4));
}

}  // namespace
}  // namespace vmm::vm_memory
