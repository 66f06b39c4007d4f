// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sandbox/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>

#include "tests/child.h"
#include "vmm/sys_util/temp_directory.h"

using namespace vmm;
using namespace vmm::sandbox;
using namespace vmm::sandbox::testing;

namespace {

bool has_landlock() {
  const auto abi = Landlock::abi();
  if (abi && *abi >= Landlock::kLeastAbi) {
    CHECK(Landlock::create());
    return true;
  }
  const auto refused = Landlock::create();
  REQUIRE_FALSE(refused);
  const auto expected = abi ? SandboxError::kOldLandlock : SandboxError::kNoLandlock;
  CHECK(refused.error().code() == static_cast<std::int32_t>(expected));
  WARN("this kernel's Landlock is not enough: " << to_string(refused.error()));
  return false;
}

int open_errno(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  return fd < 0 ? errno : 0;
}

struct Folders {
  Folders() {
    ::mkdir((root + "/in").c_str(), 0700);
    ::mkdir((root + "/out").c_str(), 0700);
    std::ofstream(root + "/in/file") << "x";
    std::ofstream(root + "/out/file") << "x";
  }
  sys_util::TempDirectory folder = *sys_util::TempDirectory::create();
  std::string root = folder.path();
};

}  // namespace

TEST_CASE("what no rule allows cannot be opened", "[landlock]") {
  if (!has_landlock()) return;
  struct Row {
    const char* what;
    FileAccess access;
    const char* path;
    int flags;
    int error;
  };
  constexpr FileAccess kRead{.read = true, .write = false};
  constexpr FileAccess kWrite{.read = false, .write = true};
  constexpr FileAccess kBoth{.read = true, .write = true};
  const Folders folders;
  for (const Row& row : {
           Row{"reading inside", kRead, "/in/file", O_RDONLY, 0},
           Row{"listing inside", kRead, "/in", O_RDONLY | O_DIRECTORY, 0},
           Row{"writing, where one may read", kRead, "/in/file", O_WRONLY, EACCES},
           Row{"reading, where one may write", kWrite, "/in/file", O_RDONLY, EACCES},
           Row{"both", kBoth, "/in/file", O_RDWR, 0},
           Row{"truncating", kBoth, "/in/file", O_WRONLY | O_TRUNC, 0},
           Row{"truncating, where one may read", kRead, "/in/file", O_RDONLY | O_TRUNC, EACCES},
           Row{"making", kWrite, "/in/new", O_WRONLY | O_CREAT, 0},
           Row{"making, where one may read", kRead, "/in/newer", O_WRONLY | O_CREAT, EACCES},
           Row{"reading outside", kBoth, "/out/file", O_RDONLY, EACCES},
           Row{"through a folder inside", kBoth, "/in/../out/file", O_RDONLY, EACCES},
           Row{"no access at all", FileAccess{}, "/in/file", O_RDONLY, EACCES},
       }) {
    CAPTURE(row.what);
    const Ended ended = in_child([&] {
      auto rules = Landlock::create();
      if (!rules || !rules->allow(folders.root + "/in", row.access) || !rules->enforce()) return 99;
      return open_errno(folders.root + row.path, row.flags);
    });
    CHECK(ended.code == row.error);
  }
}

TEST_CASE("a rule for one file, and for what is not there", "[landlock]") {
  if (!has_landlock()) return;
  const Folders folders;
  const Ended ended = in_child([&] {
    auto rules = Landlock::create();
    const FileAccess both{.read = true, .write = true};
    if (!rules || !rules->allow(folders.root + "/in/file", both) || !rules->enforce()) return 99;
    if (open_errno(folders.root + "/in/file", O_RDWR) != 0) return 1;
    return open_errno(folders.root + "/in", O_RDONLY | O_DIRECTORY);
  });
  CHECK(ended.code == EACCES);
  auto rules = Landlock::create();
  REQUIRE(rules);
  CHECK(rules->allow(folders.root + "/nowhere", {.read = true}).error().is_os(ENOENT));
}

TEST_CASE("removing files may be all that is allowed", "[landlock]") {
  if (!has_landlock()) return;
  const Folders folders;
  const Ended ended = in_child([&] {
    auto rules = Landlock::create();
    if (!rules || !rules->allow(folders.root + "/in", {.remove = true}) || !rules->enforce()) {
      return 99;
    }
    if (open_errno(folders.root + "/in/file", O_RDONLY) != EACCES) return 1;
    if (open_errno(folders.root + "/in/file", O_WRONLY) != EACCES) return 2;
    if (open_errno(folders.root + "/in/new", O_WRONLY | O_CREAT) != EACCES) return 3;
    if (::unlink((folders.root + "/out/file").c_str()) == 0) return 4;
    return ::unlink((folders.root + "/in/file").c_str()) == 0 ? 0 : 5;
  });
  CHECK(ended.code == 0);
}

TEST_CASE("what is open stays open", "[landlock]") {
  if (!has_landlock()) return;
  const Folders folders;
  const Ended ended = in_child([&] {
    const int fd = ::open((folders.root + "/out/file").c_str(), O_RDONLY | O_CLOEXEC);
    auto rules = Landlock::create();
    if (!rules || !rules->enforce()) return 99;
    char byte = 0;
    return ::read(fd, &byte, 1) == 1 && byte == 'x' ? 0 : 1;
  });
  CHECK(ended.code == 0);
}
