// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vm_json.h"

#include <catch2/catch.hpp>
#include <string>

#include "device_tree_json.h"
#include "iommu_options.h"
#include "options.h"

namespace vmm::reference {
namespace {

using Catch::Contains;

Outcome<VmConfig> with(const std::string& members) {
  return parse_vm_json(R"({"payload": {"kernel": "k"}, "cpus": {"boot_vcpus": 2, "max_vcpus": 2})" +
                       (members.empty() ? "" : ", " + members) + "}");
}

// What vm.info shows has to be the same configuration.
void check_round_trip(const VmConfig& vm) {
  const std::string first = vm_json(vm);
  const auto again = parse_vm_json(first);
  INFO(first);
  if (!again) FAIL(again.error().message);
  CHECK(vm_json(*again) == first);
}

TEST_CASE("JSON: a payload is enough, all else is the command line's default", "[json]") {
  const auto got = parse_vm_json(R"({"payload": {"kernel": "k"}})");
  REQUIRE(got.has_value());
  const auto line = parse_command_line(std::vector<std::string>{"--kernel", "k"});
  REQUIRE(line.has_value());
  CHECK(vm_json(*got) == vm_json(*line->vmm.vm));
  check_round_trip(*got);
}

TEST_CASE("JSON: null is absent, and what is not known is passed over", "[json]") {
  const auto got = with(R"("memory": null, "serial": {"mode": "Null", "file": null},
      "disks": [{"path": "a", "serial": null, "pci_segment": null, "colour": "red"}],
      "net": null, "numa": null, "gpu": [], "pvpanic": false, "iommu": false, "weather": {"is": 1},
      "console": {"mode": "Pty", "file": null, "iommu": false})");
  REQUIRE(got.has_value());
  CHECK(got->memory.size == 512u << 20);
  CHECK(got->disks.at(0).path == "a");
  CHECK(got->console.mode == ConsoleConfig::Mode::kPty);
}

// Container runtimes send such a body for every VM: all that they know, with room to grow.
TEST_CASE("JSON: room that is asked for and cannot be filled is not shown", "[json]") {
  const auto got = parse_vm_json(R"({"cpus": {"boot_vcpus": 1, "max_vcpus": 8, "topology":
      {"threads_per_core": 1, "cores_per_die": 8, "dies_per_package": 1, "packages": 1},
      "kvm_hyperv": false, "max_phys_bits": 46, "features": {"amx": false}},
      "memory": {"size": 2147483648, "mergeable": false, "hotplug_method": "Acpi",
      "hotplug_size": 6442450944, "shared": true, "hugepages": false, "prefault": false},
      "payload": {"firmware": null, "kernel": "k", "cmdline": "c", "initramfs": null},
      "rng": {"src": "/dev/urandom", "iommu": false}, "net": [], "fs": [{"tag": "t", "socket": "s",
      "num_queues": 1, "queue_size": 1024, "id": null, "pci_segment": 0}],
      "pmem": [{"file": "f", "size": null, "iommu": false, "discard_writes": true, "id": null}],
      "serial": {"file": null, "mode": "Off", "iommu": false},
      "console": {"file": null, "mode": "Off", "iommu": false},
      "vsock": {"cid": 3, "socket": "v", "iommu": false, "id": null, "pci_segment": 0},
      "balloon": {"size": 0, "deflate_on_oom": false, "free_page_reporting": true},
      "iommu": false, "watchdog": false, "sgx_epc": null, "numa": null,
      "platform": {"num_pci_segments": 2, "tdx": false}})");
  if (!got) FAIL(got.error().message);
  const std::string text = vm_json(*got);
  CHECK_THAT(text, Contains(R"("boot_vcpus":1,"max_vcpus":1,)"));
  CHECK_THAT(text, Contains(R"("cores_per_die":1,)"));
  CHECK_THAT(text, !Contains("hotplug_size"));
  check_round_trip(*got);
}

TEST_CASE("JSON: there may be an IOMMU with nothing behind it", "[json]") {
  CHECK_THAT(vm_json(*with("")), Contains(R"("iommu":false)"));
  const auto got = with(R"("iommu": true)");
  REQUIRE(got.has_value());
  CHECK(has_iommu(*got));
  CHECK_THAT(vm_json(*got), Contains(R"("iommu":true)"));
  check_round_trip(*got);
  const auto of_device = with(R"("disks": [{"path": "a", "iommu": true}])");
  REQUIRE(of_device.has_value());
  CHECK_THAT(vm_json(*of_device), Contains(R"("iommu":true)"));
  CHECK_FALSE(with(R"("iommu": 1)").has_value());
  CHECK_FALSE(with(R"("iommu": true, "transport": "mmio")").has_value());
}

TEST_CASE("JSON: a VM of Spectrum", "[json]") {
  const auto got = parse_vm_json(R"({
    "console": {"mode": "Pty", "file": null},
    "serial": {"mode": "File", "file": "/run/vm/by-id/I/serial"},
    "disks": [{"path": "/d/root", "readonly": true, "disable_io_uring": true, "disable_aio": true}],
    "fs": [{"tag": "host", "socket": "/run/fs"}],
    "gpu": [],
    "net": [{"vhost_user": true, "vhost_socket": "/run/net", "id": "n", "mac": "02:00:00:00:00:01"}],
    "memory": {"size": 1073741824, "shared": true},
    "payload": {"kernel": "/d/vmlinux", "cmdline": "console=ttyS0 root=PARTLABEL=root"},
    "vsock": {"cid": 3, "socket": "/run/vsock"},
    "landlock_enable": true,
    "landlock_rules": [{"path": "/sys/devices", "access": "rw"}]})");
  if (!got) FAIL(got.error().message);
  CHECK(got->cpus.boot == 1);
  CHECK(got->console.mode == ConsoleConfig::Mode::kPty);
  CHECK(got->serial.path == "/run/vm/by-id/I/serial");
  CHECK(got->disks.at(0).readonly);
  CHECK_FALSE(got->disks.at(0).io_uring);
  CHECK(got->file_systems.at(0).vhost_socket == "/run/fs");
  CHECK(got->nets.at(0).vhost_socket == "/run/net");
  CHECK(got->nets.at(0).mac->at(5) == 1);
  CHECK(got->memory.shared);
  CHECK(got->cmdline == "console=ttyS0 root=PARTLABEL=root");
  CHECK(got->vsock->cid == 3);
  CHECK(got->landlock);
  REQUIRE(got->landlock_rules.size() == 1);
  CHECK(got->landlock_rules[0].path == "/sys/devices");
  CHECK((got->landlock_rules[0].read && got->landlock_rules[0].write));
  check_round_trip(*got);
}

TEST_CASE("JSON: a serial port that is a socket comes back as one", "[json]") {
  const auto got = with(R"("serial": {"mode": "Socket", "socket": "/run/s", "file": null})");
  REQUIRE(got.has_value());
  CHECK(got->serial.mode == ConsoleConfig::Mode::kSocket);
  CHECK(got->serial.path == "/run/s");
  CHECK_THAT(vm_json(*got), Contains(R"("serial":{"mode":"Socket","socket":"/run/s"})"));
  check_round_trip(*got);
}

TEST_CASE("JSON: every option that the command line has arrives and comes back", "[json]") {
  const std::vector<std::string> words{
      "--kernel",
      "k",
      "--initramfs",
      "i",
      "--cmdline",
      "a \"b\", [c",
      "--cpus",
      "boot=4,topology=2:2:1:1,nested=off,max_phys_bits=40,affinity=[0@[1,3-4],2@7],"
      "core_scheduling=vcpu",
      "--memory",
      "size=1G,shared=on,hugepages=on,hugepage_size=2M,prefault=on,reserve=on,thp=off,"
      "hotplug_method=virtio-mem,hotplug_size=64M,hotplugged_size=2M",
      "--serial",
      "file=\"/tmp/x,y\"",
      "--console",
      "null,id=con,pci_segment=1,iommu=on",
      "--debug-console",
      "tty,iobase=0x402",
      "--disk",
      "path=\"a,b\",readonly=on,direct=on,queue_size=64,num_queues=4,"
      "queue_affinity=[0@[1]],serial=s,backing_files=on,sparse=off,image_type=qcow2,"
      "lock_granularity=full,_disable_io_uring=on,rate_limit_group=g,id=d0,pci_device_id=7,packed="
      "off",
      "vhost_user=on,socket=s",
      "path=c,bw_size=1,bw_refill_time=2,ops_size=3,ops_refill_time=4,"
      "ops_one_time_burst=5,guest_block_size=4096,lock_granularity=qemu-compatible",
      "--net",
      "tap=t,ip=192.0.2.1,mask=255.0.0.0,mac=02:00:00:00:00:0a,host_mac=02:00:00:00:00:0b,mtu=1500,"
      "offload_tso=off,num_queues=4,queue_size=512",
      "user=on,hostfwd=[tcp:8080:80,udp:127.0.0.1:1:2],event_idx=off",
      "vhost_user=on,socket=n,vhost_mode=server",
      "--fs",
      "tag=t,socket=f,dax=on,cache_size=1G",
      "--generic-vhost-user",
      "device_type=gpu,socket=g,queue_sizes=[256,16]",
      "--rng",
      "src=/r",
      "--pmem",
      "file=p,size=2M,discard_writes=on",
      "--vsock",
      "cid=3,socket=v",
      "--user-device",
      "socket=u",
      "--watchdog",
      "--pvpanic",
      "--rtc",
      "id=clock",
      "--rate-limit-group",
      "id=g,bw_size=1,bw_refill_time=2",
      "--platform",
      "num_pci_segments=2,iommufd=on,vfio_p2p_dma=off,iommu_segments=[1],iommu_address_width=48,"
      "oem_strings=[io.x:a=b,\"c,d]\"],uuid=00112233-4455-6677-8899-aabbccddeeff,"
      "serial_number=s,system_manufacturer=m,system_product_name=p,system_version=v,"
      "system_sku_number=k,system_family=f,chassis_asset_tag=t",
      "--pci-segment",
      "pci_segment=1,mmio32_aperture_weight=3"};
  const auto line = parse_command_line(words);
  if (!line) FAIL(line.error().message);
  check_round_trip(*line->vmm.vm);
  const std::string text = vm_json(*line->vmm.vm);
  for (const char* part :
       {R"("boot_vcpus":4)",
        R"("core_scheduling":"Vcpu")",
        R"("hotplug_method":"VirtioMem","hotplug_size":67108864,"hotplugged_size":2097152)",
        R"("path":"a,b")",
        R"("cmdline":"a \"b\", [c")",
        R"("iobase":1026)",
        R"("queue_affinity":[{"queue_index":0,"host_cpus":[1]}])",
        R"("image_type":"Qcow2")",
        R"("lock_granularity":"Full")",
        R"("lock_granularity":"QemuCompatible","guest_block_size":4096)",
        R"("vhost_mode":"Server")",
        R"("device_type":16)",
        R"("hostfwd":["tcp:8080:80","udp:127.0.0.1:1:2"])",
        R"("mac":"02:00:00:00:00:0a")",
        R"("vfio_p2p_dma":false)",
        R"("iommu_segments":[1],"iommu_address_width_bits":48)",
        R"("cache_size":1073741824)",
        R"("packed":false)",
        R"("watchdog":true)",
        R"("pvpanic":true)",
        R"("oem_strings":["io.x:a=b","c,d]"])",
        R"("system_uuid":"00112233-4455-6677-8899-aabbccddeeff","system_sku_number":"k")",
        R"("rate_limiter_config":{"bandwidth":{"size":1,"refill_time":2})"}) {
    CHECK_THAT(text, Contains(part));
  }
}

TEST_CASE("JSON: what is wrong is refused by name", "[json][hostile]") {
  struct Case {
    const char* text;
    const char* part;
  };
  const auto c = GENERATE(values<Case>({
      {"", "malformed JSON"},
      {"{", "malformed JSON"},
      {"[]", "not an object"},
      {"{} x", "malformed JSON"},
      {"{\"payload\": {\"kernel\": \"\xff\"}}", "malformed JSON"},
      {R"({"a": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]})", "malformed JSON"},
      {"{}", "payload: required"},
      {R"({"payload": null})", "payload: required"},
      {R"({"payload": {}})", "--kernel: required"},
      {R"({"payload": {"kernel": 1}})", "payload/kernel: not a string"},
      {R"({"payload": {"kernel": "a\u0000b"}})", "payload/kernel: not a string"},
      {R"({"payload": {"kernel": "k", "firmware": "f"}})", "not together"},
      {R"({"payload": {"kernel": "k", "igvm": "f"}})", "payload/igvm: not offered"},
      {R"({"payload": {"kernel": "k"}, "cpus": {"boot_vcpus": 1}})", "cpus/max_vcpus: required"},
  }));
  const auto got = parse_vm_json(c.text);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().kind == Failure::Kind::kUsage);
  CHECK_THAT(got.error().message, Contains(c.part));
}

TEST_CASE("JSON: members obey the rules of the options", "[json][hostile]") {
  struct Case {
    const char* members;
    const char* part;
  };
  const auto c = GENERATE(values<Case>({
      {R"("memory": {"size": -1})", "--memory: size: not a whole number"},
      {R"("memory": {"size": 1.5})", "--memory: size: not a whole number"},
      {R"("memory": {"size": "1G"})", "--memory: size: not a whole number"},
      {R"("memory": {"size": 4097})", "--memory: size: not a multiple"},
      {R"("memory": {"size": 18446744073709551616})", "--memory: size"},
      {R"("memory": {"hotplug_method": "virtio-mem"})", "hotplug_method: not a name"},
      {R"("memory": {"hotplug_size": 4096, "hotplugged_size": 4096})", "hotplug_method=acpi"},
      {R"("memory": {"zones": [{"id": "z"}]})", "memory/zones: not offered"},
      {R"("memory": [])", "not an object"},
      {R"("cpus": {"boot_vcpus": 2, "max_vcpus": 1})", "--cpus: max"},
      {R"("cpus": {"boot_vcpus": 1, "max_vcpus": 1, "topology": {"packages": 1}})", "four numbers"},
      {R"("cpus": {"boot_vcpus": 1, "max_vcpus": 1, "features": {"amx": true}})", "features"},
      {R"("cpus": {"boot_vcpus": 1, "max_vcpus": 1, "core_scheduling": "vm"})", "not a name"},
      {R"("cpus": {"boot_vcpus": 1, "max_vcpus": 1, "profile": "x"})", "--cpus: profile"},
      {R"("disks": {})", "not a list"},
      {R"("disks": [1])", "not an object"},
      {R"("disks": [{}])", "--disk: path: required"},
      {R"("disks": [{"path": ""}])", "--disk: path: required"},
      {R"("disks": [{"path": true}])", "--disk: path: not a string"},
      {R"("disks": [{"path": "a", "readonly": "on"}])", "--disk: readonly: not a boolean"},
      {R"("disks": [{"path": "a", "image_type": "raw"}])", "image_type: not a name"},
      {R"("disks": [{"path": "a", "image_type": "FlatVmdk"}])", "vmdk is not offered"},
      {R"("balloon": {"size": 0, "iommu": true})", "--balloon: iommu"},
      {R"("balloon": {"size": 0, "iommu": false})", ""},
      {R"("disks": [{"path": "a", "guest_block_size": 4097}])", "guest_block_size"},
      {R"("disks": [{"path": "a", "lock_granularity": "qemu-compatible"}])", "not a name"},
      {R"("disks": [{"path": "a", "pin_memory": true, "iommu": true}])", "pin_memory"},
      {R"("disks": [{"path": "a", "id": "x"}, {"path": "b", "id": "x"}])", "id=x"},
      {R"("disks": [{"path": "a", "id": "__x"}])", "--disk: id"},
      {R"("disks": [{"path": "a", "num_queues": 3}])", "more than there are vCPUs"},
      {R"("disks": [{"path": "a", "queue_affinity": [{"host_cpus": [1]}]}])", "queue_affinity"},
      {R"("disks": [{"path": "a", "queue_affinity": [{"queue_index": 9, "host_cpus": [1]}]}])",
       "queue_affinity"},
      {R"("net": [{"mac": "02"}])", "--net: mac"},
      {R"("net": [{"mtu": 100}])", "--net: mtu"},
      {R"("net": [{"hostfwd": [1]}])", "hostfwd: not a list of strings"},
      {R"("fs": [{"tag": "t", "socket": "s"}])", "--fs needs --memory shared=on"},
      {R"("vsock": {"cid": 2, "socket": "s"})", "--vsock: cid"},
      {R"("vsock": {"cid": 3})", "--vsock: socket: required"},
      {R"("balloon": {"size": 1099511627776})", "--balloon: size"},
      {R"("serial": {"mode": "pty"})", "mode: not one of"},
      {R"("serial": {"mode": "File"})", "file: not a string"},
      {R"("serial": {"mode": "Socket", "file": "s"})", "socket: not a string"},
      {R"("serial": {"mode": "Socket", "socket": "s"})", ""},
      {R"("console": {"mode": "Socket", "socket": "s"})", "socket: not offered"},
      {R"("serial": {})", "--serial: mode"},
      {R"("console": {})", "--console: mode"},
      {R"("debug_console": {"iobase": 1026})", "--debug-console: mode"},
      {R"("pvpanic": true, "transport": "mmio")", "--pvpanic needs"},
      {R"("pvpanic": "on")", "pvpanic: not a boolean"},
      {R"("console": {"mode": "Tty"}, "serial": {"mode": "Tty"})", ""},
      {R"("cpus": {"boot_vcpus": 1, "max_vcpus": 1, "profile": "skylake"})",
       "profile: not offered"},
      {R"("cpus": {"boot_vcpus": 1, "max_vcpus": 1, "core_scheduling": "Off", "profile": "host",
          "kvm_hyperv": false, "features": {"amx": false}})",
       ""},
      {R"("memory": {"hotplug_method": "Acpi", "hotplug_size": 0, "hotplugged_size": 0})", ""},
      {R"("memory": {"hotplug_method": "acpi"})", "hotplug_method: not a name"},
      {R"("console": {"mode": "Null", "escape": true})", "--console: escape"},
      {R"("pvmemcontrol": {})", "pvmemcontrol: not offered"},
      {R"("tpm": {"socket": "s"})", "tpm: not offered"},
      {R"("gpu": [{"socket": "s"}])", "gpu: not offered"},
      {R"("platform": {"oem_strings": [""]})", "oem_strings: "},
      {R"("platform": {"oem_strings": ["a", 1]})", "oem_strings: not a list of strings"},
      {R"("platform": {"uuid": "x"})", "--platform: uuid"},
      {R"("platform": {"tdx": true})", "tdx: not offered"},
      {R"("platform": {"num_pci_segments": 97})", "--platform: num_pci_segments"},
      {R"("watchdog": 1)", "watchdog: not a boolean"},
      {R"("landlock_enable": "yes")", "landlock_enable: not a boolean"},
      {R"("landlock_rules": [{"access": "rw"}])", "--landlock-rules: path"},
      {R"("landlock_rules": [{"path": "/x", "access": 1}])", "access: not a string"},
      {R"("landlock_rules": [{"path": "/x", "access": "x"}])", "--landlock-rules: access"},
      {R"("transport": "isa")", "--transport"},
      {R"("devices": [{"path": "/d", "x_exclude_mmap_bars": [6]}])", "x_exclude_mmap_bars"},
  }));
  const auto got = with(c.members);
  INFO(c.members);
  if (*c.part == '\0') {
    CHECK(got.has_value());
    return;
  }
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().kind == Failure::Kind::kUsage);
  CHECK_THAT(got.error().message, Contains(c.part));
}

TEST_CASE("JSON: strings are no grammar", "[json][hostile]") {
  const auto got =
      with(R"("disks": [{"path": "a,readonly=on\",direct=on,\"[", "serial": "\"\""}])");
  REQUIRE(got.has_value());
  CHECK(got->disks.at(0).path == "a,readonly=on\",direct=on,\"[");
  CHECK(got->disks.at(0).serial == "\"\"");
  CHECK_FALSE(got->disks.at(0).readonly);
  CHECK_FALSE(got->disks.at(0).direct);
}

TEST_CASE("JSON: the number of devices is bounded", "[json][hostile]") {
  std::string disks;
  for (int i = 0; i < 5000; ++i) disks += std::string(i == 0 ? "" : ",") + R"({"path":"a"})";
  CHECK_FALSE(with("\"disks\": [" + disks + "]").has_value());
}

TEST_CASE("JSON: one device joins a configuration", "[json]") {
  auto vm = with("");
  REQUIRE(vm.has_value());
  REQUIRE(add_device_json("disks", R"({"path": "a", "id": "x"})", *vm).has_value());
  REQUIRE(add_device_json("vsock", R"({"cid": 3, "socket": "s"})", *vm).has_value());
  CHECK(vm->disks.at(0).device.id == "x");
  CHECK(vm->vsock->cid == 3);
  CHECK_FALSE(add_device_json("disks", R"({})", *vm).has_value());
  CHECK_FALSE(add_device_json("chairs", R"({})", *vm).has_value());
  CHECK(vm->disks.size() == 1);
}

TEST_CASE("JSON: the tree of devices has virtio devices below their transports", "[json]") {
  CHECK(device_tree_json({}) == "{}");
  CHECK(
      device_tree_json({{.id = "gpu", .bdf = "0001:00:02.0", .virtio = false},
                        {.id = "_disk0", .bdf = "0000:00:01.0", .virtio = true}}) ==
      R"({"gpu":{"id":"gpu","resources":[],"parent":null,"children":[],"pci_bdf":"0001:00:02.0"},)"
      R"("_virtio-pci-_disk0":{"id":"_virtio-pci-_disk0","resources":[],"parent":null,)"
      R"("children":["_disk0"],"pci_bdf":"0000:00:01.0"},)"
      R"("_disk0":{"id":"_disk0","resources":[],"parent":"_virtio-pci-_disk0","children":[],)"
      R"("pci_bdf":null}})");
}

}  // namespace
}  // namespace vmm::reference
