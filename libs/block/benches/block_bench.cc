// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Reads of 4 KiB from a file that is in the page cache: what a request costs above the kernel. The
// floors use liburing as it is.

#include <liburing.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench.h"
#include "vmm/block/disk_queue.h"
#include "vmm/block/open_image.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/temp_file.h"

namespace vmm::block {
namespace {

using bench::keep;

constexpr std::size_t kBytes = 4096;
constexpr std::size_t kMostAtOnce = 32;

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "block bench: %s\n", what);
  std::exit(1);
}

/// A file of kMostAtOnce blocks, and memory for them.
struct Disk {
  Disk() {
    const std::vector<std::byte> bytes(kBytes * kMostAtOnce, std::byte{0x5a});
    if (!sys_util::pwrite_all(file.fd(), bytes, 0)) give_up("cannot write the file");
    for (std::size_t i = 0; i < kMostAtOnce; ++i) lists[i] = {ram.data() + kBytes * i, kBytes};
  }

  sys_util::TempFile file = *sys_util::TempFile::create();
  std::vector<std::byte> ram = std::vector<std::byte>(kBytes * kMostAtOnce);
  std::array<IoVec, kMostAtOnce> lists;
};

std::unique_ptr<DiskQueue> queue_on(const Disk& disk, EngineKind engine) {
  auto file = ImageFile::open(disk.file.path(), {});
  if (!file) give_up("cannot open the file");
  auto image = open_raw(std::move(*file), {});
  if (!image) give_up("cannot open the image");
  auto queue = DiskQueue::create(std::move(*image), {.engine = engine, .depth = kMostAtOnce});
  return queue ? std::move(*queue) : nullptr;
}

void read_all(DiskQueue& queue, const Disk& disk, std::size_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    queue.submit({.kind = DiskRequest::Kind::kRead,
                  .tag = i,
                  .range = {.offset = kBytes * i, .bytes = kBytes},
                  .buffers = {&disk.lists[i], 1}});
  }
  queue.kick();
  std::array<EndedRequest, kMostAtOnce> ended;
  for (std::size_t left = count; left != 0;) {
    const std::size_t n = queue.reap(ended);
    for (std::size_t i = 0; i < n; ++i) {
      if (ended[i].error != 0) give_up("a read failed");
    }
    left -= n;
  }
  keep(&disk);
}

void read_all(Engine& engine, const Disk& disk, std::size_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    engine.submit({.kind = Operation::Kind::kRead,
                   .fd = disk.file.fd(),
                   .tag = i,
                   .offset = kBytes * i,
                   .buffers = {&disk.lists[i], 1}});
  }
  engine.kick();
  std::array<Completion, kMostAtOnce> ended;
  for (std::size_t left = count; left != 0;) {
    const std::size_t n = engine.reap(ended);
    for (std::size_t i = 0; i < n; ++i) {
      if (ended[i].result != kBytes) give_up("a read failed");
    }
    left -= n;
  }
  keep(&disk);
}

/// What a C program does, with the file registered as well.
class PlainRing {
 public:
  explicit PlainRing(const Disk& disk) : disk_(disk) {
    if (io_uring_queue_init(kMostAtOnce, &ring_, 0) != 0) give_up("no io_uring");
    const int fd = disk.file.fd();
    if (io_uring_register_files(&ring_, &fd, 1) != 0) give_up("cannot register the file");
  }
  ~PlainRing() { io_uring_queue_exit(&ring_); }
  PlainRing(const PlainRing&) = delete;
  PlainRing& operator=(const PlainRing&) = delete;

  void read_all(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
      io_uring_prep_read(entry, 0, disk_.lists[i].base, kBytes, kBytes * i);
      entry->flags |= IOSQE_FIXED_FILE;
      io_uring_sqe_set_data64(entry, i);
    }
    io_uring_submit(&ring_);
    for (std::size_t left = count; left != 0;) {
      unsigned head = 0;
      unsigned seen = 0;
      io_uring_cqe* entry = nullptr;
      io_uring_for_each_cqe(&ring_, head, entry) {
        if (entry->res != static_cast<int>(kBytes)) give_up("a read failed");
        keep(entry->user_data);
        ++seen;
      }
      io_uring_cq_advance(&ring_, seen);
      left -= seen;
    }
    keep(&disk_);
  }

 private:
  const Disk& disk_;
  io_uring ring_{};
};

bool has_uring() { return Engine::create({.kind = EngineKind::kUring}).has_value(); }

VMM_BENCH(bench) {
  const Disk disk;
  if (!has_uring()) return;
  for (const std::size_t count : {std::size_t{1}, kMostAtOnce}) {
    const std::string tail = "_read_4K_depth" + std::to_string(count);
    const int fd = disk.file.fd();
    const auto engine = *Engine::create({.kind = EngineKind::kUring, .files = {&fd, 1}});
    const auto queue = queue_on(disk, EngineKind::kUring);
    PlainRing plain(disk);
    bench.run("block/engine" + tail, count, [&] { read_all(*engine, disk, count); });
    bench.floor("block/engine" + tail, count, [&] { plain.read_all(count); });
    bench.run("block/queue" + tail, count, [&] { read_all(*queue, disk, count); });
    bench.floor("block/queue" + tail, count, [&] { plain.read_all(count); });
  }
}

}  // namespace
}  // namespace vmm::block
