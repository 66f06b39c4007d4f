// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <string_view>

#include "iommu_options.h"
#include "vm_json.h"

namespace vmm::reference {
namespace {

namespace json = boost::json;

void put(json::object& object, const char* name, const std::string& text) {
  if (!text.empty()) object[name] = text;
}

void put(json::object& object, const char* name, const std::vector<std::string>& texts) {
  if (!texts.empty()) object[name] = json::array(texts.begin(), texts.end());
}

void put_device(json::object& object, const DeviceConfig& device) {
  put(object, "id", device.id);
  object["pci_segment"] = device.pci_segment;
  if (device.iommu) object["iommu"] = true;
  if (device.pci_device) object["pci_device_id"] = *device.pci_device;
  if (!device.packed) object["packed"] = false;
  if (!device.event_idx) object["event_idx"] = false;
}

json::object of(const RateLimitConfig::Bucket& bucket) {
  json::object object;
  object["size"] = bucket.size;
  if (bucket.one_time_burst != 0) object["one_time_burst"] = bucket.one_time_burst;
  object["refill_time"] = bucket.refill_ms;
  return object;
}

void put(json::object& object, const RateLimitConfig& limit) {
  if (!limit.limits()) return;
  json::object limiter;
  if (limit.bandwidth.size != 0) limiter["bandwidth"] = of(limit.bandwidth);
  if (limit.ops.size != 0) limiter["ops"] = of(limit.ops);
  object["rate_limiter_config"] = std::move(limiter);
}

template <class Numbers>
json::array list_of(const Numbers& numbers) {
  json::array array;
  for (const auto number : numbers) array.emplace_back(number);
  return array;
}

void put(json::object& object, const char* name, const char* index,
         const std::vector<CpusConfig::Affinity>& affinity) {
  if (affinity.empty()) return;
  json::array all;
  for (const CpusConfig::Affinity& entry : affinity) {
    all.push_back(json::object{{index, entry.vcpu}, {"host_cpus", list_of(entry.host_cpus)}});
  }
  object[name] = std::move(all);
}

json::object of(const CpusConfig& cpus) {
  json::object object{{"boot_vcpus", cpus.boot}, {"max_vcpus", cpus.boot}};
  if (cpus.topology) {
    object["topology"] = {{"threads_per_core", cpus.topology->threads},
                          {"cores_per_die", cpus.topology->cores},
                          {"dies_per_package", cpus.topology->dies},
                          {"packages", cpus.topology->packages}};
  }
  object["max_phys_bits"] = cpus.max_phys_bits;
  object["nested"] = cpus.nested;
  put(object, "affinity", "vcpu", cpus.affinity);
  if (cpus.core_scheduling) {
    constexpr const char* kModes[] = {"Vm", "Vcpu", "Off"};
    object["core_scheduling"] = kModes[static_cast<std::size_t>(*cpus.core_scheduling)];
  }
  return object;
}

json::object of(const MemoryConfig& memory) {
  json::object object{{"size", memory.size},
                      {"mergeable", memory.mergeable},
                      {"shared", memory.shared},
                      {"hugepages", memory.hugepages},
                      {"prefault", memory.prefault},
                      {"reserve", memory.reserve},
                      {"thp", memory.thp}};
  if (memory.hugepage_size != 0) object["hugepage_size"] = memory.hugepage_size;
  object["hotplug_method"] = memory.virtio_mem ? "VirtioMem" : "Acpi";
  if (memory.hotplug_size != 0) object["hotplug_size"] = memory.hotplug_size;
  if (memory.hotplugged_size != 0) object["hotplugged_size"] = memory.hotplugged_size;
  return object;
}

json::object payload_of(const VmConfig& vm) {
  json::object object;
  put(object, "kernel", vm.kernel);
  put(object, "firmware", vm.firmware);
  put(object, "initramfs", vm.initramfs);
  put(object, "cmdline", vm.cmdline);
  put(object, "dtb", vm.dtb);
  put(object, "dtb_overlay", vm.dtb_overlay);
  return object;
}

json::object of(const ConsoleConfig& console) {
  constexpr const char* kModes[] = {"Off", "Null", "Pty", "Tty", "File", "Socket"};
  json::object object{{"mode", kModes[static_cast<std::size_t>(console.mode)]}};
  put(object, console.mode == ConsoleConfig::Mode::kSocket ? "socket" : "file", console.path);
  if (console.escape) object["escape"] = true;
  return object;
}

json::object of(const DiskConfig& disk) {
  constexpr const char* kFormats[] = {"Unknown", "Raw", "Qcow2", "FixedVhd", "Vhdx"};
  constexpr const char* kLocks[] = {"ByteRange", "Full", "QemuCompatible"};
  json::object object;
  put(object, "path", disk.path);
  object["readonly"] = disk.readonly;
  object["direct"] = disk.direct;
  object["num_queues"] = disk.num_queues;
  object["queue_size"] = disk.queue_size;
  if (!disk.vhost_socket.empty()) object["vhost_user"] = true;
  put(object, "vhost_socket", disk.vhost_socket);
  put(object, "rate_limit_group", disk.rate_limit_group);
  put(object, disk.rate_limit);
  put(object, "queue_affinity", "queue_index", disk.queue_affinity);
  put(object, "serial", disk.serial);
  object["disable_io_uring"] = !disk.io_uring;
  object["backing_files"] = disk.backing_files;
  object["sparse"] = disk.sparse;
  object["image_type"] = kFormats[static_cast<std::size_t>(disk.format)];
  object["lock_granularity"] = kLocks[static_cast<std::size_t>(disk.lock)];
  if (disk.guest_block_bytes != 0) object["guest_block_size"] = disk.guest_block_bytes;
  if (disk.pin_memory) object["pin_memory"] = true;
  put_device(object, disk.device);
  return object;
}

void put_mac(json::object& object, const char* name,
             const std::optional<std::array<std::uint8_t, 6>>& mac) {
  if (!mac) return;
  char text[18];
  const auto& m = *mac;
  std::snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
                m[5]);
  object[name] = text;
}

json::object of(const NetConfig& net) {
  json::object object;
  put(object, "tap", net.tap);
  put(object, "ip", net.ip);
  put(object, "mask", net.mask);
  put_mac(object, "mac", net.mac);
  put_mac(object, "host_mac", net.host_mac);
  if (net.mtu) object["mtu"] = *net.mtu;
  object["num_queues"] = net.num_queues;
  object["queue_size"] = net.queue_size;
  if (!net.vhost_socket.empty()) {
    object["vhost_user"] = true;
    object["vhost_socket"] = net.vhost_socket;
    object["vhost_mode"] = net.vhost_server ? "Server" : "Client";
  }
  if (!net.fds.empty()) object["fds"] = list_of(net.fds);
  object["offload_tso"] = net.offload_tso;
  object["offload_ufo"] = net.offload_ufo;
  object["offload_csum"] = net.offload_csum;
  put(object, net.rate_limit);
  if (net.user) object["user"] = true;
  put(object, "hostfwd", net.host_forwards);
  if (net.vhost) object["vhost"] = true;
  put_device(object, net.device);
  return object;
}

json::object of(const GenericVhostUserConfig& generic) {
  json::object object{{"socket", generic.vhost_socket},
                      {"device_type", generic.device_type},
                      {"queue_sizes", list_of(generic.queue_sizes)}};
  put_device(object, generic.device);
  return object;
}

json::object of(const FsConfig& fs) {
  json::object object{{"tag", fs.tag},
                      {"socket", fs.vhost_socket},
                      {"num_queues", fs.num_queues},
                      {"queue_size", fs.queue_size}};
  if (fs.dax) object["dax"] = true;
  if (fs.cache_bytes != 0) object["cache_size"] = fs.cache_bytes;
  put_device(object, fs.device);
  return object;
}

json::object of(const PmemConfig& pmem) {
  json::object object{{"file", pmem.file}, {"discard_writes", pmem.discard_writes}};
  if (pmem.size != 0) object["size"] = pmem.size;
  put_device(object, pmem.device);
  return object;
}

json::object of(const HostDeviceConfig& device) {
  json::object object{{"path", device.path}};
  json::array trapped;
  for (unsigned bar = 0; bar < 8; ++bar) {
    if ((device.trapped_bars & (1u << bar)) != 0) trapped.emplace_back(bar);
  }
  if (!trapped.empty()) object["x_exclude_mmap_bars"] = std::move(trapped);
  if (device.unsafe_noiommu) object["x_unsafe_noiommu"] = true;
  put_device(object, device.device);
  return object;
}

json::object of(const UserDeviceConfig& device) {
  json::object object{{"socket", device.socket}};
  put_device(object, device.device);
  return object;
}

json::object of(const RateLimitGroupConfig& group) {
  json::object object{{"id", group.id}};
  put(object, group.rate_limit);
  return object;
}

json::object of(const VsockConfig& vsock) {
  json::object object{{"cid", vsock.cid}};
  put(object, "socket", vsock.socket);
  if (vsock.vhost) object["vhost"] = true;
  put_device(object, vsock.device);
  return object;
}

json::object of(const BalloonConfig& balloon) {
  json::object object{{"size", balloon.size},
                      {"deflate_on_oom", balloon.deflate_on_oom},
                      {"free_page_reporting", balloon.free_page_reporting}};
  put_device(object, balloon.device);
  return object;
}

json::object of(const LandlockRule& rule) {
  return {{"path", rule.path},
          {"access", std::string(rule.read ? "r" : "") + (rule.write ? "w" : "")}};
}

template <class Config>
void put(json::object& object, const char* name, const std::vector<Config>& configs) {
  if (configs.empty()) return;
  json::array all;
  for (const Config& config : configs) all.push_back(of(config));
  object[name] = std::move(all);
}

void put_identity(json::object& object, const IdentityConfig& identity) {
  put(object, "system_manufacturer", identity.manufacturer);
  put(object, "system_product_name", identity.product_name);
  put(object, "system_version", identity.version);
  put(object, "system_serial_number", identity.serial_number);
  put(object, "system_uuid", identity.uuid);
  put(object, "system_sku_number", identity.sku_number);
  put(object, "system_family", identity.family);
  put(object, "chassis_asset_tag", identity.chassis_asset_tag);
  put(object, "oem_strings", identity.oem_strings);
}

void put_platform(json::object& object, const VmConfig& vm) {
  json::object platform{{"num_pci_segments", vm.pci_segments.size()}};
  if (!vm.iommu_segments.empty()) platform["iommu_segments"] = list_of(vm.iommu_segments);
  platform["iommu_address_width_bits"] = vm.iommu_address_bits;
  if (vm.iommufd) platform["iommufd"] = *vm.iommufd;
  platform["vfio_p2p_dma"] = vm.vfio_p2p_dma;
  put_identity(platform, vm.identity);
  object["platform"] = std::move(platform);
  json::array segments;
  for (std::size_t i = 0; i < vm.pci_segments.size(); ++i) {
    const PciSegmentConfig& segment = vm.pci_segments[i];
    if (segment.mmio32_weight == 1 && segment.mmio64_weight == 1) continue;
    segments.push_back(json::object{{"pci_segment", i},
                                    {"mmio32_aperture_weight", segment.mmio32_weight},
                                    {"mmio64_aperture_weight", segment.mmio64_weight}});
  }
  if (!segments.empty()) object["pci_segments"] = std::move(segments);
}

void put_consoles(json::object& object, const VmConfig& vm) {
  object["serial"] = of(vm.serial);
  json::object console = of(vm.console);
  put_device(console, vm.console_device);
  object["console"] = std::move(console);
  json::object debug = of(vm.debug_console);
  debug["iobase"] = vm.debug_console_port;
  object["debug_console"] = std::move(debug);
}

}  // namespace

std::string vm_json(const VmConfig& vm) {
  json::object object{
      {"cpus", of(vm.cpus)}, {"memory", of(vm.memory)}, {"payload", payload_of(vm)}};
  put(object, "rate_limit_groups", vm.rate_limit_groups);
  put(object, "disks", vm.disks);
  put(object, "net", vm.nets);
  json::object rng{{"src", vm.rng.source}};
  put_device(rng, vm.rng.device);
  object["rng"] = std::move(rng);
  if (vm.balloon) object["balloon"] = of(*vm.balloon);
  put(object, "generic_vhost_user", vm.generics);
  put(object, "fs", vm.file_systems);
  put(object, "pmem", vm.pmems);
  put_consoles(object, vm);
  put(object, "devices", vm.host_devices);
  put(object, "user_devices", vm.user_devices);
  if (vm.vsock) object["vsock"] = of(*vm.vsock);
  object["iommu"] = has_iommu(vm);
  object["watchdog"] = vm.watchdog;
  object["pvpanic"] = vm.pvpanic;
  object["landlock_enable"] = vm.landlock;
  put(object, "landlock_rules", vm.landlock_rules);
  if (vm.rtc) {
    json::object rtc;
    put_device(rtc, *vm.rtc);
    object["rtc"] = std::move(rtc);
  }
  put_platform(object, vm);
  if (vm.transport == Transport::kMmio) object["transport"] = "mmio";
  return json::serialize(object);
}

}  // namespace vmm::reference
