// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What is left when the process is killed, or the power goes.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "file_calls.h"
#include "qemu_img.h"

namespace vmm::block {
namespace {

using Kind = DiskRequest::Kind;

constexpr std::uint64_t kSlotBytes = 6 * 1024;  // across clusters now and then
constexpr std::uint64_t kSlots = 600;
constexpr std::uint64_t kDiskBytes = kSlots * kSlotBytes;

std::uint64_t slot_of(std::uint64_t number, unsigned seed) {
  std::uint64_t mixed = (number * 1000 + seed) * 0x9e37'79b9'7f4a'7c15;
  mixed ^= mixed >> 29;
  return mixed * 0xbf58'476d'1ce4'e5b9 % kSlots;
}

/// Writes numbers into slots, one after another.
class Numbers {
 public:
  Numbers(const std::string& path, unsigned seed)
      : seed_(seed),
        queue_(*DiskQueue::create(*open_image(path, {.format = ImageFormat::kQcow2}),
                                  {.engine = EngineKind::kSync})) {}

  /// Answers whether all that was written is flushed, too; nullopt for an error.
  std::optional<bool> write(std::uint64_t number) {
    std::fill(data_.begin(), data_.end(), number);
    const IoVec list{data_.data(), kSlotBytes};
    const ByteRange range = {slot_of(number, seed_) * kSlotBytes, kSlotBytes};
    bool good = true;
    if (number % 7 == 0) good = done({.kind = Kind::kDiscard, .range = range});
    if (number % 11 == 0) {
      good &= done({.kind = Kind::kWriteZeroes, .may_unmap = true, .range = range});
    }
    good &= done({.kind = Kind::kWrite, .range = range, .buffers = {&list, 1}});
    const bool flush = number % 5 == 0;
    if (flush) good &= done({.kind = Kind::kFlush});
    if (!good) return std::nullopt;
    return flush;
  }

 private:
  bool done(const DiskRequest& request) {
    queue_->submit(request);
    EndedRequest ended;
    while (queue_->reap({&ended, 1}) == 0) queue_->kick();
    return ended.error == 0;
  }

  unsigned seed_;
  std::unique_ptr<DiskQueue> queue_;
  std::vector<std::uint64_t> data_ = std::vector<std::uint64_t>(kSlotBytes / 8);
};

/// Writes and tells which numbers are flushed, until it is killed.
[[noreturn]] void write_for_ever(const std::string& path, unsigned seed, int tell) {
  Numbers numbers(path, seed);
  for (std::uint64_t number = 1;; ++number) {
    const std::optional<bool> flushed = numbers.write(number);
    if (!flushed) ::_exit(2);
    if (*flushed && ::write(tell, &number, sizeof(number)) != sizeof(number)) ::_exit(3);
  }
}

/// Lets a child write for some time, and returns the last number that it knew to be safe.
std::uint64_t write_and_kill(const std::string& path, unsigned seed) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    write_for_ever(path, seed, ends[1]);
  }
  ::close(ends[1]);
  std::uint64_t flushed = 0;
  // At a time of its own each: after so many flushes, somewhere behind the last of them.
  for (unsigned i = 0; i < 3 + seed * 5; ++i) {
    if (::read(ends[0], &flushed, sizeof(flushed)) != sizeof(flushed)) break;
  }
  ::usleep(seed * 131 % 997);
  REQUIRE(::kill(child, SIGKILL) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  while (::read(ends[0], &flushed, sizeof(flushed)) == sizeof(flushed)) continue;
  ::close(ends[0]);
  return flushed;
}

void require_flushed(const std::vector<std::byte>& disk, std::uint64_t flushed, unsigned seed) {
  std::vector<std::uint64_t> least(kSlots);
  for (std::uint64_t number = 1; number <= flushed; ++number) {
    least[slot_of(number, seed)] = number;
  }
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    std::vector<std::uint64_t> found(kSlotBytes / 8);
    std::memcpy(found.data(), disk.data() + slot * kSlotBytes, kSlotBytes);
    // What came after the last flush may be there or not: a number, or zeros before it.
    std::vector<std::uint64_t> good = {least[slot]};
    for (std::uint64_t next = flushed + 1; next < flushed + 12; ++next) {
      if (slot_of(next, seed) != slot) continue;
      good.push_back(next);
      good.push_back(0);
    }
    for (const std::uint64_t number : found) {
      if (std::find(good.begin(), good.end(), number) == good.end()) {
        FAIL("slot " << slot << " has " << number << " instead of " << least[slot]);
      }
    }
  }
}

TEST_CASE("what was flushed survives kill -9, and the image is good", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const std::string options = GENERATE(as<std::string>(), "cluster_size=4k", "cluster_size=512",
                                       "compat=0.10", "lazy_refcounts=on,cluster_size=16k");
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  for (unsigned seed = 1; seed < 5; ++seed) {
    must_run("qemu-img create -q -f qcow2 -o " + options + " '" + path + "' " +
             std::to_string(kDiskBytes));
    const std::uint64_t flushed = write_and_kill(path, seed);
    INFO(options << ", seed " << seed << ", flushed " << flushed);
    const Ran check = run_command("qemu-img check -f qcow2 '" + path + "'");
    INFO(check.output);
    REQUIRE((check.status == 0 || check.status == 3));  // 3: leaks and nothing else
    require_flushed(content_by_qemu(path), flushed, seed);
    // Opened again here, leaks are gone, where the version says that the image was not closed.
    require_flushed(content_by_us(*open_image(path, {.format = ImageFormat::kQcow2})), flushed,
                    seed);
    const Ran again = run_command("qemu-img check -f qcow2 '" + path + "'");
    INFO(again.output);
    REQUIRE(again.status == (options == "compat=0.10" ? check.status : 0));
  }
}

/// What the disk under the image would have if the power went at some time during a workload:
/// all that was written before the last completed sync, and any of what came later.
class PowerLoss {
 public:
  explicit PowerLoss(const std::string& path) : start_(std::filesystem::file_size(path)) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(sys_util::pread_exact(fd.get(), start_, 0));
  }

  std::vector<std::byte> at(const std::vector<Change>& changes, std::size_t end,
                            std::mt19937_64& random) const {
    std::size_t safe = end;
    while (safe != 0 && !changes[safe - 1].sync) --safe;
    std::vector<std::byte> disk = start_;
    for (std::size_t i = 0; i < end; ++i) {
      const Change& change = changes[i];
      const std::uint64_t bytes = change.bytes;
      for (std::uint64_t from = 0; from < bytes;) {
        // Sectors are written as a whole or not at all, in any order.
        const std::uint64_t offset = change.offset + from;
        const std::uint64_t part = std::min(bytes - from, 512 - offset % 512);
        if (i < safe || random() % 2 == 0) {
          if (disk.size() < offset + part) disk.resize(offset + part);
          for (std::uint64_t k = 0; k < part; ++k) {
            disk[offset + k] = change.data.empty() ? std::byte{0} : change.data[from + k];
          }
        }
        from += part;
      }
    }
    return disk;
  }

 private:
  std::vector<std::byte> start_;
};

TEST_CASE("what was flushed survives power loss, and the image is good", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const std::string options = GENERATE(as<std::string>(), "cluster_size=4k",
                                       "cluster_size=512,refcount_bits=64", "compat=0.10");
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  must_run("qemu-img create -q -f qcow2 -o " + options + " '" + path + "' " +
           std::to_string(kDiskBytes));
  const PowerLoss loss(path);
  std::vector<std::pair<std::size_t, std::uint64_t>> flushes = {{0, 0}};
  std::vector<Change>& changes = file_calls.changes;
  changes.clear();
  file_calls.recording = true;
  {
    Numbers numbers(path, 77);
    for (std::uint64_t number = 1; number <= 400; ++number) {
      const std::optional<bool> flushed = numbers.write(number);
      REQUIRE(flushed);
      if (*flushed) flushes.emplace_back(changes.size(), number);
    }
  }
  file_calls.recording = false;
  std::mt19937_64 random(5);
  const std::string torn = folder / "torn.qcow2";
  for (int i = 0; i < 25; ++i) {
    const std::size_t end = random() % (changes.size() + 1);
    std::uint64_t flushed = 0;
    for (const auto& [when, number] : flushes) {
      if (when <= end) flushed = number;
    }
    const std::vector<std::byte> disk = loss.at(changes, end, random);
    std::filesystem::remove(torn);
    const UniqueFd fd(::open(torn.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    REQUIRE(sys_util::pwrite_all(fd.get(), disk, 0));
    INFO(options << ", after " << end << " of " << changes.size() << " changes");
    const Ran check = run_command("qemu-img check -f qcow2 '" + torn + "'");
    INFO(check.output);
    REQUIRE((check.status == 0 || check.status == 3));
    require_flushed(content_by_us(*open_image(torn, {.format = ImageFormat::kQcow2})), flushed, 77);
  }
}

TEST_CASE("an image is dirty while it is open for writing", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  must_run("qemu-img create -q -f qcow2 '" + path + "' 1M");
  const auto features = [&path] {
    std::array<std::byte, 1> byte{};
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(sys_util::pread_exact(fd.get(), byte, 79));
    return std::to_integer<int>(byte[0]);
  };
  CHECK(features() == 0);
  {
    const auto image = *open_image(path, {.format = ImageFormat::kQcow2});
    CHECK(features() == 1);
  }
  CHECK(features() == 0);
  {
    const auto image = *open_image(path, {.format = ImageFormat::kQcow2, .readonly = true});
  }
  CHECK(features() == 0);
}

TEST_CASE("after a sync that failed, none promises anything any more", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  const bool raw = GENERATE(false, true);
  must_run(std::string("qemu-img create -q -f ") + (raw ? "raw" : "qcow2") + " '" + path + "' 1M");
  const std::shared_ptr<Image> image =
      *open_image(path, {.format = raw ? ImageFormat::kRaw : ImageFormat::kQcow2});
  const auto queue = *DiskQueue::create(image, {.engine = EngineKind::kSync});
  const auto other = *DiskQueue::create(image, {.engine = EngineKind::kSync});
  std::vector<std::byte> data = pattern(4096, 1);
  const IoVec list{data.data(), data.size()};
  REQUIRE(run(*queue, {.kind = Kind::kWrite, .range = {0, 4096}, .buffers = {&list, 1}}).error ==
          0);
  file_calls.failing_syncs = 1;
  CHECK(run(*queue, {.kind = Kind::kFlush}).error == EIO);
  CHECK(file_calls.failing_syncs == 0);
  CHECK(run(*queue, {.kind = Kind::kFlush}).error == EIO);
  CHECK(run(*other, {.kind = Kind::kFlush}).error == EIO);
  CHECK(run(*other,
            {.kind = Kind::kWrite, .durable = true, .range = {65536, 4096}, .buffers = {&list, 1}})
            .error == EIO);
  if (raw) return;
  CHECK_FALSE(image->flush_metadata());
  // No table of the file points to what may not be there.
  const std::string copy = folder / "copy.qcow2";
  std::filesystem::copy_file(path, copy);
  CHECK(content_by_qemu(copy) == std::vector<std::byte>(1 << 20));
}

}  // namespace
}  // namespace vmm::block
