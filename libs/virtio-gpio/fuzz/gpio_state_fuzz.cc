// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The state of a GPIO device as another process hands it over: what is taken is what a driver can
// have made, and saves as the same bytes.

#include <algorithm>

#include "fuzz_input.h"
#include "src/line_state.h"

namespace {

using namespace vmm::virtio_gpio;

bool a_driver_can_have_made(const LineState& line) {
  if (line.type != IrqType::kNone && line.direction != Direction::kIn) return false;
  return !line.latched || line.type != IrqType::kNone;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::size_t count = input.byte() % 9;
  const auto bytes = input.bytes(std::min<std::size_t>(size == 0 ? 0 : size - 1, 64));
  const auto lines = lines_of_bytes(bytes, count);
  if (!lines) return 0;
  require(lines->size() == count);
  require(std::ranges::all_of(*lines, a_driver_can_have_made));
  require(bytes_of_lines(*lines) == bytes);
  return 0;
}
