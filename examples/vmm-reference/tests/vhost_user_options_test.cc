// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vhost_user_options.h"

#include <catch2/catch.hpp>
#include <utility>
#include <vector>

#include "options.h"

namespace vmm::reference {
namespace {

Outcome<Invocation> with_kernel(std::vector<std::string> words) {
  words.insert(words.begin(), {"--kernel", "k", "--cpus", "boot=4"});
  return parse_command_line(words);
}

TEST_CASE("file systems and other devices of other processes", "[options]") {
  const auto got =
      with_kernel({"--memory", "size=1G,shared=on", "--fs", "tag=a,socket=/a",
                   "tag=b,socket=/b,num_queues=2,queue_size=64,id=b,pci_segment=0,pci_device_id=9",
                   "tag=c,socket=/c,dax=on", "tag=d,socket=/d,dax=on,cache_size=8G",
                   "tag=e,socket=/e,dax=off,cache_size=8G", "--generic-vhost-user",
                   "device_type=sound,socket=/s,queue_sizes=[64,64,32,32]",
                   "virtio_id=41,socket=/g,queue_sizes=1024,id=g"});
  REQUIRE(got);
  REQUIRE(got->vmm.vm->file_systems.size() == 5);
  CHECK_FALSE(got->vmm.vm->file_systems[0].dax);
  CHECK((got->vmm.vm->file_systems[2].dax && got->vmm.vm->file_systems[2].cache_bytes == 0));
  CHECK(got->vmm.vm->file_systems[3].cache_bytes == std::uint64_t{8} << 30);
  CHECK((!got->vmm.vm->file_systems[4].dax && got->vmm.vm->file_systems[4].cache_bytes == 0));
  const FsConfig& plain = got->vmm.vm->file_systems[0];
  CHECK((plain.tag == "a" && plain.vhost_socket == "/a"));
  CHECK((plain.num_queues == 1 && plain.queue_size == 1024));
  const FsConfig& other = got->vmm.vm->file_systems[1];
  CHECK((other.num_queues == 2 && other.queue_size == 64));
  CHECK((other.device.id == "b" && other.device.pci_device == 9));
  REQUIRE(got->vmm.vm->generics.size() == 2);
  CHECK(got->vmm.vm->generics[0].device_type == 25);
  CHECK(got->vmm.vm->generics[0].queue_sizes == std::vector<std::uint16_t>{64, 64, 32, 32});
  CHECK((got->vmm.vm->generics[1].device_type == 41 &&
         got->vmm.vm->generics[1].vhost_socket == "/g"));
  CHECK(got->vmm.vm->generics[1].queue_sizes == std::vector<std::uint16_t>{1024});
}

TEST_CASE("with vhost_user what is the back end's business is passed over", "[options]") {
  const auto got = with_kernel(
      {"--memory", "shared=on", "--disk", "vhost_user=on,socket=a,readonly=on,direct=on,serial=s",
       "--net",
       "vhost_user=on,socket=b,tap=t,ip=192.0.2.1,mask=255.0.0.0,host_mac=02:00:00:00:00:01"});
  REQUIRE(got);
  const VmConfig& vm = *got->vmm.vm;
  CHECK(passed_over(vm.disks.at(0)) == "readonly, direct, serial");
  CHECK(passed_over(vm.nets.at(0)) == "tap, ip, host_mac");
  const auto plain =
      with_kernel({"--memory", "shared=on", "--disk", "vhost_user=on,socket=a,readonly=off",
                   "--net", "vhost_user=on,socket=b,mac=02:00:00:00:00:01,mtu=1400"});
  REQUIRE(plain);
  CHECK(passed_over(plain->vmm.vm->disks.at(0)).empty());
  CHECK(passed_over(plain->vmm.vm->nets.at(0)).empty());
}

TEST_CASE("what another process serves cannot be limited here, nor told of", "[options][hostile]") {
  for (const char* const key : {"rate_limit_group=g", "guest_block_size=4096",
                                "bw_size=1,bw_refill_time=1", "ops_size=1,ops_refill_time=1"}) {
    CAPTURE(key);
    const auto got = with_kernel({"--memory", "shared=on", "--rate-limit-group",
                                  "id=g,ops_size=1,ops_refill_time=1", "--disk",
                                  std::string("vhost_user=on,socket=a,") + key});
    REQUIRE_FALSE(got);
    CHECK_THAT(got.error().message, Catch::Contains("vhost_user"));
  }
  const auto net = with_kernel(
      {"--memory", "shared=on", "--net", "vhost_user=on,socket=a,bw_size=1,bw_refill_time=1"});
  REQUIRE_FALSE(net);
  CHECK(net.error().message == "--net: vhost_user: not together with limits");
}

TEST_CASE("types of devices have the names that people know", "[options]") {
  const auto type = [](const char* name) {
    const auto got = with_kernel({"--memory", "shared=on", "--generic-vhost-user",
                                  std::string("socket=s,queue_sizes=[8],device_type=") + name});
    return got ? got->vmm.vm->generics.at(0).device_type : 0;
  };
  for (const auto& [name, number] :
       std::vector<std::pair<const char*, std::uint32_t>>{{"net", 1},
                                                          {"memory_balloon", 13},
                                                          {"gpu", 16},
                                                          {"clock", 17},
                                                          {"rtc", 17},
                                                          {"signal_dist", 21},
                                                          {"rpmb", 28},
                                                          {"video_decoder", 31},
                                                          {"nitro_sec_mod", 33},
                                                          {"bt", 40},
                                                          {"camera", 43},
                                                          {"usb", 49},
                                                          {"63", 63},
                                                          {"GPU", 0},
                                                          {"none", 0}}) {
    CAPTURE(name);
    CHECK(type(name) == number);
  }
}

TEST_CASE("huge pages are shared memory", "[options]") {
  const auto got = with_kernel({"--memory", "size=1G,hugepages=on", "--fs", "tag=a,socket=/a",
                                "--disk", "vhost_user=on,socket=/b", "--generic-vhost-user",
                                "device_type=sound,socket=/s,queue_sizes=[64]"});
  REQUIRE(got);
  CHECK((got->vmm.vm->memory.is_shared() && !got->vmm.vm->memory.shared));
}

TEST_CASE("file systems and other devices that cannot be", "[options][hostile]") {
  const auto message = [](const char* option, const char* value, bool shared = true) {
    const auto refused =
        with_kernel({"--memory", shared ? "size=1G,shared=on" : "size=1G", option, value});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().exit_code() == 2);
    return refused.error().message;
  };
  const std::string long_tag = "socket=/s,tag=" + std::string(37, 'x');
  CHECK(message("--fs", "socket=/s") == "--fs: tag: required");
  CHECK(message("--fs", "tag=a") == "--fs: socket: required");
  CHECK(message("--fs", long_tag.c_str()) == "--fs: tag: longer than 36 bytes");
  CHECK(message("--fs", "tag=a,socket=/s,queue_size=3").starts_with("--fs: queue_size"));
  CHECK(message("--fs", "tag=a,socket=/s", false) == "--fs needs --memory shared=on");
  CHECK(message("--fs", "tag=a,socket=/s,cache_size=8G") == "--fs: cache_size: needs dax=on");
  for (const char* const size : {"0", "2K", "3G", "6000"}) {
    const std::string value = std::string("tag=a,socket=/s,dax=on,cache_size=") + size;
    CHECK(message("--fs", value.c_str()).starts_with("--fs: cache_size: not a power of two"));
  }
  const auto mmio = with_kernel(
      {"--memory", "size=1G,shared=on", "--transport", "mmio", "--fs", "tag=a,socket=/s,dax=on"});
  REQUIRE_FALSE(mmio);
  CHECK(mmio.error().message == "--fs: dax: not with --transport mmio");
  const char* const kGeneric = "--generic-vhost-user";
  CHECK(message(kGeneric, "device_type=4,queue_sizes=[8],socket=/s", false) ==
        "--generic-vhost-user needs --memory shared=on");
  CHECK(message(kGeneric, "queue_sizes=[8],socket=/s") ==
        "--generic-vhost-user: device_type: required");
  CHECK(message(kGeneric, "device_type=4,queue_sizes=[8]") ==
        "--generic-vhost-user: socket: required");
  for (const char* const type : {"0", "64", "iommu", "23", "watchdog", "35", "x", "-1"}) {
    CAPTURE(type);
    const std::string value = std::string("queue_sizes=[8],socket=/s,device_type=") + type;
    CHECK(message(kGeneric, value.c_str()).starts_with("--generic-vhost-user: device_type"));
  }
  for (const char* const sizes : {"[]", "[0]", "[3]", "[65536]", "x", "[8"}) {
    CAPTURE(sizes);
    const std::string value = std::string("device_type=4,socket=/s,queue_sizes=") + sizes;
    CHECK_FALSE(with_kernel({"--memory", "shared=on", kGeneric, value}));
  }
}

}  // namespace
}  // namespace vmm::reference
