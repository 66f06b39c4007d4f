// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_options.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "character_option.h"
#include "config_devices.h"
#include "device_keys.h"
#include "host_device_options.h"
#include "host_forward.h"
#include "identity_options.h"
#include "iommu_options.h"
#include "option_keys.h"
#include "option_value.h"
#include "vhost_user_options.h"

namespace vmm::reference {
namespace {

// A bucket is a limit only with both a size and a refill time, as people know it.
Outcome<RateLimitConfig::Bucket> parse_bucket(const OptionValue& value, const std::string& name) {
  constexpr std::uint64_t kMost = ~std::uint64_t{0} >> 1;
  RateLimitConfig::Bucket bucket;
  VMM_TRY(bucket.size, value.integer(name + "_size", 0, 0, kMost));
  VMM_TRY(bucket.one_time_burst, value.integer(name + "_one_time_burst", 0, 0, kMost));
  VMM_TRY(bucket.refill_ms, value.integer(name + "_refill_time", 0, 0, kMost / 1'000'000));
  if (bucket.size == 0 || bucket.refill_ms == 0) return RateLimitConfig::Bucket{};
  return bucket;
}

Outcome<RateLimitConfig> parse_rate_limit(const OptionValue& value) {
  RateLimitConfig limit;
  VMM_TRY(limit.bandwidth, parse_bucket(value, "bw"));
  VMM_TRY(limit.ops, parse_bucket(value, "ops"));
  return limit;
}

Outcome<std::optional<std::array<std::uint8_t, 6>>> parse_mac(const OptionValue& value,
                                                              std::string_view key) {
  const auto text = value.text(key);
  if (!text) return std::optional<std::array<std::uint8_t, 6>>();
  std::array<std::uint8_t, 6> mac{};
  bool good = text->size() == 17;
  for (std::size_t i = 0; good && i < mac.size(); ++i) {
    const std::string_view digits = std::string_view(*text).substr(3 * i, 2);
    const auto digit = [](char c) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      return kDigits.find(static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c));
    };
    const std::size_t high = digit(digits[0]);
    const std::size_t low = digit(digits[1]);
    good = high != std::string_view::npos && low != std::string_view::npos &&
           (i == 5 || (*text)[3 * i + 2] == ':');
    if (good) mac[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  if (!good) return fail(value.error(key, "\"" + *text + "\" is not a MAC address"));
  return std::optional(mac);
}

Outcome<void> check_address(const OptionValue& value, std::string_view key,
                            const std::string& text) {
  in_addr address{};
  if (text.empty() || ::inet_pton(AF_INET, text.c_str(), &address) == 1) return {};
  return fail(value.error(key, "\"" + text + "\" is not an IPv4 address"));
}

Outcome<std::vector<CpusConfig::Affinity>> parse_queue_affinity(const OptionValue& value,
                                                                std::uint16_t queues) {
  std::vector<CpusConfig::Affinity> all;
  const auto text = value.text("queue_affinity");
  if (!text) return all;
  auto parsed = parse_affinity_list(*text, queues);
  if (!parsed) {
    return fail(
        value.error("queue_affinity", "\"" + *text + "\" is not " + affinity_form("QUEUE")));
  }
  return *std::move(parsed);
}

Outcome<DiskConfig::Format> parse_format(const OptionValue& value) {
  using Format = DiskConfig::Format;
  constexpr std::array kFormats{Format::kRaw, Format::kQcow2, Format::kVhd, Format::kVhdx};
  if (!value.text("image_type")) return Format::kDetect;
  VMM_TRY(const std::size_t type,
          value.choice("image_type", {"raw", "qcow2", "vhd", "vhdx", "vmdk"}, 0));
  if (type < kFormats.size()) return kFormats[type];
  return fail(value.error("image_type", *value.text("image_type") + " is not offered yet"));
}

Outcome<DiskConfig::Lock> parse_lock(const OptionValue& value) {
  VMM_TRY(const std::size_t lock,
          value.choice("lock_granularity", {"byte-range", "full", "qemu-compatible"}, 0));
  return static_cast<DiskConfig::Lock>(lock);
}

// What the VMM does for a disk of its own, and could not do for another process's.
Outcome<void> check_remote_disk(const OptionValue& value, const DiskConfig& disk) {
  if (disk.vhost_socket.empty()) return {};
  for (const std::string_view key : {"rate_limit_group", "guest_block_size"}) {
    if (value.text(key)) return fail(value.error(key, "not together with vhost_user"));
  }
  if (disk.rate_limit.limits()) {
    return fail(value.error("vhost_user", "not together with limits"));
  }
  return {};
}

Outcome<std::uint32_t> parse_block_size(const OptionValue& value) {
  constexpr const char* kKey = "guest_block_size";
  if (!value.text(kKey)) return std::uint32_t{0};
  VMM_TRY(const std::uint64_t bytes, value.integer(kKey, 0, 512, 65536));
  if ((bytes & (bytes - 1)) != 0) return fail(value.error(kKey, "not a power of two"));
  return static_cast<std::uint32_t>(bytes);
}

Outcome<void> parse_host_forwards(const OptionValue& value, NetConfig& net) {
  VMM_TRY(net.host_forwards, value.texts("hostfwd"));
  for (const std::string& forward : net.host_forwards) {
    if (net_user::parse_host_forward(forward)) continue;
    return fail(value.error(
        "hostfwd", "\"" + forward + "\" is not tcp:PORT:PORT or " + "udp:ADDRESS:PORT:PORT"));
  }
  return {};
}

Outcome<void> parse_net_queues(const OptionValue& value, NetConfig& net) {
  VMM_TRY(net.queue_size, parse_queue_size(value, net.queue_size));
  VMM_TRY(const std::uint64_t queues, value.integer("num_queues", net.num_queues, 2, 513));
  net.num_queues = static_cast<std::uint16_t>(queues & ~std::uint64_t{1});  // whole pairs
  const auto text = value.text("fd");
  if (!text) return {};
  const auto fds = parse_integer_list(*text, 256);
  if (!fds) return fail(value.error("fd", "\"" + *text + "\" is not a list of numbers"));
  for (const std::uint64_t fd : *fds) {
    if (fd <= 2 || fd > 0x7fff'ffff) {
      return fail(value.error("fd", std::to_string(fd) + " is not the number of a tap"));
    }
    net.fds.push_back(static_cast<int>(fd));
  }
  if (net.fds.size() * 2 != queues) {
    return fail(value.error("fd", "as many as half of num_queues are needed"));
  }
  return {};
}

}  // namespace

Outcome<void> parse_transport(const std::string& text, VmConfig& vm) {
  if (text != "pci" && text != "mmio") {
    return fail(usage("--transport: \"" + text + "\" is not pci or mmio"));
  }
  vm.transport = text == "pci" ? Transport::kPci : Transport::kMmio;
  return {};
}

Outcome<void> parse_console(const std::string& text, VmConfig& vm) {
  VMM_TRY(const OptionValue value, parse_value("--console", text));
  VMM_TRY(vm.console, parse_character_device(value));
  VMM_TRY(vm.console_device, parse_device(value));
  return {};
}

Outcome<void> parse_disk(const std::string& text, VmConfig& vm) {
  DiskConfig disk;
  VMM_TRY(const OptionValue value, parse_value("--disk", text));
  VMM_TRY(disk.device, parse_device(value));
  VMM_TRY(disk.vhost_socket, parse_vhost_socket(value, {"path"}));
  if (disk.vhost_socket.empty()) {
    VMM_TRY(disk.path, required(value, "path"));
  }
  VMM_TRY(disk.readonly, value.toggle("readonly", false));
  VMM_TRY(disk.direct, value.toggle("direct", false));
  VMM_TRY(disk.queue_size, parse_queue_size(value, disk.queue_size));
  VMM_TRY(const std::uint64_t queues, value.integer("num_queues", 1, 1, 256));
  disk.num_queues = static_cast<std::uint16_t>(queues);
  disk.rate_limit_group = value.text("rate_limit_group").value_or("");
  VMM_TRY(disk.rate_limit, parse_rate_limit(value));
  if (!disk.rate_limit_group.empty() && disk.rate_limit.limits()) {
    return fail(value.error("rate_limit_group", "not together with limits of the disk's own"));
  }
  VMM_TRY(disk.queue_affinity, parse_queue_affinity(value, disk.num_queues));
  disk.serial = value.text("serial").value_or("");
  if (disk.serial.size() > 20) return fail(value.error("serial", "longer than 20 bytes"));
  VMM_TRY(disk.backing_files, value.toggle("backing_files", false));
  VMM_TRY(disk.sparse, value.toggle("sparse", true));
  VMM_TRY(disk.format, parse_format(value));
  VMM_TRY(disk.lock, parse_lock(value));
  VMM_TRY(disk.guest_block_bytes, parse_block_size(value));
  VMM_TRY(const bool no_uring, value.toggle("_disable_io_uring", false));
  disk.io_uring = !no_uring;
  VMM_TRY(disk.pin_memory, value.toggle("pin_memory", false));
  if (disk.pin_memory && no_uring) {
    return fail(value.error("pin_memory", "not together with _disable_io_uring"));
  }
  VMM_TRY_DO(check_remote_disk(value, disk));
  vm.disks.push_back(std::move(disk));
  return {};
}

Outcome<void> parse_net(const std::string& text, VmConfig& vm) {
  NetConfig net;
  VMM_TRY(const OptionValue value, parse_value("--net", text));
  VMM_TRY(net.device, parse_device(value));
  VMM_TRY(net.vhost_socket, parse_vhost_socket(value, {"fd", "user"}));
  VMM_TRY(net.vhost_server, parse_vhost_mode(value));
  VMM_TRY(net.user, value.toggle("user", false));
  VMM_TRY_DO(parse_host_forwards(value, net));
  net.tap = value.text("tap").value_or("");
  net.ip = value.text("ip").value_or("");
  net.mask = value.text("mask").value_or("");
  VMM_TRY_DO(check_address(value, "ip", net.ip));
  VMM_TRY_DO(check_address(value, "mask", net.mask));
  if (net.ip.empty() != net.mask.empty()) {
    return fail(value.error("ip", "needs mask, and mask needs ip"));
  }
  VMM_TRY(net.mac, parse_mac(value, "mac"));
  if (net.mac && ((*net.mac)[0] & 1) != 0) return fail(value.error("mac", "a multicast address"));
  VMM_TRY(net.host_mac, parse_mac(value, "host_mac"));
  if (value.text("mtu")) {
    VMM_TRY(const std::uint64_t mtu, value.integer("mtu", 0, 1280, 65535));
    net.mtu = static_cast<std::uint16_t>(mtu);
  }
  VMM_TRY_DO(parse_net_queues(value, net));
  VMM_TRY(net.offload_tso, value.toggle("offload_tso", true));
  VMM_TRY(net.offload_ufo, value.toggle("offload_ufo", true));
  VMM_TRY(net.offload_csum, value.toggle("offload_csum", true));
  if (!net.offload_csum && (net.offload_tso || net.offload_ufo)) {
    return fail(value.error("offload_csum", "offload_tso and offload_ufo need it"));
  }
  VMM_TRY(net.rate_limit, parse_rate_limit(value));
  VMM_TRY(net.vhost, value.toggle("vhost", false));
  if (net.vhost && net.user) return fail(value.error("vhost", "needs a tap"));
  if (net.vhost && net.rate_limit.limits()) {
    return fail(value.error("vhost", "not together with limits"));
  }
  if (!net.vhost_socket.empty() && net.rate_limit.limits()) {
    return fail(value.error("vhost_user", "not together with limits"));
  }
  const bool tap_keys = !net.tap.empty() || !net.ip.empty() || net.host_mac || !net.fds.empty();
  if (net.user && tap_keys) return fail(value.error("user", "not together with a tap"));
  if (net.user && net.num_queues != 2) return fail(value.error("user", "has two queues"));
  if (!net.user && !net.host_forwards.empty()) return fail(value.error("hostfwd", "needs user"));
  if (!net.fds.empty() && !net.tap.empty()) return fail(value.error("fd", "not together with tap"));
  vm.nets.push_back(std::move(net));
  return {};
}

Outcome<void> parse_rng(const std::string& text, VmConfig& vm) {
  RngConfig rng;
  VMM_TRY(const OptionValue value, parse_value("--rng", text));
  VMM_TRY(rng.device, parse_device(value));
  rng.source = value.text("src").value_or(rng.source);
  vm.rng = std::move(rng);
  return {};
}

Outcome<void> parse_pmem(const std::string& text, VmConfig& vm) {
  PmemConfig pmem;
  VMM_TRY(const OptionValue value, parse_value("--pmem", text));
  VMM_TRY(pmem.device, parse_device(value));
  VMM_TRY(pmem.file, required(value, "file"));
  VMM_TRY(pmem.size, value.bytes("size", 0));
  VMM_TRY(pmem.discard_writes, value.toggle("discard_writes", false));
  vm.pmems.push_back(std::move(pmem));
  return {};
}

Outcome<void> parse_vsock(const std::string& text, VmConfig& vm) {
  VsockConfig vsock;
  VMM_TRY(const OptionValue value, parse_value("--vsock", text));
  VMM_TRY(vsock.device, parse_device(value));
  VMM_TRY_DO(required(value, "cid"));
  VMM_TRY(const std::uint64_t cid, value.integer("cid", 0, 3, 0xffff'fffe));
  vsock.cid = static_cast<std::uint32_t>(cid);
  VMM_TRY(vsock.vhost, value.toggle("vhost", false));
  if (!vsock.vhost) {
    VMM_TRY(vsock.socket, required(value, "socket"));
  }
  if (vsock.vhost && value.text("socket")) {
    return fail(value.error("vhost", "not together with socket"));
  }
  vm.vsock = std::move(vsock);
  return {};
}

Outcome<void> parse_balloon(const std::string& text, VmConfig& vm) {
  BalloonConfig balloon;
  VMM_TRY(const OptionValue value, parse_value("--balloon", text));
  VMM_TRY(balloon.device, parse_device(value));
  VMM_TRY(balloon.size, value.bytes("size", 0));
  VMM_TRY(balloon.deflate_on_oom, value.toggle("deflate_on_oom", false));
  VMM_TRY(balloon.free_page_reporting, value.toggle("free_page_reporting", false));
  vm.balloon = std::move(balloon);
  return {};
}

Outcome<void> parse_rtc(const std::string& text, VmConfig& vm) {
  VMM_TRY(const OptionValue value, parse_value("--rtc", text));
  VMM_TRY(vm.rtc, parse_device(value));
  return {};
}

Outcome<void> parse_platform(const std::string& text, VmConfig& vm) {
  VMM_TRY(const OptionValue value, parse_value("--platform", text));
  VMM_TRY(const std::uint64_t count,
          value.integer("num_pci_segments", 1, 1, PciSegmentConfig::kMost));
  vm.pci_segments.resize(count);
  VMM_TRY_DO(parse_iommu_platform(value, vm));
  VMM_TRY(vm.identity, parse_identity(value));
  if (value.has("iommufd")) {
    VMM_TRY(vm.iommufd, value.toggle("iommufd", false));
  }
  VMM_TRY(vm.vfio_p2p_dma, value.toggle("vfio_p2p_dma", true));
  return {};
}

Outcome<void> parse_pci_segment(const std::string& text, VmConfig& vm) {
  VMM_TRY(const OptionValue value, parse_value("--pci-segment", text));
  VMM_TRY(const std::uint64_t number,
          value.integer("pci_segment", 0, 0, PciSegmentConfig::kMost - 1));
  if (number >= vm.pci_segments.size()) {
    return fail(value.error("pci_segment", "--platform: num_pci_segments: there are " +
                                               std::to_string(vm.pci_segments.size())));
  }
  const auto weight = [&](std::string_view key) {
    return value.integer(key, 1, 1, PciSegmentConfig::kMaxWeight);
  };
  VMM_TRY(const std::uint64_t mmio32, weight("mmio32_aperture_weight"));
  VMM_TRY(const std::uint64_t mmio64, weight("mmio64_aperture_weight"));
  vm.pci_segments[number] = {.mmio32_weight = static_cast<std::uint32_t>(mmio32),
                             .mmio64_weight = static_cast<std::uint32_t>(mmio64)};
  return {};
}

Outcome<void> parse_rate_limit_group(const std::string& text, VmConfig& vm) {
  RateLimitGroupConfig group;
  VMM_TRY(const OptionValue value, parse_value("--rate-limit-group", text));
  VMM_TRY(group.id, required(value, "id"));
  VMM_TRY(group.rate_limit, parse_rate_limit(value));
  if (!group.rate_limit.limits()) return fail(value.error("bw_size", "the group has no limit"));
  vm.rate_limit_groups.push_back(std::move(group));
  return {};
}

namespace {

Outcome<void> check_places(const VmConfig& vm) {
  std::set<std::string> seen;
  for (const auto& [device, option] : configured_devices(vm)) {
    if (device.pci_segment >= vm.pci_segments.size()) {
      return fail(usage("pci_segment=" + std::to_string(device.pci_segment) +
                        ": --platform: num_pci_segments: there are " +
                        std::to_string(vm.pci_segments.size())));
    }
    if (!device.id.empty() && !seen.insert(device.id).second) {
      return fail(usage("id=" + device.id + ": given to two devices"));
    }
  }
  return {};
}

Outcome<void> check_groups(const VmConfig& vm) {
  std::set<std::string> groups;
  for (const RateLimitGroupConfig& group : vm.rate_limit_groups) {
    if (!groups.insert(group.id).second) {
      return fail(usage("--rate-limit-group: id=" + group.id + ": given twice"));
    }
  }
  for (const DiskConfig& disk : vm.disks) {
    if (!disk.rate_limit_group.empty() && !groups.contains(disk.rate_limit_group)) {
      return fail(usage("--disk: rate_limit_group: there is no group " + disk.rate_limit_group));
    }
  }
  return {};
}

// The kernel goes on using pinned pages, whatever the guest finds at their addresses later.
Outcome<void> check_pinning(const VmConfig& vm) {
  const bool pinned = std::ranges::any_of(vm.disks, &DiskConfig::pin_memory);
  if (pinned && vm.balloon) {
    return fail(
        usage("--disk: pin_memory: not together with --balloon, as the kernel would go on "
              "using pages that the balloon has given back"));
  }
  if (pinned && !vm.pmems.empty()) {
    return fail(
        usage("--disk: pin_memory: not together with --pmem, as the kernel does not pin "
              "the memory of files"));
  }
  return {};
}

// What pins all of guest memory would take what the guest has not been given.
Outcome<void> check_hot_memory(const VmConfig& vm) {
  if (vm.memory.hotplug_size == 0) return {};
  if (!vm.host_devices.empty()) return fail(usage("--device: not together with hotplug_size"));
  if (std::ranges::any_of(vm.disks, &DiskConfig::pin_memory)) {
    return fail(usage("--disk: pin_memory: not together with hotplug_size"));
  }
  return {};
}

// Other processes have to see the guest's memory.
Outcome<void> check_shared_memory(const VmConfig& vm) {
  if (vm.memory.is_shared()) return {};
  const auto remote = [](const auto& device) { return !device.vhost_socket.empty(); };
  if (std::ranges::any_of(vm.disks, remote) || std::ranges::any_of(vm.nets, remote)) {
    return fail(usage("vhost_user=on needs --memory shared=on"));
  }
  if (!vm.file_systems.empty()) return fail(usage("--fs needs --memory shared=on"));
  if (!vm.generics.empty()) return fail(usage("--generic-vhost-user needs --memory shared=on"));
  return {};
}

// Behind memory-mapped registers there is no place for the window.
Outcome<void> check_windows(const VmConfig& vm) {
  if (vm.transport == Transport::kPci || std::ranges::none_of(vm.file_systems, &FsConfig::dax)) {
    return {};
  }
  return fail(usage("--fs: dax: not with --transport mmio"));
}

}  // namespace

Outcome<void> check_devices(const VmConfig& vm) {
  VMM_TRY_DO(check_places(vm));
  VMM_TRY_DO(check_groups(vm));
  VMM_TRY_DO(check_pinning(vm));
  VMM_TRY_DO(check_hot_memory(vm));
  VMM_TRY_DO(check_host_devices(vm));
  VMM_TRY_DO(check_shared_memory(vm));
  VMM_TRY_DO(check_windows(vm));
  VMM_TRY_DO(check_iommu(vm));
  for (const DiskConfig& disk : vm.disks) {
    if (disk.num_queues > vm.cpus.boot) {
      return fail(usage("--disk: num_queues: more than there are vCPUs"));
    }
  }
  for (const NetConfig& net : vm.nets) {
    if (net.num_queues / 2u > vm.cpus.boot) {
      return fail(usage("--net: num_queues: more pairs than there are vCPUs"));
    }
  }
  if (vm.balloon && vm.balloon->size >= vm.memory.size + vm.memory.hotplugged_size) {
    return fail(usage("--balloon: size: not less than the VM's memory"));
  }
  return {};
}

}  // namespace vmm::reference
