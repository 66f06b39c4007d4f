// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include "device_fuzz.h"
#include "vmm/virtio_gpio/gpio.h"
#include "vmm/virtio_gpio/simulated_chip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmm::virtio_gpio;
  Input input(data, size);
  const auto chip = *SimulatedChip::create({.lines = 4, .names = {"a", "", "led"}});
  fuzz_device(*Gpio::create(chip), input, [&](Input& script) {
    const std::uint8_t what = script.byte();
    chip->drive(what % 4, (what & 4) != 0);
  });
  return 0;
}
