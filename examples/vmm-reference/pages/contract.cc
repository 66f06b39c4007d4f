// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "contract.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace vmm::reference {
namespace {

using Name = ContractName;
using Option = ContractOption;

template <std::size_t... kSizes>
constexpr auto join(const Name (&... parts)[kSizes]) {
  std::array<Name, (kSizes + ...)> all{};
  auto at = all.begin();
  ((at = std::copy(parts, parts + kSizes, at)), ...);
  return all;
}

constexpr Name kPlace[] = {{"id"}, {"pci_segment"}, {"pci_device_id"}};
constexpr Name kIommu[] = {{"iommu"}};
constexpr Name kLimits[] = {{"bw_size"},  {"bw_one_time_burst"},  {"bw_refill_time"},
                            {"ops_size"}, {"ops_one_time_burst"}, {"ops_refill_time"}};
constexpr Name kPathOrFd[] = {{"path"}, {"fd"}};

constexpr Name kCpus[] = {
    {"boot"},
    {"max", "more than `boot` is passed over, with a warning: CPUs do not come and go"},
    {"topology"},
    {"kvm_hyperv"},
    {"max_phys_bits"},
    {"affinity"},
    {"features"},
    {"nested"},
    {"core_scheduling"},
    {"profile"}};
constexpr Name kMemory[] = {
    {"size"},
    {"mergeable"},
    {"shared"},
    {"hugepages"},
    {"hugepage_size"},
    {"hotplug_method", "`virtio-mem`; with `acpi`, `hotplug_size` is passed over, with a warning"},
    {"hotplug_size"},
    {"hotplugged_size"},
    {"prefault"},
    {"reserve"},
    {"thp"},
    {"file", "passed over by both; here with a warning"}};
constexpr Name kModes[] = {{"off"}, {"null"}, {"pty"}, {"tty"}, {"file"}};
constexpr Name kSocket[] = {{"socket"}};
constexpr Name kNoSocket[] = {{"socket", "theirs is refused when the VM is created"}};
constexpr Name kIobase[] = {{"iobase"}};
constexpr Name kDisk[] = {{"path"},
                          {"readonly"},
                          {"direct"},
                          {"queue_size"},
                          {"num_queues"},
                          {"vhost_user"},
                          {"socket"},
                          {"rate_limit_group"},
                          {"queue_affinity"},
                          {"serial"},
                          {"backing_files"},
                          {"sparse"},
                          {"image_type", "`vmdk` is refused by name; `vhd` is a fixed one"},
                          {"lock_granularity", "theirs is `qemu-compatible` when it is not given"},
                          {"guest_block_size"},
                          {"_disable_io_uring"},
                          {"_disable_aio", "nothing to disable: there is no such engine"}};
constexpr Name kNet[] = {{"tap"},         {"ip", "IPv4 only"}, {"mask", "IPv4 only"},
                         {"mac"},         {"host_mac"},        {"mtu"},
                         {"queue_size"},  {"num_queues"},      {"vhost_user"},
                         {"socket"},      {"vhost_mode"},      {"fd"},
                         {"offload_tso"}, {"offload_ufo"},     {"offload_csum"}};
constexpr Name kFs[] = {{"tag"}, {"socket"}, {"num_queues"}, {"queue_size"}};
constexpr Name kGeneric[] = {{"device_type"}, {"virtio_id"}, {"queue_sizes"}, {"socket"}};
constexpr Name kRng[] = {{"src"}};
constexpr Name kPmem[] = {{"file"}, {"size"}, {"discard_writes"}};
constexpr Name kLandlockRules[] = {{"path"}, {"access"}};
constexpr Name kDevice[] = {{"path"}, {"fd"}, {"x_nv_gpudirect_clique"}, {"x_exclude_mmap_bars"}};
constexpr Name kVsock[] = {{"cid"}, {"socket"}};
constexpr Name kBalloon[] = {{"size"}, {"deflate_on_oom"}, {"free_page_reporting"}};
constexpr Name kGroupId[] = {{"id"}};
constexpr Name kPlatform[] = {
    {"num_pci_segments"},
    {"iommu_segments"},
    {"iommu_address_width"},
    {"iommufd", "as the host has it when it is not given; theirs is `off`"},
    {"iommufd_fd"},
    {"vfio_p2p_dma"},
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
    {"tdx"},
    {"sev_snp"}};
constexpr Name kPciSegment[] = {
    {"pci_segment"}, {"mmio32_aperture_weight"}, {"mmio64_aperture_weight"}};

constexpr auto kAllConsole = join(kModes, kNoSocket, kPlace, kIommu);
constexpr auto kAllSerial = join(kModes, kSocket);
constexpr auto kAllDebug = join(kModes, kIobase);
constexpr auto kAllDisk = join(kDisk, kLimits, kPlace, kIommu);
constexpr auto kAllNet = join(kNet, kLimits, kPlace, kIommu);
constexpr auto kAllFs = join(kFs, kPlace);
constexpr auto kAllGeneric = join(kGeneric, kPlace);
constexpr auto kAllRng = join(kRng, kPlace, kIommu);
constexpr auto kAllPmem = join(kPmem, kPlace, kIommu);
constexpr auto kAllDevice = join(kDevice, kPlace, kIommu);
constexpr auto kAllUserDevice = join(kSocket, kPlace);
constexpr auto kAllVsock = join(kVsock, kPlace, kIommu);
constexpr auto kAllBalloon = join(kBalloon, kPlace, kIommu);
constexpr auto kAllRtc = join(kPlace, kIommu);
constexpr auto kAllGroup = join(kGroupId, kLimits);

constexpr std::array kOptions{
    Option{"api-socket", "", kPathOrFd},
    Option{"balloon", "", kAllBalloon},
    Option{"cmdline"},
    Option{"console",
           "off when it is not given and `--serial` has the terminal; a new size of a pty is seen "
           "with the next input",
           kAllConsole},
    Option{"cpus", "", kCpus},
    Option{"dbus-object-path", "in their D-Bus build"},
    Option{"dbus-service-name", "in their D-Bus build"},
    Option{"dbus-system-bus", "in their D-Bus build"},
    Option{"debug-console", "", kAllDebug},
    Option{"device", "not together with `hotplug_size` of `--memory`", kAllDevice},
    Option{"disk", "", kAllDisk},
    Option{"event-monitor", "", kPathOrFd},
    Option{"firmware"},
    Option{"fs", "", kAllFs},
    Option{"fw-cfg-config", "a build option of theirs"},
    Option{"gdb", "a build option of theirs"},
    Option{"generic-vhost-user", "", kAllGeneric},
    Option{"gpu", "of Spectrum's patches"},
    Option{"help"},
    Option{"host-data", "in their confidential builds"},
    Option{"igvm", "in their confidential builds"},
    Option{"initramfs"},
    Option{"ivshmem", "a build option of theirs"},
    Option{"kernel"},
    Option{"landlock"},
    Option{"landlock-rules", "", kLandlockRules},
    Option{"log-file"},
    Option{"log-format"},
    Option{"memory", "", kMemory},
    Option{"memory-zone"},
    Option{"net", "", kAllNet},
    Option{"no-shutdown"},
    Option{"numa"},
    Option{"pci-segment", "", kPciSegment},
    Option{"platform", "", kPlatform},
    Option{"pmem", "", kAllPmem},
    Option{"pvmemcontrol", "a build option of theirs"},
    Option{"pvpanic"},
    Option{"rate-limit-group", "", kAllGroup},
    Option{"restore"},
    Option{"rng", "", kAllRng},
    Option{"rtc", "", kAllRtc},
    Option{"seccomp"},
    Option{"serial", "", kAllSerial},
    Option{"tpm"},
    Option{"user-device", "without shared memory, too", kAllUserDevice},
    Option{"vdpa"},
    Option{"version",
           "our name and version, below theirs when started under their name; no protocol versions "
           "of migration"},
    Option{"vsock", "", kAllVsock},
    Option{"watchdog"},
};

constexpr std::array kEndpoints{
    Name{"vmm.ping"},
    Name{"vmm.shutdown"},
    Name{"vm.info",
         "no resources in its `device_tree`; the states Shutdown and BreakPoint are never shown"},
    Name{"vm.counters", "every virtio device is there, with `activations` and `resets`"},
    Name{"vm.create"},
    Name{"vm.delete"},
    Name{"vm.boot"},
    Name{"vm.pause"},
    Name{"vm.resume"},
    Name{"vm.shutdown", "the VM is Created then"},
    Name{"vm.reboot"},
    Name{"vm.power-button"},
    Name{"vm.nmi"},
    Name{"vm.resize",
         "of a booted VM `desired_ram` with `hotplug_method=virtio-mem`; vCPUs have to be what it "
         "has"},
    Name{"vm.resize-disk"},
    Name{"vm.resize-zone"},
    Name{"vm.add-device"},
    Name{"vm.add-user-device"},
    Name{"vm.add-disk"},
    Name{"vm.add-fs"},
    Name{"vm.add-generic-vhost-user"},
    Name{"vm.add-pmem"},
    Name{"vm.add-vdpa"},
    Name{"vm.add-vsock"},
    Name{"vm.add-net"},
    Name{"vm.add-gpu", "of Spectrum's patches"},
    Name{"vm.remove-device"},
    Name{"vm.snapshot"},
    Name{"vm.restore"},
    Name{"vm.coredump", "a build option of theirs"},
    Name{"vm.receive-migration"},
    Name{"vm.send-migration"},
};

constexpr std::array kEvents{
    Name{"vmm.starting"},
    Name{"vmm.started"},
    Name{"vmm.shutdown"},
    Name{"vm.booting"},
    Name{"vm.booted"},
    Name{"vm.shutdown"},
    Name{"vm.rebooting"},
    Name{"vm.rebooted"},
    Name{"vm.deleted"},
    Name{"vm.pausing"},
    Name{"vm.paused"},
    Name{"vm.resuming"},
    Name{"vm.resumed"},
    Name{"vm.resizing"},
    Name{"vm.resized"},
    Name{"vm.snapshotting"},
    Name{"vm.snapshotted"},
    Name{"vm.restoring"},
    Name{"vm.restored"},
    Name{"vm.coredumping"},
    Name{"vm.device-removed"},
    Name{"vm.migration-starting"},
    Name{"vm.migration-started"},
    Name{"vm.migration-memory-iteration"},
    Name{"vm.migration-finished"},
    Name{"vm.migration-failed"},
    Name{"vm.migration-cancelled"},
    Name{"vm.migration-receive-starting"},
    Name{"vm.migration-receive-ready"},
    Name{"vm.migration-receive-started"},
    Name{"vm.migration-receive-finished"},
    Name{"vm.migration-receive-failed"},
    Name{"vm.postcopy-migration-completed"},
    Name{"virtio-device.activated"},
    Name{"virtio-device.reset"},
    Name{"vdpa.activated"},
    Name{"vdpa.reset"},
    Name{"guest.panic"},
};

constexpr std::array kMembers{
    Name{"memory.zones"}, Name{"payload.igvm"}, Name{"payload.host_data"},
    Name{"gdb"},          Name{"gpu"},          Name{"ivshmem"},
    Name{"numa"},         Name{"pvmemcontrol"}, Name{"tpm"},
    Name{"vdpa"},         Name{"iommu"},
};

}  // namespace

std::span<const ContractOption> contract_options() { return kOptions; }
std::span<const ContractName> contract_endpoints() { return kEndpoints; }
std::span<const ContractName> contract_events() { return kEvents; }
std::span<const ContractName> contract_members() { return kMembers; }

}  // namespace vmm::reference
