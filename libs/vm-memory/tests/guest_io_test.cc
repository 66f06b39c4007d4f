// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/guest_io.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "fd_pairs.h"
#include "vmm/base/unique_fd.h"

namespace vmm::vm_memory {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

/// Two regions of 16 KiB that touch at 0x4000, a hole, and a third one; all tracked.
struct Machine {
  std::vector<std::byte> first = std::vector<std::byte>(0x4000);
  std::vector<std::byte> second = std::vector<std::byte>(0x4000);
  std::vector<std::byte> third = std::vector<std::byte>(0x1000);
  DirtyBitmap dirty_first{0x4000};
  DirtyBitmap dirty_second{0x4000};
  std::array<RegionSpan, 3> regions{RegionSpan{GuestAddress(0), first, &dirty_first},
                                    RegionSpan{GuestAddress(0x4000), second, &dirty_second},
                                    RegionSpan{GuestAddress(0x10000), third}};
  MemoryView memory{std::span<const RegionSpan>(regions)};

  GuestSlice slice(std::uint64_t address, std::uint64_t bytes) const {
    return *memory.slice(GuestAddress(address), bytes);
  }
  std::string text(std::uint64_t address, std::size_t bytes) const {
    std::string out(bytes, '?');
    REQUIRE(memory.read_bytes(GuestAddress(address), std::as_writable_bytes(std::span(out))));
    return out;
  }
  void put(std::uint64_t address, std::string_view text_bytes) const {
    REQUIRE(memory.write_bytes(GuestAddress(address), std::as_bytes(std::span(text_bytes))));
    (void)dirty_of();
  }
  /// The marked pages of the first region, and above them of the second.
  std::uint64_t dirty_of() const {
    auto& low = *regions[0].dirty;
    auto& high = *regions[1].dirty;
    return low.get_and_reset()[0] | high.get_and_reset()[0] << 4;
  }
};

UniqueFd file_with(std::string_view text) {
  UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(::pwrite(file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  return file;
}

std::string content(const UniqueFd& file) {
  std::string out(100, '\0');
  out.resize(static_cast<std::size_t>(::pread(file.get(), out.data(), out.size(), 0)));
  return out;
}

TEST_CASE("a file is read to a list of slices", "[guest_io]") {
  const Machine machine;
  const UniqueFd file = file_with("0123456789");
  const std::array list{machine.slice(0x10, 3), machine.slice(0x4000, 0), machine.slice(0x2000, 4)};
  CHECK(*read_at(file.get(), 2, list) == 7);
  CHECK(machine.text(0x10, 3) == "234");
  CHECK(machine.text(0x2000, 4) == "5678");
  CHECK(machine.dirty_of() == 0b101);
  // A short transfer fills the first ones.
  CHECK(*read_at(file.get(), 8, list) == 2);
  CHECK(machine.text(0x10, 3) == "894");
  CHECK(machine.text(0x2000, 4) == "5678");
  CHECK(machine.dirty_of() == 0b001);
  CHECK(*read_at(file.get(), 10, list) == 0);
  CHECK(*read_at(file.get(), 0, {}) == 0);
  CHECK(machine.dirty_of() == 0);
}

TEST_CASE("slices are written to a file", "[guest_io]") {
  const Machine machine;
  machine.put(0, "abc");
  machine.put(0x4000, "defg");
  const std::array list{machine.slice(0, 3), machine.slice(0x4000, 4)};
  const UniqueFd file = file_with("0123456789");
  CHECK(*write_at(file.get(), 1, list) == 7);
  CHECK(content(file) == "0abcdefg89");
  CHECK(*write_at(file.get(), 0, std::span(list).first(1)) == 3);
  CHECK(content(file) == "abccdefg89");
  CHECK(machine.dirty_of() == 0);
}

TEST_CASE("streams go on where they were", "[guest_io]") {
  const Machine machine;
  machine.put(0, "hello, world");
  const Pipe pipe;
  const std::array out{machine.slice(0, 5), machine.slice(5, 7)};
  CHECK(*write_to(pipe.write.get(), out) == 12);
  const std::array in{machine.slice(0x1000, 3), machine.slice(0x2000, 100)};
  CHECK(*read_from(pipe.read.get(), in) == 12);
  CHECK(machine.text(0x1000, 3) == "hel");
  CHECK(machine.text(0x2000, 9) == "lo, world");
  CHECK(machine.dirty_of() == 0b110);
}

TEST_CASE("lists longer than one system call takes are moved in order", "[guest_io]") {
  const Machine machine;
  std::vector<GuestSlice> list;
  for (std::uint64_t i = 0; i < 2 * kMaxSlicesPerCall + 3; ++i) list.push_back(machine.slice(i, 1));
  std::string text(list.size() + 7, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
  const UniqueFd file = file_with(text);
  CHECK(*read_at(file.get(), 0, list) == list.size());
  CHECK(machine.text(0, list.size()) == text.substr(0, list.size()));
  // The file ends in the middle of the second call: the third one is not made.
  REQUIRE(::ftruncate(file.get(), kMaxSlicesPerCall + 5) == 0);
  CHECK(*read_at(file.get(), 0, list) == kMaxSlicesPerCall + 5);
  const UniqueFd copy = file_with("");
  CHECK(*write_at(copy.get(), 3, list) == list.size());
  CHECK(::lseek(copy.get(), 0, SEEK_END) == static_cast<off_t>(list.size() + 3));
}

TEST_CASE("a transfer of several calls ends with the first that is short or fails", "[guest_io]") {
  const Machine machine;
  std::vector<GuestSlice> list;
  for (std::uint64_t i = 0; i < kMaxSlicesPerCall + 5; ++i) list.push_back(machine.slice(i, 1));
  // One packet a call: the second one is for the next transfer.
  const auto packets = socket_pair(SOCK_DGRAM);
  REQUIRE(::send(packets.first.get(), "first", 5, 0) == 5);
  REQUIRE(::send(packets.first.get(), "next", 4, 0) == 4);
  CHECK(*read_from(packets.second.get(), list) == 5);
  CHECK(*read_from(packets.second.get(), list) == 4);
  CHECK(machine.text(0, 5) == "nextt");
  // What came before an error counts; the next transfer meets it.
  const Pipe pipe;
  REQUIRE(::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK) == 0);
  const std::string text(kMaxSlicesPerCall, 'x');
  REQUIRE(::write(pipe.write.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  CHECK(*read_from(pipe.read.get(), list) == kMaxSlicesPerCall);
  CHECK(read_from(pipe.read.get(), list).error().is_os(EAGAIN));
}

TEST_CASE("a failed read marks the whole list, as it may have written", "[guest_io]") {
  const Machine machine;
  const std::array list{machine.slice(0x1000, 0x1000), machine.slice(0x5000, 10)};
  CHECK(read_at(-1, 0, list).error().is_os(EBADF));
  CHECK(machine.dirty_of() == 0b100010);
  CHECK(read_from(-1, std::span(list).first(1)).error().is_os(EBADF));
  CHECK(machine.dirty_of() == 0b10);
  CHECK(receive_from(-1, list).error().is_os(EBADF));
  CHECK(machine.dirty_of() == 0b100010);
  CHECK(read_some_from(-1, machine.memory, GuestAddress(0x3000), 0x1001).error().is_os(EBADF));
  CHECK(machine.dirty_of() == 0b11000);
  CHECK(machine.memory.read_from_file(-1, 0, GuestAddress(0), 1).error().is_os(EBADF));
  CHECK(machine.dirty_of() == 0b1);
  CHECK(write_at(-1, 0, list).error().is_os(EBADF));
  CHECK(write_some_to(-1, machine.memory, GuestAddress(0), 1).error().is_os(EBADF));
  CHECK(machine.dirty_of() == 0);
}

TEST_CASE("file offsets beyond what files have are refused", "[guest_io][hostile]") {
  const Machine machine;
  const UniqueFd file = file_with("x");
  const std::array list{machine.slice(0, 1)};
  for (const std::uint64_t offset : {kMax, std::uint64_t{1} << 63}) {
    CHECK(read_at(file.get(), offset, list).error().is_os(EINVAL));
    CHECK(write_at(file.get(), offset, list).error().is_os(EINVAL));
    CHECK(machine.memory.read_from_file(file.get(), offset, GuestAddress(0), 1)
              .error()
              .is_os(EINVAL));
    CHECK(
        machine.memory.write_to_file(file.get(), offset, GuestAddress(0), 1).error().is_os(EINVAL));
  }
}

TEST_CASE("sockets get and give one packet a list", "[guest_io]") {
  const Machine machine;
  machine.put(0, "packet");
  const auto [a, b] = socket_pair(SOCK_DGRAM);
  const std::array out{machine.slice(0, 2), machine.slice(2, 4)};
  CHECK(*send_to(a.get(), out) == 6);
  const std::array in{machine.slice(0x100, 4), machine.slice(0x4000, 9)};
  CHECK(*receive_from(b.get(), in) == 6);
  CHECK(machine.text(0x100, 4) == "pack");
  CHECK(machine.text(0x4000, 2) == "et");
  CHECK(machine.dirty_of() == 0b10001);
  CHECK(receive_from(b.get(), in, MSG_DONTWAIT).error().is_os(EAGAIN));
  for (const std::size_t size : {kMaxSlicesPerCall + 1, std::size_t{1} << 20}) {
    const std::vector<GuestSlice> long_list(size, machine.slice(0, 1));
    CHECK(receive_from(b.get(), long_list).error().is_os(EMSGSIZE));
    CHECK(send_to(a.get(), long_list).error().is_os(EMSGSIZE));
  }
}

TEST_CASE("a closed peer is an error and not a signal", "[guest_io]") {
  const Machine machine;
  auto [a, b] = socket_pair();
  b.reset();
  const std::array list{machine.slice(0, 4)};
  CHECK(send_to(a.get(), list).error().is_os(EPIPE));
}

TEST_CASE("ranges are read and written up to the first hole", "[guest_io][hostile]") {
  const Machine machine;
  const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const MemoryView memory = machine.memory;
  const auto both = [&](std::uint64_t address, std::uint64_t bytes, std::uint64_t expected) {
    INFO(address << " " << bytes);
    CHECK(*read_some_from(zero.get(), memory, GuestAddress(address), bytes) == expected);
    CHECK(*write_some_to(null.get(), memory, GuestAddress(address), bytes) == expected);
  };
  both(0, 0x100, 0x100);
  both(0x3fff, 2, 2);
  both(0x3000, 0x100000, 0x5000);
  both(0x7fff, 2, 1);
  both(0x10000, kMax, 0x1000);
  both(0x9000, 0, 0);
  CHECK(read_some_from(zero.get(), memory, GuestAddress(0x8000), 1).error().code() ==
        static_cast<int>(MemoryError::kUnmapped));
  CHECK(write_some_to(null.get(), memory, GuestAddress(kMax), 1).error().code() ==
        static_cast<int>(MemoryError::kUnmapped));
}

TEST_CASE("a range ends with the view, whatever lies behind", "[guest_io][hostile]") {
  const Machine machine;
  const MemoryView memory(std::span<const RegionSpan>(machine.regions).first(1));
  const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  CHECK(*read_some_from(zero.get(), memory, GuestAddress(0x3fff), 2) == 1);
  CHECK(machine.dirty_of() == 0b1000);
}

TEST_CASE("a short read marks what was written only", "[guest_io]") {
  const Machine machine;
  const UniqueFd file = file_with("0123456789");
  CHECK(*read_some_from(file.get(), machine.memory, GuestAddress(0x1ff6), 0x1000) == 10);
  CHECK(machine.dirty_of() == 0b10);
  REQUIRE(::lseek(file.get(), 0, SEEK_SET) == 0);
  CHECK(*read_some_from(file.get(), machine.memory, GuestAddress(0x3ff6), 0x1000) == 10);
  CHECK(machine.dirty_of() == 0b1000);
}

TEST_CASE("exact transfers move all or say why not", "[guest_io][hostile]") {
  const Machine machine;
  const MemoryView memory = machine.memory;
  const std::string text(0x2000, 'z');
  const UniqueFd file = file_with(text);
  REQUIRE(memory.read_from_file(file.get(), 0, GuestAddress(0x3000), 0x2000));
  CHECK(machine.text(0x3000, 0x2000) == text);
  CHECK(machine.dirty_of() == 0b11000);
  REQUIRE(memory.write_to_file(file.get(), 0x2000, GuestAddress(0x3000), 0x2000));
  CHECK(::lseek(file.get(), 0, SEEK_END) == 0x4000);
  CHECK(memory.read_from_file(file.get(), 0x3fff, GuestAddress(0), 2).error().is_os(ENODATA));
  CHECK(machine.text(0, 1) == "z");
  const Error hole = memory.read_from_file(file.get(), 0, GuestAddress(0x7fff), 2).error();
  CHECK(hole.code() == static_cast<int>(MemoryError::kPartial));
  CHECK(machine.text(0x7fff, 1) == std::string(1, '\0'));
  CHECK(memory.read_from_file(file.get(), 0, GuestAddress(0x9000), 0));
  CHECK(memory.read_from_file(-1, 0, GuestAddress(0), 0));  // no call is made
  CHECK(memory.write_to_file(file.get(), 0, GuestAddress(0x9000), 1).error().code() ==
        static_cast<int>(MemoryError::kUnmapped));

  // A pipe gives less than was asked for; an exact read goes on.
  Pipe pipe;
  std::thread writer([&] {
    for (int i = 0; i < 8; ++i) {
      (void)!::write(pipe.write.get(), "abcd", 4);
      ::usleep(500);
    }
    pipe.write.reset();
  });
  CHECK(read_exactly_from(pipe.read.get(), memory, GuestAddress(0x3ff0), 30));
  CHECK(machine.text(0x3ff0, 30) == "abcdabcdabcdabcdabcdabcdabcdab");
  CHECK(read_exactly_from(pipe.read.get(), memory, GuestAddress(0), 3).error().is_os(ENODATA));
  writer.join();
  const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  CHECK(write_exactly_to(null.get(), memory, GuestAddress(0x10), 0x7000));

  // A packet of no bytes is the end, whatever comes after it.
  const auto packets = socket_pair(SOCK_DGRAM);
  REQUIRE(::send(packets.first.get(), "", 0, 0) == 0);
  REQUIRE(::send(packets.first.get(), "abc", 3, 0) == 3);
  CHECK(read_exactly_from(packets.second.get(), memory, GuestAddress(0), 3).error().is_os(ENODATA));
}

void ignore(int) {}

TEST_CASE("an interrupted call is made again", "[guest_io]") {
  struct sigaction action = {};
  action.sa_handler = &ignore;  // without SA_RESTART
  struct sigaction before = {};
  REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
  const Machine machine;
  const Pipe pipe;
  const pthread_t self = ::pthread_self();
  std::thread other([&] {
    for (int i = 0; i < 20; ++i) {
      ::pthread_kill(self, SIGUSR1);
      ::usleep(1000);
    }
    (void)!::write(pipe.write.get(), "done", 4);
  });
  const std::array list{machine.slice(0, 4)};
  const auto got = read_from(pipe.read.get(), list);
  other.join();
  REQUIRE(got);
  CHECK(machine.text(0, *got) == "done");
  ::sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace
}  // namespace vmm::vm_memory
