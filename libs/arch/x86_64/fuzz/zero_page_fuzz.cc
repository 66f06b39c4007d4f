// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any bytes as a setup header: the zero page keeps the boot loader's fields, and the header's bytes
// stay within their place.

#include <cstddef>
#include <cstdint>

#include "fuzz_input.h"
#include "vmm/arch/x86_64/boot_params.h"
#include "vmm/base/endian.h"

using namespace vmm;
using namespace vmm::arch::x86_64;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  const MapEntry map[] = {{{GuestAddress(0), 0xa0000}, MapType::kRam}};
  const BootParams params{.setup_header = input,
                          .cmdline = kCmdline,
                          .initrd = {GuestAddress(0x400'0000), 0x1000},
                          .rsdp = kRsdp,
                          .map = map};
  const auto page = make_zero_page(params);
  if (!page) return require(page.error() == ArchError::kBadSetupHeader), 0;
  require(size <= kSetupHeaderMaxBytes);
  const auto field32 = [&](std::size_t at) { return load_le<std::uint32_t>(&(*page)[at]); };
  require(field32(0x218) == 0x400'0000 && field32(0x21c) == 0x1000);
  require(field32(0x0c0) == 0 && field32(0x0c4) == 0 && field32(0x0c8) == 0);
  require(field32(0x228) == kCmdline.raw());
  require(load_le<std::uint64_t>(&(*page)[0x070]) == kRsdp.raw());
  require(load_le<std::uint64_t>(&(*page)[0x250]) == 0);
  require(field32(0x202) == 0x5372'6448);
  require((*page)[0x1e8] == std::byte{1} && (*page)[0x1ef] == std::byte{0});
  require((*page)[0x210] == std::byte{0xff});
  for (std::size_t i = 0; i < kPageSize; ++i) {  // nothing outside of the known places
    const bool known = (i >= 0x070 && i < 0x078) || i == 0x1e8 ||
                       (i >= kSetupHeaderAt && i < 0x290) || (i >= 0x2d0 && i < 0x2e4);
    require(known || (*page)[i] == std::byte{0});
  }
  return 0;
}
