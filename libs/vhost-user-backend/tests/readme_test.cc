// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// The example of the README.

#include <catch2/catch.hpp>

#include "vmm/sys_util/temp_directory.h"
#include "vmm/vhost_user_backend/daemon.h"
#include "vmm/virtio_device/testing/echo_device.h"

using namespace vmm;

// Serves front ends at `path` with this device, one after another, until somebody stops the loop.
Result<void> serve(event_manager::EventLoop& loop,
                   std::shared_ptr<virtio_device::VirtioDevice> device, const std::string& path) {
  virtio_device::InlineWorkers workers(loop);  // LoopWorkers has threads of their own
  VMM_TRY(const auto backend,
          vhost_user_backend::DeviceBackend::create(
              {.device = std::move(device), .workers = workers, .control = loop}));
  VMM_TRY(auto listener, sys_util::UnixListener::create(path));
  vhost_user_backend::Daemon daemon(loop, *backend);
  VMM_TRY_DO(daemon.listen(std::move(listener)));
  return loop.run();
}

TEST_CASE("the README's daemon serves until its loop ends", "[readme]") {
  const auto folder = *sys_util::TempDirectory::create();
  auto loop = *event_manager::EventLoop::create();
  loop.post([&] { loop.stop(); });
  CHECK(serve(loop, std::make_shared<virtio_device::testing::EchoDevice>(),
              folder.path() + "/socket"));
}
