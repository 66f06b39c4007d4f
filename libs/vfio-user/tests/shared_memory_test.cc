// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/shared_memory.h"

#include <array>
#include <cerrno>
#include <memory>

#include "raw_peer.h"

namespace vmm::vfio_user {
namespace {

constexpr std::uint64_t kPage = 4096;

struct Memory {
  Bytes bytes = Bytes(kPage, std::byte{3});
  std::shared_ptr<int> owner = std::make_shared<int>();

  SharedMemory at(std::uint64_t iova, bool reads, bool writes) {
    return {.iova = iova,
            .memory = bytes,
            .owner = owner,
            .device_reads = reads,
            .device_writes = writes};
  }
};

TEST_CASE("what a device may not reach it cannot", "[shared][hostile]") {
  SharedMemoryTable table;
  Memory both, reads, writes;
  REQUIRE(table.add(both.at(0x1000, true, true)));
  REQUIRE(table.add(reads.at(0x2000, true, false)));
  REQUIRE(table.add(writes.at(0x4000, false, true)));
  Bytes some(16, std::byte{9});
  const auto read = [&](std::uint64_t iova) { return table.read(iova, some); };
  const auto write = [&](std::uint64_t iova) { return table.write(iova, some); };
  CHECK(write(0x1000));
  CHECK(read(0x1ff8));  // two that adjoin
  CHECK(is_error(read(0x0ff8), UserError::kNotMapped));
  CHECK(is_error(read(0x2ff8), UserError::kNotMapped));
  CHECK(is_error(write(0x3000), UserError::kNotMapped));
  CHECK(is_error(read(0x4000), UserError::kNotMapped));  // only for writing
  CHECK(is_error(write(0x2000), UserError::kNotWritable));
  CHECK(is_error(write(0x1ff8), UserError::kNotWritable));  // its second half
  CHECK(is_error(read(~std::uint64_t{0}), UserError::kBadRange));
  CHECK(reads.bytes[0] == std::byte{3});
  CHECK(table.add(both.at(0x1800, true, true)).error().is_os(EEXIST));
  CHECK(is_error(table.add(both.at(0 - kPage / 2, true, true)), UserError::kBadRange));
}

TEST_CASE("memory is taken back as it was given", "[shared]") {
  SharedMemoryTable table;
  Memory memory;
  REQUIRE(table.add(memory.at(0x1000, true, true)));
  CHECK(is_error(table.remove(0x1000, kPage / 2), UserError::kNotMapped));
  CHECK(is_error(table.remove(0x1800, kPage / 2), UserError::kNotMapped));
  CHECK(table.remove(0x1000, kPage));
  CHECK(is_error(table.remove(0x1000, kPage), UserError::kNotMapped));
}

// A client knows only the errno value of what it asked for in vain.
TEST_CASE("errors have the numbers that a peer is told", "[errors]") {
  CHECK(errno_of(UserError::kUnknownCommand) == ENOTSUP);
  CHECK(errno_of(UserError::kNotMapped) == EFAULT);
  CHECK(errno_of(UserError::kNotWritable) == EACCES);
  CHECK(errno_of(UserError::kBadSize) == EINVAL);
  CHECK(errno_of(Error::os(EBUSY, "test")) == EBUSY);
}

}  // namespace
}  // namespace vmm::vfio_user
