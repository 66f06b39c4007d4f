// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_options.h"

#include <catch2/catch.hpp>
#include <vector>

#include "options.h"

namespace vmm::reference {
namespace {

Outcome<Invocation> with_kernel(std::vector<std::string> words) {
  words.insert(words.begin(), {"--kernel", "k", "--cpus", "boot=4"});
  return parse_command_line(words);
}

TEST_CASE("the virtio console has the terminal, unless the serial port has it", "[options]") {
  using Mode = ConsoleConfig::Mode;
  CHECK(with_kernel({})->vm.console.mode == Mode::kTty);
  CHECK(with_kernel({"--serial", "tty"})->vm.console.mode == Mode::kOff);
  CHECK(with_kernel({"--serial", "null"})->vm.console.mode == Mode::kTty);
  CHECK(with_kernel({"--serial", "tty", "--console", "pty"})->vm.console.mode == Mode::kPty);
  CHECK(with_kernel({"--serial", "pty", "--console", "tty"})->vm.console.mode == Mode::kTty);
  CHECK_FALSE(with_kernel({"--serial", "tty", "--console", "tty"}));
}

TEST_CASE("devices have the defaults that people know", "[options]") {
  const auto got =
      with_kernel({"--disk", "path=d", "--net", "tap=t", "--rng", "src=/dev/random", "--vsock",
                   "cid=3,socket=/s", "--balloon", "size=1M", "--pmem", "file=f"});
  REQUIRE(got);
  const VmConfig& vm = got->vm;
  CHECK(vm.transport == Transport::kPci);
  const DiskConfig& disk = vm.disks.at(0);
  CHECK((disk.queue_size == 128 && disk.num_queues == 1 && disk.sparse && disk.io_uring));
  CHECK_FALSE((disk.readonly || disk.direct || disk.backing_files || disk.lock_whole_file));
  CHECK(disk.format == DiskConfig::Format::kDetect);
  CHECK_FALSE(disk.rate_limit.limits());
  const NetConfig& net = vm.nets.at(0);
  CHECK((net.queue_size == 256 && net.num_queues == 2));
  CHECK((net.offload_csum && net.offload_tso && net.offload_ufo && !net.mac && !net.mtu));
  CHECK(vm.rng->source == "/dev/random");
  CHECK((vm.vsock->cid == 3 && vm.vsock->socket == "/s"));
  CHECK((vm.balloon->size == 1u << 20 && !vm.balloon->deflate_on_oom));
  CHECK((vm.pmems.at(0).size == 0 && !vm.pmems[0].discard_writes));
}

TEST_CASE("every key of a device reaches the configuration", "[options]") {
  const auto got = with_kernel(
      {"--transport", "mmio", "--rate-limit-group", "id=g,bw_size=1000,bw_refill_time=100",
       "--disk",
       "path=d,readonly=on,direct=on,queue_size=64,num_queues=2,serial=abc,backing_files=on,"
       "sparse=off,image_type=qcow2,lock_granularity=full,_disable_io_uring=on,id=x,"
       "pci_device_id=7,queue_affinity=[0@[1,2],1@3],packed=off,event_idx=off",
       "path=e,rate_limit_group=g", "--disk",
       "path=f,bw_size=5,bw_one_time_burst=6,bw_refill_time=7,ops_size=8,ops_refill_time=9",
       "--net",
       "tap=t,ip=192.0.2.1,mask=255.255.255.0,mac=02:aB:00:00:00:0f,host_mac=02:00:00:00:00:02,"
       "mtu=1400,queue_size=512,num_queues=4,offload_tso=off,offload_ufo=off,offload_csum=off",
       "fd=[5,6],num_queues=4", "user=on,hostfwd=[tcp:2222:22]", "--watchdog", "--balloon",
       "size=2M,deflate_on_oom=on,free_page_reporting=on", "--pmem",
       "file=f,size=2M,discard_writes=on"});
  REQUIRE(got);
  const VmConfig& vm = got->vm;
  CHECK(vm.transport == Transport::kMmio);
  REQUIRE(vm.disks.size() == 3);
  const DiskConfig& disk = vm.disks[0];
  CHECK((disk.readonly && disk.direct && disk.backing_files && disk.lock_whole_file));
  CHECK_FALSE((disk.sparse || disk.io_uring || disk.device.packed || disk.device.event_idx));
  CHECK((disk.queue_size == 64 && disk.num_queues == 2 && disk.serial == "abc"));
  CHECK(disk.format == DiskConfig::Format::kQcow2);
  CHECK((disk.device.id == "x" && disk.device.pci_device == 7));
  REQUIRE(disk.queue_affinity.size() == 2);
  CHECK(disk.queue_affinity[0].host_cpus == std::vector<std::uint64_t>{1, 2});
  CHECK(vm.disks[1].rate_limit_group == "g");
  CHECK(vm.disks[2].rate_limit == RateLimitConfig{.bandwidth = {5, 6, 7}, .ops = {8, 0, 9}});
  REQUIRE(vm.nets.size() == 3);
  const NetConfig& net = vm.nets[0];
  CHECK((net.tap == "t" && net.ip == "192.0.2.1" && net.mask == "255.255.255.0"));
  CHECK(net.mac == std::array<std::uint8_t, 6>{2, 0xab, 0, 0, 0, 0xf});
  CHECK((net.host_mac.has_value() && net.mtu == 1400 && net.queue_size == 512));
  CHECK_FALSE((net.offload_csum || net.offload_tso || net.offload_ufo));
  CHECK(vm.nets[1].fds == std::vector<int>{5, 6});
  CHECK((vm.nets[2].user && vm.nets[2].host_forwards.at(0) == "tcp:2222:22"));
  CHECK((vm.watchdog && vm.balloon->deflate_on_oom && vm.balloon->free_page_reporting));
  CHECK((vm.pmems[0].size == 2u << 20 && vm.pmems[0].discard_writes));
}

TEST_CASE("a wrong device is refused by option and key, with exit code 2", "[options][hostile]") {
  struct Case {
    std::vector<std::string> words;
    const char* part;
  };
  const auto c = GENERATE(values<Case>({
      {{"--transport", "ccw"}, "--transport"},
      {{"--console", "socket=/x"}, "--console: socket: not offered yet"},
      {{"--disk", "readonly=on"}, "--disk: path: required"},
      {{"--disk", "path="}, "--disk: path: required"},
      {{"--disk", "path=d,queue_size=100"}, "--disk: queue_size: not a power of two"},
      {{"--disk", "path=d,queue_size=65536"}, "--disk: queue_size"},
      {{"--disk", "path=d,num_queues=0"}, "--disk: num_queues"},
      {{"--disk", "path=d,num_queues=5"}, "--disk: num_queues: more than there are vCPUs"},
      {{"--disk", "path=d,serial=123456789012345678901"}, "--disk: serial"},
      {{"--disk", "path=d,image_type=vhd"}, "--disk: image_type: vhd is not offered yet"},
      {{"--disk", "path=d,image_type=iso"}, "--disk: image_type"},
      {{"--disk", "path=d,lock_granularity=sector"}, "--disk: lock_granularity"},
      {{"--disk", "path=d,queue_affinity=[1@2]"}, "--disk: queue_affinity"},
      {{"--disk", "path=d,rate_limit_group=g"}, "--disk: rate_limit_group: there is no group g"},
      {{"--disk", "path=d,vhost_user=on"}, "--disk: vhost_user: not offered yet"},
      {{"--disk", "path=d,iommu=on"}, "--disk: iommu: not offered yet"},
      {{"--disk", "path=d,pci_device_id=0"}, "--disk: pci_device_id"},
      {{"--disk", "path=d,pci_device_id=32"}, "--disk: pci_device_id"},
      {{"--disk", "path=d,pci_segment=1"}, "--disk: pci_segment"},
      {{"--disk", "path=d,id=__x"}, "--disk: id"},
      {{"--disk", "path=d,id=a", "path=e,id=a"}, "id=a: given to two devices"},
      {{"--disk", "path=d,color=red"}, "--disk: color: unknown key"},
      {{"--rate-limit-group", "bw_size=1"}, "--rate-limit-group: id: required"},
      {{"--rate-limit-group", "id=g"}, "--rate-limit-group: bw_size: the group has no limit"},
      {{"--rate-limit-group", "id=g,ops_size=1,ops_refill_time=1",
        "id=g,ops_size=1,ops_refill_time=1"},
       "given twice"},
      {{"--net", "ip=192.0.2.1"}, "--net: ip"},
      {{"--net", "mac=02:00:00:00:00"}, "--net: mac"},
      {{"--net", "mac=02-00-00-00-00-00"}, "--net: mac"},
      {{"--net", "mac=0g:00:00:00:00:00"}, "--net: mac"},
      {{"--net", "mac=01:00:00:00:00:00"}, "--net: mac: a multicast address"},
      {{"--net", "mtu=1279"}, "--net: mtu"},
      {{"--net", "num_queues=3"}, "--net: num_queues: not a multiple"},
      {{"--net", "num_queues=10"}, "--net: num_queues: more pairs than there are vCPUs"},
      {{"--net", "fd=[2]"}, "--net: fd: 2 is not the number of a tap"},
      {{"--net", "fd=[5,6]"}, "--net: fd: as many as half"},
      {{"--net", "fd=[5],tap=t"}, "--net: fd: not together with tap"},
      {{"--net", "user=on,tap=t"}, "--net: user: not together with a tap"},
      {{"--net", "tap=t,hostfwd=[tcp:1:2]"}, "--net: hostfwd: needs user"},
      {{"--net", "user=on,hostfwd=[tcp:1:2,udp:1]"}, "--net: hostfwd: \"udp:1\" is not"},
      {{"--vsock", "cid=2,socket=/s"}, "--vsock: cid"},
      {{"--vsock", "cid=4294967295,socket=/s"}, "--vsock: cid"},
      {{"--vsock", "cid=3"}, "--vsock: socket: required"},
      {{"--vsock", "socket=/s"}, "--vsock: cid: required"},
      {{"--balloon", "deflate_on_oom=on"}, "--balloon: size: required"},
      {{"--balloon", "size=512M"}, "--balloon: size: not less than the VM's memory"},
      {{"--pmem", "size=1M"}, "--pmem: file: required"},
      {{"--rng", "source=/x"}, "--rng: source: unknown key"},
  }));
  CAPTURE(c.words);
  const auto got = with_kernel(c.words);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().exit_code() == 2);
  CHECK_THAT(got.error().message, Catch::Contains(c.part));
}

TEST_CASE("a bucket without a refill time, or without a size, limits nothing", "[options]") {
  const auto got = with_kernel({"--disk", "path=d,bw_size=5", "path=e,bw_refill_time=5"});
  REQUIRE(got);
  CHECK_FALSE(got->vm.disks[0].rate_limit.limits());
  CHECK_FALSE(got->vm.disks[1].rate_limit.limits());
}

}  // namespace
}  // namespace vmm::reference
