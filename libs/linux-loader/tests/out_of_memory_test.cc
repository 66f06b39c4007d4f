// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Decompressing while the host has no memory left.

#include <sys/resource.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "builders.h"
#include "compressed.h"
#include "src/decompress.h"

namespace vmm::linux_loader {
namespace {

using namespace testing;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kOwnAllocator = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kOwnAllocator = true;  // which does not answer with a null pointer
#else
constexpr bool kOwnAllocator = false;
#endif
#else
constexpr bool kOwnAllocator = false;
#endif

/// Lets the stack have some pages that it will need: there are no more of these later either.
[[gnu::noinline]] void grow_stack() {
  std::array<volatile char, 512 << 10> room;
  for (std::size_t at = room.size(); at != 0; at -= 1024) room[at - 1] = 0;
}

/// Takes all memory that malloc() can give, until it is destroyed.
class NoMemory {
 public:
  NoMemory() {
    grow_stack();
    (void)::getrlimit(RLIMIT_AS, &before_);
    const rlimit none = {.rlim_cur = 1, .rlim_max = before_.rlim_max};
    (void)::setrlimit(RLIMIT_AS, &none);
    for (std::size_t size = std::size_t{1} << 20; size >= sizeof(Block); size /= 2) {
      while (auto* const block = static_cast<Block*>(std::malloc(size))) {
        block->next = taken_;
        taken_ = block;
      }
    }
  }
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;
  ~NoMemory() {
    while (taken_ != nullptr) std::free(std::exchange(taken_, taken_->next));
    (void)::setrlimit(RLIMIT_AS, &before_);
  }

 private:
  struct Block {
    Block* next;
  };
  Block* taken_ = nullptr;
  rlimit before_{};
};

TEST_CASE("memory that runs out while a kernel is decompressed is an error",
          "[compressed][hostile]") {
  if (kOwnAllocator) return;
  struct Case {
    const char* name;
    bool with_gzip;
  };
  const auto c = GENERATE(values<Case>({
      {"gzip", true},
      {"zstd", false},
  }));
  CAPTURE(c.name);
  const Bytes plain(100000, std::byte{7});
  const Bytes packed = c.with_gzip ? gzip(plain) : zstd(plain);
  const Scratch scratch = *Scratch::create(plain.size());
  const ImageSource source = ImageSource::from_bytes(packed);
  const Content content = c.with_gzip ? Content::kGzip : Content::kZstd;
  std::optional<Result<std::size_t>> bytes;
  {
    const NoMemory none;
    bytes.emplace(decompress(source, content, scratch.bytes()));
  }
  REQUIRE_FALSE(*bytes);
  CHECK(bytes->error().is_os(ENOMEM));
}

// zlib takes what its state needs at the start, and the window when there is something to keep.
TEST_CASE("memory that runs out in the middle of a stream is an error", "[compressed][hostile]") {
  if (kOwnAllocator) return;
  constexpr std::size_t kState = 16 << 10;  // room for the state, not for a window of 32 KiB
  Bytes plain(200'000);  // which packing does not make so small that it is read at once
  std::uint32_t random = 1;
  for (std::byte& byte : plain) {
    random = random * 1664525 + 1013904223;
    byte = static_cast<std::byte>(random >> 24);
  }
  const Bytes packed = gzip(plain);
  const Scratch scratch = *Scratch::create(plain.size());
  const ImageSource source = ImageSource::from_bytes(packed);
  std::optional<Result<std::size_t>> bytes;
  void* volatile kept = std::malloc(kState);  // or the compiler leaves it out
  {
    const NoMemory none;
    std::free(kept);
    bytes.emplace(decompress(source, Content::kGzip, scratch.bytes()));
  }
  REQUIRE_FALSE(*bytes);
  CHECK(bytes->error().is_os(ENOMEM));
}

}  // namespace
}  // namespace vmm::linux_loader
