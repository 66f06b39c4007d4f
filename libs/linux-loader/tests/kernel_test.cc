// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/linux_loader/kernel.h"

#include <catch2/catch.hpp>

#include "builders.h"
#include "errors.h"

namespace vmm::linux_loader {
namespace {

using namespace testing;

TEST_CASE("what is no kernel is refused with a reason", "[kernel][hostile]") {
  struct Case {
    const char* name;
    Bytes image;
    LoadError expected;
    std::string_view words;
  };
  Bytes text;
  put(text, 0, std::string_view("#!/bin/sh\n"));
  Bytes elf_magic;
  put(elf_magic, 0,
      std::string_view("\x7f"
                       "ELF"));
  Bytes boot_sector(0x206);
  put(boot_sector, 0x202, std::string_view("HdrS"));
  const auto c = GENERATE_COPY(values<Case>({
      {"empty", {}, LoadError::kEmpty, "empty"},
      {"one byte", Bytes(1), LoadError::kNotAKernel, "not an ELF, bzImage or Image file"},
      {"text", text, LoadError::kNotAKernel, "not an ELF, bzImage or Image file"},
      {"zeros", Bytes(10000), LoadError::kNotAKernel, "not an ELF, bzImage or Image file"},
      {"only an ELF magic", elf_magic, LoadError::kTruncated, "truncated"},
      {"only a bzImage magic", boot_sector, LoadError::kTruncated, "truncated"},
      {"another processor's Image", build(Image{}), LoadError::kWrongArchitecture,
       "wrong architecture: aarch64 kernel for an x86_64 guest"},
      {"another processor's ELF", build(Elf{.machine = 243}), LoadError::kWrongArchitecture,
       "wrong architecture: riscv64 kernel for an x86_64 guest"},
  }));
  CAPTURE(c.name);
  const Ram ram(2 * kMiB);
  const auto kernel = load(ram, c.image, {});
  REQUIRE_FALSE(kernel);
  CHECK(is(kernel.error(), c.expected));
  CHECK(to_string(kernel.error()).find(c.words) != std::string::npos);
  CHECK(ram.untouched());
}

TEST_CASE("every pair of architectures is named", "[kernel]") {
  struct Case {
    Arch kernel;
    Arch guest;
    std::string_view words;
  };
  const auto c = GENERATE(values<Case>({
      {Arch::kX86_64, Arch::kAarch64, "x86_64 kernel for an aarch64 guest"},
      {Arch::kX86_64, Arch::kRiscv64, "x86_64 kernel for a riscv64 guest"},
      {Arch::kAarch64, Arch::kX86_64, "aarch64 kernel for an x86_64 guest"},
      {Arch::kAarch64, Arch::kRiscv64, "aarch64 kernel for a riscv64 guest"},
      {Arch::kRiscv64, Arch::kX86_64, "riscv64 kernel for an x86_64 guest"},
      {Arch::kRiscv64, Arch::kAarch64, "riscv64 kernel for an aarch64 guest"},
  }));
  const Error error = make_wrong_architecture(c.kernel, c.guest);
  CHECK(is(error, LoadError::kWrongArchitecture));
  CHECK_FALSE(is(error, LoadError::kNotAKernel));
  CHECK(to_string(error).find(c.words) != std::string::npos);
}

TEST_CASE("every load error has words of its own", "[kernel]") {
  check_words(LoadError::kFirmwareTooLarge, LoadError::kNotAKernel);
  for (int code = 1; code <= static_cast<int>(LoadError::kFirmwareTooLarge); ++code) {
    CHECK(is(make_error(static_cast<LoadError>(code)), static_cast<LoadError>(code)));
  }
  CHECK_FALSE(is(Error::os(1, "x"), LoadError::kNotAKernel));
}

TEST_CASE("a file that ends in the middle of a magic is none of that kind", "[kernel][hostile]") {
  const Bytes image = build(Elf{});
  const Ram ram(2 * kMiB);
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{3}}) {
    const auto source = ImageSource::from_bytes(std::span(image).first(bytes));
    const auto kernel = load_kernel(ram.view(), source, {});
    REQUIRE_FALSE(kernel);
    CHECK(is(kernel.error(), LoadError::kNotAKernel));
  }
}

TEST_CASE("an unmatched magic near the end of a short file is not read past it",
          "[kernel][hostile]") {
  const Ram ram(2 * kMiB);
  for (std::size_t bytes = 1; bytes < 0x240; ++bytes) {
    CHECK_FALSE(load(ram, Bytes(bytes, std::byte{'M'}), {}));
  }
}

}  // namespace
}  // namespace vmm::linux_loader
