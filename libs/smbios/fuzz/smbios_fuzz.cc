// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Whatever the strings and the room for them are: what is built fits and can be read back.

#include <cstddef>
#include <cstdint>

#include "fuzz_input.h"
#include "tests/walk.h"

using namespace vmm;
using namespace vmm::smbios;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  constexpr GuestAddress kAt{0xf'0000};
  const std::size_t limit = input.take<std::uint16_t>();
  Identity identity;
  for (std::string_view* const text :
       {&identity.bios_vendor, &identity.bios_version, &identity.manufacturer,
        &identity.product_name, &identity.version, &identity.serial_number, &identity.sku_number,
        &identity.family, &identity.chassis_asset_tag}) {
    *text = input.text(input.byte() & 0x3f);
  }
  (void)parse_uuid(input.text(input.byte() & 0x3f)).has_value();
  identity.uuid = input.take<Uuid>();
  std::vector<std::string> oem(input.take<std::uint16_t>() % 300);
  for (std::string& text : oem) text = input.text(input.byte());
  identity.oem_strings = oem;

  const auto all = build(identity, kAt, limit);
  if (!all) return 0;
  require(all->size() <= limit);
  const auto found = walk(*all, kAt.raw());
  require(found.has_value() && found->size() == (oem.empty() ? 4u : 5u));
  require((*found)[1].text(4) == identity.manufacturer);
  require((*found)[2].text(8) == identity.chassis_asset_tag);
  if (!oem.empty()) require((*found)[3].strings == oem);
  return 0;
}
