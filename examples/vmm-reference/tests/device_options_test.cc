// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_options.h"

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

TEST_CASE("the virtio console has the terminal, unless the serial port has it", "[options]") {
  using Mode = ConsoleConfig::Mode;
  CHECK(with_kernel({})->vmm.vm->console.mode == Mode::kTty);
  CHECK(with_kernel({"--serial", "tty"})->vmm.vm->console.mode == Mode::kOff);
  CHECK(with_kernel({"--serial", "null"})->vmm.vm->console.mode == Mode::kTty);
  CHECK(with_kernel({"--serial", "tty", "--console", "pty"})->vmm.vm->console.mode == Mode::kPty);
  CHECK(with_kernel({"--serial", "pty", "--console", "tty"})->vmm.vm->console.mode == Mode::kTty);
  CHECK(with_kernel({"--serial", "tty", "--console", "tty"})->vmm.vm->console.mode == Mode::kTty);
}

TEST_CASE("names of choices may have capital letters", "[options]") {
  const auto memory = with_kernel({"--memory", "hotplug_method=Virtio-MEM,hotplug_size=2M"});
  REQUIRE(memory);
  CHECK(memory->vmm.vm->memory.virtio_mem);
  const std::vector<std::string> words{"--kernel", "k", "--cpus", "core_scheduling=VCPU"};
  const auto cpus = parse_command_line(words);
  REQUIRE(cpus);
  CHECK(cpus->vmm.vm->cpus.core_scheduling == CpusConfig::CoreScheduling::kVcpu);
  const auto net =
      with_kernel({"--memory", "shared=on", "--net", "vhost_user=on,socket=s,vhost_mode=SERVER"});
  REQUIRE(net);
  CHECK(net->vmm.vm->nets[0].vhost_server);
}

TEST_CASE("every VM has an entropy device", "[options]") {
  CHECK(with_kernel({})->vmm.vm->rng.source == "/dev/urandom");
  CHECK(with_kernel({"--rng", "id=r"})->vmm.vm->rng.source == "/dev/urandom");
}

TEST_CASE("devices have the defaults that people know", "[options]") {
  const auto got =
      with_kernel({"--disk", "path=d", "--net", "tap=t", "--rng", "src=/dev/random", "--vsock",
                   "cid=3,socket=/s", "--balloon", "size=1M", "--pmem", "file=f"});
  REQUIRE(got);
  const VmConfig& vm = *got->vmm.vm;
  CHECK(vm.transport == Transport::kPci);
  const DiskConfig& disk = vm.disks.at(0);
  CHECK((disk.queue_size == 128 && disk.num_queues == 1 && disk.sparse && disk.io_uring));
  CHECK_FALSE((disk.readonly || disk.direct || disk.backing_files));
  CHECK((disk.lock == DiskConfig::Lock::kByteRange && disk.guest_block_bytes == 0));
  CHECK(disk.format == DiskConfig::Format::kDetect);
  CHECK_FALSE(disk.rate_limit.limits());
  const NetConfig& net = vm.nets.at(0);
  CHECK((net.queue_size == 256 && net.num_queues == 2));
  CHECK((net.offload_csum && net.offload_tso && net.offload_ufo && !net.mac && !net.mtu));
  CHECK(vm.rng.source == "/dev/random");
  CHECK((vm.vsock->cid == 3 && vm.vsock->socket == "/s"));
  CHECK((vm.balloon->size == 1u << 20 && !vm.balloon->deflate_on_oom));
  const auto of_no_size = with_kernel({"--balloon", "deflate_on_oom=on"});
  REQUIRE(of_no_size);
  CHECK(of_no_size->vmm.vm->balloon->size == 0);
  CHECK((vm.pmems.at(0).size == 0 && !vm.pmems[0].discard_writes));
}

TEST_CASE("a network's queues are pairs, and one that is left over does nothing", "[options]") {
  const auto got = with_kernel({"--net",
                                "mac=02:00:00:00:00:01,tap=t,ip=,"
                                "mask=,num_queues=5",
                                "num_queues=3", "num_queues=4"});
  REQUIRE(got);
  const auto& nets = got->vmm.vm->nets;
  CHECK((nets.at(0).num_queues == 4 && nets[0].ip.empty() && nets[0].mask.empty()));
  CHECK((nets.at(1).num_queues == 2 && nets.at(2).num_queues == 4));
}

TEST_CASE("devices of the host", "[options]") {
  const auto got =
      with_kernel({"--device", "path=/sys/a,id=nic,pci_segment=0,pci_device_id=9",
                   "path=/sys/b,iommu=off,x_exclude_mmap_bars=[0,2-3],x_unsafe_noiommu=on"});
  REQUIRE(got);
  REQUIRE(got->vmm.vm->host_devices.size() == 2);
  const HostDeviceConfig& first = got->vmm.vm->host_devices[0];
  CHECK((first.path == "/sys/a" && first.device.id == "nic" && first.trapped_bars == 0));
  CHECK(first.device.pci_device == 9);
  CHECK(got->vmm.vm->host_devices[1].trapped_bars == 0b1101);
  CHECK((!first.unsafe_noiommu && got->vmm.vm->host_devices[1].unsafe_noiommu));
  CHECK_FALSE(got->vmm.vm->iommufd.has_value());
  CHECK(with_kernel({"--platform", "iommufd=on"})->vmm.vm->iommufd == true);
  CHECK(with_kernel({"--platform", "iommufd=off"})->vmm.vm->iommufd == false);
  CHECK(got->vmm.vm->vfio_p2p_dma);
  CHECK(with_kernel({"--platform", "vfio_p2p_dma=on"})->vmm.vm->vfio_p2p_dma);
  CHECK_FALSE(with_kernel({"--platform", "vfio_p2p_dma=off"})->vmm.vm->vfio_p2p_dma);

  CHECK(with_kernel({"--device", "path=p", "--balloon", "size=1M", "--pmem", "file=f"}));

  const std::vector<std::pair<std::vector<std::string>, const char*>> refused{
      {{"--device", "id=x"}, "path: required"},
      {{"--device", "path=p,x_exclude_mmap_bars=[6]"}, "not a list of BARs"},
      {{"--device", "path=p,packed=off"}, "packed"},
      {{"--device", "path=p,pci_segment=1"}, "num_pci_segments"},
      {{"--device", "path=p,id=x", "path=q,id=x"}, "given to two devices"}};
  for (const auto& [words, why] : refused) {
    const auto answer = with_kernel(words);
    CAPTURE(why);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().message.find(why) != std::string::npos);
    CHECK(answer.error().exit_code() == 2);
  }
}

TEST_CASE("devices are behind the virtual IOMMU when they say so", "[options]") {
  const auto got = with_kernel({"--disk",
                                "path=a,iommu=on",
                                "path=b,pci_segment=1,iommu=on",
                                "path=c",
                                "--net",
                                "tap=t,iommu=on",
                                "--rng",
                                "src=/r,iommu=on",
                                "--pmem",
                                "file=f,iommu=on",
                                "--vsock",
                                "cid=3,socket=s,iommu=on",
                                "--console",
                                "null,iommu=on",
                                "--rtc",
                                "iommu=on",
                                "--balloon",
                                "iommu=off",
                                "--platform",
                                "num_pci_segments=3,iommu_segments=[1-2],iommu_address_width=39"});
  if (!got) FAIL(got.error().message);
  const VmConfig& vm = *got->vmm.vm;
  CHECK((vm.disks[0].device.iommu && vm.disks[1].device.iommu && !vm.disks[2].device.iommu));
  CHECK((vm.nets[0].device.iommu && vm.rng.device.iommu && vm.pmems[0].device.iommu));
  CHECK((vm.vsock->device.iommu && vm.console_device.iommu && vm.rtc->iommu));
  CHECK(vm.iommu_segments == std::vector<std::uint16_t>{1, 2});
  CHECK(vm.iommu_address_bits == 39);
  CHECK(with_kernel({})->vmm.vm->iommu_address_bits == 64);
  CHECK(with_kernel({"--device", "path=/sys/a,iommu=on"})->vmm.vm->host_devices[0].device.iommu);

  const std::vector<std::pair<std::vector<std::string>, const char*>> refused{
      {{"--disk", "path=a,iommu=maybe"}, "iommu"},
      {{"--disk", "path=a,iommu=on", "--transport", "mmio"}, "--transport pci"},
      {{"--disk", "path=a,iommu=on,pin_memory=on"}, "pin_memory"},
      {{"--disk", "vhost_user=on,socket=s,iommu=on", "--memory", "shared=on"},
       "another process serves"},
      {{"--net", "vhost_user=on,socket=s,iommu=on", "--memory", "shared=on"},
       "another process serves"},
      {{"--net", "tap=t,vhost=on,iommu=on"}, "the kernel serves"},
      {{"--vsock", "cid=3,vhost=on,iommu=on"}, "the kernel serves"},
      {{"--platform", "num_pci_segments=2,iommu_segments=[1]", "--disk", "path=a,pci_segment=1"},
       "all devices of an IOMMU segment"},
      {{"--platform", "num_pci_segments=2,iommu_segments=[1]", "--rtc", "pci_segment=1"},
       "all devices of an IOMMU segment"},
      {{"--platform", "num_pci_segments=2,iommu_segments=[2]"}, "there is no segment 2"},
      {{"--platform", "num_pci_segments=2,iommu_segments=[0]"}, "segment 0 has the IOMMU"},
      {{"--platform", "iommu_segments=x"}, "not a list of segments"},
      {{"--platform", "iommu_address_width=65"}, "iommu_address_width"},
      {{"--platform", "iommu_address_width=31"}, "iommu_address_width"}};
  for (const auto& [words, why] : refused) {
    const auto answer = with_kernel(words);
    CAPTURE(why);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().message.find(why) != std::string::npos);
  }
}

TEST_CASE("devices of other processes by vfio-user", "[options]") {
  const auto got = with_kernel({"--user-device", "socket=a.sock,id=nvme,pci_device_id=9",
                                "socket=b.sock", "--balloon", "size=1M"});
  REQUIRE(got);
  REQUIRE(got->vmm.vm->user_devices.size() == 2);
  CHECK(got->vmm.vm->user_devices[0].socket == "a.sock");
  CHECK(got->vmm.vm->user_devices[0].device.id == "nvme");
  CHECK(got->vmm.vm->user_devices[0].device.pci_device == 9);

  const std::vector<std::pair<std::vector<std::string>, const char*>> refused{
      {{"--user-device", "id=x"}, "socket: required"},
      {{"--user-device", "socket=s,iommu=on"}, "not for devices of other processes"},
      {{"--user-device", "socket=s,path=p"}, "path"},
      {{"--user-device", "socket=s,id=x", "socket=t,id=x"}, "given to two devices"},
      {{"--user-device", "socket=s", "--transport", "mmio"}, "--transport pci"}};
  for (const auto& [words, why] : refused) {
    const auto answer = with_kernel(words);
    CAPTURE(why);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().message.find(why) != std::string::npos);
  }
}

TEST_CASE("a disk pins guest memory when it is told to", "[options]") {
  const auto got = with_kernel({"--disk", "path=d", "path=e,pin_memory=on"});
  REQUIRE(got);
  CHECK_FALSE(got->vmm.vm->disks.at(0).pin_memory);
  CHECK(got->vmm.vm->disks.at(1).pin_memory);
}

TEST_CASE("the kernel may serve network and socket devices", "[options]") {
  const auto got = with_kernel({"--net", "tap=t,vhost=on,num_queues=4", "fd=[5],vhost=on", "tap=u",
                                "--vsock", "cid=5,vhost=on"});
  REQUIRE(got);
  CHECK((got->vmm.vm->nets.at(0).vhost && got->vmm.vm->nets.at(1).vhost &&
         !got->vmm.vm->nets.at(2).vhost));
  CHECK((got->vmm.vm->vsock->vhost && got->vmm.vm->vsock->cid == 5 &&
         got->vmm.vm->vsock->socket.empty()));
  CHECK_FALSE(with_kernel({"--vsock", "cid=5,socket=/s"})->vmm.vm->vsock->vhost);
  const auto message = [](std::vector<std::string> words) {
    const auto refused = with_kernel(std::move(words));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().exit_code() == 2);
    return refused.error().message;
  };
  CHECK(message({"--net", "user=on,vhost=on"}).find("vhost: needs a tap") != std::string::npos);
  CHECK(message({"--net", "tap=t,vhost=on,bw_size=5,bw_refill_time=7"})
            .find("vhost: not together with limits") != std::string::npos);
  CHECK(message({"--vsock", "cid=5,vhost=on,socket=/s"}).find("vhost: not together with socket") !=
        std::string::npos);
  CHECK(message({"--vsock", "cid=5"}).find("socket: required") != std::string::npos);
}

TEST_CASE("a disk's blocks and locks may be told", "[options]") {
  using Lock = DiskConfig::Lock;
  const auto disk = [](const char* keys) {
    return with_kernel({"--disk", std::string("path=d,") + keys})->vmm.vm->disks.at(0);
  };
  CHECK(disk("sparse=on").guest_block_bytes == 0);
  CHECK(disk("guest_block_size=512").guest_block_bytes == 512);
  CHECK(disk("guest_block_size=65536,image_type=QCOW2").guest_block_bytes == 65536);
  CHECK(disk("lock_granularity=full").lock == Lock::kFull);
  CHECK(disk("lock_granularity=byte-range").lock == Lock::kByteRange);
  CHECK(disk("lock_granularity=qemu-compatible").lock == Lock::kQemu);
  CHECK(disk("image_type=RAW").format == DiskConfig::Format::kRaw);
}

TEST_CASE("a balloon may have all but one byte of the memory that the guest starts with",
          "[options]") {
  const auto fits = [](const char* bytes) {
    return with_kernel({"--memory",
                        "size=64M,hotplug_method=virtio-mem,hotplug_size=64M,hotplugged_size=32M",
                        "--balloon", std::string("size=") + bytes})
        .has_value();
  };
  CHECK(fits("65M"));
  CHECK(fits("100663295"));
  CHECK_FALSE(fits("96M"));
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
  const VmConfig& vm = *got->vmm.vm;
  CHECK(vm.transport == Transport::kMmio);
  REQUIRE(vm.disks.size() == 3);
  const DiskConfig& disk = vm.disks[0];
  CHECK((disk.readonly && disk.direct && disk.backing_files));
  CHECK(disk.lock == DiskConfig::Lock::kFull);
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
      {{"--disk", "path=d,image_type=vmdk"}, "--disk: image_type: vmdk is not offered yet"},
      {{"--disk", "path=d,image_type=iso"}, "--disk: image_type"},
      {{"--disk", "path=d,lock_granularity=sector"}, "--disk: lock_granularity"},
      {{"--disk", "path=d,guest_block_size=256"}, "--disk: guest_block_size"},
      {{"--disk", "path=d,guest_block_size=1000"}, "--disk: guest_block_size: not a power of two"},
      {{"--disk", "path=d,guest_block_size=131072"}, "--disk: guest_block_size"},
      {{"--disk", "path=d,bw_size=1,bw_refill_time=1,rate_limit_group=g", "--rate-limit-group",
        "id=g,ops_size=1,ops_refill_time=1"},
       "--disk: rate_limit_group: not together with limits"},
      {{"--disk", "path=d,queue_affinity=[1@2]"}, "--disk: queue_affinity"},
      {{"--disk", "path=d,rate_limit_group=g"}, "--disk: rate_limit_group: there is no group g"},
      {{"--disk", "path=d,vhost_user=on,socket=s"}, "--disk: path: not together with vhost_user"},
      {{"--disk", "vhost_user=on"}, "--disk: socket: required"},
      {{"--disk", "path=d,socket=s"}, "--disk: socket: needs vhost_user"},
      {{"--disk", "vhost_user=on,socket=s"}, "vhost_user=on needs --memory shared=on"},
      {{"--net", "vhost_user=on,socket=s,fd=[5]"}, "--net: fd: not together with vhost_user"},
      {{"--net", "vhost_user=on,socket=s,user=on"}, "--net: user: not together with vhost_user"},
      {{"--net", "vhost_user=on,socket=s,vhost_mode=both"}, "--net: vhost_mode"},
      {{"--balloon", "iommu=on"}, "--balloon: iommu: not offered yet"},
      {{"--console", "null,pci_device_id=0"}, "--console: pci_device_id"},
      {{"--balloon", "size=0,id=a", "--disk", "path=d,id=a"}, "id=a: given to two devices"},
      {{"--console", "null,id=a", "--disk", "path=d,id=a"}, "id=a: given to two devices"},
      {{"--rng", "id=a", "--rtc", "id=a"}, "id=a: given to two devices"},
      {{"--disk", "path=d,pci_device_id=0"}, "--disk: pci_device_id"},
      {{"--disk", "path=d,pci_device_id=32"}, "--disk: pci_device_id"},
      {{"--disk", "path=d,pci_segment=1"},
       "pci_segment=1: --platform: num_pci_segments: there are 1"},
      {{"--disk", "path=d,pci_segment=96"}, "--disk: pci_segment"},
      {{"--platform", "num_pci_segments=0"}, "--platform: num_pci_segments"},
      {{"--platform", "num_pci_segments=97"}, "--platform: num_pci_segments"},
      {{"--platform", "uuid=x"}, "--platform: uuid: \"x\" is not a UUID"},
      {{"--pci-segment", "pci_segment=1"}, "--pci-segment: pci_segment: --platform"},
      {{"--pci-segment", "mmio32_aperture_weight=0"}, "--pci-segment: mmio32_aperture_weight"},
      {{"--disk", "path=d,id=__x"}, "--disk: id"},
      {{"--disk", "path=d,id=" + std::string(256, 'x')}, "--disk: id: longer than 255 bytes"},
      {{"--disk", "path=d,id=a", "path=e,id=a"}, "id=a: given to two devices"},
      {{"--disk", "path=d,color=red"}, "--disk: color: unknown key"},
      {{"--disk", "path=d,pin_memory=on,_disable_io_uring=on"}, "--disk: pin_memory: not together"},
      {{"--disk", "path=d", "path=e,pin_memory=on", "--balloon", "size=1M"},
       "--disk: pin_memory: not together with --balloon, as the kernel"},
      {{"--disk", "path=d,pin_memory=on", "--pmem", "file=/p,size=2M"},
       "--disk: pin_memory: not together with --pmem, as the kernel"},
      {{"--rate-limit-group", "bw_size=1"}, "--rate-limit-group: id: required"},
      {{"--rate-limit-group", "id=g"}, "--rate-limit-group: bw_size: the group has no limit"},
      {{"--rate-limit-group", "id=g,ops_size=1,ops_refill_time=1",
        "id=g,ops_size=1,ops_refill_time=1"},
       "given twice"},
      {{"--net", "ip=192.0.2.1"}, "--net: ip"},
      {{"--net", "mask=255.0.0.0"}, "--net: ip: needs mask, and mask needs ip"},
      {{"--net", "ip=x,mask=255.0.0.0"}, "--net: ip: \"x\" is not an IPv4 address"},
      {{"--net", "ip=192.0.2.1,mask=255.0.0"}, "--net: mask: \"255.0.0\" is not"},
      {{"--net", "ip=192.0.2.1,mask=/8"}, "--net: mask"},
      {{"--disk", "path=a,queue_affinity=[0@[8192]]"}, "--disk: queue_affinity"},
      {{"--net", "mac=02:00:00:00:00"}, "--net: mac"},
      {{"--net", "mac=02-00-00-00-00-00"}, "--net: mac"},
      {{"--net", "mac=0g:00:00:00:00:00"}, "--net: mac"},
      {{"--net", "mac=01:00:00:00:00:00"}, "--net: mac: a multicast address"},
      {{"--net", "offload_csum=off"}, "--net: offload_csum: offload_tso and offload_ufo need it"},
      {{"--net", "offload_csum=off,offload_tso=off"}, "--net: offload_csum"},
      {{"--net", "offload_csum=off,offload_ufo=off"}, "--net: offload_csum"},
      {{"--net", "mtu=1279"}, "--net: mtu"},
      {{"--net", "num_queues=1"}, "--net: num_queues"},
      {{"--net", "fd=[5],num_queues=3"}, "--net: fd: as many as half of num_queues"},
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
  CHECK_FALSE(got->vmm.vm->disks[0].rate_limit.limits());
  CHECK_FALSE(got->vmm.vm->disks[1].rate_limit.limits());
}

}  // namespace
}  // namespace vmm::reference
