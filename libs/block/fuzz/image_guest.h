// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A guest that uses an image, whatever the image says.

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "vmm/base/unique_fd.h"
#include "vmm/block/disk_queue.h"
#include "vmm/block/open_image.h"
#include "vmm/sys_util/file_io.h"

namespace vmm::block {

constexpr std::size_t kMaxSectors = 600;
constexpr std::uint64_t kMaxResize = 64 << 20;
constexpr std::byte kCanary{0xa5};

struct Step {
  std::uint8_t kind = 0;
  std::uint8_t flags = 0;
  std::uint16_t sectors = 0;
  std::uint32_t sector = 0;
};

class Guest {
 public:
  explicit Guest(std::shared_ptr<Image> image)
      : image_(std::move(image)),
        queue_(*DiskQueue::create(image_,
                                  {.engine = EngineKind::kSync, .depth = 2, .max_buffers = 2})),
        memory_(kMaxSectors * 512 + 2, kCanary) {}

  void take(const Step& step) {
    const std::uint64_t sectors = std::max<std::uint64_t>(image_->size_bytes() / 512, 1);
    const std::uint64_t bytes = (1 + step.sectors % kMaxSectors) * 512;
    const std::uint64_t at = step.sector % sectors * 512;
    if (step.kind % 8 == 7) {
      (void)image_->resize(step.sector * std::uint64_t{512} % kMaxResize);
      return;
    }
    static constexpr DiskRequest::Kind kKinds[] = {
        DiskRequest::Kind::kRead,    DiskRequest::Kind::kWrite,       DiskRequest::Kind::kWrite,
        DiskRequest::Kind::kDiscard, DiskRequest::Kind::kWriteZeroes, DiskRequest::Kind::kFlush,
        DiskRequest::Kind::kRead};
    const IoVec list{memory_.data() + 1, bytes};
    DiskRequest request{.kind = kKinds[step.kind % 8],
                        .durable = (step.flags & 1) != 0,
                        .may_unmap = (step.flags & 2) != 0};
    if (request.kind != DiskRequest::Kind::kFlush) request.range = {.offset = at, .bytes = bytes};
    if (request.kind == DiskRequest::Kind::kRead || request.kind == DiskRequest::Kind::kWrite) {
      request.buffers = {&list, 1};
    }
    queue_->submit(request);
    queue_->kick();
    EndedRequest ended;
    require(queue_->reap({&ended, 1}) == 1);
    require(ended.bytes <= bytes && (ended.error == 0 || ended.error > 0));
    require(memory_.front() == kCanary);
    require(bytes + 1 == memory_.size() || memory_.back() == kCanary);
  }

 private:
  std::shared_ptr<Image> image_;
  std::unique_ptr<DiskQueue> queue_;
  std::vector<std::byte> memory_;
};

/// Opens the image by open(file), and a guest takes the steps; then again, with what became of it.
/// Its file is never longer than `max_bytes`.
template <class Open>
void use_image(const std::vector<std::byte>& bytes, bool writable, std::span<const Step> steps,
               std::uint64_t max_bytes, Open open) {
  const UniqueFd fd(::memfd_create("image", MFD_CLOEXEC));
  require(static_cast<bool>(fd));
  require(sys_util::pwrite_all(fd.get(), bytes, 0).has_value());
  for (int opening = 0; opening < 2; ++opening) {
    auto file = ImageFile::adopt(UniqueFd(::dup(fd.get())), {.writable = writable});
    require(file.has_value());
    auto image = open(*std::move(file));
    if (!image) return;
    Guest guest(*std::move(image));
    for (const Step& step : steps) guest.take(step);
  }
  struct stat about{};
  require(::fstat(fd.get(), &about) == 0);
  require(static_cast<std::uint64_t>(about.st_size) <= max_bytes);
}

}  // namespace vmm::block
