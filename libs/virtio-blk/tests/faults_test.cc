// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each system call of a disk fails once, and each operation of its io_uring: the driver hears of it
// by the status that 5.2.6 gives, and of nothing else; what is not answered with an error is there,
// and what was flushed stays there.

#include <unistd.h>

#include <array>
#include <cstring>
#include <map>
#include <string>

#include "blk_rig.h"
#include "faulty_calls.h"
#include "faulty_rings.h"
#include "open_fds.h"
#include "vmm/block/disk_queue.h"

namespace vmm::virtio_blk {
namespace {

using block::ImageFormat;
using sys_util::TempFile;

constexpr std::uint64_t kDiskBytes = 4 << 20;
constexpr std::uint32_t kRun = 3;  // sectors of a write

/// An image in which nothing is allocated: header, table of refcounts, refcounts, L1 table, each a
/// cluster of 64 KiB. `below`: a raw backing file.
void make_qcow2(int fd, const std::string& below = "") {
  constexpr std::uint64_t kCluster = 0x1'0000;
  std::vector<std::byte> bytes(4 * kCluster);
  const auto put32 = [&](std::size_t at, std::uint32_t value) {
    for (int i = 0; i < 4; ++i) bytes[at++] = static_cast<std::byte>(value >> (24 - 8 * i));
  };
  put32(0, 0x5146'49fb);
  put32(4, 3);                        // version
  put32(20, 16);                      // cluster_bits
  put32(28, kDiskBytes);              // size
  put32(36, 1);                       // entries of the L1 table
  put32(44, 3 * kCluster);            // where it is
  put32(52, kCluster);                // the table of refcounts
  put32(56, 1);                       // its clusters
  put32(96, 4);                       // refcount_order
  put32(100, 104);                    // header_length
  put32(kCluster + 4, 2 * kCluster);  // the refcounts
  for (std::size_t i = 0; i < 4; ++i) bytes[2 * kCluster + 2 * i + 1] = std::byte{1};
  if (!below.empty()) {
    put32(12, 512);  // where its name is
    put32(16, static_cast<std::uint32_t>(below.size()));
    std::memcpy(&bytes[512], below.data(), below.size());
    put32(104, 0xe279'2aca);  // its format
    put32(108, 3);
    std::memcpy(&bytes[112], "raw", 3);
  }
  REQUIRE(sys_util::pwrite_all(fd, bytes, 0));
}

/// A file in memory, where that is possible: the tests sync very often.
TempFile make_file() {
  const bool memory = ::access("/dev/shm", W_OK) == 0;
  return *TempFile::create((memory ? "/dev/shm" : sys_util::temp_directory()) + "/vmm-faults-");
}

struct Kind {
  ImageFormat format = ImageFormat::kRaw;
  block::EngineKind engine = block::EngineKind::kSync;
  bool writethrough = false;  ///< the driver knows no flushes
};

/// A driver that remembers what each sector has to have.
class FaultyDisk {
 public:
  explicit FaultyDisk(const Kind& kind) : kind_(kind) {
    if (kind.format == ImageFormat::kQcow2)
      make_qcow2(file_.fd());
    else
      REQUIRE(::ftruncate(file_.fd(), kDiskBytes) == 0);
    open();
  }

  /// Closes the image and opens it again.
  void reopen() {
    driver_.reset();
    blk_.reset();
    open();
  }
  /// Requests of every kind. Each answer is OK or IOERR.
  void play() {
    for (unsigned round = 1; round <= 2; ++round) {
      for (const std::uint64_t sector : {0u, 100u, 129u, 4000u}) write(sector, round);
      flush();
      zero(RequestType::kWriteZeroes, 100);
      zero(RequestType::kDiscard, 4000);
      for (const auto& [sector, bytes] : std::map(sectors_)) read(sector, bytes);
      flush();
    }
  }
  /// A sync failed: no later one may say that all is kept, and what was not kept may be gone with
  /// the device.
  void check_lost() {
    check_contents();
    const auto type = kind_.writethrough ? RequestType::kOut : RequestType::kFlush;
    const Bytes data = kind_.writethrough ? BlkRig::sector_of(77) : Bytes();
    REQUIRE(status(ask(type, kind_.writethrough ? 5000 : 0, data)) == Status::kIoError);
    REQUIRE(driver_->running());
    sectors_.clear();
  }
  /// After another fault: all is as the answers said, and the disk works.
  void check() {
    check_contents();
    const Bytes last = BlkRig::sector_of(77);
    REQUIRE(status(ask(RequestType::kOut, 5000, last)) == Status::kOk);
    if (!kind_.writethrough) REQUIRE(status(ask(RequestType::kFlush, 0)) == Status::kOk);
    sectors_[5000] = last;
    REQUIRE(driver_->running());
  }
  void check_contents() {
    for (const auto& [sector, bytes] : std::map(sectors_)) {
      if (bytes.empty()) continue;
      const Answer answer = ask(RequestType::kIn, sector, {}, kSectorBytes);
      REQUIRE(answer.bytes.back() == std::byte{0});
      REQUIRE(std::equal(bytes.begin(), bytes.end(), answer.bytes.begin()));
    }
  }
  [[nodiscard]] int errors() const { return errors_; }

 private:
  void open() {
    auto image = block::open_image(file_.path(), {.format = kind_.format});
    REQUIRE(image);
    auto blk =
        Blk::create(std::shared_ptr<block::Image>(*std::move(image)), {.engine = kind_.engine});
    REQUIRE(blk);
    blk_ = *blk;
    const std::uint64_t flushes = bit(BlkFeature::kFlush) | bit(BlkFeature::kConfigWce);
    const std::uint64_t features = blk_->features() & ~(kind_.writethrough ? flushes : 0);
    driver_ =
        std::make_unique<DeviceRig>(blk_, RigOptions{.features = features, .ram_bytes = 1 << 20});
    REQUIRE(driver_->start());
  }
  Answer ask(RequestType type, std::uint64_t sector, const Bytes& data = {},
             std::uint32_t wanted = 0) {
    RigRequest request{.readable = {BlkRig::header(type, sector)}, .writable = {}};
    if (!data.empty()) request.readable.push_back(data);
    if (wanted != 0) request.writable.push_back(wanted);
    request.writable.push_back(1);
    auto answer = driver_->exchange(0, request);
    REQUIRE(answer);
    return *std::move(answer);
  }
  static Status status(const Answer& answer) {
    return static_cast<Status>(std::to_integer<std::uint8_t>(answer.bytes.back()));
  }
  /// Whether it is said to have worked.
  bool good(const Answer& answer) {
    REQUIRE((status(answer) == Status::kOk || status(answer) == Status::kIoError));
    errors_ += status(answer) == Status::kOk ? 0 : 1;
    return status(answer) == Status::kOk;
  }
  void write(std::uint64_t sector, unsigned round) {
    Bytes data;
    for (std::uint32_t i = 0; i < kRun; ++i) {
      const Bytes one = BlkRig::sector_of(sector * 10 + i + round * 1000);
      data.insert(data.end(), one.begin(), one.end());
    }
    const bool done = good(ask(RequestType::kOut, sector, data));
    if (done && kind_.writethrough) REQUIRE_FALSE(faulty_calls::has_volatile_data());
    for (std::uint32_t i = 0; i < kRun; ++i) {
      const auto at = data.begin() + static_cast<std::ptrdiff_t>(i * kSectorBytes);
      sectors_[sector + i] = done ? Bytes(at, at + kSectorBytes) : Bytes();
    }
  }
  void zero(RequestType type, std::uint64_t sector) {
    const bool done = good(ask(type, 0, BlkRig::segment(sector, 1)));
    // What a discard leaves is not said.
    const bool zeros = done && type == RequestType::kWriteZeroes;
    sectors_[sector] = zeros ? Bytes(kSectorBytes) : Bytes();
  }
  void read(std::uint64_t sector, const Bytes& bytes) {
    const Answer answer = ask(RequestType::kIn, sector, {}, kSectorBytes);
    if (!good(answer) || bytes.empty()) return;
    REQUIRE(std::equal(bytes.begin(), bytes.end(), answer.bytes.begin()));
  }
  void flush() {
    if (kind_.writethrough) return;
    const bool done = good(ask(RequestType::kFlush, 0));
    // What io_uring does is seen only where it comes by here.
    if (done && (kind_.engine == block::EngineKind::kSync || faulty_rings::are_here())) {
      REQUIRE_FALSE(faulty_calls::has_volatile_data());
    }
  }

  const Kind kind_;
  TempFile file_ = make_file();
  std::shared_ptr<Blk> blk_;
  std::unique_ptr<DeviceRig> driver_;
  std::map<std::uint64_t, Bytes> sectors_;  // empty: anything
  int errors_ = 0;
};

/// Where faults are made.
enum class Where { kCalls, kRing };

void arm(Where where, std::uint64_t nth, int error) {
  if (where == Where::kCalls)
    faulty_calls::arm({.nth = nth, .error = error});
  else
    faulty_rings::arm({.nth = nth, .error = error});
}
bool disarm(Where where) {
  return where == Where::kCalls ? faulty_calls::disarm() : faulty_rings::disarm();
}
bool was_sync(Where where) {
  return where == Where::kCalls ? faulty_calls::failed_call() == faulty_calls::kSync
                                : faulty_rings::failed() == faulty_rings::kSync;
}
bool was_space(Where where) {
  return where == Where::kCalls ? faulty_calls::failed_call() == faulty_calls::kSpace
                                : faulty_rings::failed() == faulty_rings::kSpace;
}

/// Fails each call or operation in turn; the number of them.
std::uint64_t fail_each(const Kind& kind, int error, Where where = Where::kCalls) {
  // Interrupted ones and short ones are continued.
  const bool continued = error == EINTR || error == EAGAIN || error == 0;
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth, error);
    const std::size_t before = open_fds();
    bool failed = false;
    {
      FaultyDisk disk(kind);
      arm(where, nth, error);
      disk.play();
      failed = disarm(where);
      if (continued) REQUIRE(disk.errors() == 0);
      // Space that is not given back, or not taken beforehand, is no error.
      if (failed && !continued && !was_space(where)) REQUIRE(disk.errors() >= 1);
      // One that was called off is made again by the next.
      if (failed && !continued && was_sync(where) && error != ECANCELED) {
        disk.check_lost();
      } else {
        // One call is part of one request, or of the metadata that a flush writes.
        REQUIRE(disk.errors() <= 2);
        disk.check();
      }
      disk.reopen();
      disk.check();
    }
    REQUIRE(open_fds() == before);
    if (!failed) return nth - 1;
  }
}

/// Whether there is an io_uring of which operations can fail.
bool have_faulty_rings() {
  const bool have = block::Engine::create({.kind = block::EngineKind::kUring}).has_value();
  if (!have) WARN("io_uring is not permitted here");
  if (have && !faulty_rings::are_here()) WARN("io_uring is used by a shared library");
  return have && faulty_rings::are_here();
}

}  // namespace

TEST_CASE("each call of a disk that fails is a status, and loses nothing") {
  const auto format = GENERATE(ImageFormat::kRaw, ImageFormat::kQcow2);
  const auto error = GENERATE(0, EINTR, EIO, ENOSPC, ENOMEM);
  const bool writethrough = GENERATE(false, true);
  CAPTURE(static_cast<int>(format), writethrough);
  const std::uint64_t calls = fail_each({.format = format, .writethrough = writethrough}, error);
  CHECK(calls >= 16);
}

TEST_CASE("with io_uring what the image itself calls may fail as well") {
  if (!block::Engine::create({.kind = block::EngineKind::kUring})) {
    WARN("io_uring is not permitted here");
    return;
  }
  const auto error = GENERATE(0, EINTR, EIO, ENOSPC, ENOMEM);
  const std::uint64_t calls =
      fail_each({.format = ImageFormat::kQcow2, .engine = block::EngineKind::kUring}, error);
  CHECK(calls >= 2);
}

TEST_CASE("each operation of io_uring that fails is a status, and loses nothing") {
  if (!have_faulty_rings()) return;
  const auto format = GENERATE(ImageFormat::kRaw, ImageFormat::kQcow2);
  const auto error = GENERATE(0, EINTR, EAGAIN, EIO, ENOSPC, ENOMEM, ECANCELED);
  const bool writethrough = GENERATE(false, true);
  CAPTURE(static_cast<int>(format), writethrough);
  const Kind kind = {
      .format = format, .engine = block::EngineKind::kUring, .writethrough = writethrough};
  CHECK(fail_each(kind, error, Where::kRing) >= 16);
}

TEST_CASE("a kernel that takes no operation for a moment is asked again") {
  if (!have_faulty_rings()) return;
  const auto error = GENERATE(EINTR, EAGAIN, EBUSY, ENOMEM);
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth, error);
    FaultyDisk disk({.format = ImageFormat::kQcow2, .engine = block::EngineKind::kUring});
    faulty_rings::arm({.nth = nth, .error = error, .kinds = faulty_rings::kEnter, .times = 3});
    disk.play();
    const bool failed = faulty_rings::disarm();
    REQUIRE(disk.errors() == 0);
    disk.check();
    if (!failed) break;
  }
}

TEST_CASE(
    "when io_uring takes nothing any more each request says so, until the driver starts anew") {
  if (!have_faulty_rings()) return;
  const auto error = GENERATE(EBADF, ENXIO, ENOMEM);
  const std::size_t before = open_fds();
  {
    FaultyDisk disk({.format = ImageFormat::kQcow2, .engine = block::EngineKind::kUring});
    disk.play();
    REQUIRE(disk.errors() == 0);
    faulty_rings::arm({.error = error, .kinds = faulty_rings::kEnter, .times = ~0ull});
    disk.play();
    REQUIRE(faulty_rings::disarm());
    CHECK(disk.errors() > 10);
    disk.reopen();
    disk.check();
  }
  CHECK(open_fds() == before);
}

TEST_CASE("an io_uring that cannot be set up is done without, or the device says so") {
  if (!have_faulty_rings()) return;
  const auto error = GENERATE(ENOMEM, EMFILE, EPERM, ENOSYS);
  const auto engine = GENERATE(block::EngineKind::kAuto, block::EngineKind::kUring);
  const auto file = make_file();
  REQUIRE(::ftruncate(file.fd(), kDiskBytes) == 0);
  const std::size_t before = open_fds();
  {
    auto image = block::open_image(file.path(), {.format = ImageFormat::kRaw});
    REQUIRE(image);
    const auto blk =
        *Blk::create(std::shared_ptr<block::Image>(*std::move(image)), {.engine = engine});
    DeviceRig driver(blk, RigOptions{.features = blk->features(), .ram_bytes = 1 << 20});
    const auto read = [&driver] {
      const auto answer = driver.exchange(
          0, {.readable = {BlkRig::header(RequestType::kIn, 0)}, .writable = {kSectorBytes, 1}});
      REQUIRE(answer);
      return answer->bytes.back() == std::byte{0};
    };
    faulty_rings::arm({.error = error, .kinds = faulty_rings::kSetUp, .times = ~0ull});
    const bool started = driver.start();
    REQUIRE(faulty_rings::disarm());
    CHECK(started == (engine == block::EngineKind::kAuto));
    const std::uint8_t status = driver.core().status();
    CHECK((started || (status & virtio_device::kNeedsReset) != 0 ||
           (status & virtio_device::kDriverOk) == 0));
    if (!started) REQUIRE(driver.start());
    CHECK(read());
    // What is registered with the kernel saves time only.
    faulty_rings::arm({.error = error, .kinds = faulty_rings::kRegister, .times = ~0ull});
    REQUIRE(driver.start());
    CHECK(read());
    REQUIRE(faulty_rings::disarm());
  }
  CHECK(open_fds() == before);
}

TEST_CASE("each file of a disk that cannot be opened or mapped says why, and leaves nothing") {
  if (!faulty_calls::kMakersFail) return;  // under ThreadSanitizer
  const auto [call, error] = GENERATE(table<faulty_calls::Call, int>({
      {faulty_calls::kOpen, EMFILE},
      {faulty_calls::kOpen, EACCES},
      {faulty_calls::kOpen, ENOENT},
      {faulty_calls::kOpen, EINTR},
      {faulty_calls::kMap, ENOMEM},
  }));
  const auto below = make_file();
  const auto file = make_file();
  make_qcow2(file.fd(), below.path());
  const std::size_t before = open_fds();
  const auto mapped = faulty_calls::mapped_bytes();
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth, error, static_cast<unsigned>(call));
    faulty_calls::arm({.nth = nth, .error = error, .calls = call});
    auto image =
        block::open_image(file.path(), {.format = ImageFormat::kQcow2, .backing_files = true});
    if (!image) {
      CHECK(image.error().is_os(error));
      REQUIRE(faulty_calls::disarm());
      CHECK(open_fds() == before);
      continue;
    }
    const std::shared_ptr<block::Image> shared = *std::move(image);
    const auto queue =
        block::DiskQueue::create(shared, {.engine = block::EngineKind::kSync, .depth = 4});
    const bool failed = faulty_calls::disarm();
    if (!queue) CHECK(queue.error().is_os(error));
    CHECK(failed == !queue.has_value());
    if (!failed) {
      CHECK(nth == 3);  // two files, or the room of a queue
      break;
    }
  }
  CHECK(open_fds() == before);
  CHECK(faulty_calls::mapped_bytes() == mapped);
}

}  // namespace vmm::virtio_blk
