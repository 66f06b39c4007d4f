// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Raw images, the files they are in, and what a kernel may refuse.

#include "vmm/block/image_file.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

#include "qemu_img.h"
#include "soon.h"

namespace vmm::block {
namespace {

using Kind = DiskRequest::Kind;

TEST_CASE("a second writer is kept out, and readers share", "[image-file]") {
  const Scratch disk(1 << 20);
  const auto [kind, other_kind] =
      GENERATE(table<LockKind, LockKind>({{LockKind::kByteRange, LockKind::kByteRange},
                                          {LockKind::kByteRange, LockKind::kFull},
                                          {LockKind::kFull, LockKind::kByteRange},
                                          {LockKind::kFull, LockKind::kFull},
                                          {LockKind::kQemu, LockKind::kQemu}}));
  const bool first_writes = GENERATE(true, false);
  const bool second_writes = GENERATE(true, false);
  {
    ImageFile first = disk.open({.writable = first_writes});
    REQUIRE(first.lock(kind));
    ImageFile second = disk.open({.writable = second_writes});
    const auto locked = second.lock(other_kind);
    CHECK(locked.has_value() == (!first_writes && !second_writes));
    if (!locked) CHECK(locked.error().is_os(EAGAIN));
    CHECK(first.lock(kind));  // again, for a new size
  }
  ImageFile later = disk.open({.writable = second_writes});
  CHECK(later.lock(other_kind));
}

TEST_CASE("a writer's lock keeps writers of the other kinds out", "[image-file]") {
  const Scratch disk(1 << 20);
  const LockKind other = GENERATE(LockKind::kByteRange, LockKind::kFull);
  const bool qemu_first = GENERATE(true, false);
  ImageFile first = disk.open();
  ImageFile second = disk.open();
  REQUIRE(first.lock(qemu_first ? LockKind::kQemu : other));
  const auto locked = second.lock(qemu_first ? other : LockKind::kQemu);
  REQUIRE_FALSE(locked);
  CHECK(locked.error().is_os(EAGAIN));
}

TEST_CASE("the bytes that stand for something are locked, and no others", "[image-file]") {
  const bool writes = GENERATE(true, false);
  const Scratch disk(0);
  ImageFile file = disk.open({.writable = writes});
  REQUIRE(file.lock(LockKind::kQemu));
  for (const off_t at : {0, 99, 100, 101, 102, 199, 200, 201, 202, 203}) {
    struct flock range{};
    range.l_type = F_WRLCK;
    range.l_start = at;
    range.l_len = 1;
    REQUIRE(::fcntl(disk.fd(), F_OFD_GETLK, &range) == 0);
    CAPTURE(at);
    CHECK((range.l_type != F_UNLCK) == (at == 100 || at == 201 || (at == 101 && writes)));
    CHECK((range.l_type == F_UNLCK || range.l_type == F_RDLCK));
  }
}

TEST_CASE("a mark of somebody else is heeded, and leaves nothing locked", "[image-file]") {
  struct Case {
    off_t at;
    bool reader, writer;  // who is kept out
  };
  const auto c = GENERATE(values<Case>({{99, false, false},
                                        {100, false, false},
                                        {101, true, true},
                                        {102, false, false},
                                        {103, false, false},
                                        {200, true, true},
                                        {201, false, true},
                                        {203, false, false}}));
  const bool writes = GENERATE(true, false);
  const Scratch disk(1 << 20);
  struct flock mark{};
  mark.l_type = F_RDLCK;
  mark.l_start = c.at;
  mark.l_len = 1;
  REQUIRE(::fcntl(disk.fd(), F_OFD_SETLK, &mark) == 0);
  ImageFile file = disk.open({.writable = writes});
  const auto locked = file.lock(LockKind::kQemu);
  CAPTURE(c.at, writes);
  const bool refused = writes ? c.writer : c.reader;
  CHECK(locked.has_value() == !refused);
  if (!refused) return;
  CHECK(locked.error().is_os(EAGAIN));
  mark.l_type = F_WRLCK;
  mark.l_start = 0;
  mark.l_len = 0;
  CHECK(::fcntl(disk.fd(), F_OFD_SETLK, &mark) == 0);
}

TEST_CASE("a lock ends with its image, whoever else still has the file open", "[image_file]") {
  const Folder folder;
  const std::string path = folder / "a.raw";
  UniqueFd kept;
  {
    UniqueFd fd(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    kept = UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));  // as a ring has it
    auto first = *ImageFile::adopt(std::move(fd), {});
    REQUIRE(first.lock(LockKind::kFull));
    const ImageFile moved = std::move(first);
    auto second = *ImageFile::open(path, {});
    CHECK_FALSE(second.lock(LockKind::kFull));
  }
  auto later = *ImageFile::open(path, {});
  CHECK(later.lock(LockKind::kFull));
}

TEST_CASE("the kinds of locks differ beyond the end of the file", "[image-file]") {
  const Scratch disk(4096);
  ImageFile file = disk.open();
  const bool full = GENERATE(true, false);
  REQUIRE(file.lock(full ? LockKind::kFull : LockKind::kByteRange));
  struct flock range{};
  range.l_type = F_WRLCK;
  range.l_start = 1 << 20;
  range.l_len = 1;
  CHECK((::fcntl(disk.fd(), F_OFD_SETLK, &range) == 0) == !full);
}

TEST_CASE("QEMU's tools and we see each other's locks", "[image-file]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string path = folder / "a.raw";
  const LockKind kind = GENERATE(LockKind::kByteRange, LockKind::kQemu);
  must_run("qemu-img create -q -f raw '" + path + "' 1M");
  {
    const auto image = open_image(path, {.format = ImageFormat::kRaw, .lock = kind});
    REQUIRE(image);
    // A reader of theirs does not mind writers; only the lock of the whole file is in its way.
    const Ran reader = run_command("qemu-io -r -f raw -c 'read 0 512' '" + path + "'");
    CHECK((reader.output.find("lock") != std::string::npos) == (kind == LockKind::kByteRange));
    CHECK(run_command("qemu-io -f raw -c 'write 0 512' '" + path + "'").output.find("lock") !=
          std::string::npos);
  }
  // The other way round: it keeps the image open as long as its input is. Its prompt says that it
  // has it; who tries before may be in its way.
  const std::string said = folder / "said";
  std::FILE* const qemu = ::popen(("qemu-io -f raw '" + path + "' >'" + said + "'").c_str(), "w");
  REQUIRE(qemu != nullptr);
  CHECK(soon([&said] {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(said, error);
    return !error && bytes != 0;
  }));
  const auto refused = open_image(path, {.format = ImageFormat::kRaw, .lock = kind});
  CHECK((!refused && refused.error().is_os(EAGAIN)));
  ::pclose(qemu);
  CHECK(open_image(path, {.format = ImageFormat::kRaw}));
}

TEST_CASE("what is no file or device is refused", "[image-file][hostile]") {
  const Folder folder;
  const std::string fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(ImageFile::open(fifo, {}).error().is_os(EINVAL));
  CHECK(ImageFile::open("/dev/null", {}).error().is_os(EINVAL));
  CHECK(ImageFile::open(folder / "none", {}).error().is_os(ENOENT));
  CHECK_FALSE(ImageFile::open(folder / "", {}));
}

TEST_CASE("a descriptor must allow what is asked of it", "[image-file]") {
  const Scratch disk(4096);
  const auto adopt = [&disk](int flags, bool writable) {
    return ImageFile::adopt(UniqueFd(::open(disk.path().c_str(), flags | O_CLOEXEC)),
                            {.writable = writable});
  };
  CHECK(adopt(O_RDWR, true));
  CHECK(adopt(O_RDWR, false));
  CHECK(adopt(O_RDONLY, false));
  CHECK(adopt(O_RDONLY, true).error().is_os(EACCES));
  CHECK(adopt(O_WRONLY, true).error().is_os(EACCES));
}

TEST_CASE("a last partial sector is not part of the disk", "[raw]") {
  const std::uint64_t bytes = GENERATE(0u, 1u, 511u, 512u, 513u, 4097u);
  const Scratch disk(bytes);
  CHECK(disk.raw()->size_bytes() == bytes / 512 * 512);
}

TEST_CASE("a raw disk gets longer and shorter while it is used", "[raw]") {
  const EngineKind engine = any_engine();
  const Scratch disk(65536);
  const auto image = disk.raw();
  const auto queue = *DiskQueue::create(image, {.engine = engine, .depth = 4});
  std::vector<std::byte> data = pattern(4096, 1);
  const IoVec list{data.data(), data.size()};
  const auto write_at = [&](std::uint64_t at) {
    return run(*queue, {.kind = Kind::kWrite, .range = {at, 4096}, .buffers = {&list, 1}}).error;
  };
  CHECK(write_at(65536) == ERANGE);
  REQUIRE(image->resize(131072));
  CHECK(image->size_bytes() == 131072);
  CHECK(write_at(65536) == 0);
  CHECK(write_at(131072 - 4096) == 0);
  REQUIRE(image->resize(65536 + 512));
  CHECK(write_at(65536) == ERANGE);
  CHECK(write_at(65536 - 4096) == 0);
  REQUIRE(image->resize(131072));
  CHECK(disk.read(131072 - 4096, 4096) == std::vector<std::byte>(4096));
  CHECK_FALSE(image->resize(513));
  const auto fixed = std::shared_ptr<Image>(*open_raw(disk.open({.writable = false}), {}));
  CHECK(fixed->resize(4096).error().is_os(EROFS));
}

TEST_CASE("a write that was begun before a raw disk got shorter does not make it longer", "[raw]") {
  const EngineKind engine = any_engine();
  const Kind kind = GENERATE(Kind::kWrite, Kind::kWriteZeroes);
  const Scratch disk(65536);
  const auto image = disk.raw();
  const auto queue = *DiskQueue::create(image, {.engine = engine, .depth = 4});
  std::vector<std::byte> data = pattern(4096, 1);
  const IoVec list{data.data(), data.size()};
  queue->submit({.kind = kind, .range = {65536 - 4096, 4096}, .buffers = {&list, 1}});
  REQUIRE(image->resize(32768));
  if (engine == EngineKind::kSync) {  // it wrote at once: as if it had not
    REQUIRE(::ftruncate(image->file().fd(), 65536) == 0);
  }
  queue->kick();
  EndedRequest ended;
  while (queue->reap({&ended, 1}) == 0) continue;
  CHECK(ended.error == 0);
  CHECK(*image->file().size_bytes() == 32768);
  REQUIRE(image->resize(65536));
  CHECK(disk.read(65536 - 4096, 4096) == std::vector<std::byte>(4096));
}

TEST_CASE("sparse=off gives a raw file all its space", "[raw]") {
  const bool sparse = GENERATE(true, false);
  const Scratch disk(1 << 20);
  const auto image = open_image(disk.path(), {.format = ImageFormat::kRaw, .sparse = sparse});
  REQUIRE(image);
  struct stat about{};
  REQUIRE(::fstat(disk.fd(), &about) == 0);
  CHECK((about.st_blocks >= (1 << 20) / 512) == !sparse);
}

TEST_CASE("a file that cannot grow fails the write, after what went well", "[raw][hostile]") {
  const EngineKind engine = any_engine();
  const Scratch disk(65536);
  const auto image = disk.raw();
  const auto queue = *DiskQueue::create(image, {.engine = engine, .depth = 4});
  REQUIRE(::ftruncate(disk.fd(), 4096) == 0);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {.rlim_cur = 8192, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::vector<std::byte> data = pattern(16384, 2);
  const IoVec list[] = {{data.data(), 5000}, {data.data() + 5000, data.size() - 5000}};
  const EndedRequest ended =
      run(*queue, {.kind = Kind::kWrite, .range = {0, 16384}, .buffers = list});
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  ::signal(SIGXFSZ, ignored);
  CHECK(ended.error == EFBIG);
  CHECK(disk.read(0, 8192) == std::vector<std::byte>(data.begin(), data.begin() + 8192));
}

TEST_CASE("a block device is a disk", "[raw]") {
  const Scratch disk(4 << 20, "/var/tmp/vmm-block");
  const Ran set_up = run_command("losetup -f --show '" + disk.path() + "'");
  if (set_up.status != 0) {
    WARN("no loop device: " << set_up.output);
    return;
  }
  const std::string device = set_up.output.substr(0, set_up.output.find('\n'));
  {
    const bool direct = GENERATE(true, false);
    const auto image = open_image(device, {.format = ImageFormat::kRaw, .direct = direct});
    REQUIRE(image);
    const std::shared_ptr<Image> disk_image =
        *open_image(device, {.format = ImageFormat::kRaw, .direct = direct, .lock = std::nullopt});
    CHECK(disk_image->size_bytes() == 4 << 20);
    CHECK(disk_image->file().is_block_device());
    CHECK(disk_image->resize(8 << 20).error().is_os(ENOTSUP));
    const auto queue = *DiskQueue::create(disk_image, {.depth = 4});
    std::vector<std::byte> data = pattern(65536, 3);
    const IoVec list{data.data(), data.size()};
    CHECK(
        run(*queue, {.kind = Kind::kWrite, .range = {65536, 65536}, .buffers = {&list, 1}}).error ==
        0);
    CHECK(run(*queue, {.kind = Kind::kFlush}).error == 0);
    CHECK(disk.read(65536, 65536) == data);
    CHECK(run(*queue, {.kind = Kind::kDiscard, .range = {65536, 4096}}).error == 0);
    CHECK(run(*queue, {.kind = Kind::kWriteZeroes, .may_unmap = true, .range = {69632, 4096}})
              .error == 0);
    CHECK(run(*queue, {.kind = Kind::kFlush}).error == 0);
    CHECK(disk.read(69632, 4096) == std::vector<std::byte>(4096));
  }
  run_command("losetup -d '" + device + "'");
}

/// Runs in a child that the kernel refuses io_uring.
template <class Body>
int without_uring(Body body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {.len = 4, .filter = code};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      ::_exit(77);
    }
    ::_exit(body());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

TEST_CASE("without io_uring, the calling thread does it", "[disk-queue]") {
  const Scratch disk(65536);
  const auto image = disk.raw();
  const int status = without_uring([&image] {
    const auto forced = DiskQueue::create(image, {.engine = EngineKind::kUring});
    if (forced || !forced.error().is_os(EPERM)) return 1;
    const auto queue = DiskQueue::create(image, {.engine = EngineKind::kAuto});
    if (!queue || (*queue)->engine_kind() != EngineKind::kSync) return 2;
    std::vector<std::byte> data(512, std::byte{9});
    const IoVec list{data.data(), data.size()};
    (*queue)->submit({.kind = Kind::kWrite, .range = {512, 512}, .buffers = {&list, 1}});
    (*queue)->kick();
    EndedRequest ended;
    if ((*queue)->reap({&ended, 1}) != 1 || ended.error != 0) return 3;
    return 0;
  });
  if (status == 77) {
    WARN("no seccomp filters here");
    return;
  }
  CHECK(status == 0);
  CHECK(disk.read(512, 512) == std::vector<std::byte>(512, std::byte{9}));
}

}  // namespace
}  // namespace vmm::block
