// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Images that are broken, strange or not supported: made by QEMU, and then changed.

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "file_calls.h"
#include "qemu_img.h"
#include "src/qcow2_format.h"

namespace vmm::block {
namespace {

using Kind = DiskRequest::Kind;

constexpr OpenOptions kWritable = {.format = ImageFormat::kQcow2};
constexpr OpenOptions kReadonly = {.format = ImageFormat::kQcow2, .readonly = true};
constexpr std::uint64_t kCluster = 65536;

/// An image with a cluster of data, whose bytes can be changed.
class Victim {
 public:
  explicit Victim(const std::string& options = "compat=1.1") : path_(folder_ / "a.qcow2") {
    must_run("qemu-img create -q -f qcow2 -o " + options + " '" + path_ + "' 4M");
    must_run("qemu-io -f qcow2 -c 'write -P 1 0 64k' -c 'write -P 2 1M 128k' '" + path_ + "'");
    fd_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
  }

  template <class T>
  void put(std::uint64_t offset, T value) const {
    std::array<std::byte, sizeof(T)> bytes{};
    qcow2::store_be(bytes.data(), value);
    REQUIRE(sys_util::pwrite_all(fd_.get(), bytes, offset));
  }
  [[nodiscard]] std::uint64_t word(std::uint64_t offset) const {
    std::array<std::byte, 8> bytes{};
    REQUIRE(sys_util::pread_exact(fd_.get(), bytes, offset));
    return qcow2::load_be<std::uint64_t>(bytes.data());
  }
  [[nodiscard]] std::uint64_t l1() const { return word(40); }
  [[nodiscard]] std::uint64_t l2() const { return word(l1()) & qcow2::kEntryOffset; }
  [[nodiscard]] std::uint64_t refcount_table() const { return word(48); }
  [[nodiscard]] std::uint64_t refcount_block() const { return word(refcount_table()); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] auto open(const OpenOptions& options) const { return open_image(path_, options); }

 private:
  Folder folder_;
  std::string path_;
  UniqueFd fd_;
};

struct Header {
  const char* what;
  std::uint64_t offset;
  int bytes;
  std::uint64_t value;
  int error;
};

constexpr Header kHeaders[] = {
    {"magic", 0, 4, 0x514649fc, EINVAL},
    {"version 1", 4, 4, 1, ENOTSUP},
    {"version 4", 4, 4, 4, ENOTSUP},
    {"clusters of 256 bytes", 20, 4, 8, EINVAL},
    {"clusters of 4 MiB", 20, 4, 22, EINVAL},
    {"clusters of 2^4294967295 bytes", 20, 4, 0xffffffff, EINVAL},
    {"a disk larger than the L1 table", 24, 8, 1ull << 60, EINVAL},
    {"the largest disk", 24, 8, ~0ull, EINVAL},
    {"AES", 32, 4, 1, ENOTSUP},
    {"LUKS", 32, 4, 2, ENOTSUP},
    {"an L1 table of 32 GiB", 36, 4, 0xffffffff, EINVAL},
    {"no L1 table", 36, 4, 0, EINVAL},
    {"an L1 table between clusters", 40, 8, 0x30001, EINVAL},
    {"an L1 table beyond the file", 40, 8, 1ull << 50, EIO},
    {"an L1 table beyond everything", 40, 8, 0xffffffffffff0000, EINVAL},
    {"a refcount table between clusters", 48, 8, 0x10200, EINVAL},
    {"a refcount table in the header", 48, 8, 0, EINVAL},
    {"no refcount table", 56, 4, 0, EINVAL},
    {"a refcount table of 256 TiB", 56, 4, 0xffffffff, EINVAL},
    {"too many snapshots", 60, 4, 65537, EINVAL},
    {"a snapshot beyond everything", 60, 8, 1ull << 32 | 0xff000000, EINVAL},
    {"external data", 72, 8, 1 << 2, ENOTSUP},
    {"subclusters", 72, 8, 1 << 4, ENOTSUP},
    {"a feature of the future", 72, 8, 1ull << 63, ENOTSUP},
    {"compression without its type", 72, 8, 1 << 3, EINVAL},
    {"refcounts of 128 bits", 96, 4, 7, EINVAL},
    {"a header that is too short", 100, 4, 96, EINVAL},
    {"a header of any length", 100, 4, 0xfffffff8, EINVAL},
    {"a header of no whole words", 100, 4, 109, EINVAL},
    {"a backing file's name of 4 GiB", 16, 4, 0xffffffff, 0},
    {"an extension of 4 GiB", 116, 4, 0xffffffff, EINVAL},
};

TEST_CASE("each broken header is refused, and says why", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  for (const Header& header : kHeaders) {
    const Victim victim;
    INFO(header.what);
    if (header.bytes == 8) {
      victim.put(header.offset, header.value);
    } else {
      victim.put(header.offset, static_cast<std::uint32_t>(header.value));
    }
    for (const OpenOptions& options : {kWritable, kReadonly}) {
      const auto image = victim.open(options);
      CHECK(image.has_value() == (header.error == 0));
      if (!image) CHECK(image.error().is_os(header.error));
    }
  }
}

TEST_CASE("a file that is cut anywhere is an error, never a surprise", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Victim victim("cluster_size=512");
  const auto whole = std::filesystem::file_size(victim.path());
  for (std::uintmax_t bytes = 0; bytes < whole; bytes += bytes < 1024 ? 31 : 4099) {
    const std::string copy = victim.path() + ".cut";
    std::filesystem::copy_file(victim.path(), copy,
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(copy, bytes);
    for (const OpenOptions& options : {kReadonly, kWritable}) {
      auto image = open_image(copy, options);
      if (!image) continue;
      const auto queue =
          *DiskQueue::create(*std::move(image), {.engine = EngineKind::kSync, .depth = 2});
      std::vector<std::byte> data(65536);
      const IoVec list{data.data(), data.size()};
      (void)run(*queue, {.kind = Kind::kRead, .range = {0, 65536}, .buffers = {&list, 1}});
      if (!options.readonly) {
        (void)run(*queue, {.kind = Kind::kWrite, .range = {512, 65536}, .buffers = {&list, 1}});
        (void)run(*queue, {.kind = Kind::kFlush});
      }
    }
  }
}

struct Entry {
  const char* what;
  std::uint64_t entry;  // of the L2 table
  bool readable;
  bool writable;
};

TEST_CASE("a table's bad entry harms the requests that need it only", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Victim victim(GENERATE(as<std::string>(), "compat=1.1", "compat=0.10"));
  const bool v3 = victim.word(0) % 16 == 3;
  const std::uint64_t copied = qcow2::kEntryCopied;
  const Entry entries[] = {
      {"between clusters", copied | 0x50200, false, false},
      {"reserved bits", copied | 0x50000 | 1ull << 60, false, false},
      {"reserved low bits", copied | 0x50000 | 2, false, false},
      {"copied, but nowhere", copied, false, false},
      {"compressed and copied", copied | qcow2::kEntryPacked | 0x50000, false, false},
      {"compressed, beyond the file", qcow2::kEntryPacked | 0x7f'0000'0000, false, false},
      {"compressed, but it is not", qcow2::kEntryPacked | 0x50000, false, false},
      {"zeros", 1, v3, v3},
      {"beyond the file", copied | 0x7f'0000'0000, true, false},
      {"the L1 table", copied | victim.l1(), true, false},
      {"an L2 table", copied | victim.l2(), true, false},
      {"the refcount table", copied | victim.refcount_table(), true, false},
      {"a refcount block", copied | victim.refcount_block(), true, false},
      {"the refcount table, as spare place", copied | victim.refcount_table() | 1, v3, false},
  };
  for (const Entry& entry : entries) {
    INFO(entry.what << (v3 ? ", version 3" : ", version 2"));
    const Victim one(v3 ? "compat=1.1" : "compat=0.10");
    one.put(one.l2() + 5 * 8, entry.entry);
    auto opened = one.open(kWritable);
    REQUIRE(opened);
    std::shared_ptr<Image> image = *std::move(opened);
    const auto queue = *DiskQueue::create(image, {.engine = EngineKind::kSync, .depth = 2});
    std::vector<std::byte> data(4096);
    const IoVec list{data.data(), data.size()};
    const auto ask = [&](Kind kind, std::uint64_t at) {
      return run(*queue, {.kind = kind, .range = {at, 4096}, .buffers = {&list, 1}}).error;
    };
    CHECK((ask(Kind::kRead, 5 * kCluster) == 0) == entry.readable);
    CHECK(ask(Kind::kRead, 0) == 0);
    CHECK(data == std::vector<std::byte>(4096, std::byte{1}));
    CHECK((ask(Kind::kWrite, 5 * kCluster) == 0) == entry.writable);
    CHECK(ask(Kind::kRead, 0) == 0);
  }
}

TEST_CASE("a disk that cannot become shorter keeps its size, and may be asked again",
          "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Victim victim;
  victim.put(victim.l2() + 40 * 8, qcow2::kEntryCopied);
  const std::shared_ptr<Image> image = *victim.open(kWritable);
  const auto queue = *DiskQueue::create(image, {.engine = EngineKind::kSync, .depth = 2});
  std::vector<std::byte> data(4096);
  const IoVec list{data.data(), data.size()};
  const auto read = [&](std::uint64_t at) {
    return run(*queue, {.kind = Kind::kRead, .range = {at, 4096}, .buffers = {&list, 1}}).error;
  };
  const auto refused = image->resize(1 << 20);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().is_os(EIO));
  CHECK(image->size_bytes() == 4 << 20);
  CHECK(read((4 << 20) - 4096) == 0);
  CHECK(read(1 << 20) == 0);
  CHECK(data == std::vector<std::byte>(4096));  // it was cleared
  CHECK(read(0) == 0);
  CHECK(data == std::vector<std::byte>(4096, std::byte{1}));
  CHECK(image->resize(3 << 20));
  CHECK(image->size_bytes() == 3 << 20);
}

TEST_CASE("metadata that is where data should go stops all writing", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Victim victim;
  victim.put(victim.l2() + 5 * 8, qcow2::kEntryCopied | victim.l1());
  const std::uint64_t l1_entry = victim.word(victim.l1());
  {
    const auto queue =
        *DiskQueue::create(*victim.open(kWritable), {.engine = EngineKind::kSync, .depth = 2});
    std::vector<std::byte> data(4096);
    const IoVec list{data.data(), data.size()};
    const auto write = [&](std::uint64_t at) {
      return run(*queue, {.kind = Kind::kWrite, .range = {at, 4096}, .buffers = {&list, 1}}).error;
    };
    CHECK(write(0) == 0);
    CHECK(write(5 * kCluster) == EIO);
    CHECK(write(0) == EIO);
    CHECK(run(*queue, {.kind = Kind::kFlush}).error == EIO);
    CHECK(run(*queue, {.kind = Kind::kRead, .range = {0, 4096}, .buffers = {&list, 1}}).error == 0);
  }
  CHECK(victim.word(victim.l1()) == l1_entry);
  // It is marked, and not opened for writing again.
  const auto again = victim.open(kWritable);
  REQUIRE_FALSE(again);
  CHECK(again.error().is_os(EROFS));
  CHECK(victim.open(kReadonly));
}

TEST_CASE("tables that overlap are not written", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Victim victim;
  SECTION("a refcount block that is the L1 table") {
    victim.put(victim.refcount_table(), victim.l1());
  }
  SECTION("a second refcount block that is the first") {
    victim.put(victim.refcount_table() + 8, victim.refcount_block());
  }
  SECTION("an L2 table that is the refcount table") {
    victim.put(victim.l1(), victim.refcount_table() | qcow2::kEntryCopied);
  }
  SECTION("an L2 table that is the header") { victim.put(40, std::uint64_t{0}); }
  const auto image = victim.open(kWritable);
  REQUIRE_FALSE(image);
  CHECK(image.error().is_os(EROFS));
  CHECK(victim.open(kReadonly));
}

TEST_CASE("an L1 entry that cannot be is not written to", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Victim victim;
  const std::uint64_t table = victim.word(victim.l1());
  for (const std::uint64_t entry :
       {qcow2::kEntryCopied, table | 2, table + 512, table | std::uint64_t{1} << 60}) {
    CAPTURE(entry);
    victim.put(victim.l1(), entry);
    const auto image = victim.open(kWritable);
    REQUIRE_FALSE(image);
    CHECK(image.error().is_os(EROFS));
    CHECK(victim.open(kReadonly));
  }
}

/// As when the power goes after refcounts are in the file, and before the clusters are.
void count_beyond_end(const Victim& victim) {
  const std::uint64_t clusters = std::filesystem::file_size(victim.path()) / kCluster;
  REQUIRE(clusters < kCluster / 2);
  for (std::uint64_t i = clusters; i < kCluster / 2; ++i) {
    victim.put(victim.refcount_block() + i * 2, std::uint16_t{1});
  }
}

/// What a write and a flush say.
std::pair<int, int> write_cluster(const Victim& victim) {
  const auto queue =
      *DiskQueue::create(*victim.open(kWritable), {.engine = EngineKind::kSync, .depth = 2});
  std::vector<std::byte> data(kCluster, std::byte{7});
  const IoVec list{data.data(), data.size()};
  const ByteRange range{2 << 20, kCluster};
  const int written =
      run(*queue, {.kind = Kind::kWrite, .range = range, .buffers = {&list, 1}}).error;
  return {written, run(*queue, {.kind = Kind::kFlush}).error};
}

TEST_CASE("what is counted beyond the end of an image that was not closed is free", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Victim victim;
  count_beyond_end(victim);
  const bool more = GENERATE(false, true);  // a block of its own beyond the end, too
  const std::uint64_t beyond = std::filesystem::file_size(victim.path()) + 7 * kCluster;
  if (more) victim.put(victim.refcount_table() + 8, beyond);
  victim.put(72, std::uint64_t{1});  // dirty
  CHECK(write_cluster(victim) == std::pair(0, 0));
  const Ran check = run_command("qemu-img check -f qcow2 '" + victim.path() + "'");
  INFO(check.output);
  CHECK(check.status == 0);  // nothing leaks either
}

TEST_CASE("what an image of version 2 counts beyond its end is passed over", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Victim victim("compat=0.10");
  count_beyond_end(victim);
  CHECK(write_cluster(victim) == std::pair(0, 0));
  const Ran check = run_command("qemu-img check -f qcow2 '" + victim.path() + "'");
  INFO(check.output);
  CHECK(check.status == 3);  // they have leaked, as nobody knows of the end
}

struct Stolen {
  const char* what;
  std::uint64_t entry;  // of the L2 table: data of one user, who gives it up
};

TEST_CASE("giving up data that is metadata gives nothing up", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Victim model;
  const Stolen kStolen[] = {
      {"the L1 table", model.l1()},
      {"an L2 table", model.l2()},
      {"the refcount table", model.refcount_table()},
      {"a refcount block", model.refcount_block()},
      {"the header, compressed", qcow2::kEntryPacked | 1},
  };
  const Kind how = GENERATE(Kind::kDiscard, Kind::kWriteZeroes, Kind::kWrite);
  for (const Stolen& stolen : kStolen) {
    const Victim victim;
    CAPTURE(stolen.what, how);
    victim.put(victim.l2() + 5 * 8, stolen.entry);
    const auto metadata = [&] {
      return std::vector{victim.word(0), victim.word(victim.l1()), victim.word(victim.l2()),
                         victim.word(victim.refcount_table()),
                         victim.word(victim.refcount_block())};
    };
    const auto before = metadata();
    {
      const auto queue =
          *DiskQueue::create(*victim.open(kWritable), {.engine = EngineKind::kSync, .depth = 2});
      std::vector<std::byte> data(kCluster);
      const IoVec list{data.data(), data.size()};
      const DiskRequest request{.kind = how, .may_unmap = true, .range = {5 * kCluster, kCluster}};
      DiskRequest with_data = request;
      with_data.buffers = {&list, 1};
      (void)run(*queue, how == Kind::kWrite ? with_data : request);
      CHECK(run(*queue, {.kind = Kind::kFlush}).error == EIO);
    }
    CHECK(metadata() == before);
  }
}

TEST_CASE("a disk that had no L1 table grows, and its header stays", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Victim victim;
  for (std::uint64_t at = 0; at < kCluster; at += 8) victim.put(victim.refcount_block() + at, 0ull);
  victim.put(24, std::uint64_t{0});  // bytes of the disk
  victim.put(36, std::uint32_t{0});  // entries of the L1 table
  const std::uint64_t place = GENERATE(0ull, 1ull);
  victim.put(40, place * victim.refcount_table());
  const std::uint64_t table = victim.word(victim.refcount_table());
  {
    const std::shared_ptr<Image> image = *victim.open(kWritable);
    REQUIRE(image->resize(4 << 20));
    const auto queue = *DiskQueue::create(image, {.engine = EngineKind::kSync, .depth = 2});
    std::vector<std::byte> data = pattern(2 << 20, 1);
    const IoVec list{data.data(), data.size()};
    CHECK(run(*queue, {.kind = Kind::kWrite, .range = {0, 2 << 20}, .buffers = {&list, 1}}).error ==
          0);
    CHECK(run(*queue, {.kind = Kind::kFlush}).error == 0);
  }
  CHECK(victim.word(0) >> 32 == 0x514649fb);
  CHECK(victim.word(victim.refcount_table()) == table);
}

TEST_CASE("free clusters that are not free are not taken", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Victim victim;
  // Every refcount is 0: the header and the tables must stay as they are all the same.
  for (std::uint64_t at = 0; at < kCluster; at += 8) victim.put(victim.refcount_block() + at, 0ull);
  const std::uint64_t l1 = victim.word(victim.l1());
  {
    const auto queue =
        *DiskQueue::create(*victim.open(kWritable), {.engine = EngineKind::kSync, .depth = 2});
    std::vector<std::byte> data = pattern(1 << 20, 1);
    const IoVec list{data.data(), data.size()};
    CHECK(run(*queue, {.kind = Kind::kWrite, .range = {2 << 20, 1 << 20}, .buffers = {&list, 1}})
              .error == 0);
    (void)run(*queue, {.kind = Kind::kFlush});
  }
  CHECK(victim.word(0) >> 32 == 0x514649fb);
  CHECK(victim.word(victim.l1()) == l1);
}

TEST_CASE("backing files are refused but for the plain case", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const OpenOptions allowed = {
      .format = ImageFormat::kQcow2, .readonly = true, .backing_files = true};
  const std::string path = folder / "a.qcow2";
  const auto make = [&path](const std::string& how) {
    must_run("qemu-img create -q -f qcow2 -u -F " + how + " '" + path + "' 1M");
  };
  SECTION("no such file") {
    make("raw -b nothing");
    CHECK(open_image(path, allowed).error().is_os(ENOENT));
  }
  SECTION("a protocol") {
    make("raw -b nbd://localhost/disk");
    CHECK(open_image(path, allowed).error().is_os(ENOTSUP));
  }
  SECTION("a format that is not supported") {
    make("vmdk -b base.vmdk");
    CHECK(open_image(path, allowed).error().is_os(ENOTSUP));
  }
  SECTION("itself") {
    make("qcow2 -b a.qcow2");
    CHECK(open_image(path, allowed).error().is_os(ELOOP));
  }
  SECTION("no file at all") {
    make("raw -b /dev/tty");
    CHECK_FALSE(open_image(path, allowed));
  }
  SECTION("a descriptor has no folder") {
    make("raw -b base.raw");
    CHECK(open_image(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), allowed)
              .error()
              .is_os(EINVAL));
  }
}

TEST_CASE("a table that many entries share is read once", "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  constexpr std::uint64_t kEntries = 1024;  // each L2 table is for 32 KiB
  must_run("qemu-img create -q -f qcow2 -o cluster_size=512 '" + path + "' 32M");
  must_run("qemu-io -f qcow2 -c 'write -P 1 0 512' '" + path + "'");
  must_run("qemu-img snapshot -c first '" + path + "'");
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const auto word = [&fd](std::uint64_t offset) {
    std::array<std::byte, 8> bytes{};
    REQUIRE(sys_util::pread_exact(fd.get(), bytes, offset));
    return qcow2::load_be<std::uint64_t>(bytes.data());
  };
  const auto put = [&fd](std::uint64_t offset, std::uint64_t value) {
    std::array<std::byte, 8> bytes{};
    qcow2::store_be(bytes.data(), value);
    REQUIRE(sys_util::pwrite_all(fd.get(), bytes, offset));
  };
  const std::uint64_t l1 = word(word(64));  // of the snapshot
  const std::uint64_t l2 = word(l1);
  REQUIRE(l2 != 0);
  for (std::uint64_t i = 0; i < kEntries; ++i) put(l1 + i * 8, l2);
  put(72, word(72) | 1);  // not closed: to be counted again
  const std::size_t before = file_calls.reads;
  CHECK(open_image(path, {.format = ImageFormat::kQcow2}));
  CHECK(file_calls.reads - before < kEntries / 2);
  const Ran check = run_command("qemu-img check -f qcow2 '" + path + "'");
  INFO(check.output);
  CHECK(check.status == 0);
}

TEST_CASE("an image that is cut between two reads of its header is refused", "[qcow2][hostile]") {
  const auto left = GENERATE(off_t{0}, off_t{8}, off_t{71});
  const Victim victim("compat=0.10");
  int headers = 0;
  file_calls.before_read = [&](std::uint64_t offset) {
    if (offset == 0 && ++headers == 2) (void)!::truncate(victim.path().c_str(), left);
  };
  const auto opened = victim.open(kReadonly);
  file_calls.before_read = nullptr;
  REQUIRE_FALSE(opened);
  CHECK(to_string(opened.error()).find("its header is cut") != std::string::npos);
}

}  // namespace
}  // namespace vmm::block
