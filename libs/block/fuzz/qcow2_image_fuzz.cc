// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A qcow2 image of which every byte is hostile, and a guest that uses it. Whatever happens, each
// request ends, memory and file stay bounded, and nothing but the image is touched.
//
// Input: options, the number of requests, the requests (8 bytes each), the image.

#include <algorithm>
#include <utility>
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
  use_image(bytes, (options & 1) == 0, steps, kMaxFile, [options](ImageFile file) {
    return open_qcow2(std::move(file), {.sparse = (options & 2) == 0, .cache_bytes = 64 << 10});
  });
  return 0;
}
