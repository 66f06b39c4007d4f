// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A VHDX image in which any number may be another one, and a guest that uses it. Checksums are
// right, or nothing behind them would be reached. Whatever happens, each request ends, and memory
// and file stay bounded.
//
// Input: options, the number of changes, the changes (10 bytes each), the number of requests, the
// requests (8 bytes each).

#include <array>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "image_guest.h"
#include "vhdx_maker.h"

namespace {

using namespace vmm;
using namespace vmm::block;

constexpr std::size_t kMaxChanges = 16;
constexpr std::size_t kMaxRequests = 24;
constexpr std::uint64_t kMaxFile = std::uint64_t{1} << 40;  // sparse: a block may be of 256 MiB

/// Where numbers are, and how many bytes from there on.
struct Place {
  std::size_t at;
  std::size_t bytes;
};
constexpr std::array kPlaces{Place{VhdxMaker::kHeaders[0], 80},  Place{VhdxMaker::kHeaders[1], 80},
                             Place{VhdxMaker::kRegions[0], 112}, Place{VhdxMaker::kRegions[1], 112},
                             Place{VhdxMaker::kMetadata, 224},   Place{VhdxMaker::kItems, 40},
                             Place{VhdxMaker::kTable, 64}};

void change(VhdxMaker& maker, Input& input) {
  const Place& place = kPlaces[input.byte() % kPlaces.size()];
  const std::size_t offset = input.byte() % (place.bytes - 8);
  const auto value = input.take<std::uint64_t>();
  maker.put(place.at + offset, value, 8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t options = input.byte();
  VhdxMaker maker;
  for (std::size_t left = input.byte() % (kMaxChanges + 1); left != 0; --left) change(maker, input);
  if ((options & 2) == 0) maker.sign();
  std::vector<Step> steps(input.byte() % (kMaxRequests + 1));
  for (Step& step : steps) step = input.take<Step>();
  use_image(maker.bytes, (options & 1) == 0, steps, kMaxFile,
            [](ImageFile file) { return open_vhdx(std::move(file), {}); });
  return 0;
}
