// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A device of one's own for VMs of other programs: vhost-user-entropy SOCKET

#include <cstdio>

#include "entropy.h"
#include "vmm/vhost_user_backend/daemon.h"

namespace {

using namespace vmm;

Result<void> serve(const char* path) {
  VMM_TRY(auto loop, event_manager::EventLoop::create());
  virtio_device::InlineWorkers workers(loop);
  VMM_TRY(const auto backend,
          vhost_user_backend::DeviceBackend::create(
              {.device = std::make_shared<Entropy>(), .workers = workers, .control = loop}));
  VMM_TRY(auto listener, sys_util::UnixListener::create(path));
  vhost_user_backend::Daemon daemon(loop, *backend);
  VMM_TRY_DO(daemon.listen(std::move(listener)));
  return loop.run();
}

}  // namespace

int main(int argc, char** argv) {
  const auto done = serve(argc == 2 ? argv[1] : "");
  std::fprintf(stderr, "vhost-user-entropy: %s\n", to_string(done.error()).c_str());
  return 1;
}
