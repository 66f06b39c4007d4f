// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What is no vhost device: each request fails, and says which one it was.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "vmm/vhost/net.h"
#include "vmm/vhost/vdpa.h"
#include "vmm/vhost/vsock.h"

using namespace vmm;
using namespace vmm::vhost;

namespace {

UniqueFd pipe_end() {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  ::close(ends[1]);
  return UniqueFd(ends[0]);
}

template <class T>
void check_fails(const Result<T>& result, const char* request) {
  CAPTURE(request);
  REQUIRE_FALSE(result);
  CHECK(result.error().is_os(ENOTTY));
  CHECK(std::string(result.error().what()) == request);
}

}  // namespace

TEST_CASE("requests to what is no vhost device fail with their names", "[bad-fd]") {
  Net net = Net::adopt(pipe_end());
  std::byte page[4096];
  const vm_memory::RegionSpan region{GuestAddress(0), page};
  const auto table = MemoryTable::create(std::span(&region, 1));
  const auto log = DirtyLog::create(vm_memory::MemoryView(region));
  REQUIRE((table && log));
  check_fails(net.features(), "VHOST_GET_FEATURES");
  check_fails(net.set_features(1), "VHOST_SET_FEATURES");
  check_fails(net.backend_features(), "VHOST_GET_BACKEND_FEATURES");
  check_fails(net.set_backend_features(1), "VHOST_SET_BACKEND_FEATURES");
  check_fails(net.set_owner(), "VHOST_SET_OWNER");
  check_fails(net.reset_owner(), "VHOST_RESET_OWNER");
  check_fails(net.set_memory(*table), "VHOST_SET_MEM_TABLE");
  check_fails(net.set_log(*log), "VHOST_SET_LOG_BASE");
  check_fails(net.set_log_event(-1), "VHOST_SET_LOG_FD");
  check_fails(net.set_ring_size({.ring = 0, .value = 8}), "VHOST_SET_VRING_NUM");
  check_fails(net.set_ring_addresses(0, {}), "VHOST_SET_VRING_ADDR");
  check_fails(net.set_ring_base({.ring = 0, .value = 0}), "VHOST_SET_VRING_BASE");
  check_fails(net.ring_base(0), "VHOST_GET_VRING_BASE");
  check_fails(net.set_ring_kick(0, -1), "VHOST_SET_VRING_KICK");
  check_fails(net.set_ring_call(0, -1), "VHOST_SET_VRING_CALL");
  check_fails(net.set_ring_error(0, -1), "VHOST_SET_VRING_ERR");
  check_fails(net.set_busy_loop({}), "VHOST_SET_VRING_BUSYLOOP_TIMEOUT");
  check_fails(net.busy_loop(0), "VHOST_GET_VRING_BUSYLOOP_TIMEOUT");
  check_fails(net.set_backend(0, -1), "VHOST_NET_SET_BACKEND");

  const Vsock vsock = Vsock::adopt(pipe_end());
  check_fails(vsock.set_guest_cid(3), "VHOST_VSOCK_SET_GUEST_CID");
  check_fails(vsock.set_running(true), "VHOST_VSOCK_SET_RUNNING");

  const Vdpa vdpa = Vdpa::adopt(pipe_end());
  std::array<std::byte, 8> config{};
  check_fails(vdpa.device_id(), "VHOST_VDPA_GET_DEVICE_ID");
  check_fails(vdpa.status(), "VHOST_VDPA_GET_STATUS");
  check_fails(vdpa.set_status(1), "VHOST_VDPA_SET_STATUS");
  check_fails(vdpa.config_bytes(), "VHOST_VDPA_GET_CONFIG_SIZE");
  check_fails(vdpa.read_config(0, config), "VHOST_VDPA_GET_CONFIG");
  check_fails(vdpa.write_config(0, config), "VHOST_VDPA_SET_CONFIG");
  check_fails(vdpa.set_config_call(-1), "VHOST_VDPA_SET_CONFIG_CALL");
  check_fails(vdpa.set_ring_enable({.ring = 0, .value = 1}), "VHOST_VDPA_SET_VRING_ENABLE");
  check_fails(vdpa.max_ring_size(), "VHOST_VDPA_GET_VRING_NUM");
  check_fails(vdpa.ring_count(), "VHOST_VDPA_GET_VQS_COUNT");
  check_fails(vdpa.iova_window(), "VHOST_VDPA_GET_IOVA_RANGE");
  check_fails(vdpa.group_count(), "VHOST_VDPA_GET_GROUP_NUM");
  check_fails(vdpa.address_space_count(), "VHOST_VDPA_GET_AS_NUM");
  check_fails(vdpa.ring_group(0), "VHOST_VDPA_GET_VRING_GROUP");
  check_fails(vdpa.set_group_address_space({}), "VHOST_VDPA_SET_GROUP_ASID");
  check_fails(vdpa.suspend(), "VHOST_VDPA_SUSPEND");
}

TEST_CASE("a configuration space has at most a page", "[bad-fd][hostile]") {
  const Vdpa vdpa = Vdpa::adopt(pipe_end());
  std::vector<std::byte> config(4097);
  CHECK(vdpa.read_config(0, config).error().is_os(EINVAL));
  CHECK(vdpa.write_config(0, config).error().is_os(EINVAL));
}

TEST_CASE("a device that is not there says so", "[bad-fd]") {
  const auto check = [](const auto& opened, const char* what) {
    REQUIRE_FALSE(opened);
    CHECK(opened.error().is_os(ENOENT));
    CHECK(std::string(opened.error().what()) == what);
  };
  check(Net::open("/nowhere/vhost-net"), "open the vhost-net device");
  check(Vsock::open("/nowhere/vhost-vsock"), "open the vhost-vsock device");
  check(Vdpa::open("/nowhere/vhost-vdpa-0"), "open the vhost-vdpa device");
}
