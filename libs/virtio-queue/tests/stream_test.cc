// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/stream.h"

#include <sys/uio.h>

#include <catch2/catch.hpp>
#include <numeric>

#include "rig.h"

namespace vmm::virtio_queue {
namespace {

static_assert(sizeof(iovec) == sizeof(vm_memory::IoVec));
static_assert(offsetof(iovec, iov_len) == offsetof(vm_memory::IoVec, bytes));

std::vector<std::byte> counting(std::size_t n, int from = 0) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(from + static_cast<int>(i));
  return bytes;
}

/// A chain of readable and writable buffers of these lengths, one after the other in memory with
/// one byte between them.
void pop_chain(Rig& rig, const std::vector<std::uint32_t>& readables,
               const std::vector<std::uint32_t>& writables) {
  std::vector<driver::Buffer> buffers;
  std::uint64_t at = kBuffers;
  for (const std::uint32_t n : readables) {
    buffers.push_back(readable(at, n));
    at += n + 1;
  }
  for (const std::uint32_t n : writables) {
    buffers.push_back(writable(at, n));
    at += n + 1;
  }
  rig.offer(buffers);
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
}

TEST_CASE("an object is read across buffers of one byte", "[stream]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = 16, .packed = packed});
  const auto image = counting(64);
  REQUIRE(rig.view().write_bytes(GuestAddress(kBuffers), image));
  pop_chain(rig, {1, 1, 1, 1, 1, 1, 1, 1, 4}, {});
  Reader reader = rig.chain.reader();
  CHECK(reader.remaining() == 12);
  const auto word = reader.read_obj<Le64>();
  REQUIRE(word);
  CHECK(word->get() == 0x0e0c0a0806040200);
  CHECK(reader.remaining() == 4);
  CHECK(reader.read_obj<Le64>().error() == QueueError::kEndOfChain);
  CHECK(reader.remaining() == 4);
  const auto half = reader.read_obj<Le32>();
  REQUIRE(half);
  CHECK(half->get() == 0x13121110);
  CHECK(reader.remaining() == 0);
  CHECK_FALSE(reader.read_obj<std::uint8_t>());
}

TEST_CASE("bytes are read exactly, partly, and skipped", "[stream]") {
  Rig rig({.size = 16});
  REQUIRE(rig.view().write_bytes(GuestAddress(kBuffers), counting(64)));
  pop_chain(rig, {4, 0, 3, 5}, {7});
  Reader reader = rig.chain.reader();
  std::array<std::byte, 6> six{};
  REQUIRE(reader.read_exact(six));
  CHECK(six[3] == std::byte{3});
  CHECK(six[4] == std::byte{6});  // 4 bytes, a gap, no bytes, a gap
  CHECK(reader.skip(7).error() == QueueError::kEndOfChain);
  CHECK(reader.skip(1));
  CHECK(reader.skip(0));
  std::vector<std::byte> many(300);
  many.resize(20);
  CHECK(reader.read_exact(many).error() == QueueError::kEndOfChain);
  CHECK(reader.read(many) == 5);
  CHECK(many[0] == std::byte{10});
  CHECK(reader.read(many) == 0);
  CHECK(reader.read_exact({}));
}

TEST_CASE("no bytes are read and written anywhere, also where there are none", "[stream]") {
  Reader reader;
  CHECK(reader.read({}) == 0);
  CHECK(reader.read_exact({}));
  Writer writer;
  CHECK(writer.write({}) == 0);
  CHECK(writer.write_exact({}));
}

TEST_CASE("a stream splits at every offset up to its end", "[stream]") {
  Rig rig({.size = 16});
  REQUIRE(rig.view().write_bytes(GuestAddress(kBuffers), counting(64)));
  pop_chain(rig, {4, 3, 5}, {});
  for (std::uint32_t offset = 0; offset <= 12; ++offset) {
    CAPTURE(offset);
    Reader first = rig.chain.reader();
    auto second = first.split_at(offset);
    REQUIRE(second);
    CHECK(first.remaining() == offset);
    CHECK(second->remaining() == 12 - offset);
    std::vector<std::byte> joined(12);
    CHECK(first.read(joined) == offset);
    CHECK(second->read(std::span(joined).subspan(offset)) == 12 - offset);
    std::vector<std::byte> whole(12);
    CHECK(rig.chain.reader().read(whole) == 12);
    CHECK(joined == whole);
  }
  CHECK(rig.chain.reader().split_at(13).error() == QueueError::kSplitOutOfBounds);
  CHECK(rig.chain.writer().split_at(1).error() == QueueError::kSplitOutOfBounds);
}

TEST_CASE("a writer reaches the writable buffers only", "[stream]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = 16, .packed = packed});
  pop_chain(rig, {2}, {3, 2, 4});
  Writer writer = rig.chain.writer();
  CHECK(writer.remaining() == 9);
  CHECK(writer.write_obj(Le64(0x0807060504030201)));
  CHECK(writer.write_obj(Le16(1)).error() == QueueError::kEndOfChain);
  CHECK(writer.write(counting(9, 0x70)) == 1);
  CHECK(writer.write_exact(counting(1)).error() == QueueError::kEndOfChain);
  std::array<std::byte, 14> memory{};
  REQUIRE(rig.view().read_bytes(GuestAddress(kBuffers), memory));
  const std::array<int, 14> expected{0, 0, 0, 1, 2, 3, 0, 4, 5, 0, 6, 7, 8, 0x70};
  for (std::size_t i = 0; i < memory.size(); ++i) {
    CHECK(std::to_integer<int>(memory[i]) == expected[i]);
  }
}

TEST_CASE("a writer splits: data before, status at the end", "[stream]") {
  Rig rig({.size = 16});
  pop_chain(rig, {}, {3, 6});
  Writer data = rig.chain.writer();
  auto status = data.split_at(data.remaining() - 1);
  REQUIRE(status);
  CHECK(data.write(counting(20, 1)) == 8);
  CHECK(status->write_obj(std::uint8_t{0x55}));
  CHECK(rig.view().read<std::uint8_t>(GuestAddress(kBuffers + 9)).has_value());
  CHECK(*rig.view().read<std::uint8_t>(GuestAddress(kBuffers + 9)) == 0x55);
  CHECK(*rig.view().read<std::uint8_t>(GuestAddress(kBuffers + 8)) == 8);
}

TEST_CASE("pieces are listed for system calls", "[stream]") {
  Rig rig({.size = 16});
  pop_chain(rig, {4, 3}, {5, 6});
  std::array<vm_memory::IoVec, 4> list;
  Reader reader = rig.chain.reader();
  CHECK(reader.unsafe_iovec(list) == 2);
  CHECK(list[1].bytes == 3);
  REQUIRE(reader.skip(2));
  CHECK(reader.unsafe_iovec(list, 3) == 2);
  CHECK(list[0].bytes == 2);
  CHECK(list[1].bytes == 1);
  CHECK(reader.unsafe_iovec(std::span(list).first(1)) == 1);
  CHECK(reader.remaining() == 5);
  Writer writer = rig.chain.writer();
  CHECK(writer.unsafe_iovec(list) == 2);
  CHECK(writer.commit(12).error() == QueueError::kEndOfChain);
  CHECK(writer.commit(7));
  CHECK(writer.remaining() == 4);
  CHECK(rig.chain.unsafe_readable().size() == 2);
  CHECK(rig.chain.unsafe_writable().size() == 2);
}

TEST_CASE("what is written is dirty, and nothing else", "[stream][dirty]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = 8, .packed = packed}, true);
  vm_memory::DirtyBitmap& dirty = *rig.view().regions()[0].dirty;
  const auto is_dirty = [&](std::uint64_t address) { return dirty.is_dirty(address - kRam); };
  rig.offer({readable(0x20000, 8), writable(0x30000, 8), writable(0x31ffc, 8)});
  dirty.clear_all();
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
  CHECK(rig.chain.reader().read_obj<Le64>());
  for (std::uint64_t page = kRam; page < kRam + kRamBytes; page += 0x1000) {
    CHECK_FALSE(is_dirty(page));
  }
  SECTION("by a writer") {
    Writer writer = rig.chain.writer();
    REQUIRE(writer.write_obj(Le64(1)));
    CHECK(is_dirty(0x30000));
    CHECK_FALSE(is_dirty(0x31000));
    REQUIRE(writer.write_exact(counting(8)));
  }
  SECTION("by a system call") { rig.chain.mark_written(16); }
  SECTION("by a system call that says too much") { rig.chain.mark_written(1000); }
  CHECK(is_dirty(0x30000));
  CHECK(is_dirty(0x31000));
  CHECK(is_dirty(0x32000));
  CHECK_FALSE(is_dirty(0x20000));
  REQUIRE(rig.queue.add_used(rig.chain.head(), 16));
  rig.queue.publish();
  CHECK(is_dirty(packed ? kTable : kDeviceArea));
  CHECK_FALSE(is_dirty(packed ? kDeviceArea : kTable));
  CHECK_FALSE(is_dirty(kDriverArea));
  rig.queue.disable_notifications();
  CHECK(is_dirty(kDeviceArea));
}

TEST_CASE("a buffer may cross from one region to the next", "[stream]") {
  const bool packed = GENERATE(false, true);
  const std::array regions{RegionConfig{.base = GuestAddress(0x1000), .bytes = 0xf000},
                           RegionConfig{.base = GuestAddress(0x10000), .bytes = 0x10000}};
  const GuestMemory memory = *GuestMemory::create(regions);
  const Kind kind{.size = 8, .packed = packed};
  auto driver = *driver::Driver::create(shape_of(kind), memory.view());
  Queue queue = *config_of(kind).activate(memory);
  REQUIRE(memory.view().write_bytes(GuestAddress(0xfff8), counting(16)));
  REQUIRE(driver.add(std::vector{readable(0xfff8, 16), writable(0x1fff0, 16)}));
  (void)driver.publish();
  InlineChain<4> chain;
  REQUIRE(queue.pop(chain) == Pop::kChain);
  CHECK(chain.unsafe_readable().size() == 2);
  CHECK(chain.readable_bytes() == 16);
  Reader reader = chain.reader();
  REQUIRE(reader.skip(4));
  CHECK(reader.read_obj<Le64>()->get() == 0x0b0a090807060504);
}

}  // namespace
}  // namespace vmm::virtio_queue
