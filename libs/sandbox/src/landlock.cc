// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sandbox/landlock.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace vmm::sandbox {
namespace {

// <linux/landlock.h> of Linux 6.2, which is younger than Debian 12's headers. System calls have the
// same numbers on all architectures.
constexpr long kCreateRuleset = 444;
constexpr long kAddRule = 445;
constexpr long kRestrictSelf = 446;
constexpr std::uint32_t kVersionFlag = 1;
constexpr int kPathBeneath = 1;

constexpr std::uint64_t kExecute = 1 << 0;
constexpr std::uint64_t kWriteFile = 1 << 1;
constexpr std::uint64_t kReadFile = 1 << 2;
constexpr std::uint64_t kReadFolder = 1 << 3;
constexpr std::uint64_t kRemoveFolder = 1 << 4;
constexpr std::uint64_t kRemoveFile = 1 << 5;
constexpr std::uint64_t kMakeCharacter = 1 << 6;
constexpr std::uint64_t kMakeFolder = 1 << 7;
constexpr std::uint64_t kMakeFile = 1 << 8;
constexpr std::uint64_t kMakeSocket = 1 << 9;
constexpr std::uint64_t kMakePipe = 1 << 10;
constexpr std::uint64_t kMakeBlock = 1 << 11;
constexpr std::uint64_t kMakeLink = 1 << 12;
constexpr std::uint64_t kRefer = 1 << 13;
constexpr std::uint64_t kTruncate = 1 << 14;

constexpr std::uint64_t kOfFiles = kReadFile | kWriteFile | kTruncate;  // that a file can have
constexpr std::uint64_t kReading = kReadFile | kReadFolder;
constexpr std::uint64_t kWriting = kWriteFile | kTruncate | kRemoveFolder | kRemoveFile |
                                   kMakeFolder | kMakeFile | kMakeSocket | kMakePipe | kMakeLink |
                                   kRefer;
constexpr std::uint64_t kAll = kReading | kWriting | kExecute | kMakeCharacter | kMakeBlock;

struct RulesetAttributes {
  std::uint64_t handled_file_access = 0;
};
struct [[gnu::packed]] PathBeneath {
  std::uint64_t allowed_access = 0;
  std::int32_t parent = -1;
};
static_assert(sizeof(PathBeneath) == 12);

}  // namespace

Result<int> Landlock::abi() {
  const long version = ::syscall(kCreateRuleset, nullptr, std::size_t{0}, kVersionFlag);
  if (version > 0) return static_cast<int>(version);
  if (errno == ENOSYS || errno == EOPNOTSUPP) return fail(SandboxError::kNoLandlock);
  return fail(Error::from_errno("landlock_create_ruleset"));
}

Result<Landlock> Landlock::create() {
  VMM_TRY(const int version, abi());
  if (version < kLeastAbi) return fail(SandboxError::kOldLandlock);
  const RulesetAttributes attributes{.handled_file_access = kAll};
  UniqueFd rules(static_cast<int>(
      ::syscall(kCreateRuleset, &attributes, sizeof(attributes), std::uint32_t{0})));
  if (!rules) return fail(Error::from_errno("landlock_create_ruleset"));
  return Landlock(std::move(rules));
}

Result<void> Landlock::allow(const std::string& path, FileAccess access) {
  const UniqueFd file(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!file) return fail(Error::from_errno("open"));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail(Error::from_errno("fstat"));
  std::uint64_t allowed = (access.read ? kReading : 0) | (access.write ? kWriting : 0) |
                          (access.remove ? kRemoveFile : 0);
  if (!S_ISDIR(status.st_mode)) allowed &= kOfFiles;
  if (allowed == 0) return {};
  const PathBeneath rule{.allowed_access = allowed, .parent = file.get()};
  if (::syscall(kAddRule, rules_.get(), kPathBeneath, &rule, std::uint32_t{0}) != 0) {
    return fail(Error::from_errno("landlock_add_rule"));
  }
  return {};
}

Result<void> Landlock::enforce() const {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail(Error::from_errno("PR_SET_NO_NEW_PRIVS"));
  }
  if (::syscall(kRestrictSelf, rules_.get(), std::uint32_t{0}) != 0) {
    return fail(Error::from_errno("landlock_restrict_self"));
  }
  return {};
}

}  // namespace vmm::sandbox
