// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-i2c: devices on I2C buses of this host for a VM of another program.

#include "vmm/virtio_i2c/i2c.h"

#include "daemon_program.h"
#include "device_list.h"
#include "vmm/virtio_i2c/host_adapter.h"
#include "vmm/virtio_i2c/simulated_adapter.h"

namespace {

using namespace vmm;
using vhost_user_daemon::I2cBus;
using virtio_i2c::I2c;

Result<I2c::Bus> make_bus(const I2cBus& entry) {
  I2c::Bus bus;
  for (const std::uint8_t address : entry.addresses) bus.addresses.push_back({.number = address});
  if (entry.host) {
    VMM_TRY(bus.adapter, virtio_i2c::HostAdapter::open(*entry.host));
  } else {
    VMM_TRY(bus.adapter, virtio_i2c::SimulatedAdapter::create(bus.addresses));
  }
  return bus;
}

Result<std::shared_ptr<virtio_device::VirtioDevice>> make_device(const std::vector<I2cBus>& list) {
  std::vector<I2c::Bus> buses;
  for (const I2cBus& entry : list) {
    VMM_TRY(I2c::Bus bus, make_bus(entry));
    buses.push_back(std::move(bus));
  }
  VMM_TRY(auto device, I2c::create(std::move(buses)));
  return std::shared_ptr<virtio_device::VirtioDevice>(std::move(device));
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<I2cBus> list;
  vhost_user_daemon::Program program{
      .name = "vhost-user-i2c",
      .type = "i2c",
      .features = {},
      .options = {{"device-list", "LIST",
                   "BUS:ADDRESS[:ADDRESS...][,BUS...]: what the guest may use; "
                   "BUS is N of /dev/i2c-N, or sim",
                   [&](std::string_view value) {
                     auto parsed = vhost_user_daemon::parse_i2c_list(value);
                     if (parsed) list = std::move(*parsed);
                     return parsed.has_value();
                   }}},
      .make_device = [&](event_manager::EventLoop&) { return make_device(list); }};
  return vhost_user_daemon::run(program, argc, argv);
}
