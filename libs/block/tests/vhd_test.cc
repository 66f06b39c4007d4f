// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Fixed VHD images: a disk and the footer behind it.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "qemu_img.h"

namespace vmm::block {
namespace {

using Kind = DiskRequest::Kind;
using Bytes = std::vector<std::byte>;

constexpr std::uint64_t kDisk = 1 << 20;
constexpr std::size_t kFooter = 512;

void put(Bytes& to, std::size_t at, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    to[at + i] = static_cast<std::byte>(value >> (8 * (bytes - 1 - i)));
  }
}

void sign(Bytes& footer) {
  put(footer, 64, 0, 4);
  std::uint32_t sum = 0;
  for (const std::byte byte : footer) sum += std::to_integer<std::uint32_t>(byte);
  put(footer, 64, ~sum, 4);
}

Bytes footer_of(std::uint64_t disk_bytes) {
  Bytes footer(kFooter);
  put(footer, 0, 0x636f6e6563746978, 8);  // "conectix"
  put(footer, 8, 2, 4);
  put(footer, 12, 0x10000, 4);
  put(footer, 16, ~std::uint64_t{0}, 8);
  put(footer, 24, 0x12345678, 4);
  put(footer, 40, disk_bytes, 8);
  put(footer, 48, disk_bytes, 8);
  put(footer, 60, 2, 4);
  sign(footer);
  return footer;
}

std::shared_ptr<Image> open(const Scratch& file, OpenOptions options = {}) {
  auto image = open_image(file.path(), options);
  if (!image) FAIL(to_string(image.error()));
  return *std::move(image);
}

constexpr OpenOptions kVhd = {.format = ImageFormat::kVhd};

TEST_CASE("a fixed VHD image is a disk without its footer", "[vhd]") {
  const EngineKind engine = any_engine();
  const Scratch file(kDisk + kFooter);
  const Bytes footer = footer_of(kDisk);
  file.write(kDisk, footer);
  const auto image = open(file, kVhd);
  CHECK(image->size_bytes() == kDisk);
  const auto queue = *DiskQueue::create(image, {.engine = engine, .depth = 4});
  Bytes data = pattern(kDisk, 1);
  const IoVec list{data.data(), data.size()};
  CHECK(run(*queue, {.kind = Kind::kWrite, .range = {0, kDisk}, .buffers = {&list, 1}}).error == 0);
  require_same(file.read(0, kDisk), data);
  require_same(content_by_us(image), data);
  const IoVec sector{data.data(), 512};
  for (const Kind kind : {Kind::kRead, Kind::kWrite}) {
    CHECK(run(*queue, {.kind = kind, .range = {kDisk, 512}, .buffers = {&sector, 1}}).error ==
          ERANGE);
  }
  for (const Kind kind : {Kind::kDiscard, Kind::kWriteZeroes}) {
    CHECK(run(*queue, {.kind = kind, .range = {kDisk - 512, 1024}}).error == ERANGE);
    CHECK(run(*queue, {.kind = kind, .range = {0, kDisk}}).error == 0);
  }
  require_same(file.read(0, kDisk), Bytes(kDisk));
  CHECK(file.read(kDisk, kFooter) == footer);
}

TEST_CASE("a VHD disk keeps its size", "[vhd]") {
  const Scratch file(kDisk + kFooter);
  file.write(kDisk, footer_of(kDisk));
  CHECK(open(file, kVhd)->resize(2 * kDisk).error().is_os(ENOTSUP));
  CHECK(open(file, {.format = ImageFormat::kVhd, .readonly = true})
            ->resize(2 * kDisk)
            .error()
            .is_os(EROFS));
  CHECK(std::filesystem::file_size(file.path()) == kDisk + kFooter);
}

TEST_CASE("footers that are not sound are refused", "[vhd][hostile]") {
  struct Case {
    const char* what;
    std::function<void(Bytes&)> change;
    int error;
    bool signs = true;
  };
  const Case cases[] = {
      {"nothing", [](Bytes&) {}, 0},
      {"a smaller disk", [](Bytes& f) { put(f, 48, kDisk - 512, 8); }, 0},
      {"a disk of nothing", [](Bytes& f) { put(f, 48, 0, 8); }, 0},
      {"another size at first", [](Bytes& f) { put(f, 40, 512, 8); }, 0},
      {"a minor version", [](Bytes& f) { put(f, 12, 0x10001, 4); }, 0},
      {"no cookie", [](Bytes& f) { put(f, 0, 0, 1); }, EINVAL},
      {"another checksum", [](Bytes& f) { put(f, 64, 1, 4); }, EINVAL, false},
      {"a change without a checksum", [](Bytes& f) { put(f, 511, 1, 1); }, EINVAL, false},
      {"no version", [](Bytes& f) { put(f, 12, 0, 4); }, ENOTSUP},
      {"a new version", [](Bytes& f) { put(f, 12, 0x20000, 4); }, ENOTSUP},
      {"a disk that grows", [](Bytes& f) { put(f, 60, 3, 4); }, ENOTSUP},
      {"a difference", [](Bytes& f) { put(f, 60, 4, 4); }, ENOTSUP},
      {"no type", [](Bytes& f) { put(f, 60, 0, 4); }, ENOTSUP},
      {"no header, in 32 bits", [](Bytes& f) { put(f, 16, 0xffff'ffff, 8); }, 0},
      {"no header, by zeros", [](Bytes& f) { put(f, 16, 0, 8); }, 0},
      {"half a sector", [](Bytes& f) { put(f, 48, kDisk - 256, 8); }, EINVAL},
      {"a sector too many", [](Bytes& f) { put(f, 48, kDisk + 512, 8); }, EINVAL},
      {"all that there can be", [](Bytes& f) { put(f, 48, ~std::uint64_t{511}, 8); }, EINVAL},
  };
  for (const Case& one : cases) {
    INFO(one.what);
    const Scratch file(kDisk + kFooter);
    Bytes footer = footer_of(kDisk);
    one.change(footer);
    if (one.signs) sign(footer);
    file.write(kDisk, footer);
    const auto image = open_image(file.path(), kVhd);
    CHECK(image.has_value() == (one.error == 0));
    if (!image) CHECK(image.error().is_os(one.error));
  }
}

TEST_CASE("a file that is too short for a footer has none", "[vhd][hostile]") {
  for (const std::uint64_t bytes : {0u, 1u, 511u, 512u, 1024u}) {
    CAPTURE(bytes);
    const Scratch file(bytes);
    CHECK(open_image(file.path(), kVhd).error().is_os(EINVAL));
  }
  const Scratch file(kFooter);
  file.write(0, footer_of(0));
  CHECK(open(file, kVhd)->size_bytes() == 0);
}

TEST_CASE("a footer is not looked for where nobody says that there is one", "[vhd][hostile]") {
  const Scratch file(kDisk + kFooter);
  file.write(kDisk, footer_of(512));
  CHECK(*probe_format(file.open()) == ImageFormat::kRaw);
  CHECK(open(file)->size_bytes() == kDisk + kFooter);
  CHECK(open(file, kVhd)->size_bytes() == 512);
}

TEST_CASE("QEMU and we read and write the same VHD images", "[vhd]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string path = folder / "a.vhd";
  must_run("qemu-img create -q -f vpc -o subformat=fixed,force_size=on '" + path + "' 4M");
  must_run("qemu-io -f vpc -c 'write -P 0x11 0 64k' -c 'write -P 0x22 4095k 1k' '" + path + "'");
  OpenOptions shared = kVhd;
  shared.lock.reset();  // QEMU has the image meanwhile
  const std::shared_ptr<Image> image = *open_image(path, shared);
  CHECK(image->size_bytes() == 4 << 20);
  require_same(content_by_us(image), content_by_qemu(path, "vpc"));
  const auto queue = *DiskQueue::create(image, {.engine = EngineKind::kSync, .depth = 1});
  Bytes data = pattern(100000 / 512 * 512, 3);
  const IoVec list{data.data(), data.size()};
  REQUIRE(run(*queue, {.kind = Kind::kWrite,
                       .range = {(4 << 20) - data.size(), data.size()},
                       .buffers = {&list, 1}})
              .error == 0);
  require_same(content_by_us(image), content_by_qemu(path, "vpc"));
  const std::string growing = folder / "b.vhd";
  must_run("qemu-img create -q -f vpc '" + growing + "' 4M");
  CHECK(open_image(growing, {}).error().is_os(ENOTSUP));
  CHECK(open_image(growing, kVhd).error().is_os(ENOTSUP));
}

TEST_CASE("a VHD image may be a backing file", "[vhd][qcow2]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string base = folder / "base.vhd";
  must_run("qemu-img create -q -f vpc -o subformat=fixed,force_size=on '" + base + "' 4M");
  must_run("qemu-io -f vpc -c 'write -P 0x11 0 4M' '" + base + "'");
  const std::string path = folder / "a.qcow2";
  must_run("qemu-img create -q -f qcow2 -b base.vhd -F vpc '" + path + "' 5M");
  OpenOptions options = {.format = ImageFormat::kQcow2, .backing_files = true};
  const std::shared_ptr<Image> image = *open_image(path, options);
  const Bytes content = content_by_us(image);
  CHECK(std::count(content.begin(), content.end(), std::byte{0x11}) == 4 << 20);
  CHECK(content.back() == std::byte{0});  // and not the footer
}

}  // namespace
}  // namespace vmm::block
