// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Images that QEMU made, read here.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "qemu_img.h"

namespace vmm::block {
namespace {

constexpr OpenOptions kReadonly = {.format = ImageFormat::kQcow2, .readonly = true};

std::shared_ptr<Image> open_readonly(const std::string& path, bool backing_files = false) {
  OpenOptions options = kReadonly;
  options.backing_files = backing_files;
  auto image = open_image(path, options);
  if (!image) FAIL(to_string(image.error()));
  return *std::move(image);
}

/// Writes here and there, with holes and zeros in between.
void scribble(const std::string& path, int seed) {
  const std::string n = std::to_string(seed);
  must_run(
      "qemu-io -f qcow2 -c 'write -P 0x1" + n + " 0 64k' -c 'write -P 0x2" + n +
      " 100k 512' -c 'write -P 0x3" + n + " 1M 300k' -c 'write -z 1100k 64k' -c 'write -P 0x4" + n +
      " 4095k 1k' -c 'write -P 0x5" + n + " 2000k 1500' -c 'discard 1200k 64k' '" + path + "'");
}

TEST_CASE("images of all kinds are read as QEMU reads them", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string options =
      GENERATE(as<std::string>(), "compat=0.10", "compat=1.1", "cluster_size=512",
               "cluster_size=2M", "cluster_size=4k,refcount_bits=1", "refcount_bits=64",
               "lazy_refcounts=on", "preallocation=metadata", "preallocation=falloc");
  INFO(options);
  const std::string path = folder / "a.qcow2";
  must_run("qemu-img create -q -f qcow2 -o " + options + " '" + path + "' 4M");
  scribble(path, 1);
  const auto theirs = content_by_qemu(path);
  const auto image = open_readonly(path);
  CHECK(image->size_bytes() == 4 << 20);
  require_same(content_by_us(image), theirs);
  require_same(content_by_us(image, 512 * 7, any_engine()), theirs);
}

TEST_CASE("compressed clusters are unpacked", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  const std::string options =
      GENERATE(as<std::string>(), "compression_type=zlib", "compression_type=zstd",
               "compression_type=zlib,cluster_size=512", "compression_type=zstd,cluster_size=2M",
               "compat=0.10");
  INFO(options);
  const std::string raw = folder / "a.raw";
  const std::string path = folder / "a.qcow2";
  must_run("qemu-img create -q -f qcow2 '" + raw + ".q' 4M");
  scribble(raw + ".q", 2);
  must_run("qemu-img convert -c -f qcow2 -O qcow2 -o " + options + " '" + raw + ".q' '" + path +
           "'");
  const auto theirs = content_by_qemu(path);
  require_same(content_by_us(open_readonly(path)), theirs);
  require_same(content_by_us(open_readonly(path), 512 * 9, any_engine()), theirs);
}

TEST_CASE("a chain of backing files is read where it is allowed", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Folder folder;
  must_run("qemu-img create -q -f qcow2 -o cluster_size=4k '" + folder / "base.qcow2" + "' 3M");
  must_run("qemu-io -f qcow2 -c 'write -P 7 0 3M' '" + folder / "base.qcow2" + "'");
  must_run("qemu-img convert -c -O qcow2 -o cluster_size=64k '" + folder / "base.qcow2" + "' '" +
           folder / "packed.qcow2" + "'");
  must_run("qemu-img convert -O raw '" + folder / "base.qcow2" + "' '" + folder / "base.raw" + "'");
  const std::string base = GENERATE(as<std::string>(), "base.qcow2", "packed.qcow2", "base.raw");
  const std::string format = base == "base.raw" ? "raw" : "qcow2";
  const std::string middle = folder / "middle.qcow2";
  const std::string top = folder / "top.qcow2";
  // The middle one is longer than its base; its own base is named relative to it.
  must_run("cd '" + folder / "" + "' && qemu-img create -q -f qcow2 -o cluster_size=512 -b " +
           base + " -F " + format + " middle.qcow2 5M");
  must_run("qemu-io -f qcow2 -c 'write -P 8 3000k 1M' '" + middle + "'");
  must_run("qemu-img create -q -f qcow2 -b '" + middle + "' -F qcow2 '" + top + "'");
  must_run("qemu-io -f qcow2 -c 'write -P 9 1M 1000' -c 'write -z 2M 128k' '" + top + "'");
  const auto theirs = content_by_qemu(top);
  require_same(content_by_us(open_readonly(top, true)), theirs);
  require_same(content_by_us(open_readonly(top, true), 512 * 33, any_engine()), theirs);
  const auto refused = open_image(top, kReadonly);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().is_os(EACCES));
  // Not even then when nobody said what it is.
  CHECK_FALSE(open_image(top, {.readonly = true, .backing_files = true}));
}

}  // namespace
}  // namespace vmm::block
