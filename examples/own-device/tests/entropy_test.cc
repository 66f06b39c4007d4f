// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "entropy.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>

#include "vmm/sys_util/temp_directory.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vhost_user_frontend/remote_device.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

namespace {

using namespace vmm;
using namespace vmm::virtio_device::testing;

TEST_CASE("requests are filled with random bytes, up to 256", "[own-device]") {
  DeviceRig rig(std::make_shared<Entropy>());
  REQUIRE(rig.start());
  const auto small = rig.exchange(0, {.readable = {}, .writable = {3, 61}});
  REQUIRE(small);
  CHECK(small->written == 64);
  CHECK(std::set(small->bytes.begin(), small->bytes.end()).size() > 16);
  const auto large = rig.exchange(0, {.readable = {}, .writable = {1000}});
  REQUIRE(large);
  CHECK(large->written == 256);
  CHECK(large->at<std::byte>(256) == DeviceRig::kUntouched);
}

TEST_CASE("the device survives what no driver sends", "[own-device][hostile]") {
  for (const HostileChain& chain : hostile_chains()) {
    CAPTURE(chain.name);
    DeviceRig rig(std::make_shared<Entropy>());
    REQUIRE(rig.start());
    CHECK(outlive(rig, 0, chain) == "");
  }
}

/// The daemon, from construction to destruction.
struct Program {
  explicit Program(const std::string& socket) : id(::fork()) {
    if (id != 0) return;
    ::execl(std::getenv("VHOST_USER_ENTROPY"), "vhost-user-entropy", socket.c_str(), nullptr);
    ::_exit(127);
  }
  ~Program() {
    ::kill(id, SIGKILL);
    ::waitpid(id, nullptr, 0);
  }
  pid_t id;
};

TEST_CASE("another process serves the device", "[own-device]") {
  const auto folder = sys_util::TempDirectory::create("/tmp/own-device-");
  REQUIRE(folder);
  const std::string path = std::string(folder->path()) + "/socket";
  const Program program(path);
  Result<UniqueFd> socket = fail(Error::os(ENOENT, "connect"));
  for (int tries = 0; tries < 6000 && !socket; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    socket = sys_util::connect_unix(path);
  }
  REQUIRE(socket);
  auto device = vhost_user_frontend::RemoteDevice::create(
      {.type = virtio_device::DeviceType::kEntropy, .queue_sizes = {16}},
      [&]() -> Result<UniqueFd> { return std::move(*socket); });
  REQUIRE(device);
  DeviceRig rig(*device, {.shared_ram = true});
  REQUIRE(rig.start());
  const auto answer = rig.exchange(0, {.readable = {}, .writable = {64}});
  REQUIRE(answer);
  CHECK(answer->written == 64);
  CHECK(std::set(answer->bytes.begin(), answer->bytes.end()).size() > 16);
}

}  // namespace
