// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-rng: random bytes for a VM of another program.

#include "vmm/virtio_rng/rng.h"

#include "daemon_program.h"

int main(int argc, char** argv) {
  using namespace vmm;
  std::string source = "/dev/urandom";
  vhost_user_daemon::Program program{
      .name = "vhost-user-rng",
      .type = "rng",
      .features = {},
      .options = {{"filename", "PATH", "where the bytes come from (default /dev/urandom)",
                   [&](std::string_view value) {
                     source = value;
                     return !value.empty();
                   }}},
      .make_device =
          [&](event_manager::EventLoop&) -> Result<std::shared_ptr<virtio_device::VirtioDevice>> {
        VMM_TRY(auto rng, virtio_rng::Rng::open(source));
        return std::shared_ptr<virtio_device::VirtioDevice>(std::move(rng));
      }};
  return vhost_user_daemon::run(program, argc, argv);
}
