// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <poll.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/block/disk_queue.h"
#include "vmm/block/open_image.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/temp_file.h"

namespace vmm::block {

inline std::vector<std::byte> pattern(std::size_t bytes, unsigned seed) {
  std::vector<std::byte> out(bytes);
  unsigned state = seed * 2654435761u + 1;
  for (std::byte& byte : out) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::byte>(state >> 24);
  }
  return out;
}

/// The engines that this kernel permits.
inline EngineKind any_engine() {
  const auto kind = GENERATE(EngineKind::kSync, EngineKind::kUring);
  if (kind == EngineKind::kUring && !Engine::create({.kind = kind})) {
    WARN("io_uring is not permitted here");
    return EngineKind::kSync;
  }
  return kind;
}

/// A file of the given size in a directory on disk, or in $TMPDIR.
class Scratch {
 public:
  explicit Scratch(std::uint64_t bytes, const char* prefix = nullptr)
      : file_(prefix == nullptr ? *sys_util::TempFile::create()
                                : *sys_util::TempFile::create(prefix)) {
    REQUIRE(::ftruncate(file_.fd(), static_cast<off_t>(bytes)) == 0);
  }
  [[nodiscard]] ImageFile open(const ImageFile::Options& options = {}) const {
    return *ImageFile::open(file_.path(), options);
  }
  [[nodiscard]] std::shared_ptr<Image> raw(const ImageOptions& options = {}) const {
    return *open_raw(open(), options);
  }
  [[nodiscard]] std::vector<std::byte> read(std::uint64_t offset, std::size_t bytes) const {
    std::vector<std::byte> out(bytes);
    REQUIRE(sys_util::pread_exact(file_.fd(), out, offset));
    return out;
  }
  void write(std::uint64_t offset, const std::vector<std::byte>& bytes) const {
    REQUIRE(sys_util::pwrite_all(file_.fd(), bytes, offset));
  }
  [[nodiscard]] int fd() const { return file_.fd(); }
  [[nodiscard]] const std::string& path() const { return file_.path(); }

 private:
  sys_util::TempFile file_;
};

inline void wait_readable(int fd) {
  pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
  REQUIRE(::poll(&wanted, 1, 60'000) == 1);
}

/// Waits for `count` requests to end; by tag.
inline std::vector<EndedRequest> finish(DiskQueue& queue, std::size_t count) {
  std::vector<EndedRequest> ended(count);
  std::vector<bool> seen(count);
  queue.kick();
  for (std::size_t left = count; left != 0;) {
    EndedRequest some[3];
    const std::size_t got = queue.reap(some);
    for (std::size_t i = 0; i < got; ++i) {
      REQUIRE(some[i].tag < count);
      REQUIRE_FALSE(seen[some[i].tag]);
      seen[some[i].tag] = true;
      ended[some[i].tag] = some[i];
    }
    left -= got;
    if (got == 0 && left != 0) {
      REQUIRE(queue.poll_fd() >= 0);
      wait_readable(queue.poll_fd());
    }
  }
  return ended;
}

inline EndedRequest run(DiskQueue& queue, DiskRequest request) {
  request.tag = 0;
  queue.submit(request);
  return finish(queue, 1).front();
}

}  // namespace vmm::block
