// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/temp_directory.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "vmm/sys_util/temp_file.h"

namespace vmm::sys_util {

Result<TempDirectory> TempDirectory::create(std::string_view prefix) {
  std::string path(prefix);
  path.append("XXXXXX");
  if (::mkdtemp(path.data()) == nullptr) {
    return fail(Error::from_errno("create temporary directory"));
  }
  return TempDirectory(std::move(path));
}

Result<TempDirectory> TempDirectory::create() { return create(temp_directory() + "/vmm-"); }

TempDirectory::TempDirectory(TempDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TempDirectory& TempDirectory::operator=(TempDirectory&& other) noexcept {
  TempDirectory old(std::move(other));
  path_.swap(old.path_);
  return *this;
}

TempDirectory::~TempDirectory() {
  if (!path_.empty()) static_cast<void>(remove());
}

Result<void> TempDirectory::remove() {
  constexpr const char* kWhat = "remove temporary directory";
  if (path_.empty()) return fail(Error::os(ENOENT, kWhat));
  const std::string path = std::exchange(path_, {});
  std::error_code error;
  std::filesystem::remove_all(path, error);  // does not follow symbolic links
  if (error) return fail(Error::os(error.value(), kWhat));
  return {};
}

}  // namespace vmm::sys_util
