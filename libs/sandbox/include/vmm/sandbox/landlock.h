// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sandbox/sandbox_error.h"

// Which files a thread can open. See landlock(7).

namespace vmm::sandbox {

/// What is allowed beneath a path.
struct FileAccess {
  bool read = false;    ///< read files, list folders
  bool write = false;   ///< write, truncate, make, rename and remove files, but for device nodes
  bool remove = false;  ///< remove files of a folder, and nothing else
};

/// A set of rules for files: what no rule allows cannot be opened any more. Descriptors that are
/// open stay as they are.
///
/// Threads: one at a time.
class Landlock {
 public:
  /// The least that is taken: the first that handles truncating (Linux 6.2).
  static constexpr int kLeastAbi = 3;

  /// What the kernel has: 1 or more. Errors: kNoLandlock; others of landlock_create_ruleset(2).
  static Result<int> abi();
  /// No rules yet: nothing is allowed.
  /// Errors: those of abi(), kOldLandlock; those of landlock_create_ruleset(2).
  static Result<Landlock> create();

  /// Allows it for a file, or a folder and all beneath it, which must exist.
  /// Errors: those of open(2) and landlock_add_rule(2).
  Result<void> allow(const std::string& path, FileAccess access);
  /// Puts the calling thread, and those that it begins later, behind the rules, for good; rules
  /// that it had count as well.
  /// Errors: those of prctl(2) and landlock_restrict_self(2).
  Result<void> enforce() const;

 private:
  explicit Landlock(UniqueFd rules) : rules_(std::move(rules)) {}

  UniqueFd rules_;
};

}  // namespace vmm::sandbox
