// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// dax-file: a file system of one file, which it maps into the guest's window when the guest asks
// for that. For tests of such windows: it speaks as much of FUSE as a mount of Linux needs, and
// says at its end what it was asked for.

#include <dirent.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon_program.h"
#include "vmm/base/checked.h"
#include "vmm/base/mutex.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_queue/chain.h"

namespace {

using namespace vmm;
using vhost_user::ProtocolFeature;
using vhost_user::ShmemArea;
using virtio_queue::Reader;

constexpr std::uint64_t kFile = 2;  // a node; FUSE_ROOT_ID is the folder
constexpr const char* kName = "file";
constexpr std::size_t kMostData = 1 << 17;
constexpr std::uint32_t kPageBits = 12;

/// What it was asked for.
struct Counts {
  std::atomic<unsigned> reads{0};
  std::atomic<unsigned> writes{0};
  std::atomic<unsigned> mappings{0};
};

/// The way to the front end, which comes and goes.
class Window final : public vhost_user_backend::DeviceExtension {
 public:
  explicit Window(std::uint64_t bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t protocol_features() const override {
    return bit(ProtocolFeature::kShmem);
  }
  [[nodiscard]] vhost_user::ShmemConfig shmem_config() const override {
    vhost_user::ShmemConfig config{.count = 1};
    config.bytes[0] = bytes_;
    return config;
  }
  void set_services(std::shared_ptr<vhost_user_backend::FrontendServices> given) override {
    const MutexLock lock(mutex_);
    services_ = std::move(given);
    mapped_.clear();
  }
  /// In place of what is mapped there, as FUSE has it; only where that is the same range.
  bool map(const ShmemArea& area, int fd) {
    const MutexLock lock(mutex_);
    if (services_ == nullptr) return false;
    if (mapped_.contains(area.offset) && !drop(area.offset, area.bytes)) return false;
    if (!services_->map_shmem(area, fd)) return false;
    mapped_.emplace(area.offset, area.bytes);
    return true;
  }
  bool unmap(std::uint64_t offset, std::uint64_t bytes) {
    const MutexLock lock(mutex_);
    return services_ != nullptr && drop(offset, bytes);
  }
  void unmap_all() {
    const MutexLock lock(mutex_);
    while (services_ != nullptr && !mapped_.empty()) {
      const auto [offset, bytes] = *mapped_.begin();
      (void)drop(offset, bytes);  // a reset has unmapped it
    }
  }

 private:
  bool drop(std::uint64_t offset, std::uint64_t bytes) VMM_REQUIRES(mutex_) {
    const auto found = mapped_.find(offset);
    if (found == mapped_.end() || found->second != bytes) return false;
    mapped_.erase(found);
    return services_->unmap_shmem({.offset = offset, .bytes = bytes}).has_value();
  }

  const std::uint64_t bytes_;
  Mutex mutex_;
  std::shared_ptr<vhost_user_backend::FrontendServices> services_ VMM_GUARDED_BY(mutex_);
  std::map<std::uint64_t, std::uint64_t> mapped_ VMM_GUARDED_BY(mutex_);
};

/// Answers one request after the other.
class OneFile {
 public:
  OneFile(int fd, Window& window, Counts& counts) : fd_(fd), window_(window), counts_(counts) {}

  /// The bytes of the answer; 0: there is none.
  std::uint32_t serve(virtio_queue::Chain& chain) {
    Reader in = chain.reader();
    const auto header = take<fuse_in_header>(in);
    if (!header) return 0;
    answer_.clear();
    const int error = header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET
                          ? kSilence
                          : handle(*header, in);
    if (error == kSilence) return 0;
    if (error != 0) answer_.clear();
    const fuse_out_header out{.len = static_cast<std::uint32_t>(sizeof(out) + answer_.size()),
                              .error = -error,
                              .unique = header->unique};
    virtio_queue::Writer writer = chain.writer();
    std::size_t written = writer.write(std::as_bytes(std::span(&out, 1)));
    written += writer.write(answer_);
    return static_cast<std::uint32_t>(written);
  }

 private:
  static constexpr int kSilence = -1;

  template <class T>
  static std::optional<T> take(Reader& in) {
    T value{};
    if (in.read(std::as_writable_bytes(std::span(&value, 1))) != sizeof(T)) return std::nullopt;
    return value;
  }
  template <class T>
  int answer(const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    answer_.insert(answer_.end(), bytes.begin(), bytes.end());
    return 0;
  }

  // An errno.
  int handle(const fuse_in_header& header, Reader& in) {
    switch (header.opcode) {
      case FUSE_INIT:
        return init(in);
      case FUSE_LOOKUP:
        return look_up(in);
      case FUSE_GETATTR:
        return answer_attributes(header.nodeid);
      case FUSE_SETATTR:
        return set_attributes(header, in);
      case FUSE_OPEN:
      case FUSE_OPENDIR:
        return answer(fuse_open_out{});
      case FUSE_READ:
        return read(in);
      case FUSE_WRITE:
        return write(in);
      case FUSE_READDIR:
        return list(in);
      case FUSE_STATFS:
        return answer(fuse_statfs_out{});
      case FUSE_SETUPMAPPING:
        return set_up_mapping(in);
      case FUSE_REMOVEMAPPING:
        return remove_mappings(in);
      case FUSE_DESTROY:
        window_.unmap_all();
        return 0;
      case FUSE_FSYNC:
        return ::fsync(fd_) == 0 ? 0 : errno;
      case FUSE_FLUSH:
      case FUSE_RELEASE:
      case FUSE_RELEASEDIR:
      case FUSE_ACCESS:
        return 0;
      default:
        return ENOSYS;
    }
  }

  int init(Reader& in) {
    const auto wanted = take<fuse_init_in>(in);
    if (!wanted || wanted->major != FUSE_KERNEL_VERSION) return EPROTO;
    window_.unmap_all();
    fuse_init_out out{};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = FUSE_KERNEL_MINOR_VERSION;
    out.max_readahead = wanted->max_readahead;
    out.flags = wanted->flags & FUSE_MAP_ALIGNMENT;
    out.max_write = kMostData;
    out.time_gran = 1;
    out.map_alignment = kPageBits;
    return answer(out);
  }

  fuse_attr attributes(std::uint64_t node) const {
    struct stat status{};
    (void)::fstat(fd_, &status);
    const bool file = node == kFile;
    fuse_attr attributes{};
    attributes.ino = node;
    attributes.size = file ? static_cast<std::uint64_t>(status.st_size) : 0;
    attributes.blocks = file ? static_cast<std::uint64_t>(status.st_blocks) : 0;
    attributes.mode = file ? S_IFREG | 0644u : S_IFDIR | 0755u;
    attributes.nlink = 1;
    attributes.blksize = 4096;
    return attributes;
  }

  int answer_attributes(std::uint64_t node) {
    fuse_attr_out out{};
    out.attr = attributes(node);
    return answer(out);
  }

  int look_up(Reader& in) {
    std::array<char, 8> name{};
    (void)in.read(std::as_writable_bytes(std::span(name).first(name.size() - 1)));
    if (std::strcmp(name.data(), kName) != 0) return ENOENT;
    fuse_entry_out out{};
    out.nodeid = kFile;
    out.attr = attributes(kFile);
    return answer(out);
  }

  int set_attributes(const fuse_in_header& header, Reader& in) {
    const auto wanted = take<fuse_setattr_in>(in);
    if (!wanted) return EINVAL;
    if ((wanted->valid & FATTR_SIZE) != 0 && header.nodeid == kFile) {
      const auto size = checked_cast<off_t>(wanted->size);
      if (!size || ::ftruncate(fd_, *size) != 0) return EINVAL;
    }
    return answer_attributes(header.nodeid);
  }

  int read(Reader& in) {
    const auto wanted = take<fuse_read_in>(in);
    if (!wanted) return EINVAL;
    ++counts_.reads;
    answer_.resize(std::min<std::size_t>(wanted->size, kMostData));
    const ssize_t got =
        ::pread(fd_, answer_.data(), answer_.size(), static_cast<off_t>(wanted->offset));
    if (got < 0) return errno;
    answer_.resize(static_cast<std::size_t>(got));
    return 0;
  }

  int write(Reader& in) {
    const auto wanted = take<fuse_write_in>(in);
    if (!wanted) return EINVAL;
    ++counts_.writes;
    data_.resize(std::min<std::size_t>(wanted->size, kMostData));
    const std::size_t there = in.read(data_);
    const ssize_t done = ::pwrite(fd_, data_.data(), there, static_cast<off_t>(wanted->offset));
    if (done < 0) return errno;
    fuse_write_out out{};
    out.size = static_cast<std::uint32_t>(done);
    return answer(out);
  }

  int list(Reader& in) {
    const auto wanted = take<fuse_read_in>(in);
    if (!wanted) return EINVAL;
    constexpr std::size_t kEntry = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + sizeof("file") - 1);
    if (wanted->offset != 0 || wanted->size < kEntry) return 0;
    fuse_dirent entry{};
    entry.ino = kFile;
    entry.off = 1;
    entry.namelen = static_cast<std::uint32_t>(std::strlen(kName));
    entry.type = DT_REG;
    answer_.resize(kEntry);
    std::memcpy(answer_.data(), &entry, FUSE_NAME_OFFSET);
    std::memcpy(answer_.data() + FUSE_NAME_OFFSET, kName, entry.namelen);
    return 0;
  }

  int set_up_mapping(Reader& in) {
    const auto wanted = take<fuse_setupmapping_in>(in);
    if (!wanted) return EINVAL;
    ++counts_.mappings;
    const bool writable = (wanted->flags & FUSE_SETUPMAPPING_FLAG_WRITE) != 0;
    return window_.map({.fd_offset = wanted->foffset,
                        .offset = wanted->moffset,
                        .bytes = wanted->len,
                        .flags = writable ? ShmemArea::kWritable : std::uint64_t{0}},
                       fd_)
               ? 0
               : EIO;
  }

  int remove_mappings(Reader& in) {
    const auto wanted = take<fuse_removemapping_in>(in);
    if (!wanted) return EINVAL;
    for (std::uint32_t i = 0; i < wanted->count; ++i) {
      const auto one = take<fuse_removemapping_one>(in);
      if (!one || !window_.unmap(one->moffset, one->len)) return EINVAL;
    }
    return 0;
  }

  int fd_;
  Window& window_;
  Counts& counts_;
  std::vector<std::byte> answer_;
  std::vector<std::byte> data_;
};

class FileWorker final : public virtio_device::Worker {
 public:
  FileWorker(const OneFile& file, virtio_device::Activation& activation) : file_(file) {
    for (virtio_device::ActiveQueue& queue : activation.queues) {
      queues_.push_back(
          std::make_unique<virtio_device::QueueRunner>(std::move(queue), activation.interrupt));
    }
  }
  Result<void> start(event_manager::EventLoop& loop) override {
    for (const auto& queue : queues_) {
      VMM_TRY_DO(queue->start(loop, [this, &queue = *queue] {
        queue.serve(chain_, [this](virtio_queue::Chain& chain) {
          return std::optional<std::uint32_t>(file_.serve(chain));
        });
      }));
    }
    return {};
  }

 private:
  OneFile file_;
  std::vector<std::unique_ptr<virtio_device::QueueRunner>> queues_;
  virtio_queue::InlineChain<64> chain_;
};

class FileSystem final : public virtio_device::VirtioDevice {
 public:
  FileSystem(UniqueFd file, std::shared_ptr<Window> window, Counts& counts)
      : file_(std::move(file)), window_(std::move(window)), counts_(counts) {}
  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kFs;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kSizes; }
  [[nodiscard]] std::uint64_t features() const override { return 0; }
  [[nodiscard]] std::size_t config_bytes() const override { return 0; }
  void read_config(std::span<std::byte>) override {}
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override {
    virtio_device::WorkerList workers;
    workers.push_back(
        std::make_unique<FileWorker>(OneFile(file_.get(), *window_, counts_), activation));
    return workers;
  }
  void reset() override {}

 private:
  static constexpr std::array<std::uint16_t, 2> kSizes{1024, 1024};

  UniqueFd file_;
  std::shared_ptr<Window> window_;
  Counts& counts_;
};

}  // namespace

int main(int argc, char** argv) {
  std::string path;
  std::uint64_t window_bytes = 1 << 26;
  Counts counts;
  vhost_user_daemon::Program program{
      .name = "dax-file",
      .type = "fs",
      .features = {},
      .options = {{"file", "PATH", "the file (required)",
                   [&](std::string_view value) {
                     path = value;
                     return !value.empty();
                   }},
                  {"window", "BYTES", "the size of the window, a power of two (default 64 MiB)",
                   [&](std::string_view value) {
                     return vhost_user_daemon::parse_number(value, window_bytes);
                   }}},
      .make_device = {}};
  program.make_device =
      [&](event_manager::EventLoop&) -> Result<std::shared_ptr<virtio_device::VirtioDevice>> {
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!file) return fail(Error::from_errno("open"));
    auto window = std::make_shared<Window>(window_bytes);
    program.extension = window;
    return std::shared_ptr<virtio_device::VirtioDevice>(
        std::make_shared<FileSystem>(std::move(file), std::move(window), counts));
  };
  const int status = vhost_user_daemon::run(program, argc, argv);
  std::fprintf(stderr, "reads %u writes %u mappings %u\n", counts.reads.load(),
               counts.writes.load(), counts.mappings.load());
  return status;
}
