// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::sys_util {

/// The directory for temporary files: $TMPDIR, or /tmp.
[[nodiscard]] std::string temp_directory();

/// A new, empty file that is open for reading and writing and deleted on destruction.
class TempFile {
 public:
  /// The path is `prefix` and six random characters; "vmm" alone would be in the current
  /// directory. Errors: the errno of mkstemp(3).
  static Result<TempFile> create(std::string_view prefix);
  /// The same in temp_directory().
  static Result<TempFile> create();

  ///@{
  /// The other one is empty afterwards; a file that was here before is closed and deleted.
  TempFile(TempFile&& other) noexcept;
  TempFile& operator=(TempFile&& other) noexcept;
  ///@}
  ~TempFile();

  /// Deletes the name now. Errors: ENOENT the second time.
  Result<void> remove();
  /// Deletes the name and gives up the descriptor; the data stays readable through it.
  [[nodiscard]] UniqueFd release() &&;

  /// The descriptor, borrowed; -1 when it was released or moved from.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// The file's name; empty after remove() and release().
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  TempFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;  // empty: there is no name to delete
};

}  // namespace vmm::sys_util
