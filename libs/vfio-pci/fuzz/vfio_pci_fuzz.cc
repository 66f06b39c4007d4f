// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A device whose configuration space is the input's, then accesses of a guest to configuration
// space and BARs: what is kept from the guest stays as it was, whatever it writes.

#include "fuzz_input.h"
#include "tests/rig.h"

namespace {

using namespace vmm;
using namespace vmm::vfio_pci;

/// Some of the usual registers, changed.
Setting setting_of(Input& input) {
  Setting setting;
  const std::uint8_t changes = input.byte();
  for (std::uint8_t i = 0; i < changes % 32; ++i) {
    const auto at = input.take<std::uint16_t>() % pci::kConfigBytes;
    setting.config.bytes[at] = std::byte{input.byte()};
  }
  setting.ports = (changes & 0x40) != 0;
  setting.device.resettable = (changes & 0x20) == 0;
  setting.peers = true;
  return setting;
}

class Guest {
 public:
  explicit Guest(Input input) : input_(input), rig_(setting_of(input_)) {}

  void run() {
    if (!rig_.plugged) return;
    const auto identity = rig_.config<std::uint32_t>(pci::kVendorId);
    for (int step = 0; step < 256 && !input_.empty(); ++step) one();
    require(rig_.config<std::uint32_t>(pci::kVendorId) == identity);
    // The device decodes, whatever the guest did.
    require((rig_.of_device<std::uint16_t>(vfio::kConfigRegion, pci::kCommand) & 3) == 3);
    for (const auto& [address, mapped] : rig_.mapper.all) check_place(address, mapped.bytes);
    require(rig_.kernel.mappings().size() == rig_.mapper.all.size());
    for (const auto& [address, mapped] : rig_.kernel.mappings()) {
      check_place(address, mapped.bytes);
    }
    require(rig_.segment->remove(1).has_value());
    require(rig_.kernel.mappings().empty() && rig_.space.use_count() == 1);
    require(rig_.mapper.all.empty() && rig_.msi.routes() == 0 && !rig_.pins.connected);
    require(!rig_.kernel.in_container(5));
  }

 private:
  static void check_place(std::uint64_t address, std::uint64_t bytes) {
    const auto in = [&](const AddressRange& window) {
      return address >= window.base.raw() && address + bytes <= window.base.raw() + window.size;
    };
    require(in(Rig::kLow) || in(Rig::kHigh));
  }
  void one() {
    const std::uint8_t kind = input_.byte();
    const auto where = input_.take<std::uint16_t>();
    std::vector<std::byte> data = input_.bytes(1u + kind % 8);
    if (kind < 0x40) {
      rig_.segment->read_config(8, where, data);
    } else if (kind < 0xa0) {
      rig_.segment->write_config(8, where, data);
    } else {
      // Of BARs 0 or 2, near the end too.
      const GuestAddress at(rig_.bar(kind & 8 ? 2 : 0) + where % (4 * kPage));
      if ((kind & 0x10) != 0) {
        (void)rig_.caller.read(at, data);
      } else {
        (void)rig_.caller.write(at, data);
      }
    }
  }

  Input input_;
  Rig rig_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Guest(Input(data, size)).run();
  return 0;
}
