// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "vmm/block/open_image.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/temp_file.h"
#include "vmm/virtio_blk/blk.h"
#include "vmm/virtio_device/testing/device_rig.h"

namespace vmm::virtio_blk {

using virtio_device::testing::Answer;
using virtio_device::testing::Bytes;
using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::RigOptions;
using RigRequest = virtio_device::testing::Request;

inline constexpr std::uint64_t kSectors = 2048;  // of the disks of tests: 1 MiB

inline std::ostream& operator<<(std::ostream& out, Status status) {
  static constexpr const char* kNames[] = {"OK", "IOERR", "UNSUPP"};
  return out << kNames[static_cast<int>(status)];
}

/// Passes everything on to a raw image and lets tests look and interfere.
class SpyImage final : public block::Image {
 public:
  explicit SpyImage(std::unique_ptr<block::Image> image) : image_(std::move(image)) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return image_->size_bytes(); }
  [[nodiscard]] const block::ImageFile& file() const override { return image_->file(); }
  Result<block::ReadPlan> map(block::ByteRange range, std::span<block::Extent> out) override {
    if (fails_with != 0) return fail(Error::os(fails_with, "a test"));
    auto plan = image_->map(range, out);
    if (plan && slow_fd >= 0) {
      out.front().fd = slow_fd;
      ++slow_reads;
    }
    return plan;
  }
  Result<void> read_slow(std::uint64_t offset, std::span<std::byte> to) override {
    return image_->read_slow(offset, to);
  }
  Result<block::WritePlan> prepare_write(block::ByteRange range,
                                         std::span<block::Extent> out) override {
    return image_->prepare_write(range, out);
  }
  Result<std::optional<block::RangeWork>> discard(block::ByteRange range) override {
    discards.push_back(range);
    return image_->discard(range);
  }
  Result<std::optional<block::RangeWork>> write_zeroes(block::ByteRange range,
                                                       bool may_unmap) override {
    zeroes.push_back(range);
    unmaps += may_unmap ? 1 : 0;
    if (zeroes_take_us != 0) ::usleep(zeroes_take_us);
    return image_->write_zeroes(range, may_unmap);
  }
  Result<void> flush_metadata() override {
    ++flushes;
    return image_->flush_metadata();
  }
  Result<void> resize(std::uint64_t bytes) override { return image_->resize(bytes); }

  int flushes = 0;  // each is followed by fdatasync(2)
  std::vector<block::ByteRange> discards;
  std::vector<block::ByteRange> zeroes;
  int unmaps = 0;
  unsigned zeroes_take_us = 0;
  int fails_with = 0;  // reads
  int slow_fd = -1;    // where reads come from; a pipe, to keep them in flight
  int slow_reads = 0;

 private:
  std::unique_ptr<block::Image> image_;
};

struct BlkSetUp {
  BlkOptions blk{};
  RigOptions rig{};
  bool readonly = false;
  /// Features that the driver takes; nullopt: all that are offered.
  std::optional<std::uint64_t> features{};
};

/// A disk of sectors that are known, with its driver.
class BlkRig {
 public:
  explicit BlkRig(const BlkSetUp& set_up = {}) {
    for (std::uint64_t sector = 0; sector < kSectors; ++sector) {
      put_on_disk(sector, sector_of(sector));
    }
    auto file = block::ImageFile::open(file_.path(), {.writable = !set_up.readonly});
    REQUIRE(file);
    image = std::make_shared<SpyImage>(*block::open_raw(std::move(*file), {}));
    auto device = Blk::create(image, set_up.blk);
    REQUIRE(device);
    blk = *device;
    RigOptions options = set_up.rig;
    options.features |= set_up.features.value_or(blk->features());
    driver = std::make_unique<DeviceRig>(blk, options);
    REQUIRE(driver->start());
  }

  static Bytes sector_of(std::uint64_t seed) {
    Bytes bytes(kSectorBytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<std::byte>(seed * 31 + (i >> 3) + (seed >> 8));
    }
    return bytes;
  }
  static Bytes header(RequestType type, std::uint64_t sector) {
    return bytes_of(RequestHeader{
        .type = Le32(static_cast<std::uint32_t>(type)), .reserved = {}, .sector = Le64(sector)});
  }
  static Bytes segment(std::uint64_t sector, std::uint32_t sectors, std::uint32_t flags = 0) {
    return bytes_of(
        RangeSegment{.sector = Le64(sector), .sectors = Le32(sectors), .flags = Le32(flags)});
  }

  Answer exchange(const RigRequest& request, std::uint16_t queue = 0) {
    auto answer = driver->exchange(queue, request);
    REQUIRE(answer);
    return *std::move(answer);
  }
  /// The status of a request without data to the driver.
  Status status_of(RequestType type, std::uint64_t sector, const Bytes& data = {}) {
    RigRequest request{.readable = {header(type, sector)}, .writable = {1}};
    if (!data.empty()) request.readable.push_back(data);
    const Answer answer = exchange(request);
    CHECK(answer.written == 1);
    return static_cast<Status>(answer.at<std::uint8_t>(0));
  }
  Status write(std::uint64_t sector, const Bytes& data) {
    return status_of(RequestType::kOut, sector, data);
  }
  Status flush() { return status_of(RequestType::kFlush, 0); }
  /// The data of a read that has to work.
  Bytes read(std::uint64_t sector, std::uint32_t sectors = 1, std::uint16_t queue = 0) {
    Answer answer = exchange(
        {.readable = {header(RequestType::kIn, sector)}, .writable = {sectors * kSectorBytes, 1}},
        queue);
    CHECK(answer.written == sectors * kSectorBytes + 1);
    REQUIRE(answer.bytes.back() == std::byte{0});
    answer.bytes.pop_back();
    return answer.bytes;
  }
  /// Whether the device still serves.
  bool is_alive() { return driver->running() && read(7) == sector_of(7); }

  Bytes on_disk(std::uint64_t sector, std::uint32_t sectors = 1) const {
    Bytes bytes(std::size_t{sectors} * kSectorBytes);
    REQUIRE(sys_util::pread_exact(file_.fd(), bytes, sector * kSectorBytes));
    return bytes;
  }
  void put_on_disk(std::uint64_t sector, const Bytes& bytes) const {
    REQUIRE(sys_util::pwrite_all(file_.fd(), bytes, sector * kSectorBytes));
  }
  [[nodiscard]] int fd() const { return file_.fd(); }

 private:
  sys_util::TempFile file_ = *sys_util::TempFile::create();

 public:
  std::shared_ptr<SpyImage> image;
  std::shared_ptr<Blk> blk;
  std::unique_ptr<DeviceRig> driver;
};

}  // namespace vmm::virtio_blk
