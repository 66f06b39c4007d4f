// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "../aarch64/host_caches.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace vmm::reference::aarch64 {
namespace {

using arch::aarch64::Cache;

// A folder as the kernel shows it, away with the test.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/host-caches-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }

  void add(const char* index, const char* level, const char* type, const char* size) const {
    const auto at = path_ / index;
    std::filesystem::create_directory(at);
    const auto write = [&at](const char* file, const char* text) {
      std::ofstream(at / file) << text << '\n';
    };
    write("level", level);
    write("type", type);
    if (*size != '\0') write("size", size);
    write("coherency_line_size", "64");
    write("number_of_sets", "256");
  }
  [[nodiscard]] std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST_CASE("the host's caches become the guest's", "[caches]") {
  const Folder folder;
  folder.add("index0", "1", "Data", "64K");
  folder.add("index1", "1", "Instruction", "32K");
  folder.add("index2", "2", "Unified", "1024K");
  folder.add("index3", "3", "Unified", "8192K");
  const auto caches = host_caches(folder.path());
  REQUIRE(caches.size() == 4);
  CHECK((caches[0].kind == Cache::Kind::kData && caches[0].bytes == 64 << 10));
  CHECK((caches[1].kind == Cache::Kind::kInstruction && caches[1].bytes == 32 << 10));
  CHECK((caches[2].level == 2 && caches[2].vcpus == 1 && caches[2].sets == 256));
  CHECK((caches[3].level == 3 && caches[3].vcpus == 0 && caches[3].line_bytes == 64));
}

TEST_CASE("caches that the host does not fully tell, or tells twice, are left out", "[caches]") {
  const Folder folder;
  CHECK(host_caches(folder.path() + "/nowhere").empty());
  folder.add("index0", "1", "Data", "");
  folder.add("index1", "9", "Unified", "64K");
  folder.add("index2", "2", "Data", "64K");
  folder.add("index3", "2", "Odd", "64K");
  folder.add("index4", "3", "Unified", "0K");
  CHECK(host_caches(folder.path()).empty());
  folder.add("index5", "2", "Unified", "64K");
  folder.add("index6", "2", "Unified", "128K");
  CHECK(host_caches(folder.path()).size() == 1);
}

}  // namespace
}  // namespace vmm::reference::aarch64
