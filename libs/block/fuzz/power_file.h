// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A file whose power may go: what it has then is what it had at the last fdatasync(2), and of each
// sector that was changed since, the one or the other. That may be now, or as one of the next calls
// of fdatasync() begins. For one source file of a program, as it stands in front of that function.

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "sector_stamp.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/file_io.h"

class PowerFile {
 public:
  explicit PowerFile(std::vector<std::byte> content)
      : fd_(::memfd_create("image", MFD_CLOEXEC)), durable_(std::move(content)) {
    require(vmm::sys_util::pwrite_all(fd_.get(), durable_, 0).has_value());
    require(current_ == nullptr);
    current_ = this;
  }
  ~PowerFile() { current_ = nullptr; }
  PowerFile(const PowerFile&) = delete;
  PowerFile& operator=(const PowerFile&) = delete;

  [[nodiscard]] vmm::UniqueFd descriptor() const { return vmm::UniqueFd(::dup(fd_.get())); }
  [[nodiscard]] std::vector<std::byte> content() const {
    struct stat about{};
    require(::fstat(fd_.get(), &about) == 0);
    std::vector<std::byte> bytes(static_cast<std::size_t>(about.st_size));
    require(vmm::sys_util::pread_exact(fd_.get(), bytes, 0).has_value());
    return bytes;
  }
  /// The power will go as the Nth fdatasync() from now on begins.
  void cut_at(std::size_t nth) {
    syncs_left_ = nth;
    at_cut_.reset();
  }
  /// What the file has after the power cut, that one or one now: a bit of the script, until it has
  /// ended, for each sector that was changed.
  [[nodiscard]] std::vector<std::byte> cut(Input& script) const {
    std::vector<std::byte> left = at_cut_ ? at_cut_->before : durable_;
    std::vector<std::byte> now = at_cut_ ? at_cut_->now : content();
    // What is not there is zeros; a file does not get shorter here.
    left.resize(std::max(left.size(), now.size()));
    now.resize(left.size());
    std::uint8_t bits = 0;
    std::size_t changes = 0;
    for (std::size_t at = 0; at < now.size(); at += kSectorBytes) {
      const std::size_t bytes = std::min<std::size_t>(kSectorBytes, now.size() - at);
      if (std::memcmp(&now[at], &left[at], bytes) == 0) continue;
      if (changes++ % 8 == 0) bits = script.byte();
      if ((bits & 1) != 0) std::memcpy(&left[at], &now[at], bytes);
      bits >>= 1;
    }
    return left;
  }
  static void synced() {
    if (current_ == nullptr) return;
    std::vector<std::byte> now = current_->content();
    if (current_->syncs_left_ != 0 && --current_->syncs_left_ == 0) {
      current_->at_cut_ = {.before = current_->durable_, .now = now};
    }
    current_->durable_ = std::move(now);
  }

 private:
  struct Cut {
    std::vector<std::byte> before;
    std::vector<std::byte> now;
  };

  static inline PowerFile* current_ = nullptr;

  vmm::UniqueFd fd_;
  std::vector<std::byte> durable_;
  std::size_t syncs_left_ = 0;  // until the power goes; 0: it does not
  std::optional<Cut> at_cut_;
};

extern "C" int fdatasync(int fd) {
  PowerFile::synced();
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
