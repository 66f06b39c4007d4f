// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace vmm::sys_util {

/// A new, empty directory that is deleted on destruction with everything in it.
class TempDirectory {
 public:
  /// The path is `prefix` and six random characters. Errors: the errno of mkdtemp(3).
  static Result<TempDirectory> create(std::string_view prefix);
  /// The same in temp_directory().
  static Result<TempDirectory> create();

  ///@{
  /// The other one has nothing to delete afterwards; a directory that was here before is deleted.
  TempDirectory(TempDirectory&& other) noexcept;
  TempDirectory& operator=(TempDirectory&& other) noexcept;
  ///@}
  ~TempDirectory();

  /// Deletes it now. Errors: ENOENT the second time; what deleting the content answered.
  Result<void> remove();

  /// As made by create(); empty after remove() and in what was moved from.
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit TempDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;  // empty: there is nothing to delete
};

}  // namespace vmm::sys_util
