// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Reads of a kernel's file that are interrupted, short, or fail.

#include <sys/mman.h>

#include <catch2/catch.hpp>

#include "builders.h"
#include "faulty_calls.h"
#include "vmm/base/unique_fd.h"

namespace vmm::linux_loader {
namespace {

using namespace testing;

TEST_CASE("each read of a kernel's file that fails is told, or made up for", "[source][faults]") {
  const int error = GENERATE(0, EINTR, EIO);
  const Bytes image = build(Elf{});
  const UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(::write(file.get(), image.data(), image.size()) == static_cast<ssize_t>(image.size()));
  const ImageSource source = *ImageSource::from_fd(file.get());
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(error, nth);
    const Ram ram(2 * kMiB);
    faulty_calls::arm({.nth = nth, .error = error, .calls = faulty_calls::kRead});
    const auto kernel = load_kernel(ram.view(), source, {});
    const bool failed = faulty_calls::disarm();
    CHECK(kernel.has_value() == (!failed || error != EIO));
    if (!kernel) CHECK(kernel.error().is_os(error));
    if (!failed) {
      CHECK(nth > 2);
      break;
    }
  }
}

}  // namespace
}  // namespace vmm::linux_loader
