// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/file_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/sys_util/temp_file.h"

using namespace vmm;
using namespace vmm::sys_util;

namespace {

UniqueFd open_again(const TempFile& file, int flags = O_RDWR) {
  return UniqueFd(::open(file.path().c_str(), flags | O_CLOEXEC));
}

}  // namespace

TEST_CASE("an exclusive lock goes with no other, shared ones go together", "[file_lock]") {
  const auto mine = GENERATE(FileLock::kNone, FileLock::kShared, FileLock::kExclusive);
  const auto theirs = GENERATE(FileLock::kShared, FileLock::kExclusive);
  const TempFile file = *TempFile::create();
  const UniqueFd other = open_again(file);
  REQUIRE(lock_file(file.fd(), mine));
  CHECK(*foreign_lock(file.fd()) == FileLock::kNone);
  CHECK(*foreign_lock(other.get()) == mine);
  const auto taken = lock_file(other.get(), theirs);
  const bool goes =
      mine == FileLock::kNone || (mine == FileLock::kShared && theirs == FileLock::kShared);
  CHECK(taken.has_value() == goes);
  if (!taken) CHECK(taken.error().is_os(EAGAIN));
}

TEST_CASE("a lock is taken again, changed, and given back", "[file_lock]") {
  const TempFile file = *TempFile::create();
  const UniqueFd other = open_again(file);
  REQUIRE(lock_file(file.fd(), FileLock::kExclusive));
  REQUIRE(lock_file(file.fd(), FileLock::kExclusive));
  REQUIRE(lock_file(file.fd(), FileLock::kShared));
  CHECK(*foreign_lock(other.get()) == FileLock::kShared);
  REQUIRE(lock_file(other.get(), FileLock::kShared));
  CHECK(lock_file(file.fd(), FileLock::kExclusive).error().is_os(EAGAIN));
  CHECK(*foreign_lock(other.get()) == FileLock::kShared);  // it is still what it was
  REQUIRE(lock_file(file.fd(), FileLock::kNone));
  CHECK(*foreign_lock(other.get()) == FileLock::kNone);
  CHECK(lock_file(other.get(), FileLock::kExclusive));
}

TEST_CASE("a lock is the open file's, and ends with its last descriptor", "[file_lock]") {
  const TempFile file = *TempFile::create();
  const UniqueFd other = open_again(file);
  UniqueFd holder = open_again(file);
  UniqueFd twin = *duplicate(holder.get());
  REQUIRE(lock_file(holder.get(), FileLock::kExclusive));
  REQUIRE(lock_file(twin.get(), FileLock::kExclusive));
  holder.reset();
  CHECK(lock_file(other.get(), FileLock::kShared).error().is_os(EAGAIN));
  twin.reset();
  CHECK(lock_file(other.get(), FileLock::kShared));
}

TEST_CASE("a range is locked, and nothing beside it", "[file_lock]") {
  const TempFile file = *TempFile::create();
  const UniqueFd other = open_again(file);
  REQUIRE(lock_file(file.fd(), FileLock::kExclusive, {100, 10}));
  CHECK(*foreign_lock(other.get(), {0, 100}) == FileLock::kNone);
  CHECK(*foreign_lock(other.get(), {109, 1}) == FileLock::kExclusive);
  CHECK(*foreign_lock(other.get(), {110, 0}) == FileLock::kNone);
  CHECK(lock_file(other.get(), FileLock::kExclusive, {110, 0}));
  CHECK(lock_file(other.get(), FileLock::kExclusive, {0, 100}));
  CHECK(lock_file(other.get(), FileLock::kExclusive, {0, 101}).error().is_os(EAGAIN));
  REQUIRE(lock_file(file.fd(), FileLock::kNone, {100, 5}));
  CHECK(*foreign_lock(other.get(), {0, 105}) == FileLock::kNone);
  CHECK(*foreign_lock(other.get(), {105, 1}) == FileLock::kExclusive);
}

TEST_CASE("locks that cannot be are refused", "[file_lock][hostile]") {
  const TempFile file = *TempFile::create();
  constexpr std::uint64_t kMost = (std::uint64_t{1} << 63) - 1;
  CHECK(lock_file(file.fd(), FileLock::kShared, {kMost, 0}));
  CHECK(lock_file(file.fd(), FileLock::kShared, {0, kMost}));
  for (const FileRange range : {FileRange{kMost + 1, 0}, {0, kMost + 1}, {kMost, 1}, {1, kMost}}) {
    CHECK(lock_file(file.fd(), FileLock::kShared, range).error().is_os(EINVAL));
    CHECK(foreign_lock(file.fd(), range).error().is_os(EINVAL));
  }
  CHECK(lock_file(-1, FileLock::kShared).error().is_os(EBADF));
  CHECK(foreign_lock(-1).error().is_os(EBADF));
  const UniqueFd reader = open_again(file, O_RDONLY);
  const UniqueFd writer = open_again(file, O_WRONLY);
  REQUIRE(lock_file(file.fd(), FileLock::kNone));
  CHECK(lock_file(reader.get(), FileLock::kExclusive).error().is_os(EBADF));
  CHECK(lock_file(writer.get(), FileLock::kShared).error().is_os(EBADF));
  CHECK(lock_file(reader.get(), FileLock::kShared));
}
