// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Images that are written here, and what QEMU says of them.

#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <random>
#include <string>
#include <thread>

#include "guest.h"
#include "qemu_img.h"

namespace vmm::block {
namespace {

constexpr OpenOptions kQcow2 = {.format = ImageFormat::kQcow2, .backing_files = true};

std::shared_ptr<Image> open_rw(const std::string& path, OpenOptions options = kQcow2) {
  auto image = open_image(path, options);
  if (!image) FAIL(to_string(image.error()));
  return *std::move(image);
}

void check(const std::string& path) {
  const Ran ran = run_command("qemu-img check -f qcow2 '" + path + "'");
  INFO(ran.output);
  REQUIRE(ran.status == 0);
}

struct Make {
  const char* options;
  const char* prepare;  // with qemu-io
};

constexpr Make kMakes[] = {
    {"compat=1.1", ""},
    {"compat=0.10", ""},
    {"cluster_size=512", ""},
    {"cluster_size=4k,refcount_bits=1", ""},
    {"cluster_size=2M", ""},
    {"cluster_size=1k,refcount_bits=64", ""},
    {"refcount_bits=2", ""},
    {"cluster_size=8k,refcount_bits=8", "-c 'write -P 5 0 2M' -c 'write -z 1M 512k'"},
    {"preallocation=metadata", ""},
    {"cluster_size=16k,preallocation=falloc,refcount_bits=32", "-c 'write -z 0 4M'"},
};

TEST_CASE("random requests leave what they should, and a clean image", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Make make = GENERATE(from_range(std::begin(kMakes), std::end(kMakes)));
  INFO(make.options << " " << make.prepare);
  const EngineKind engine = any_engine();
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  constexpr std::uint64_t kBytes = (8 << 20) - 512;
  must_run(std::string("qemu-img create -q -f qcow2 -o ") + make.options + " '" + path + "' " +
           std::to_string(kBytes));
  if (*make.prepare != 0)
    must_run(std::string("qemu-io -f qcow2 ") + make.prepare + " '" + path + "'");
  std::vector<std::byte> content = content_by_qemu(path);
  for (unsigned opening = 0; opening < 2; ++opening) {
    {
      const auto image = open_rw(path);
      Guest guest(image, {.engine = engine, .bytes = kBytes, .seed = opening}, content);
      for (int i = 0; i < 20; ++i) guest.round();
      REQUIRE(guest.failure() == "");
      content = guest.content();
      require_same(content_by_us(image), content);
    }
    check(path);
    require_same(content_by_qemu(path), content);
  }
}

TEST_CASE("several queues on one image don't disturb each other", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const std::string options =
      GENERATE(as<std::string>(), "compat=1.1", "cluster_size=512", "cluster_size=1M");
  const EngineKind engine = any_engine();
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  // Parts that share clusters at their ends.
  constexpr std::uint64_t kPart = (2 << 20) + 512 * 77;
  constexpr unsigned kGuests = 4;
  must_run("qemu-img create -q -f qcow2 -o " + options + " '" + path + "' " +
           std::to_string(kPart * kGuests));
  std::vector<std::byte> content;
  {
    const auto image = open_rw(path);
    std::vector<std::unique_ptr<Guest>> guests;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kGuests; ++i) {
      guests.push_back(std::make_unique<Guest>(
          image, Guest::Options{.engine = engine, .start = i * kPart, .bytes = kPart, .seed = i},
          std::vector<std::byte>(kPart)));
    }
    for (auto& guest : guests) {
      threads.emplace_back([&guest] {
        for (int i = 0; i < 25; ++i) guest->round();
      });
    }
    for (auto& thread : threads) thread.join();
    for (auto& guest : guests) {
      REQUIRE(guest->failure() == "");
      content.insert(content.end(), guest->content().begin(), guest->content().end());
    }
    require_same(content_by_us(image), content);
  }
  check(path);
  require_same(content_by_qemu(path), content);
}

/// One request at a time.
class Writer {
 public:
  explicit Writer(const std::shared_ptr<Image>& image)
      : image_(image),
        queue_(*DiskQueue::create(image, {.engine = EngineKind::kSync, .depth = 4})) {}

  int write(std::uint64_t at, const std::vector<std::byte>& data) {
    std::vector<std::byte> copy = data;
    const IoVec list{copy.data(), copy.size()};
    return ask({.kind = Kind::kWrite, .range = {at, copy.size()}, .buffers = {&list, 1}});
  }
  std::vector<std::byte> read(std::uint64_t at, std::size_t bytes) {
    std::vector<std::byte> data(bytes, std::byte{0x55});
    const IoVec list{data.data(), data.size()};
    REQUIRE(ask({.kind = Kind::kRead, .range = {at, bytes}, .buffers = {&list, 1}}) == 0);
    return data;
  }
  int flush() { return ask({.kind = Kind::kFlush}); }
  int discard(const ByteRange& range) { return ask({.kind = Kind::kDiscard, .range = range}); }
  int zero(const ByteRange& range, bool may_unmap) {
    return ask({.kind = Kind::kWriteZeroes, .may_unmap = may_unmap, .range = range});
  }
  Image& image() { return *image_; }

 private:
  using Kind = DiskRequest::Kind;
  int ask(const DiskRequest& request) { return run(*queue_, request).error; }

  std::shared_ptr<Image> image_;
  std::unique_ptr<DiskQueue> queue_;
};

std::uint64_t space_of(const std::string& path) {
  struct stat about{};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  return static_cast<std::uint64_t>(about.st_blocks) * 512;
}

TEST_CASE("a backing file shows through, and is never written", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const std::string compat = GENERATE(as<std::string>(), "1.1", "0.10");
  const std::string base_format = GENERATE(as<std::string>(), "raw", "qcow2");
  const EngineKind engine = any_engine();
  const Folder folder;
  const std::string base = folder / "base";
  const std::string path = folder / "top.qcow2";
  must_run("qemu-img create -q -f " + base_format + " '" + base + "' 3M");
  must_run("qemu-io -f " + base_format + " -c 'write -P 7 0 2500k' '" + base + "'");
  must_run("qemu-img create -q -f qcow2 -o cluster_size=16k,compat=" + compat + " -F " +
           base_format + " -b base '" + path + "' 4M");
  const auto base_before = content_by_qemu(base, base_format);
  std::vector<std::byte> content = content_by_qemu(path);
  {
    const auto image = open_rw(path);
    Guest guest(image, {.engine = engine, .bytes = content.size(), .seed = 3}, content);
    for (int i = 0; i < 25; ++i) guest.round();
    REQUIRE(guest.failure() == "");
    content = guest.content();
  }
  check(path);
  require_same(content_by_qemu(path), content);
  require_same(content_by_qemu(base, base_format), base_before);
}

TEST_CASE("a write beside a read that is under way does not disturb it", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string path = folder / "top.qcow2";
  must_run("qemu-img create -q -f qcow2 '" + folder / "plain" + "' 1M");
  must_run("qemu-io -f qcow2 -c 'write -P 7 0 1M' '" + folder / "plain" + "'");
  must_run("qemu-img convert -c -O qcow2 '" + folder / "plain" + "' '" + folder / "base" + "'");
  must_run("qemu-img create -q -f qcow2 -o cluster_size=4k -F qcow2 -b base '" + path + "' 1M");
  constexpr std::size_t kBytes = 65536 - 512;
  const auto image = open_rw(path);
  Extent extent;
  const auto read = image->map({.offset = 512, .bytes = kBytes}, {&extent, 1});
  REQUIRE((read && read->count == 1));
  CHECK((extent.kind == Extent::Kind::kSlow && extent.bytes == kBytes));
  Writer other(image);  // gives the clusters a table, and its own the place of data
  const std::uint64_t at = GENERATE(std::uint64_t{0}, std::uint64_t{8192 + 512});
  REQUIRE(other.write(at, std::vector<std::byte>(512, std::byte{9})) == 0);
  std::vector<std::byte> data(kBytes);
  const auto done = image->read_slow(512, data);
  image->end_read(read->token);
  if (!done) FAIL(to_string(done.error()));
  // What both ask for may be old or new.
  if (at != 0) std::fill_n(data.begin() + static_cast<std::ptrdiff_t>(at - 512), 512, std::byte{7});
  require_same(data, std::vector<std::byte>(kBytes, std::byte{7}));
}

TEST_CASE("snapshots and compressed clusters keep what they have", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const std::string options = GENERATE(as<std::string>(), "compression_type=zstd",
                                       "cluster_size=512", "compat=0.10", "lazy_refcounts=on");
  const Folder folder;
  const std::string plain = folder / "plain.qcow2";
  const std::string path = folder / "a.qcow2";
  must_run("qemu-img create -q -f qcow2 '" + plain + "' 3M");
  must_run("qemu-io -f qcow2 -c 'write -P 1 0 1M' -c 'write -P 2 2M 300k' '" + plain + "'");
  must_run("qemu-img convert -c -O qcow2 -o " + options + " '" + plain + "' '" + path + "'");
  must_run("qemu-io -f qcow2 -c 'write -P 3 1M 512k' '" + path + "'");
  must_run("qemu-img snapshot -c first '" + path + "'");
  const auto first = content_by_qemu(path);
  std::vector<std::byte> content = first;
  for (unsigned opening = 0; opening < 2; ++opening) {
    {
      const auto image = open_rw(path);
      Guest guest(image, {.bytes = content.size(), .seed = opening + 5}, content);
      for (int i = 0; i < 20; ++i) guest.round();
      REQUIRE(guest.failure() == "");
      content = guest.content();
    }
    check(path);
    require_same(content_by_qemu(path), content);
  }
  must_run("qemu-img snapshot -a first '" + path + "'");
  require_same(content_by_qemu(path), first);
  must_run("qemu-img snapshot -d first '" + path + "'");
  check(path);
}

TEST_CASE("a qcow2 disk gets longer and shorter while it is used", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const std::string options =
      GENERATE(as<std::string>(), "cluster_size=512", "compat=0.10", "compat=1.1");
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  must_run("qemu-img create -q -f qcow2 -o " + options + " '" + path + "' 1000000");
  std::vector<std::byte> content(1000000 / 512 * 512);
  {
    Writer writer(open_rw(path));
    content = pattern(content.size(), 1);
    REQUIRE(writer.write(0, content) == 0);
    for (const std::uint64_t bytes : {1ull << 20, 700ull * 512, 40ull << 20, 512ull, 3ull << 20}) {
      INFO("to " << bytes);
      REQUIRE(writer.image().resize(bytes));
      CHECK(writer.image().size_bytes() == bytes);
      content.resize(bytes);
      require_same(writer.read(0, bytes), content);
      const auto end = pattern(512, static_cast<unsigned>(bytes));
      REQUIRE(writer.write(bytes - 512, end) == 0);
      std::copy(end.begin(), end.end(), content.end() - 512);
      CHECK(writer.write(bytes, end) == ERANGE);
    }
    CHECK_FALSE(writer.image().resize(1000));
    CHECK(writer.image().resize(1ull << 62).error().is_os(EFBIG));
  }
  check(path);
  require_same(content_by_qemu(path), content);
}

TEST_CASE("a longer disk does not show the backing file's end", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const std::string compat = GENERATE(as<std::string>(), "1.1", "0.10");
  const Folder folder;
  must_run("qemu-img create -q -f raw '" + folder / "base" + "' 4M");
  must_run("qemu-io -f raw -c 'write -P 7 0 4M' '" + folder / "base" + "'");
  const std::string path = folder / "top.qcow2";
  must_run("qemu-img create -q -f qcow2 -o compat=" + compat + " -F raw -b base '" + path + "' 1M");
  {
    Writer writer(open_rw(path));
    REQUIRE(writer.image().resize(3 << 20));
    CHECK(writer.read(0, 1 << 20) == std::vector<std::byte>(1 << 20, std::byte{7}));
    require_same(writer.read(1 << 20, 2 << 20), std::vector<std::byte>(2 << 20));
  }
  check(path);
  const auto theirs = content_by_qemu(path);
  CHECK(std::all_of(theirs.begin() + (1 << 20), theirs.end(),
                    [](std::byte b) { return b == std::byte{0}; }));
}

TEST_CASE("space that was given back is used again, and returned to the host", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const bool sparse = GENERATE(true, false);
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  constexpr std::uint64_t kBytes = 4 << 20;
  must_run("qemu-img create -q -f qcow2 '" + path + "' 16M");
  {
    OpenOptions options = kQcow2;
    options.sparse = sparse;
    Writer writer(open_rw(path, options));
    std::uint64_t length = 0;
    for (std::uint64_t round = 0; round < 6; ++round) {
      const std::uint64_t at = round % 4 * kBytes;
      REQUIRE(writer.write(at, pattern(kBytes, 1)) == 0);
      REQUIRE(writer.flush() == 0);
      if (round == 0) length = std::filesystem::file_size(path);
      CHECK(space_of(path) >= kBytes);
      const ByteRange all = {at, kBytes};
      REQUIRE((sparse && round % 2 == 0 ? writer.discard(all) : writer.zero(all, sparse)) == 0);
      REQUIRE(writer.flush() == 0);
      CHECK((space_of(path) < kBytes) == sparse);
      require_same(writer.read(at, kBytes), std::vector<std::byte>(kBytes));
    }
    if (sparse) CHECK(std::filesystem::file_size(path) <= length + (1 << 20));
  }
  check(path);
}

TEST_CASE("after a failed write the disk has old or new content, and the image is good",
          "[qcow2][hostile]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  must_run("qemu-img create -q -f qcow2 '" + path + "' 4M");
  must_run("qemu-io -f qcow2 -c 'write -P 7 0 1M' '" + path + "'");
  must_run("qemu-img snapshot -c s '" + path + "'");  // nothing is in place
  {
    const auto image = open_rw(path);
    Extent first;
    Extent second;
    const auto failing = *image->prepare_write({0, 4096}, {&first, 1});
    const auto joining = *image->prepare_write({4096, 4096}, {&second, 1});
    CHECK(second.file_offset == first.file_offset + 4096);
    const auto junk = pattern(4096, 1);
    REQUIRE(sys_util::pwrite_all(image->file().fd(), junk, first.file_offset));
    REQUIRE(sys_util::pwrite_all(image->file().fd(), junk, second.file_offset));
    const bool failing_last = GENERATE(true, false);
    if (failing_last) REQUIRE(image->finish_write(joining.token, true));
    REQUIRE(image->finish_write(failing.token, false));
    if (!failing_last) REQUIRE(image->finish_write(joining.token, true));
    const auto now = content_by_us(image);
    CHECK(std::all_of(now.begin(), now.begin() + 4096, [](auto b) { return b == std::byte{7}; }));
    CHECK(std::equal(junk.begin(), junk.end(), now.begin() + 4096));
    CHECK(now[8192] == std::byte{7});
    // Alone, it leaves nothing.
    const auto alone = *image->prepare_write({2 << 20, 65536}, {&first, 1});
    REQUIRE(image->finish_write(alone.token, false));
  }
  check(path);
}

TEST_CASE("places are not used again while somebody reads or writes there", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  must_run("qemu-img create -q -f qcow2 '" + path + "' 4M");
  must_run("qemu-io -f qcow2 -c 'write -P 7 0 64k' '" + path + "'");
  {
    const auto image = open_rw(path);
    Extent read;
    Extent write;
    const auto reading = *image->map({0, 4096}, {&read, 1});
    const auto writing = *image->prepare_write({0, 4096}, {&write, 1});
    REQUIRE(image->discard({0, 65536}));
    Writer writer(image);
    const auto fill = [&](std::uint64_t at) {
      REQUIRE(writer.write(at, pattern(65536, 1)) == 0);
      REQUIRE(writer.flush() == 0);
    };
    fill(1 << 20);
    fill(2 << 20);
    std::vector<std::byte> there(4096);
    REQUIRE(sys_util::pread_exact(read.fd, there, read.file_offset));
    CHECK(there == std::vector<std::byte>(4096, std::byte{7}));
    REQUIRE(sys_util::pwrite_all(write.fd, pattern(4096, 9), write.file_offset));
    image->end_read(reading.token);
    REQUIRE(image->finish_write(writing.token, true));
    fill(3 << 20);
    const auto now = content_by_us(image);
    CHECK(std::equal(now.begin() + (1 << 20), now.begin() + (1 << 20) + 65536,
                     pattern(65536, 1).begin()));
    CHECK(now[0] == std::byte{0});
  }
  check(path);
}

/// Does what an engine does for a prepared write.
void put(const Extent& extent, const std::vector<std::byte>& data) {
  REQUIRE(extent.bytes == data.size());
  REQUIRE(sys_util::pwrite_all(extent.fd, data, extent.file_offset));
}

TEST_CASE("a write that ends first does not show what another one has not written yet", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const bool fresh = GENERATE(true, false);  // whether the place reads as zeros before
  const bool backed = GENERATE(true, false);
  const Folder folder;
  const std::string base = folder / "base";
  const std::string path = folder / "top.qcow2";
  must_run("qemu-img create -q -f raw '" + base + "' 1M");
  must_run("qemu-io -f raw -c 'write -P 7 0 1M' '" + base + "'");
  must_run(std::string("qemu-img create -q -f qcow2 ") + (backed ? "-F raw -b base '" : "'") +
           path + "' 1M");
  if (!fresh) {
    must_run("qemu-io -f qcow2 -c 'write -P 9 512k 64k' '" + path + "'");
    must_run("qemu-img snapshot -c a '" + path + "'");
    must_run("qemu-io -f qcow2 -c 'write -P 9 512k 64k' '" + path + "'");
    must_run("qemu-img snapshot -d a '" + path + "'");
  }
  const auto image = open_rw(path);
  Extent first;
  const auto first_plan = image->prepare_write({0, 4096}, {&first, 1});
  REQUIRE(first_plan);
  Extent second;
  const auto second_plan = image->prepare_write({8192, 4096}, {&second, 1});
  REQUIRE(second_plan);
  CHECK(second.file_offset == first.file_offset + 8192);
  const std::vector<std::byte> data = pattern(4096, 5);
  put(second, data);
  REQUIRE(image->finish_write(second_plan->token, true));
  REQUIRE(image->flush_metadata());
  REQUIRE(image->file().sync_data());

  const std::string copy = folder / "copy.qcow2";
  std::filesystem::copy_file(path, copy);
  std::vector<std::byte> expected(65536, backed ? std::byte{7} : std::byte{0});
  std::copy(data.begin(), data.end(), expected.begin() + 8192);
  {
    Writer reader(open_rw(copy));
    CHECK(reader.read(0, expected.size()) == expected);
  }
  put(first, data);
  REQUIRE(image->finish_write(first_plan->token, true));
  std::copy(data.begin(), data.end(), expected.begin());
  Writer reader(image);
  CHECK(reader.read(0, expected.size()) == expected);
}

}  // namespace
}  // namespace vmm::block
