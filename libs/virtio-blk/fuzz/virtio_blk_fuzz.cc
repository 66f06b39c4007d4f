// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Input: a script for the driver; see device_fuzz.h. The host looks at the disk and changes its
// size. A read-only disk stays as it is; the file is as long as the disk, and holds what was
// written (disk_model.h).

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <utility>
#include <vector>

#include "device_fuzz.h"
#include "disk_model.h"
#include "vmm/block/open_image.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/virtio_blk/blk.h"

namespace {

using vmm::UniqueFd;

constexpr std::uint64_t kDiskBytes = 0x4000;

/// A file in memory and the device on it.
class Disk {
 public:
  explicit Disk(bool readonly)
      : readonly_(readonly), content_(kDiskBytes), file_(::memfd_create("disk", MFD_CLOEXEC)) {
    for (std::size_t i = 0; i < content_.size(); ++i) content_[i] = static_cast<std::byte>(i >> 5);
    require(vmm::sys_util::pwrite_all(file_.get(), content_, 0).has_value());
    auto file = vmm::block::ImageFile::adopt(UniqueFd(::dup(file_.get())), {.writable = !readonly});
    require(file.has_value());
    std::shared_ptr<vmm::block::Image> image = *vmm::block::open_raw(std::move(*file), {});
    device_ = *vmm::virtio_blk::Blk::create(
        image,
        {.queues = 2, .queue_size = 16, .serial = "fuzz", .engine = vmm::block::EngineKind::kSync});
  }

  [[nodiscard]] const std::shared_ptr<vmm::virtio_blk::Blk>& device() const { return device_; }
  [[nodiscard]] DriverWatch& model() { return model_; }
  void resize(std::uint64_t bytes) {
    require(device_->resize(bytes).has_value() != readonly_);
    model_.resized();
  }
  void check() const {
    model_.check();
    struct stat about = {};
    require(::fstat(file_.get(), &about) == 0);
    require(static_cast<std::uint64_t>(about.st_size) == device_->size_bytes());
    if (!readonly_) return;
    std::vector<std::byte> now(kDiskBytes);
    require(vmm::sys_util::pread_exact(file_.get(), now, 0).has_value());
    require(now == content_);
  }

 private:
  const bool readonly_;
  std::vector<std::byte> content_;
  UniqueFd file_;
  DiskModel model_{file_.get()};
  std::shared_ptr<vmm::virtio_blk::Blk> device_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Disk disk(size != 0 && (data[0] & 0x80) != 0);  // the driver's options have room for it
  const auto host_event = [&disk](Input& host) {
    disk.check();
    disk.resize(512 * (1 + host.byte() % 64u));
  };
  fuzz_device(disk.device(), input, host_event, &disk.model());
  disk.check();
  return 0;
}
