// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/file_io.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>

#include "vmm/sys_util/random.h"
#include "vmm/sys_util/signal.h"
#include "vmm/sys_util/temp_file.h"

using namespace vmm;
using namespace vmm::sys_util;

namespace {

std::vector<std::byte> random_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  REQUIRE(fill_random(bytes).has_value());
  return bytes;
}

}  // namespace

TEST_CASE("what was written at an offset is read from there, and the position stays") {
  const TempFile file = *TempFile::create();
  const auto data = random_bytes(100'000);
  REQUIRE(pwrite_all(file.fd(), data, 5000).has_value());
  std::vector<std::byte> back(data.size());
  REQUIRE(pread_exact(file.fd(), back, 5000).has_value());
  REQUIRE(back == data);
  REQUIRE(::lseek(file.fd(), 0, SEEK_CUR) == 0);
}

TEST_CASE("a read beyond the end is short or an error, as the function says") {
  const TempFile file = *TempFile::create();
  REQUIRE(write_all(file.fd(), random_bytes(10)).has_value());
  REQUIRE(::lseek(file.fd(), 4, SEEK_SET) == 4);
  std::array<std::byte, 10> bytes{};
  REQUIRE(*read_full(file.fd(), bytes) == 6);
  REQUIRE(*read_full(file.fd(), bytes) == 0);
  REQUIRE(*pread_full(file.fd(), bytes, 1) == 9);
  REQUIRE(*pread_full(file.fd(), bytes, 10) == 0);
  REQUIRE(pread_exact(file.fd(), bytes, 1).error().is_os(ENODATA));
  REQUIRE(pread_exact(file.fd(), bytes, 0).has_value());
  REQUIRE(pread_exact(file.fd(), {}, 1000).has_value());
}

TEST_CASE("offsets that no file can have are refused", "[hostile]") {
  const TempFile file = *TempFile::create();
  std::array<std::byte, 2> bytes{};
  for (const std::uint64_t offset :
       {std::uint64_t{1} << 63, ~std::uint64_t{0}, (std::uint64_t{1} << 63) - 2}) {
    REQUIRE(pread_exact(file.fd(), bytes, offset).error().is_os(EINVAL));
    REQUIRE(pwrite_all(file.fd(), bytes, offset).error().is_os(EINVAL));
  }
}

TEST_CASE("the rest of a file is read up to a limit") {
  const TempFile file = *TempFile::create();
  const auto data = random_bytes(200'001);
  REQUIRE(write_all(file.fd(), data).has_value());
  struct Row {
    off_t from;
    std::size_t limit;
    bool fits;
  };
  const auto row = GENERATE(values<Row>({{0, 200'001, true},
                                         {0, 200'000, false},
                                         {0, ~std::size_t{0}, true},
                                         {1, 200'000, true},
                                         {200'001, 0, true},
                                         {200'000, 0, false}}));
  REQUIRE(::lseek(file.fd(), row.from, SEEK_SET) == row.from);
  const auto got = read_to_end(file.fd(), row.limit);
  REQUIRE(got.has_value() == row.fits);
  if (row.fits) {
    REQUIRE(std::equal(got->begin(), got->end(), data.begin() + row.from, data.end()));
  } else {
    REQUIRE(got.error().is_os(EFBIG));
  }
}

TEST_CASE("transfers go on after signals and short steps") {
  const int signal = *realtime_signal(6);
  REQUIRE(set_empty_signal_handler(signal).has_value());
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const auto data = random_bytes(4 << 20);  // many times the size of a pipe
  const ThreadId receiver = ThreadId::current();
  bool sent = false;
  std::thread sender([&] {
    const std::span<const std::byte> all(data);
    for (std::size_t at = 0; at < all.size(); at += 1 << 18) {
      static_cast<void>(signal_thread(receiver, signal));
      sent = write_all(writer.get(), all.subspan(at, 1 << 18)).has_value();
    }
    writer.reset();
  });
  std::vector<std::byte> back(data.size() + 1);
  const auto got = read_full(reader.get(), back);
  sender.join();
  REQUIRE(sent);
  REQUIRE(*got == data.size());
  back.pop_back();
  REQUIRE(back == data);
}

TEST_CASE("descriptors that are not open are reported", "[hostile]") {
  std::array<std::byte, 1> bytes{};
  REQUIRE(read_full(-1, bytes).error().is_os(EBADF));
  REQUIRE(write_all(-1, bytes).error().is_os(EBADF));
  REQUIRE(pread_exact(-1, bytes, 0).error().is_os(EBADF));
  REQUIRE(pwrite_all(-1, bytes, 0).error().is_os(EBADF));
  REQUIRE(read_to_end(-1, 10).error().is_os(EBADF));
}
