// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-gpio: the lines of a GPIO chip of this host for a VM of another program.

#include "vmm/virtio_gpio/gpio.h"

#include "daemon_program.h"
#include "device_list.h"
#include "vmm/virtio_gpio/host_chip.h"
#include "vmm/virtio_gpio/simulated_chip.h"

namespace {

using namespace vmm;
using vhost_user_daemon::GpioChip;

Result<std::shared_ptr<virtio_gpio::Chip>> make_chip(const GpioChip& entry) {
  if (!entry.host) {
    VMM_TRY(auto simulated,
            virtio_gpio::SimulatedChip::create({.lines = entry.simulated_lines, .names = {}}));
    return std::shared_ptr<virtio_gpio::Chip>(std::move(simulated));
  }
  VMM_TRY(auto chip, virtio_gpio::HostChip::open(*entry.host));
  return std::shared_ptr<virtio_gpio::Chip>(std::move(chip));
}

Result<std::shared_ptr<virtio_device::VirtioDevice>> make_device(
    const std::optional<GpioChip>& entry) {
  if (!entry) return fail(Error::os(EINVAL, "no --device-list"));
  VMM_TRY(auto chip, make_chip(*entry));
  VMM_TRY(auto device, virtio_gpio::Gpio::create(std::move(chip)));
  return std::shared_ptr<virtio_device::VirtioDevice>(std::move(device));
}

}  // namespace

int main(int argc, char** argv) {
  std::optional<GpioChip> chip;
  vhost_user_daemon::Program program{
      .name = "vhost-user-gpio",
      .type = "gpio",
      .features = {},
      .options = {{"device-list", "CHIP",
                   "N of /dev/gpiochipN, or sim:LINES: simulated lines, joined in pairs by wires",
                   [&](std::string_view value) {
                     chip = vhost_user_daemon::parse_gpio_list(value);
                     return chip.has_value();
                   }}},
      .make_device = [&](event_manager::EventLoop&) { return make_device(chip); }};
  return vhost_user_daemon::run(program, argc, argv);
}
