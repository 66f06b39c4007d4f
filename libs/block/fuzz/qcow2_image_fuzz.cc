// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A qcow2 image of which every byte is hostile, and a guest that uses it. Whatever happens, each
// request ends, memory and file stay bounded, and nothing but the image is touched.
//
// Input: options, the number of requests, the requests (8 bytes each), the image.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "fuzz_input.h"
#include "image_guest.h"

namespace {

using namespace vmm;
using namespace vmm::block;

constexpr std::size_t kMaxRequests = 24;
constexpr std::size_t kMaxImage = 256 << 10;
constexpr std::uint64_t kMaxFile = std::uint64_t{4} << 30;  // sparse

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t options = input.byte();
  std::vector<Step> steps(input.byte() % kMaxRequests);
  for (Step& step : steps) step = input.take<Step>();
  const std::vector<std::byte> bytes = input.bytes(
      std::min(kMaxImage, size > 2 + steps.size() * 8 ? size - 2 - steps.size() * 8 : 0));
  (void)probe_format(bytes);
  const UniqueFd fd = image_file(bytes);
  for (int opening = 0; opening < 2; ++opening) {  // the second time, what we made of it
    auto file = ImageFile::adopt(UniqueFd(::dup(fd.get())), {.writable = (options & 1) == 0});
    require(file.has_value());
    auto image =
        open_qcow2(*std::move(file), {.sparse = (options & 2) == 0, .cache_bytes = 64 << 10});
    if (!image) return 0;
    Guest guest(*std::move(image));
    for (const Step& step : steps) guest.take(step);
  }
  struct stat about{};
  require(::fstat(fd.get(), &about) == 0);
  require(static_cast<std::uint64_t>(about.st_size) <= kMaxFile);
  return 0;
}
