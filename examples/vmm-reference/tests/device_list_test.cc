// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_list.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "device_names.h"

namespace vmm::reference {
namespace {

using Kind = DeviceRefusal::Kind;

DiskConfig disk(const std::string& id = "") {
  DiskConfig config;
  config.device.id = id;
  config.path = "disk.img";
  return config;
}

template <class T>
T named(const std::string& id) {
  T config;
  config.device.id = id;
  return config;
}

TEST_CASE("devices that come have the next ids, or their own", "[hotplug]") {
  VmConfig vm;
  vm.disks = {disk(), disk("_disk1")};
  vm.nets.resize(1);
  vm.memory.shared = true;
  name_devices(vm);
  CHECK(vm.disks[0].device.id == "_disk0");
  CHECK(vm.disks[1].device.id == "_disk1");
  const auto first = add_device(vm, disk());
  REQUIRE(first);
  CHECK(*first != "_disk1");
  CHECK(vm.disks.back().device.id == *first);
  CHECK(*add_device(vm, disk("mine")) == "mine");
  CHECK(add_device(vm, NetConfig())->starts_with("_net"));
  CHECK(add_device(vm, FsConfig())->starts_with("_fs"));
  CHECK(add_device(vm, GenericVhostUserConfig())->starts_with("_generic_vhost_user"));
  CHECK(add_device(vm, PmemConfig())->starts_with("_pmem"));
  CHECK(add_device(vm, VsockConfig())->starts_with("_vsock"));
  CHECK(add_device(vm, UserDeviceConfig())->starts_with("_vfio_user"));
  CHECK(vm.disks.size() == 4);
  CHECK(vm.vsock);
}

TEST_CASE("what cannot come is refused, and nothing has changed", "[hotplug][hostile]") {
  VmConfig vm;
  vm.disks = {disk("one")};
  vm.vsock = named<VsockConfig>("sockets");
  struct Case {
    const char* name;
    HotDevice device;
    Kind kind;
  };
  DiskConfig wide = disk("wide");
  wide.num_queues = 2;
  DiskConfig nowhere = disk("nowhere");
  nowhere.device.pci_segment = 7;
  FsConfig fs = named<FsConfig>("fs");
  for (const Case& c : {Case{"an id that there is", disk("one"), Kind::kDuplicate},
                        Case{"of another sort", named<NetConfig>("one"), Kind::kDuplicate},
                        Case{"one of the VMM's own", disk("__rng"), Kind::kDuplicate},
                        Case{"a second vsock", VsockConfig(), Kind::kFailed},
                        Case{"more queues than vCPUs", wide, Kind::kInvalid},
                        Case{"no such segment", nowhere, Kind::kInvalid},
                        Case{"memory that is not shared", fs, Kind::kInvalid}}) {
    CAPTURE(c.name);
    const auto added = add_device(vm, c.device);
    REQUIRE_FALSE(added);
    CHECK(added.error().kind == c.kind);
    CHECK_FALSE(added.error().message.empty());
    CHECK(vm.disks.size() == 1);
    CHECK(vm.nets.empty());
    CHECK(vm.file_systems.empty());
  }
}

TEST_CASE("a device of the host is known by all its paths", "[hotplug]") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / "vmm-device-list-test";
  fs::remove_all(folder);
  fs::create_directories(folder / "devices/0000:00:10.0");
  fs::create_directories(folder / "devices/0000:00:11.0");
  fs::create_directories(folder / "drivers");
  fs::create_directory_symlink(folder / "devices/0000:00:10.0", folder / "drivers/0000:00:10.0");
  VmConfig vm;
  HostDeviceConfig device;
  device.path = folder / "devices/0000:00:10.0";
  REQUIRE(add_device(vm, device));
  for (const char* same :
       {"devices/0000:00:10.0", "drivers/0000:00:10.0", "devices/0000:00:10.0/"}) {
    device.path = folder / same;
    const auto again = add_device(vm, device);
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == Kind::kDuplicate);
  }
  device.path = folder / "devices/0000:00:11.0";
  CHECK(add_device(vm, device));
  CHECK(vm.host_devices.size() == 2);
  CHECK(check_host_paths(vm));
  device.path = folder / "drivers/0000:00:10.0";
  vm.host_devices.push_back(device);
  const auto twice = check_host_paths(vm);
  REQUIRE_FALSE(twice);
  CHECK(twice.error().kind == Failure::Kind::kUsage);
  CHECK(twice.error().message.find("given twice") != std::string::npos);

  VmConfig confined;
  confined.landlock_rules = {{.path = folder / "devices", .read = true}};
  CHECK(check_host_paths(confined));
  confined.landlock_rules.push_back({.path = "/nowhere/at/all", .read = true});
  const auto missing = check_host_paths(confined);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == Failure::Kind::kUsage);
  CHECK(missing.error().message.find("/nowhere/at/all") != std::string::npos);
  fs::remove_all(folder);
}

TEST_CASE("devices leave the configuration by their ids", "[hotplug]") {
  VmConfig vm;
  vm.disks = {disk("one"), disk("two")};
  vm.vsock = named<VsockConfig>("sockets");
  vm.balloon = named<BalloonConfig>("mine");
  REQUIRE(remove_device(vm, "one"));
  REQUIRE(vm.disks.size() == 1);
  CHECK(vm.disks[0].device.id == "two");
  CHECK(remove_device(vm, "one").error().kind == Kind::kUnknown);
  CHECK(remove_device(vm, "").error().kind == Kind::kUnknown);
  REQUIRE(remove_device(vm, "sockets"));
  CHECK_FALSE(vm.vsock);
  CHECK(remove_device(vm, "__rng").error().kind == Kind::kInvalid);
  CHECK(remove_device(vm, "mine").error().kind == Kind::kInvalid);
  CHECK(remove_device(vm, "__watchdog").error().kind == Kind::kUnknown);
  REQUIRE(add_device(vm, VsockConfig()));
}

TEST_CASE("an id is free when the guest has given the device back", "[hotplug]") {
  VmConfig vm;
  vm.leaving_ids = {"mine", "_disk0"};
  CHECK(add_device(vm, disk("mine")).error().kind == Kind::kDuplicate);
  CHECK(*add_device(vm, disk()) == "_disk1");
  vm.leaving_ids.clear();
  CHECK(add_device(vm, disk("mine")));
}

}  // namespace
}  // namespace vmm::reference
