// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Where there is no vhost, the errors say so.

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "vmm/vhost_device/kernel_net.h"
#include "vmm/vhost_device/kernel_vsock.h"

using namespace vmm;
using namespace vmm::vhost_device;

TEST_CASE("a device that is not there, or is none, is an error with its name", "[absent]") {
  CHECK(to_string(KernelNet::open("/nowhere").error()) ==
        "open the vhost-net device: No such file or directory");
  CHECK(to_string(KernelVsock::create({.cid = 3, .path = "/nowhere"}).error()) ==
        "open the vhost-vsock device: No such file or directory");
  CHECK(KernelNet::open("/dev/null").error().is_os(ENOTTY));
  CHECK(std::string(KernelNet::open("/dev/null").error().what()) == "VHOST_SET_OWNER");
  CHECK(KernelVsock::create({.cid = 3, .path = "/dev/null"}).error().is_os(ENOTTY));
}
