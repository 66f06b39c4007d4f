// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <span>
#include <utility>

#include "device_options.h"
#include "host_device_options.h"
#include "json_option.h"
#include "json_text.h"
#include "machine_options.h"
#include "sandbox_options.h"
#include "vm_json.h"

// A section of the JSON is turned into the value of the command line's option that means the same,
// and that is parsed: so the rules stand in one place.

namespace vmm::reference {
namespace {

namespace json = boost::json;

// More devices of one kind than there are places for.
constexpr std::size_t kMaxDevices = 4096;

using Kind = JsonMember::Kind;
using Member = JsonMember;
using Members = std::span<const JsonMember>;

constexpr std::array kRateMembers{
    Member{"rate_limiter_config/bandwidth/size", "bw_size", Kind::kNumber},
    Member{"rate_limiter_config/bandwidth/one_time_burst", "bw_one_time_burst", Kind::kNumber},
    Member{"rate_limiter_config/bandwidth/refill_time", "bw_refill_time", Kind::kNumber},
    Member{"rate_limiter_config/ops/size", "ops_size", Kind::kNumber},
    Member{"rate_limiter_config/ops/one_time_burst", "ops_one_time_burst", Kind::kNumber},
    Member{"rate_limiter_config/ops/refill_time", "ops_refill_time", Kind::kNumber}};
constexpr std::array kPlaceMembers{Member{"id", "id", Kind::kText},
                                   Member{"pci_segment", "pci_segment", Kind::kNumber},
                                   Member{"pci_device_id", "pci_device_id", Kind::kNumber},
                                   Member{"iommu", "iommu", Kind::kSwitch}};
constexpr std::array kRingMembers{Member{"packed", "packed", Kind::kToggle},
                                  Member{"event_idx", "event_idx", Kind::kToggle}};

constexpr std::array kCpus{Member{"boot_vcpus", "boot", Kind::kNumber},
                           Member{"max_vcpus", "max", Kind::kNumber},
                           Member{"topology", "topology", Kind::kTopology},
                           Member{"kvm_hyperv", "kvm_hyperv", Kind::kSwitch},
                           Member{"max_phys_bits", "max_phys_bits", Kind::kNumber},
                           Member{"affinity", "affinity", Kind::kAffinity},
                           Member{"features/amx", "features", Kind::kSwitch},
                           Member{"nested", "nested", Kind::kToggle},
                           Member{"core_scheduling", "core_scheduling", Kind::kText},
                           Member{"profile", "profile", Kind::kText}};
constexpr std::array kMemory{Member{"size", "size", Kind::kNumber},
                             Member{"mergeable", "mergeable", Kind::kToggle},
                             Member{"hotplug_method", "hotplug_method", Kind::kText},
                             Member{"hotplug_size", "hotplug_size", Kind::kNumber},
                             Member{"hotplugged_size", "hotplugged_size", Kind::kNumber},
                             Member{"shared", "shared", Kind::kToggle},
                             Member{"hugepages", "hugepages", Kind::kToggle},
                             Member{"hugepage_size", "hugepage_size", Kind::kNumber},
                             Member{"prefault", "prefault", Kind::kToggle},
                             Member{"reserve", "reserve", Kind::kToggle},
                             Member{"thp", "thp", Kind::kToggle}};
constexpr std::array kGroup{Member{"id", "id", Kind::kText}};
constexpr std::array kDisk{Member{"path", "path", Kind::kText},
                           Member{"readonly", "readonly", Kind::kSwitch},
                           Member{"direct", "direct", Kind::kToggle},
                           Member{"num_queues", "num_queues", Kind::kNumber},
                           Member{"queue_size", "queue_size", Kind::kNumber},
                           Member{"vhost_user", "vhost_user", Kind::kToggle},
                           Member{"vhost_socket", "socket", Kind::kText},
                           Member{"rate_limit_group", "rate_limit_group", Kind::kText},
                           Member{"disable_io_uring", "_disable_io_uring", Kind::kToggle},
                           Member{"disable_aio", "_disable_aio", Kind::kToggle},
                           Member{"serial", "serial", Kind::kText},
                           Member{"queue_affinity", "queue_affinity", Kind::kAffinity},
                           Member{"backing_files", "backing_files", Kind::kToggle},
                           Member{"sparse", "sparse", Kind::kToggle},
                           Member{"image_type", "image_type", Kind::kText},
                           Member{"lock_granularity", "lock_granularity", Kind::kText},
                           Member{"guest_block_size", "guest_block_size", Kind::kNumber},
                           Member{"pin_memory", "pin_memory", Kind::kToggle}};
constexpr std::array kNet{Member{"tap", "tap", Kind::kText},
                          Member{"ip", "ip", Kind::kText},
                          Member{"mask", "mask", Kind::kText},
                          Member{"mac", "mac", Kind::kText},
                          Member{"host_mac", "host_mac", Kind::kText},
                          Member{"mtu", "mtu", Kind::kNumber},
                          Member{"num_queues", "num_queues", Kind::kNumber},
                          Member{"queue_size", "queue_size", Kind::kNumber},
                          Member{"vhost_user", "vhost_user", Kind::kToggle},
                          Member{"vhost_socket", "socket", Kind::kText},
                          Member{"vhost_mode", "vhost_mode", Kind::kText},
                          Member{"offload_tso", "offload_tso", Kind::kToggle},
                          Member{"offload_ufo", "offload_ufo", Kind::kToggle},
                          Member{"offload_csum", "offload_csum", Kind::kToggle},
                          Member{"user", "user", Kind::kSwitch},
                          Member{"hostfwd", "hostfwd", Kind::kTexts},
                          Member{"vhost", "vhost", Kind::kToggle}};
constexpr std::array kRng{Member{"src", "src", Kind::kText}};
constexpr std::array kBalloon{Member{"size", "size", Kind::kNumber},
                              Member{"deflate_on_oom", "deflate_on_oom", Kind::kToggle},
                              Member{"free_page_reporting", "free_page_reporting", Kind::kToggle}};
constexpr std::array kGeneric{Member{"socket", "socket", Kind::kText},
                              Member{"queue_sizes", "queue_sizes", Kind::kNumbers},
                              Member{"device_type", "device_type", Kind::kEither},
                              Member{"virtio_id", "virtio_id", Kind::kEither}};
constexpr std::array kFs{Member{"tag", "tag", Kind::kText},
                         Member{"socket", "socket", Kind::kText},
                         Member{"num_queues", "num_queues", Kind::kNumber},
                         Member{"queue_size", "queue_size", Kind::kNumber},
                         Member{"dax", "dax", Kind::kToggle},
                         Member{"cache_size", "cache_size", Kind::kNumber}};
constexpr std::array kPmem{Member{"file", "file", Kind::kText},
                           Member{"size", "size", Kind::kNumber},
                           Member{"discard_writes", "discard_writes", Kind::kToggle}};
constexpr std::array kCharacter{Member{"mode", "", Kind::kMode},
                                Member{"escape", "escape", Kind::kSwitch}};
constexpr std::array kDebugConsole{Member{"mode", "", Kind::kMode},
                                   Member{"iobase", "iobase", Kind::kNumber}};
constexpr std::array kHostDevice{
    Member{"path", "path", Kind::kText}, Member{"fd", "fd", Kind::kNumber},
    Member{"x_nv_gpudirect_clique", "x_nv_gpudirect_clique", Kind::kNumber},
    Member{"x_exclude_mmap_bars", "x_exclude_mmap_bars", Kind::kNumbers},
    Member{"x_unsafe_noiommu", "x_unsafe_noiommu", Kind::kSwitch}};
constexpr std::array kUserDevice{Member{"socket", "socket", Kind::kText}};
constexpr std::array kVsock{Member{"cid", "cid", Kind::kNumber},
                            Member{"socket", "socket", Kind::kText},
                            Member{"vhost", "vhost", Kind::kToggle}};
constexpr std::array kLandlockRule{Member{"path", "path", Kind::kText},
                                   Member{"access", "access", Kind::kText}};
constexpr std::array kPciSegment{
    Member{"pci_segment", "pci_segment", Kind::kNumber},
    Member{"mmio32_aperture_weight", "mmio32_aperture_weight", Kind::kNumber},
    Member{"mmio64_aperture_weight", "mmio64_aperture_weight", Kind::kNumber}};
constexpr std::array kPlatform{
    Member{"num_pci_segments", "num_pci_segments", Kind::kNumber},
    Member{"iommu_segments", "iommu_segments", Kind::kNumbers},
    Member{"iommu_address_width_bits", "iommu_address_width", Kind::kNumber},
    Member{"iommufd", "iommufd", Kind::kToggle},
    Member{"iommufd_fd", "iommufd_fd", Kind::kNumber},
    Member{"vfio_p2p_dma", "vfio_p2p_dma", Kind::kToggle},
    Member{"system_manufacturer", "system_manufacturer", Kind::kText},
    Member{"system_product_name", "system_product_name", Kind::kText},
    Member{"system_version", "system_version", Kind::kText},
    Member{"system_serial_number", "system_serial_number", Kind::kText},
    Member{"system_uuid", "system_uuid", Kind::kText},
    Member{"system_sku_number", "system_sku_number", Kind::kText},
    Member{"system_family", "system_family", Kind::kText},
    Member{"chassis_asset_tag", "chassis_asset_tag", Kind::kText},
    Member{"serial_number", "serial_number", Kind::kText},
    Member{"uuid", "uuid", Kind::kText},
    Member{"oem_strings", "oem_strings", Kind::kTexts},
    Member{"tdx", "tdx", Kind::kSwitch},
    Member{"sev_snp", "sev_snp", Kind::kSwitch}};

// What a section's members are, besides those of its own.
enum Shared : unsigned { kNone = 0, kPlace = 1, kRings = 2, kRates = 4 };

struct Section {
  std::string_view json;
  std::string_view name;  // the option's
  bool list;
  Members members;
  unsigned shared;
  Outcome<void> (*parse)(const std::string& text, VmConfig& vm);
};

constexpr unsigned kVirtio = kPlace | kRings;
// In the order in which they are read: segments before the devices on them.
constexpr std::array kSections{
    Section{"cpus", "--cpus", false, kCpus, kNone, &parse_cpus},
    Section{"memory", "--memory", false, kMemory, kNone, &parse_memory},
    Section{"platform", "--platform", false, kPlatform, kNone, &parse_platform},
    Section{"pci_segments", "--pci-segment", true, kPciSegment, kNone, &parse_pci_segment},
    Section{"serial", "--serial", false, kCharacter, kNone, &parse_serial},
    Section{"console", "--console", false, kCharacter, kVirtio, &parse_console},
    Section{"debug_console", "--debug-console", false, kDebugConsole, kNone, &parse_debug_console},
    Section{"rate_limit_groups", "--rate-limit-group", true, kGroup, kRates,
            &parse_rate_limit_group},
    Section{"disks", "--disk", true, kDisk, kVirtio | kRates, &parse_disk},
    Section{"net", "--net", true, kNet, kVirtio | kRates, &parse_net},
    Section{"rng", "--rng", false, kRng, kVirtio, &parse_rng},
    Section{"generic_vhost_user", "--generic-vhost-user", true, kGeneric, kVirtio,
            &parse_generic_vhost_user},
    Section{"fs", "--fs", true, kFs, kVirtio, &parse_fs},
    Section{"pmem", "--pmem", true, kPmem, kVirtio, &parse_pmem},
    Section{"devices", "--device", true, kHostDevice, kPlace, &parse_host_device},
    Section{"user_devices", "--user-device", true, kUserDevice, kPlace, &parse_user_device},
    Section{"vsock", "--vsock", false, kVsock, kVirtio, &parse_vsock},
    Section{"balloon", "--balloon", false, kBalloon, kVirtio, &parse_balloon},
    Section{"landlock_rules", "--landlock-rules", true, kLandlockRule, kNone,
            [](const std::string& text, VmConfig& vm) -> Outcome<void> {
              VMM_TRY(LandlockRule rule, parse_landlock_rule(text));
              vm.landlock_rules.push_back(std::move(rule));
              return {};
            }},
    Section{"rtc", "--rtc", false, Members(), kVirtio, &parse_rtc},
};

// What people may ask for and does not exist here: refused unless it is null, false or empty.
constexpr std::array<std::string_view, 10> kRefused{
    "gdb",          "gpu",          "ivshmem", "memory/zones", "numa", "payload/host_data",
    "payload/igvm", "pvmemcontrol", "tpm",     "vdpa"};

Outcome<void> apply(const Section& section, const json::value& value, VmConfig& vm) {
  const json::object* object = value.if_object();
  if (object == nullptr) return fail(wrong_json(section.name, section.json, "an object"));
  JsonOption writer(section.name, *object);
  VMM_TRY_DO(writer.add(section.members));
  if ((section.shared & kPlace) != 0) VMM_TRY_DO(writer.add(kPlaceMembers));
  if ((section.shared & kRings) != 0) VMM_TRY_DO(writer.add(kRingMembers));
  if ((section.shared & kRates) != 0) VMM_TRY_DO(writer.add(kRateMembers));
  return section.parse(writer.text(), vm);
}

Outcome<void> apply_all(const Section& section, const json::value& value, VmConfig& vm) {
  if (!section.list) return apply(section, value, vm);
  const json::array* array = value.if_array();
  if (array == nullptr || array->size() > kMaxDevices) {
    return fail(wrong_json(section.name, section.json, "a list"));
  }
  for (const json::value& entry : *array) VMM_TRY_DO(apply(section, entry, vm));
  return {};
}

struct PayloadMember {
  const char* json;
  const char* option;
  std::string VmConfig::* text;
};
constexpr std::array kPayload{
    PayloadMember{"payload/kernel", "kernel", &VmConfig::kernel},
    PayloadMember{"payload/firmware", "firmware", &VmConfig::firmware},
    PayloadMember{"payload/initramfs", "initramfs", &VmConfig::initramfs},
    PayloadMember{"payload/cmdline", "cmdline", &VmConfig::cmdline},
    PayloadMember{"payload/dtb", "dtb", &VmConfig::dtb},
    PayloadMember{"payload/dtb_overlay", "dtb-overlay", &VmConfig::dtb_overlay}};

struct FlagMember {
  const char* json;
  const char* option;
  bool VmConfig::* flag;
};
constexpr std::array kFlags{FlagMember{"iommu", "", &VmConfig::iommu},
                            FlagMember{"watchdog", "watchdog", &VmConfig::watchdog},
                            FlagMember{"pvpanic", "pvpanic", &VmConfig::pvpanic},
                            FlagMember{"landlock_enable", "landlock", &VmConfig::landlock}};

Outcome<void> read_payload(const json::object& all, VmConfig& vm) {
  if (const json::value* payload = find_member(all, "payload");
      payload == nullptr || !payload->is_object()) {
    return fail(usage("payload: required, an object"));
  }
  for (const PayloadMember& member : kPayload) {
    const json::value* value = find_member(all, member.json);
    if (value == nullptr) continue;
    auto plain = plain_string(*value);
    if (!plain) return fail(usage(std::string(member.json) + ": not a string"));
    vm.*member.text = *std::move(plain);
  }
  return {};
}

bool asks_for_something(const json::value& value) {
  if (const bool* on = value.if_bool()) return *on;
  if (const json::array* list = value.if_array()) return !list->empty();
  return true;
}

// Both numbers of CPUs are given, or neither: there is no default of one that fits the other.
Outcome<void> check_cpus(const json::object& all) {
  if (find_member(all, "cpus") == nullptr) return {};
  for (const std::string_view name : {"cpus/boot_vcpus", "cpus/max_vcpus"}) {
    if (find_member(all, name) == nullptr) return fail(usage(std::string(name) + ": required"));
  }
  return {};
}

Outcome<void> refuse_what_is_not_offered(const json::object& all) {
  for (const std::string_view name : kRefused) {
    const json::value* value = find_member(all, name);
    if (value == nullptr || !asks_for_something(*value)) continue;
    return fail(usage(std::string(name) + ": not offered yet"));
  }
  return {};
}

Outcome<bool> read_flag(const json::object& all, const char* name) {
  const json::value* value = find_member(all, name);
  if (value == nullptr) return false;
  const bool* on = value->if_bool();
  if (on == nullptr) return fail(usage(std::string(name) + ": not a boolean"));
  return *on;
}

}  // namespace

Outcome<VmConfig> parse_vm_json(std::string_view text) {
  VMM_TRY(const json::object all, parse_json_object(text));
  VmConfig vm;
  VMM_TRY_DO(read_payload(all, vm));
  VMM_TRY_DO(check_cpus(all));
  VMM_TRY_DO(refuse_what_is_not_offered(all));
  for (const FlagMember& member : kFlags) {
    VMM_TRY(vm.*member.flag, read_flag(all, member.json));
  }
  if (const json::value* transport = find_member(all, "transport")) {
    VMM_TRY_DO(parse_transport(plain_string(*transport).value_or(""), vm));
  }
  for (const Section& section : kSections) {
    const json::value* value = find_member(all, section.json);
    if (value != nullptr) VMM_TRY_DO(apply_all(section, *value, vm));
  }
  VMM_TRY_DO(complete_config(find_member(all, "console") != nullptr, vm));
  return vm;
}

std::vector<JsonMemberInfo> json_members() {
  std::vector<JsonMemberInfo> all;
  const auto add = [&](std::string_view path, std::string_view option, std::string_view key,
                       bool offered = true) {
    std::string name(path);
    std::ranges::replace(name, '/', '.');
    all.push_back({std::move(name), std::string(option), std::string(key), offered});
  };
  for (const PayloadMember& member : kPayload) add(member.json, member.option, "");
  for (const FlagMember& member : kFlags) add(member.json, member.option, "");
  add("transport", "transport", "");
  for (const Section& section : kSections) {
    const std::string prefix = std::string(section.json) + (section.list ? "[]/" : "/");
    for (const Members members :
         {section.members, (section.shared & kPlace) != 0 ? Members(kPlaceMembers) : Members(),
          (section.shared & kRings) != 0 ? Members(kRingMembers) : Members(),
          (section.shared & kRates) != 0 ? Members(kRateMembers) : Members()}) {
      for (const Member& member : members) {
        add(prefix + std::string(member.json), section.name.substr(2), member.key);
      }
    }
  }
  for (const std::string_view name : kRefused) add(name, "", "", false);
  return all;
}

Outcome<void> add_device_json(std::string_view section, std::string_view text, VmConfig& vm) {
  const auto found = std::ranges::find(kSections, section, &Section::json);
  if (found == kSections.end()) return fail(usage(std::string(section) + ": no such devices"));
  VMM_TRY(const json::object object, parse_json_object(text));
  return apply(*found, object, vm);
}

}  // namespace vmm::reference
