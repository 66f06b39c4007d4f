// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/temp_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace vmm::sys_util {

std::string temp_directory() {
  const char* named = std::getenv("TMPDIR");
  return named != nullptr && *named != '\0' ? named : "/tmp";
}

Result<TempFile> TempFile::create(std::string_view prefix) {
  std::string path;
  path.reserve(prefix.size() + 6);
  path.append(prefix).append("XXXXXX");
  UniqueFd fd(::mkostemp(path.data(), O_CLOEXEC));
  if (!fd) return fail(Error::from_errno("create temporary file"));
  return TempFile(std::move(fd), std::move(path));
}

Result<TempFile> TempFile::create() { return create(temp_directory() + "/vmm-"); }

TempFile::TempFile(TempFile&& other) noexcept
    : fd_(std::move(other.fd_)), path_(std::exchange(other.path_, {})) {}

TempFile& TempFile::operator=(TempFile&& other) noexcept {
  TempFile old(std::move(other));
  fd_.swap(old.fd_);
  path_.swap(old.path_);
  return *this;
}

TempFile::~TempFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<void> TempFile::remove() {
  if (path_.empty()) return fail(Error::os(ENOENT, "remove temporary file"));
  const std::string path = std::exchange(path_, {});
  if (::unlink(path.c_str()) != 0) return fail(Error::from_errno("remove temporary file"));
  return {};
}

UniqueFd TempFile::release() && {
  static_cast<void>(remove());
  return std::move(fd_);
}

}  // namespace vmm::sys_util
