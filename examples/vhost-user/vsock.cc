// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-vsock: ports of another program's VM as Unix sockets of the host.

#include "vmm/virtio_vsock/vsock.h"

#include "daemon_program.h"

int main(int argc, char** argv) {
  using namespace vmm;
  virtio_vsock::Vsock::Options options;
  vhost_user_daemon::Program program{
      .name = "vhost-user-vsock",
      .type = "vsock",
      .features = {},
      .options = {{"guest-cid", "N", "the guest's address, from 3 on",
                   [&](std::string_view value) {
                     return vhost_user_daemon::parse_number(value, options.cid);
                   }},
                  {"uds-path", "PATH", "where programs of the host connect to",
                   [&](std::string_view value) {
                     options.socket = value;
                     return !value.empty();
                   }}},
      .make_device =
          [&](event_manager::EventLoop&) -> Result<std::shared_ptr<virtio_device::VirtioDevice>> {
        VMM_TRY(auto vsock, virtio_vsock::Vsock::create(options));
        return std::shared_ptr<virtio_device::VirtioDevice>(std::move(vsock));
      }};
  return vhost_user_daemon::run(program, argc, argv);
}
