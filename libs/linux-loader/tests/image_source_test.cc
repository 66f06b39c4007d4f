// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/linux_loader/image_source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "builders.h"
#include "vmm/base/unique_fd.h"

namespace vmm::linux_loader {
namespace {

using namespace testing;

UniqueFd file_with(const Bytes& content) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(fd);
  REQUIRE(::write(fd.get(), content.data(), content.size()) ==
          static_cast<ssize_t>(content.size()));
  return fd;
}

Bytes counting(std::size_t bytes) {
  Bytes content(bytes);
  for (std::size_t i = 0; i < bytes; ++i) content[i] = static_cast<std::byte>(i % 251);
  return content;
}

TEST_CASE("a file and bytes in memory give the same", "[source]") {
  const Bytes content = counting(10000);
  const UniqueFd fd = file_with(content);
  const auto file = ImageSource::from_fd(fd.get());
  REQUIRE(file);
  const bool from_file = GENERATE(true, false);
  const ImageSource source = from_file ? *file : ImageSource::from_bytes(content);
  CHECK(source.size() == 10000);
  const auto part = source.part(1000, 5000);
  REQUIRE(part);
  CHECK(part->size() == 5000);
  const auto inner = part->part(10, 20);
  REQUIRE(inner);
  Bytes scratch(20);
  const auto bytes = inner->peek(0, scratch);
  REQUIRE(bytes);
  CHECK(std::equal(bytes->begin(), bytes->end(), content.begin() + 1010));
  CHECK((bytes->data() == scratch.data()) == from_file);
  const Ram ram(0x4000);
  REQUIRE(part->load(1, 4999, ram.view(), GuestAddress(0x100)));
  CHECK(ram.at(0x100) == content[1001]);
  CHECK(ram.at(0x100 + 4998) == content[5999]);
  CHECK(ram.untouched(0x100 + 4999, 0x4000));
}

TEST_CASE("what passes the end of a source is a truncation", "[source][hostile]") {
  const Bytes content = counting(100);
  const UniqueFd fd = file_with(content);
  const auto file = ImageSource::from_fd(fd.get());
  REQUIRE(file);
  const bool from_file = GENERATE(true, false);
  const ImageSource source = from_file ? *file : ImageSource::from_bytes(content);
  const Ram ram(0x1000);
  struct Case {
    std::uint64_t offset;
    std::uint64_t bytes;
  };
  const auto c = GENERATE(values<Case>({{0, 101}, {100, 1}, {101, 0}, {kTop, 1}, {1, kTop}}));
  CHECK_FALSE(source.part(c.offset, c.bytes));
  const auto loaded = source.load(c.offset, c.bytes, ram.view(), GuestAddress(0));
  REQUIRE_FALSE(loaded);
  CHECK(is(loaded.error(), LoadError::kTruncated));
  Bytes scratch(200);
  if (c.bytes <= scratch.size()) {
    CHECK_FALSE(source.peek(c.offset, std::span(scratch).first(c.bytes)));
  }
  CHECK(ram.untouched());
}

TEST_CASE("what does not fit into RAM is refused before anything is written", "[source][hostile]") {
  const Bytes content = counting(100);
  const UniqueFd fd = file_with(content);
  const auto file = ImageSource::from_fd(fd.get());
  REQUIRE(file);
  const bool from_file = GENERATE(true, false);
  const ImageSource source = from_file ? *file : ImageSource::from_bytes(content);
  const Ram ram(0x1000, 0x1000);
  for (const std::uint64_t at : {std::uint64_t{0xfff}, std::uint64_t{0x2000 - 99}, kTop - 10}) {
    const auto loaded = source.load(0, 100, ram.view(), GuestAddress(at));
    REQUIRE_FALSE(loaded);
    CHECK(is(loaded.error(), LoadError::kOutsideRam));
  }
  CHECK(ram.untouched());
}

TEST_CASE("a file that shrinks while it is read is a truncation", "[source][hostile]") {
  const UniqueFd fd = file_with(counting(100));
  const auto source = ImageSource::from_fd(fd.get());
  REQUIRE(source);
  REQUIRE(::ftruncate(fd.get(), 50) == 0);
  Bytes scratch(100);
  const auto bytes = source->peek(0, scratch);
  REQUIRE_FALSE(bytes);
  CHECK(is(bytes.error(), LoadError::kTruncated));
  const Ram ram(0x1000);
  const auto loaded = source->load(0, 100, ram.view(), GuestAddress(0));
  REQUIRE_FALSE(loaded);
  CHECK(is(loaded.error(), LoadError::kTruncated));
}

TEST_CASE("only regular files are taken", "[source][hostile]") {
  int pipe_fds[2];
  REQUIRE(::pipe2(pipe_fds, O_CLOEXEC) == 0);
  const UniqueFd pipe_end(pipe_fds[0]);
  const UniqueFd other_end(pipe_fds[1]);
  const UniqueFd folder(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd device(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (const UniqueFd* fd : {&pipe_end, &folder, &device, &socket}) {
    REQUIRE(*fd);
    const auto source = ImageSource::from_fd(fd->get());
    REQUIRE_FALSE(source);
    CHECK(is(source.error(), LoadError::kNotAFile));
  }
  const auto closed = ImageSource::from_fd(-1);
  REQUIRE_FALSE(closed);
  CHECK(closed.error().is_os(EBADF));
}

TEST_CASE("a file that cannot be opened gives its errno", "[source][hostile]") {
  CHECK(open_image("/nonexistent/kernel").error().is_os(ENOENT));
}

TEST_CASE("a descriptor that cannot be read gives its errno", "[source][hostile]") {
  char name[] = "/tmp/vmm-image-source-XXXXXX";
  const UniqueFd both(::mkstemp(name));
  REQUIRE(both);
  const UniqueFd fd(::open(name, O_WRONLY | O_CLOEXEC));
  ::unlink(name);
  REQUIRE(::ftruncate(both.get(), 100) == 0);
  const auto source = ImageSource::from_fd(fd.get());
  REQUIRE(source);
  Bytes scratch(10);
  CHECK(source->peek(0, scratch).error().is_os(EBADF));
  const Ram ram(0x1000);
  CHECK(source->load(0, 10, ram.view(), GuestAddress(0)).error().is_os(EBADF));
}

TEST_CASE("kernels load from files as from memory", "[source]") {
  const Bytes image = GENERATE(build(Elf{}), build(BzImage{}));
  const UniqueFd fd = file_with(image);
  const auto source = ImageSource::from_fd(fd.get());
  REQUIRE(source);
  const Ram from_file(2 * kMiB);
  const Ram from_bytes(2 * kMiB);
  const auto a = load_kernel(from_file.view(), *source, {});
  const auto b = load(from_bytes, image, {});
  REQUIRE(a);
  REQUIRE(b);
  CHECK(a->load == b->load);
  CHECK(a->end == b->end);
  CHECK(a->entry == b->entry);
  for (std::uint64_t at = 0; at < 2 * kMiB; ++at) {
    if (from_file.at(at) != from_bytes.at(at)) FAIL_CHECK("differs at " << at);
  }
}

}  // namespace
}  // namespace vmm::linux_loader
