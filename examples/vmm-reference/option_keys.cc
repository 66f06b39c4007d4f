// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "option_keys.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace vmm::reference {
namespace {

using Key = OptionKey;

// A key of the grammar that is not offered yet. `taken`: the one text that asks for what is so
// anyway.
constexpr Key later(std::string_view name, std::string_view taken = "") {
  return {.name = name, .offered = false, .taken = taken};
}

// A key that has no text.
constexpr Key word(std::string_view name) { return {.name = name, .is_word = true}; }

template <std::size_t... kSizes>
constexpr auto join(const Key (&... parts)[kSizes]) {
  std::array<Key, (kSizes + ...)> all{};
  auto at = all.begin();
  ((at = std::copy(parts, parts + kSizes, at)), ...);
  return all;
}

// What options have in common.
constexpr Key kPlace[] = {{"id"}, {"pci_segment"}, {"pci_device_id"}};
constexpr Key kIommu[] = {{"iommu"}};
constexpr Key kNoIommu[] = {later("iommu", "off")};
constexpr Key kRings[] = {{"packed"}, {"event_idx"}};
constexpr Key kLimits[] = {{"bw_size"},  {"bw_one_time_burst"},  {"bw_refill_time"},
                           {"ops_size"}, {"ops_one_time_burst"}, {"ops_refill_time"}};
constexpr Key kModes[] = {word("off"), word("null"), word("pty"), word("tty"), {"file"}};
constexpr Key kPathOrFd[] = {{"path"}, {"fd"}};

constexpr Key kCpus[] = {{"boot"},
                         {"max"},
                         {"topology"},
                         {"max_phys_bits"},
                         {"nested"},
                         {"affinity"},
                         later("kvm_hyperv", "off"),
                         later("features", "[]"),
                         {"core_scheduling"},
                         later("profile", "host")};
constexpr Key kMemory[] = {{"size"},           {"mergeable"},     {"shared"},
                           {"hugepages"},      {"hugepage_size"}, {"prefault"},
                           {"reserve"},        {"thp"},           {"file"},
                           {"hotplug_method"}, {"hotplug_size"},  {"hotplugged_size"}};
constexpr Key kSerial[] = {{"escape"}, {"socket"}};
constexpr Key kConsole[] = {{"escape"}, later("socket")};
constexpr Key kDebugConsole[] = {{"iobase"}};
constexpr Key kDisk[] = {{"path"},           {"readonly"},         {"direct"},
                         {"queue_size"},     {"num_queues"},       {"rate_limit_group"},
                         {"queue_affinity"}, {"serial"},           {"backing_files"},
                         {"sparse"},         {"image_type"},       {"lock_granularity"},
                         {"pin_memory"},     {"guest_block_size"}, {"vhost_user"},
                         {"socket"},         {"_disable_aio"},     {"_disable_io_uring"}};
constexpr Key kNet[] = {{"tap"},         {"ip"},          {"mask"},         {"mac"},
                        {"host_mac"},    {"mtu"},         {"queue_size"},   {"num_queues"},
                        {"fd"},          {"user"},        {"hostfwd"},      {"vhost"},
                        {"offload_tso"}, {"offload_ufo"}, {"offload_csum"}, {"vhost_user"},
                        {"socket"},      {"vhost_mode"}};
constexpr Key kFs[] = {{"tag"},        {"socket"}, {"num_queues"},
                       {"queue_size"}, {"dax"},    {"cache_size"}};
constexpr Key kGeneric[] = {{"device_type"}, {"virtio_id"}, {"queue_sizes"}, {"socket"}};
constexpr Key kRng[] = {{"src"}};
constexpr Key kPmem[] = {{"file"}, {"size"}, {"discard_writes"}};
constexpr Key kDevice[] = {{"path"},
                           {"x_exclude_mmap_bars"},
                           {"x_unsafe_noiommu"},
                           later("fd"),
                           later("x_nv_gpudirect_clique")};
constexpr Key kUserDevice[] = {{"socket"}};
constexpr Key kVsock[] = {{"cid"}, {"socket"}, {"vhost"}};
constexpr Key kBalloon[] = {{"size"}, {"deflate_on_oom"}, {"free_page_reporting"}};
constexpr Key kGroup[] = {{"id"}};
constexpr Key kPlatform[] = {{"num_pci_segments"},
                             {"iommufd"},
                             {"iommu_segments"},
                             {"iommu_address_width"},
                             {"vfio_p2p_dma"},
                             later("iommufd_fd"),
                             {"system_manufacturer"},
                             {"system_product_name"},
                             {"system_version"},
                             {"system_serial_number"},
                             {"system_uuid"},
                             {"system_sku_number"},
                             {"system_family"},
                             {"chassis_asset_tag"},
                             {"oem_strings"},
                             {"serial_number"},
                             {"uuid"},
                             later("tdx", "off"),
                             later("sev_snp", "off")};
constexpr Key kLandlockRules[] = {{"path"}, {"access"}};
constexpr Key kPciSegment[] = {
    {"pci_segment"}, {"mmio32_aperture_weight"}, {"mmio64_aperture_weight"}};

constexpr auto kAllSerial = join(kModes, kSerial);
constexpr auto kAllConsole = join(kModes, kConsole, kPlace, kIommu, kRings);
constexpr auto kAllDebugConsole = join(kModes, kDebugConsole);
constexpr auto kAllDisk = join(kDisk, kLimits, kPlace, kIommu, kRings);
constexpr auto kAllNet = join(kNet, kLimits, kPlace, kIommu, kRings);
constexpr auto kAllFs = join(kFs, kPlace, kRings);
constexpr auto kAllGeneric = join(kGeneric, kPlace, kRings);
constexpr auto kAllRng = join(kRng, kPlace, kIommu, kRings);
constexpr auto kAllPmem = join(kPmem, kPlace, kIommu, kRings);
constexpr auto kAllDevice = join(kDevice, kPlace, kIommu);
constexpr auto kAllUserDevice = join(kUserDevice, kPlace, kIommu);
constexpr auto kAllVsock = join(kVsock, kPlace, kIommu, kRings);
constexpr auto kAllBalloon = join(kBalloon, kPlace, kNoIommu, kRings);
constexpr auto kAllRtc = join(kPlace, kIommu, kRings);
constexpr auto kAllGroup = join(kGroup, kLimits);

struct Row {
  std::string_view option;
  std::span<const Key> keys;
};
constexpr std::array kRows{Row{"api-socket", kPathOrFd},
                           Row{"balloon", kAllBalloon},
                           Row{"console", kAllConsole},
                           Row{"cpus", kCpus},
                           Row{"debug-console", kAllDebugConsole},
                           Row{"device", kAllDevice},
                           Row{"disk", kAllDisk},
                           Row{"event-monitor", kPathOrFd},
                           Row{"fs", kAllFs},
                           Row{"generic-vhost-user", kAllGeneric},
                           Row{"landlock-rules", kLandlockRules},
                           Row{"memory", kMemory},
                           Row{"net", kAllNet},
                           Row{"pci-segment", kPciSegment},
                           Row{"platform", kPlatform},
                           Row{"pmem", kAllPmem},
                           Row{"rate-limit-group", kAllGroup},
                           Row{"rng", kAllRng},
                           Row{"rtc", kAllRtc},
                           Row{"serial", kAllSerial},
                           Row{"user-device", kAllUserDevice},
                           Row{"vsock", kAllVsock}};

}  // namespace

std::span<const OptionKey> keys_of(std::string_view option) {
  const auto row = std::ranges::find(kRows, option, &Row::option);
  return row == kRows.end() ? std::span<const Key>() : row->keys;
}

Outcome<OptionValue> parse_value(std::string_view option, std::string_view text) {
  return OptionValue::parse(option, text, keys_of(option.substr(2)));
}

}  // namespace vmm::reference
