// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/block/image_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>

#include "vmm/sys_util/file_lock.h"
#include "vmm/sys_util/ioctl.h"

namespace vmm::block {
namespace {

using sys_util::FileLock;
using sys_util::FileRange;

constexpr std::uint32_t kSector = 512;
constexpr std::uint32_t kMaxBlock = 65536;
/// Of direct transfers when nobody says better: right for every disk there is.
constexpr std::uint32_t kSafeAlignment = 4096;

constexpr const char* kInUse = "lock the image; is another program using it?";
// The bytes of LockKind::kQemu: what is done stands from 100 on, what is not let from 200 on.
constexpr FileRange kReads{100, 1};
constexpr FileRange kWrites{101, 1};
constexpr FileRange kLetsNobodyRead{200, 1};
constexpr FileRange kLetsNobodyWrite{201, 1};

constexpr bool is_block_size(std::uint64_t bytes) {
  return bytes >= kSector && bytes <= kMaxBlock && std::has_single_bit(bytes);
}

int access_mode(bool writable) { return writable ? O_RDWR : O_RDONLY; }

/// A second description of the same file, with its own flags.
Result<UniqueFd> reopen(int fd, int flags) {
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  UniqueFd again(::open(path, flags | O_CLOEXEC));  // NOLINT: the kernel's interface
  if (!again) return fail(Error::from_errno("open the image a second time"));
  return again;
}

/// What the kernel says of direct transfers; 0: nothing.
std::uint32_t kernel_alignment([[maybe_unused]] int fd) {
#ifdef STATX_DIOALIGN
  struct statx about = {};
  if (::syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &about) == 0 &&
      (about.stx_mask & STATX_DIOALIGN) != 0 && about.stx_dio_offset_align != 0) {
    return std::max({about.stx_dio_offset_align, about.stx_dio_mem_align, kSector});
  }
#endif
  return 0;
}

/// Whether a direct read with this alignment, and no better one, is accepted.
bool reads_aligned_to(int fd, std::uint32_t alignment) {
  struct Free {
    void operator()(void* at) const { std::free(at); }
  };
  const std::unique_ptr<void, Free> block(std::aligned_alloc(kMaxBlock, kMaxBlock));
  if (block == nullptr) return false;
  return ::pread(fd, static_cast<char*>(block.get()) + alignment, alignment, alignment) >= 0;
}

std::uint32_t direct_alignment(int fd) {
  const std::uint32_t told = kernel_alignment(fd);
  if (is_block_size(told)) return told;
  return reads_aligned_to(fd, kSector) ? kSector : kSafeAlignment;
}

Result<BlockSizes> device_sizes(int fd) {
  BlockSizes sizes;
  int logical = 0;
  unsigned physical = 0;
  unsigned optimal = 0;
  VMM_TRY_DO(sys_util::ioctl(fd, VMM_IOCTL(BLKSSZGET), &logical));
  VMM_TRY_DO(sys_util::ioctl(fd, VMM_IOCTL(BLKPBSZGET), &physical));
  if (auto asked = sys_util::ioctl(fd, VMM_IOCTL(BLKIOOPT), &optimal); !asked) optimal = 0;
  if (logical > 0 && is_block_size(static_cast<unsigned>(logical))) {
    sizes.logical = static_cast<std::uint32_t>(logical);
  }
  sizes.physical = is_block_size(physical) ? std::max(physical, sizes.logical) : sizes.logical;
  sizes.optimal = optimal;
  return sizes;
}

}  // namespace

Result<ImageFile> ImageFile::open(const std::string& path, const Options& options) {
  // Without blocking: a fifo would wait for its other end.
  UniqueFd fd(::open(path.c_str(),  // NOLINT: the kernel's interface
                     access_mode(options.writable) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
                         (options.direct ? O_DIRECT : 0)));
  if (!fd) return fail(Error::from_errno("open the image"));
  ImageFile file;
  file.fd_ = std::move(fd);
  VMM_TRY_DO(file.look_at(options));
  return file;
}

Result<ImageFile> ImageFile::adopt(UniqueFd fd, const Options& options) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0) return fail(Error::from_errno("look at the image's descriptor"));
  const int mode = flags & O_ACCMODE;
  if (mode == O_WRONLY || (options.writable && mode != O_RDWR)) {
    return fail(Error::os(EACCES, "use the image's descriptor"));
  }
  ImageFile file;
  file.fd_ = std::move(fd);
  if (options.direct && (flags & O_DIRECT) == 0) {
    VMM_TRY(file.fd_, reopen(file.fd_.get(), access_mode(options.writable) | O_DIRECT));
  }
  VMM_TRY_DO(file.look_at(options));
  return file;
}

Result<void> ImageFile::look_at(const Options& options) {
  struct stat about = {};
  if (::fstat(fd_.get(), &about) != 0) return fail(Error::from_errno("look at the image"));
  // Asynchronous transfers would end with EAGAIN instead of waiting.
  const int flags = ::fcntl(fd_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd_.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) {
    return fail(Error::from_errno("look at the image's descriptor"));
  }
  writable_ = options.writable;
  block_device_ = S_ISBLK(about.st_mode);
  if (!block_device_ && !S_ISREG(about.st_mode)) {
    return fail(Error::os(EINVAL, "the image is neither a file nor a block device"));
  }
  if (block_device_) {
    VMM_TRY(block_sizes_, device_sizes(fd_.get()));
  }
  if ((flags & O_DIRECT) != 0) {
    alignment_ = direct_alignment(fd_.get());
    VMM_TRY(buffered_, reopen(fd_.get(), access_mode(writable_)));
    block_sizes_.logical = std::max(block_sizes_.logical, alignment_);
    block_sizes_.physical = std::max(block_sizes_.physical, block_sizes_.logical);
  } else if (!block_device_ && is_block_size(static_cast<std::uint64_t>(about.st_blksize))) {
    block_sizes_.physical = static_cast<std::uint32_t>(about.st_blksize);
  }
  return {};
}

Result<std::uint64_t> ImageFile::size_bytes() const {
  if (block_device_) {
    std::uint64_t bytes = 0;
    VMM_TRY_DO(sys_util::ioctl(fd_.get(), VMM_IOCTL(BLKGETSIZE64), &bytes));
    return bytes;
  }
  struct stat about = {};
  if (::fstat(fd_.get(), &about) != 0) return fail(Error::from_errno("look at the image"));
  return static_cast<std::uint64_t>(about.st_size);
}

Result<void> ImageFile::set_size(std::uint64_t bytes) const {
  if (block_device_) return fail(Error::os(ENOTSUP, "change the size of a block device"));
  if (bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return fail(Error::os(EFBIG, "change the size of the image"));
  }
  while (::ftruncate(buffered_fd(), static_cast<off_t>(bytes)) != 0) {
    if (errno != EINTR) return fail(Error::from_errno("change the size of the image"));
  }
  return {};
}

Result<void> ImageFile::sync_data() const {
  if (sync_failed()) return fail(Error::os(EIO, "an image that could not be written to its disk"));
  while (::fdatasync(buffered_fd()) != 0) {
    if (errno == EINTR) continue;
    const int error = errno;
    note_failed_sync();
    return fail(Error::os(error, "write the image to its disk"));
  }
  return {};
}

Result<void> ImageFile::lock(LockKind kind) {
  if (kind == LockKind::kQemu) return lock_as_qemu();
  FileRange range = sys_util::kWholeFile;
  if (kind == LockKind::kByteRange) {
    VMM_TRY(const std::uint64_t bytes, size_bytes());
    range.length = std::max<std::uint64_t>(bytes, 1);  // 0 would be all there may ever be
  }
  const FileLock lock = writable_ ? FileLock::kExclusive : FileLock::kShared;
  VMM_TRY_DO(sys_util::lock_file(fd_.get(), lock, range, kInUse));
  locked_ = true;
  return {};
}

// Whoever opens an image marks what it does, and what it does not let others do, with locks that
// all can share; then it looks for marks of others that do not go with its own.
Result<void> ImageFile::lock_as_qemu() {
  const std::array marks{kReads, kLetsNobodyWrite, kWrites};
  const std::array against{kLetsNobodyRead, kWrites, kLetsNobodyWrite};
  const std::size_t count = writable_ ? 3 : 2;
  Result<void> done;
  for (std::size_t i = 0; done && i < count; ++i) {
    done = sys_util::lock_file(fd_.get(), FileLock::kShared, marks[i], kInUse);
  }
  for (std::size_t i = 0; done && i < count; ++i) {
    const auto other = sys_util::foreign_lock(fd_.get(), against[i]);
    if (!other) done = fail(other.error());
    if (other && *other != FileLock::kNone) done = fail(Error::os(EAGAIN, kInUse));
  }
  if (!done && !locked_) (void)sys_util::lock_file(fd_.get(), FileLock::kNone);
  locked_ = locked_ || done.has_value();
  return done;
}

ImageFile::~ImageFile() {
  if (locked_ && fd_) (void)sys_util::lock_file(fd_.get(), FileLock::kNone);
}

}  // namespace vmm::block
