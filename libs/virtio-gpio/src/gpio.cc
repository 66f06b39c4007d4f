// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_gpio/gpio.h"

#include <cerrno>
#include <utility>

#include "gpio_worker.h"
#include "line_names.h"
#include "line_state.h"
#include "vmm/base/endian.h"

namespace vmm::virtio_gpio {

Result<std::shared_ptr<Gpio>> Gpio::create(std::shared_ptr<Chip> chip) {
  if (chip == nullptr || chip->lines() == 0 || chip->lines() > kMaxLines) {
    return fail(Error::os(EINVAL, "virtio GPIO: lines of the chip"));
  }
  return std::shared_ptr<Gpio>(new Gpio(std::move(chip)));
}

Gpio::Gpio(std::shared_ptr<Chip> chip)
    : chip_(std::move(chip)),
      names_(std::make_shared<const std::vector<std::byte>>(line_names(*chip_))),
      lines_(std::make_shared<std::vector<LineState>>(chip_->lines())) {}

// 5.18.4: ngpio, two bytes of padding, gpio_names_size.
void Gpio::read_config(std::span<std::byte> config) {
  store_le<std::uint32_t>(&config[0], chip_->lines());
  store_le(&config[4], static_cast<std::uint32_t>(names_->size()));
}

Result<virtio_device::WorkerList> Gpio::activate(virtio_device::Activation activation) {
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<GpioWorker>(chip_, names_, lines_, std::move(activation)));
  return workers;
}

void Gpio::reset() { lines_->assign(chip_->lines(), {}); }

std::vector<std::byte> Gpio::save_state() { return bytes_of_lines(*lines_); }

Result<void> Gpio::load_state(std::span<const std::byte> state) {
  auto lines = lines_of_bytes(state, chip_->lines());
  if (!lines) return fail(Error::os(EINVAL, "virtio GPIO: state"));
  *lines_ = std::move(*lines);
  return {};
}

}  // namespace vmm::virtio_gpio
