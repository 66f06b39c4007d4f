// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_options.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "character_option.h"
#include "host_forward.h"
#include "option_value.h"

namespace vmm::reference {
namespace {

using Keys = std::vector<std::string_view>;

constexpr std::array<std::string_view, 5> kDeviceKeys{"id", "pci_segment", "pci_device_id",
                                                      "packed", "event_idx"};
constexpr std::array<std::string_view, 6> kRateKeys{
    "bw_size",  "bw_one_time_burst",  "bw_refill_time",
    "ops_size", "ops_one_time_burst", "ops_refill_time"};

Keys with_device_keys(Keys keys) {
  keys.insert(keys.end(), kDeviceKeys.begin(), kDeviceKeys.end());
  return keys;
}

Keys with_rate_keys(Keys keys) {
  keys.insert(keys.end(), kRateKeys.begin(), kRateKeys.end());
  return keys;
}

Outcome<DeviceConfig> parse_device(const OptionValue& value) {
  DeviceConfig device;
  device.id = value.text("id").value_or("");
  if (device.id.starts_with("__")) {
    return fail(value.error("id", "ids that start with __ are the VMM's own"));
  }
  VMM_TRY(const std::uint64_t segment, value.integer("pci_segment", 0, 0, 0));
  device.pci_segment = static_cast<std::uint16_t>(segment);
  if (value.text("pci_device_id")) {
    VMM_TRY(const std::uint64_t slot, value.integer("pci_device_id", 0, 1, 31));
    device.pci_device = static_cast<std::uint8_t>(slot);
  }
  VMM_TRY(device.packed, value.toggle("packed", true));
  VMM_TRY(device.event_idx, value.toggle("event_idx", true));
  return device;
}

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

// A queue size that the driver could use.
Outcome<std::uint16_t> parse_queue_size(const OptionValue& value, std::uint16_t otherwise) {
  VMM_TRY(const std::uint64_t size, value.integer("queue_size", otherwise, 2, 32768));
  if ((size & (size - 1)) != 0) return fail(value.error("queue_size", "not a power of two"));
  return static_cast<std::uint16_t>(size);
}

Outcome<std::string> required(const OptionValue& value, std::string_view key) {
  auto text = value.text(key);
  if (!text) return fail(value.error(key, "required"));
  return *std::move(text);
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

Outcome<std::vector<CpusConfig::Affinity>> parse_queue_affinity(const OptionValue& value,
                                                                std::uint16_t queues) {
  std::vector<CpusConfig::Affinity> all;
  const auto text = value.text("queue_affinity");
  if (!text) return all;
  auto parsed = parse_affinity_list(*text, queues);
  if (!parsed) {
    return fail(value.error("queue_affinity", "\"" + *text + "\" is not [QUEUE@[CPUS],...]"));
  }
  return *std::move(parsed);
}

Outcome<DiskConfig::Format> parse_format(const OptionValue& value) {
  using Format = DiskConfig::Format;
  const auto text = value.text("image_type");
  if (!text) return Format::kDetect;
  if (*text == "raw") return Format::kRaw;
  if (*text == "qcow2") return Format::kQcow2;
  if (*text == "vhd" || *text == "vhdx" || *text == "vmdk") {
    return fail(value.error("image_type", *text + " is not offered yet"));
  }
  return fail(value.error("image_type", "\"" + *text + "\" is not raw or qcow2"));
}

Outcome<bool> parse_lock(const OptionValue& value) {
  const std::string text = value.text("lock_granularity").value_or("byte-range");
  if (text != "byte-range" && text != "full") {
    return fail(value.error("lock_granularity", "\"" + text + "\" is not byte-range or full"));
  }
  return text == "full";
}

Outcome<void> parse_host_forwards(const OptionValue& value, NetConfig& net) {
  const auto text = value.text("hostfwd");
  if (!text) return {};
  std::string_view list = *text;
  if (list.starts_with('[') && list.ends_with(']')) list = list.substr(1, list.size() - 2);
  const auto parts = split_outside_groups(list, ',');
  if (!parts) return fail(value.error("hostfwd", "\"" + *text + "\" is not a list"));
  for (const std::string_view part : *parts) {
    if (!net_user::parse_host_forward(part)) {
      return fail(value.error("hostfwd", "\"" + std::string(part) + "\" is not tcp:PORT:PORT or " +
                                             "udp:ADDRESS:PORT:PORT"));
    }
    net.host_forwards.emplace_back(part);
  }
  return {};
}

Outcome<void> parse_net_queues(const OptionValue& value, NetConfig& net) {
  VMM_TRY(net.queue_size, parse_queue_size(value, net.queue_size));
  VMM_TRY(const std::uint64_t queues, value.integer("num_queues", net.num_queues, 2, 512));
  if (queues % 2 != 0) return fail(value.error("num_queues", "not a multiple of 2"));
  net.num_queues = static_cast<std::uint16_t>(queues);
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
  if (net.fds.size() * 2 != net.num_queues) {
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
  VMM_TRY(const OptionValue value,
          OptionValue::parse("--console", text,
                             with_device_keys({"off", "null", "pty", "tty", "file", "escape"}),
                             {"socket", "iommu"}));
  VMM_TRY(vm.console, parse_character_device(value));
  VMM_TRY(vm.console_device, parse_device(value));
  return {};
}

Outcome<void> parse_disk(const std::string& text, VmConfig& vm) {
  DiskConfig disk;
  VMM_TRY(const OptionValue value,
          OptionValue::parse(
              "--disk", text,
              with_device_keys(with_rate_keys(
                  {"path", "readonly", "direct", "queue_size", "num_queues", "rate_limit_group",
                   "queue_affinity", "serial", "backing_files", "sparse", "image_type",
                   "lock_granularity", "_disable_io_uring", "_disable_aio"})),
              {"vhost_user", "socket", "iommu"}));
  VMM_TRY(disk.device, parse_device(value));
  VMM_TRY(disk.path, required(value, "path"));
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
  VMM_TRY(disk.lock_whole_file, parse_lock(value));
  VMM_TRY(const bool no_uring, value.toggle("_disable_io_uring", false));
  disk.io_uring = !no_uring;
  vm.disks.push_back(std::move(disk));
  return {};
}

Outcome<void> parse_net(const std::string& text, VmConfig& vm) {
  NetConfig net;
  VMM_TRY(const OptionValue value,
          OptionValue::parse(
              "--net", text,
              with_device_keys(with_rate_keys({"tap", "ip", "mask", "mac", "host_mac", "mtu",
                                               "queue_size", "num_queues", "fd", "offload_tso",
                                               "offload_ufo", "offload_csum", "user", "hostfwd"})),
              {"vhost_user", "socket", "vhost_mode", "iommu"}));
  VMM_TRY(net.device, parse_device(value));
  VMM_TRY(net.user, value.toggle("user", false));
  VMM_TRY_DO(parse_host_forwards(value, net));
  net.tap = value.text("tap").value_or("");
  net.ip = value.text("ip").value_or("");
  net.mask = value.text("mask").value_or("");
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
  VMM_TRY(net.rate_limit, parse_rate_limit(value));
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
  VMM_TRY(const OptionValue value,
          OptionValue::parse("--rng", text, with_device_keys({"src"}), {"iommu"}));
  VMM_TRY(rng.device, parse_device(value));
  rng.source = value.text("src").value_or(rng.source);
  vm.rng = std::move(rng);
  return {};
}

Outcome<void> parse_pmem(const std::string& text, VmConfig& vm) {
  PmemConfig pmem;
  VMM_TRY(const OptionValue value,
          OptionValue::parse("--pmem", text, with_device_keys({"file", "size", "discard_writes"}),
                             {"iommu"}));
  VMM_TRY(pmem.device, parse_device(value));
  VMM_TRY(pmem.file, required(value, "file"));
  VMM_TRY(pmem.size, value.bytes("size", 0));
  VMM_TRY(pmem.discard_writes, value.toggle("discard_writes", false));
  vm.pmems.push_back(std::move(pmem));
  return {};
}

Outcome<void> parse_vsock(const std::string& text, VmConfig& vm) {
  VsockConfig vsock;
  VMM_TRY(const OptionValue value,
          OptionValue::parse("--vsock", text, with_device_keys({"cid", "socket"}), {"iommu"}));
  VMM_TRY(vsock.device, parse_device(value));
  VMM_TRY_DO(required(value, "cid"));
  VMM_TRY(const std::uint64_t cid, value.integer("cid", 0, 3, 0xffff'fffe));
  vsock.cid = static_cast<std::uint32_t>(cid);
  VMM_TRY(vsock.socket, required(value, "socket"));
  vm.vsock = std::move(vsock);
  return {};
}

Outcome<void> parse_balloon(const std::string& text, VmConfig& vm) {
  BalloonConfig balloon;
  VMM_TRY(const OptionValue value,
          OptionValue::parse("--balloon", text,
                             with_device_keys({"size", "deflate_on_oom", "free_page_reporting"})));
  VMM_TRY(balloon.device, parse_device(value));
  VMM_TRY_DO(required(value, "size"));
  VMM_TRY(balloon.size, value.bytes("size", 0));
  VMM_TRY(balloon.deflate_on_oom, value.toggle("deflate_on_oom", false));
  VMM_TRY(balloon.free_page_reporting, value.toggle("free_page_reporting", false));
  vm.balloon = std::move(balloon);
  return {};
}

Outcome<void> parse_rtc(const std::string& text, VmConfig& vm) {
  VMM_TRY(const OptionValue value,
          OptionValue::parse("--rtc", text, with_device_keys({}), {"iommu"}));
  VMM_TRY(vm.rtc, parse_device(value));
  return {};
}

Outcome<void> parse_rate_limit_group(const std::string& text, VmConfig& vm) {
  RateLimitGroupConfig group;
  VMM_TRY(const OptionValue value,
          OptionValue::parse("--rate-limit-group", text, with_rate_keys({"id"})));
  VMM_TRY(group.id, required(value, "id"));
  VMM_TRY(group.rate_limit, parse_rate_limit(value));
  if (!group.rate_limit.limits()) return fail(value.error("bw_size", "the group has no limit"));
  vm.rate_limit_groups.push_back(std::move(group));
  return {};
}

namespace {

Outcome<void> check_ids(const VmConfig& vm) {
  std::set<std::string> seen;
  const auto add = [&seen](const DeviceConfig& device) -> Outcome<void> {
    if (device.id.empty() || seen.insert(device.id).second) return {};
    return fail(usage("id=" + device.id + ": given to two devices"));
  };
  for (const DiskConfig& disk : vm.disks) VMM_TRY_DO(add(disk.device));
  for (const NetConfig& net : vm.nets) VMM_TRY_DO(add(net.device));
  for (const PmemConfig& pmem : vm.pmems) VMM_TRY_DO(add(pmem.device));
  VMM_TRY_DO(add(vm.console_device));
  if (vm.rng) VMM_TRY_DO(add(vm.rng->device));
  if (vm.vsock) VMM_TRY_DO(add(vm.vsock->device));
  if (vm.balloon) VMM_TRY_DO(add(vm.balloon->device));
  if (vm.rtc) VMM_TRY_DO(add(*vm.rtc));
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

}  // namespace

Outcome<void> check_devices(const VmConfig& vm) {
  VMM_TRY_DO(check_ids(vm));
  VMM_TRY_DO(check_groups(vm));
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
  if (vm.balloon && vm.balloon->size >= vm.memory.size) {
    return fail(usage("--balloon: size: not less than the VM's memory"));
  }
  return {};
}

}  // namespace vmm::reference
