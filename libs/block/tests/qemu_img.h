// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What QEMU's own tools say of images: qemu-img and qemu-io.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "disk_rig.h"

namespace vmm::block {

inline bool have_qemu_img() {
  static const bool have = std::system("qemu-img --version >/dev/null 2>&1") == 0 &&  // NOLINT
                           std::system("qemu-io --version >/dev/null 2>&1") == 0;     // NOLINT
  return have;
}

#define NEEDS_QEMU_IMG()                          \
  if (!have_qemu_img()) {                         \
    WARN("no qemu-img and qemu-io (qemu-utils)"); \
    return;                                       \
  }

/// A folder that goes with all it has.
class Folder {
 public:
  Folder() {
    // In memory where that is possible: the tests sync very often.
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    std::string name =
        (memory ? std::string("/dev/shm") : sys_util::temp_directory()) + "/vmm-block-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct Ran {
  int status = -1;
  std::string output;
};

/// Runs a shell command; its output has standard error, too.
inline Ran run_command(const std::string& command) {
  Ran ran;
  std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");  // NOLINT
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> some{};
  for (;;) {
    const std::size_t got = std::fread(some.data(), 1, some.size(), pipe);
    if (got == 0) break;
    ran.output.append(some.data(), got);
  }
  const int status = ::pclose(pipe);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return ran;
}

inline void must_run(const std::string& command) {
  const Ran ran = run_command(command);
  INFO(command << "\n" << ran.output);
  REQUIRE(ran.status == 0);
}

/// What the disk in an image has, as QEMU reads it.
inline std::vector<std::byte> content_by_qemu(const std::string& image,
                                              const std::string& format = "qcow2") {
  const std::string raw = image + ".raw";
  must_run("qemu-img convert -f " + format + " -O raw '" + image + "' '" + raw + "'");
  std::vector<std::byte> bytes(std::filesystem::file_size(raw));
  const UniqueFd fd(::open(raw.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(sys_util::pread_exact(fd.get(), bytes, 0));
  std::filesystem::remove(raw);
  return bytes;
}

/// What the disk has, as it is read here, in requests of `step` bytes.
inline std::vector<std::byte> content_by_us(const std::shared_ptr<Image>& image,
                                            std::size_t step = 1 << 20,
                                            EngineKind engine = EngineKind::kSync) {
  const auto queue = *DiskQueue::create(image, {.engine = engine, .depth = 4});
  std::vector<std::byte> bytes(image->size_bytes(), std::byte{0x55});
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const IoVec list{bytes.data() + at, std::min(step, bytes.size() - at)};
    const EndedRequest ended =
        run(*queue,
            {.kind = DiskRequest::Kind::kRead, .range = {at, list.bytes}, .buffers = {&list, 1}});
    INFO("at " << at);
    REQUIRE(ended.error == 0);
  }
  return bytes;
}

/// Compares without printing megabytes.
inline void require_same(const std::vector<std::byte>& ours, const std::vector<std::byte>& theirs) {
  REQUIRE(ours.size() == theirs.size());
  const auto differ = std::mismatch(ours.begin(), ours.end(), theirs.begin());
  if (differ.first != ours.end()) {
    FAIL("they differ from byte " << (differ.first - ours.begin()) << " on");
  }
}

}  // namespace vmm::block
