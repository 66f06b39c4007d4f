// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any accesses: exactly the command 0xfe at port 0x64 resets, and reads are as documented.

#include "fuzz_input.h"
#include "vmm/vm_superio/i8042.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  std::size_t resets = 0;
  vmm::vm_superio::I8042 keyboard([&resets] { ++resets; });
  std::size_t expected = 0;
  unsigned last = 0x10;  // the refresh bit of the previous read
  while (!in.empty()) {
    const std::uint8_t op = in.byte();
    const std::uint64_t offset = op >> 1 & 7;
    std::vector<std::byte> bytes(1 + (op >> 4), std::byte{0});
    if ((op & 1) != 0) {
      bytes = in.bytes(bytes.size());
      if (offset <= 4 && offset + bytes.size() > 4 && bytes[4 - offset] == std::byte{0xfe}) {
        ++expected;
      }
      keyboard.write(offset, bytes);
    } else {
      keyboard.read(offset, bytes);
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        const auto value = std::to_integer<unsigned>(bytes[i]);
        if (offset + i != 1) {
          require(value == 0);
          continue;
        }
        require((value & 0xec) == 0x20 && (value & 0x10) != last);
        last = value & 0x10;
      }
    }
    require(resets == expected);
  }
  return 0;
}
