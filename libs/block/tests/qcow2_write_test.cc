// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Images that are written here, and what QEMU says of them.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <random>
#include <string>
#include <thread>

#include "guest.h"
#include "qemu_img.h"

namespace vmm::block {
namespace {

constexpr OpenOptions kQcow2 = {.format = ImageFormat::kQcow2, .backing_files = true};

std::shared_ptr<Image> open_rw(const std::string& path, OpenOptions options = kQcow2) {
  auto image = open_image(path, options);
  if (!image) FAIL(to_string(image.error()));
  return *std::move(image);
}

void check(const std::string& path) {
  const Ran ran = run_command("qemu-img check -f qcow2 '" + path + "'");
  INFO(ran.output);
  REQUIRE(ran.status == 0);
}

struct Make {
  const char* options;
  const char* prepare;  // with qemu-io
};

constexpr Make kMakes[] = {
    {"compat=1.1", ""},
    {"compat=0.10", ""},
    {"cluster_size=512", ""},
    {"cluster_size=4k,refcount_bits=1", ""},
    {"cluster_size=2M", ""},
    {"cluster_size=1k,refcount_bits=64", ""},
    {"refcount_bits=2", ""},
    {"cluster_size=8k,refcount_bits=8", "-c 'write -P 5 0 2M' -c 'write -z 1M 512k'"},
    {"preallocation=metadata", ""},
    {"cluster_size=16k,preallocation=falloc,refcount_bits=32", "-c 'write -z 0 4M'"},
};

TEST_CASE("random requests leave what they should, and a clean image", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const Make make = GENERATE(from_range(std::begin(kMakes), std::end(kMakes)));
  INFO(make.options << " " << make.prepare);
  const EngineKind engine = any_engine();
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  constexpr std::uint64_t kBytes = (8 << 20) - 512;
  must_run(std::string("qemu-img create -q -f qcow2 -o ") + make.options + " '" + path + "' " +
           std::to_string(kBytes));
  if (*make.prepare != 0)
    must_run(std::string("qemu-io -f qcow2 ") + make.prepare + " '" + path + "'");
  std::vector<std::byte> content = content_by_qemu(path);
  for (unsigned opening = 0; opening < 3; ++opening) {
    {
      const auto image = open_rw(path);
      Guest guest(image, {.engine = engine, .bytes = kBytes, .seed = opening}, content);
      for (int i = 0; i < 30; ++i) guest.round();
      REQUIRE(guest.failure() == "");
      content = guest.content();
      require_same(content_by_us(image), content);
    }
    check(path);
    require_same(content_by_qemu(path), content);
  }
}

TEST_CASE("several queues on one image don't disturb each other", "[qcow2]") {
  NEEDS_QEMU_IMG();
  const std::string options =
      GENERATE(as<std::string>(), "compat=1.1", "cluster_size=512", "cluster_size=1M");
  const EngineKind engine = any_engine();
  const Folder folder;
  const std::string path = folder / "a.qcow2";
  // Parts that share clusters at their ends.
  constexpr std::uint64_t kPart = (2 << 20) + 512 * 77;
  constexpr unsigned kGuests = 4;
  must_run("qemu-img create -q -f qcow2 -o " + options + " '" + path + "' " +
           std::to_string(kPart * kGuests));
  std::vector<std::byte> content;
  {
    const auto image = open_rw(path);
    std::vector<std::unique_ptr<Guest>> guests;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kGuests; ++i) {
      guests.push_back(std::make_unique<Guest>(
          image, Guest::Options{.engine = engine, .start = i * kPart, .bytes = kPart, .seed = i},
          std::vector<std::byte>(kPart)));
    }
    for (auto& guest : guests) {
      threads.emplace_back([&guest] {
        for (int i = 0; i < 40; ++i) guest->round();
      });
    }
    for (auto& thread : threads) thread.join();
    for (auto& guest : guests) {
      REQUIRE(guest->failure() == "");
      content.insert(content.end(), guest->content().begin(), guest->content().end());
    }
    require_same(content_by_us(image), content);
  }
  check(path);
  require_same(content_by_qemu(path), content);
}

}  // namespace
}  // namespace vmm::block
