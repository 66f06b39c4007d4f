// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A JSON configuration: what is accepted is shown as JSON that means the same.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vm_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmm::reference;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto vm = parse_vm_json(text);
  if (!vm) {
    if (vm.error().kind != Failure::Kind::kUsage || vm.error().message.empty()) std::abort();
    return 0;
  }
  const std::string shown = vm_json(*vm);
  const auto again = parse_vm_json(shown);
  if (!again || vm_json(*again) != shown) std::abort();
  return 0;
}
