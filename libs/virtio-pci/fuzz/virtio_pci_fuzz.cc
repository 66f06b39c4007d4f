// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Scripts of accesses to configuration space and BARs of the echo device, over guest memory that
// the script writes as well. Whatever a driver does: each run ends, memory outside the RAM stays as
// it is (guarded_ram.h), the device is alive or asks for a reset, and after a reset a driver
// can use it.

#include <array>

#include "fuzz_input.h"
#include "guarded_ram.h"
#include "second_agent.h"
#include "tests/pci_rig.h"

namespace {

using namespace vmm;
using namespace vmm::virtio_pci;

constexpr std::uint64_t kFeatures = virtio_device::kFeatureVersion1 |
                                    virtio_queue::kFeatureRingReset |
                                    virtio_queue::kFeatureIndirect;

class Script {
 public:
  explicit Script(Input input) : input_(input) {}

  void run() {
    for (int step = 0; step < 96 && !input_.empty(); ++step) one();
    const std::uint8_t status = rig_.status();
    require(device_->workers() == 0 || rig_.doorbells.all().empty() || (status & 4) != 0);
    revive();
  }

 private:
  void one() {
    const std::uint8_t kind = input_.byte();
    const std::size_t width = 1 + kind % 8;
    std::array<std::byte, 8> data{};
    const auto access = std::span(data).first(width);
    if (kind < 0x20) return write_memory();
    if (kind < 0x28) return start((kind & 1) != 0, (kind & 2) != 0);
    if (kind == 0x28) return run_with_agent();
    if (kind < 0x38) return rig_.run();
    const auto raw = input_.take<std::uint32_t>();
    if (kind >= 0x90) std::ranges::copy(input_.bytes(width), data.begin());
    if (kind < 0x60) {
      (void)rig_.caller.read(GuestAddress(rig_.bar() + raw % kRegistersBytes), access);
    } else if (kind < 0x90) {
      rig_.ecam.read(kPage + raw % pci::kConfigBytes, access);
    } else if (kind < 0xb0) {
      rig_.ecam.write(kPage + raw % 0x100, access);
    } else if (kind < 0xe0) {
      (void)rig_.caller.write(GuestAddress(rig_.bar() + raw % kCommonPart.bytes), access);
    } else {
      (void)rig_.caller.write(GuestAddress(rig_.bar() + raw % kRegistersBytes), access);
    }
  }
  void write_memory() {
    const std::uint64_t at = input_.take<std::uint16_t>();
    const auto bytes = input_.bytes(input_.take<std::uint16_t>() % 0x400);
    (void)rig_.memory.view().write_bytes(GuestAddress(at), bytes);
  }
  // Double-fetch mode (second_agent.h).
  void run_with_agent() {
    SecondAgent agent(rig_.memory.view().regions()[0].host, input_.take<std::uint32_t>());
    const SecondAgent::Turn turn(agent);
    rig_.run();
  }
  void start(bool packed, bool msix) {
    rig_.enable();
    rig_.set_bar(PciRig::kHigh.base.raw());
    (void)rig_.start(kFeatures | (packed ? virtio_queue::kFeaturePacked : 0), msix);
  }
  // What a driver that comes next does: no trace of the last one holds it up.
  void revive() {
    rig_.enable();
    rig_.set_bar(PciRig::kHigh.base.raw());
    rig_.set_msix(0);
    rig_.set_status(0);
    require(rig_.status() == 0 && device_->workers() == 0 && !rig_.line.level());
    require(rig_.pending() == 0 && rig_.doorbells.all().size() == 2 && rig_.mmio.size() == 1);
    require(rig_.start(kFeatures));
    rig_.msi.forget_sent();
    require(rig_.echo(0) && rig_.echo(1));
    require(rig_.sent(101) == 1 && rig_.sent(102) == 1);
    require(rig_.segment->remove(1).has_value());
    require(device_->workers() == 0 && rig_.mmio.size() == 0 && rig_.msi.routes() == 0);
    ram_.check();
  }

  static constexpr std::uint64_t kPage = 8 * pci::kConfigBytes;  // of slot 1

  Input input_;
  std::shared_ptr<EchoDevice> device_ = std::make_shared<EchoDevice>();
  const GuardedRam ram_{PciRig::kRamBytes};
  PciRig rig_{device_, {.ram = ram_.data()}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Script(Input(data, size)).run();
  return 0;
}
