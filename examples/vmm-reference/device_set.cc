// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_set.h"

#include "balloon_device.h"
#include "disk_device.h"
#include "vmm/sys_util/random.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_net/tap.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_rng/rng.h"
#include "vmm/virtio_rtc/rtc.h"
#include "vmm/virtio_watchdog/watchdog.h"
#include "vsock_device.h"

namespace vmm::reference {

std::unique_ptr<virtio_device::Workers> DeviceSlot::workers() const {
  std::vector<event_manager::EventLoop*> loops;
  for (const auto& thread : threads) loops.push_back(&thread->loop());
  return std::make_unique<virtio_device::LoopWorkers>(std::move(loops));
}

std::uint64_t DeviceSlot::queue_features() const {
  std::uint64_t features = virtio_queue::kFeatureIndirect;
  if (config.event_idx) features |= virtio_queue::kFeatureEventIdx;
  if (config.packed) features |= virtio_queue::kFeaturePacked;
  return features;
}

namespace {

/// The virtio console's way to the host's.
class HostConsole final : public virtio_console::ConsoleOutput {
 public:
  explicit HostConsole(Console& console) : console_(console) {}
  std::size_t write(std::span<const std::byte> bytes) override {
    return console_.write_ready(bytes);
  }
  [[nodiscard]] int room_fd() const override { return console_.room_fd(); }

 private:
  Console& console_;
};

}  // namespace

Outcome<DeviceSet> DeviceSet::create(const VmConfig& config, Console& console, VmEvents& events) {
  DeviceSet set;
  if (console.present()) VMM_TRY_DO(set.add_console(config.console_device, console));
  const RateLimitGroups groups = make_rate_limit_groups(config);
  for (const DiskConfig& disk : config.disks) {
    VMM_TRY(auto device, make_disk(disk, groups));
    VMM_TRY_DO(set.add(set.id_or(disk.device, "disk"), disk.device, std::move(device),
                       disk_queue_cpus(disk)));
  }
  for (const NetConfig& net : config.nets) VMM_TRY_DO(set.add_net(net));
  if (config.rng) VMM_TRY_DO(set.add_rng(*config.rng));
  for (const PmemConfig& pmem_config : config.pmems) {
    VMM_TRY(PmemFile pmem, open_pmem(pmem_config));
    VMM_TRY_DO(set.add(set.id_or(pmem_config.device, "pmem"), pmem_config.device, pmem.device));
    set.pmems_.push_back(std::move(pmem));
  }
  if (config.vsock) VMM_TRY_DO(set.add_vsock(*config.vsock));
  if (config.balloon) {
    VMM_TRY(auto balloon, make_balloon(*config.balloon));
    VMM_TRY_DO(set.add(config.balloon->device.id.empty() ? "__balloon" : config.balloon->device.id,
                       config.balloon->device, std::move(balloon)));
  }
  if (config.watchdog) VMM_TRY_DO(set.add_watchdog(events));
  if (config.rtc) VMM_TRY_DO(set.add_rtc(*config.rtc));
  return set;
}

Outcome<void> DeviceSet::add(std::string id, const DeviceConfig& config,
                             std::shared_ptr<virtio_device::VirtioDevice> device,
                             const std::vector<std::vector<std::uint64_t>>& queue_cpus) {
  DeviceSlot slot{
      .id = std::move(id), .config = config, .device = std::move(device), .threads = {}};
  for (std::size_t i = 0; i < queue_cpus.size(); ++i) {
    const std::string name = queue_cpus.size() == 1 ? slot.id : slot.id + "_q" + std::to_string(i);
    VMM_TRY(auto thread, IoThread::create(name, queue_cpus[i]));
    slot.threads.push_back(std::move(thread));
  }
  slots_.push_back(std::move(slot));
  return {};
}

std::string DeviceSet::id_or(const DeviceConfig& config, const char* kind) {
  if (!config.id.empty()) return config.id;
  return std::string("_") + kind + std::to_string(next_id_++);
}

Outcome<void> DeviceSet::add_console(const DeviceConfig& config, Console& console) {
  console_output_ = std::make_unique<HostConsole>(console);
  VMM_STEP("--console", console_,
           virtio_console::Console::create(
               {.output = console_output_.get(), .capacity = 4096, .size = {}}));
  return add("__console", config, console_);
}

namespace {

// A unicast address that no maker of hardware has.
Outcome<virtio_net::MacAddress> random_mac() {
  virtio_net::MacAddress mac{};
  VMM_STEP_DO("--net: mac", sys_util::fill_random(std::as_writable_bytes(std::span(mac))));
  mac[0] = static_cast<std::uint8_t>((mac[0] & 0xfc) | 2);
  return mac;
}

Outcome<std::vector<virtio_net::NetPort>> net_ports(const NetConfig& config) {
  std::vector<virtio_net::NetPort> ports;
  for (const int fd : config.fds) {
    const std::string context = "--net: fd=" + std::to_string(fd);
    VMM_STEP(context, auto port, virtio_net::NetPort::adopt_tap(UniqueFd(fd)));
    ports.push_back(std::move(port));
  }
  if (!ports.empty()) return ports;
  const std::string context = config.tap.empty() ? "--net" : "--net: tap=" + config.tap;
  VMM_STEP(context, auto tap,
           virtio_net::open_tap({.name = config.tap,
                                 .queues = static_cast<std::uint16_t>(config.num_queues / 2),
                                 .ip = config.ip,
                                 .mask = config.mask,
                                 .mac = config.host_mac,
                                 .mtu = config.mtu}));
  return std::move(tap.queues);
}

}  // namespace

Outcome<void> DeviceSet::add_net(const NetConfig& config) {
  const std::string id = id_or(config.device, "net");
  if (config.user) return fail(usage("--net: user: not offered yet"));
  if (config.rate_limit.limits()) return fail(usage("--net: bw_size: not offered yet"));
  virtio_net::MacAddress mac{};
  if (config.mac) {
    mac = *config.mac;
  } else {
    VMM_TRY(mac, random_mac());
  }
  VMM_TRY(auto ports, net_ports(config));
  const std::size_t pairs = ports.size();
  VMM_STEP("--net", auto net,
           virtio_net::Net::create({.mac = mac,
                                    .mtu = config.mtu,
                                    .queue_size = config.queue_size,
                                    .offload_csum = config.offload_csum,
                                    .offload_tso = config.offload_tso,
                                    .offload_ufo = config.offload_ufo},
                                   std::move(ports)));
  return add(id, config.device, std::move(net), std::vector<std::vector<std::uint64_t>>(pairs));
}

Outcome<void> DeviceSet::add_rng(const RngConfig& config) {
  VMM_STEP("--rng: " + config.source, auto rng, virtio_rng::Rng::open(config.source));
  return add(config.device.id.empty() ? "__rng" : config.device.id, config.device, std::move(rng));
}

Outcome<void> DeviceSet::add_vsock(const VsockConfig& config) {
  VMM_TRY(auto vsock, make_vsock(config));
  return add(id_or(config.device, "vsock"), config.device, std::move(vsock));
}

// A guest that has fallen silent is started anew.
Outcome<void> DeviceSet::add_watchdog(VmEvents& events) {
  VMM_STEP("--watchdog", auto watchdog,
           virtio_watchdog::Watchdog::create(
               {.timeout = virtio_watchdog::Watchdog::kDefaultTimeout,
                .on_expiry = [&events] { events.report(VmEnd::kReset); }}));
  return add("__watchdog", {}, std::move(watchdog));
}

Outcome<void> DeviceSet::add_rtc(const DeviceConfig& config) {
  std::vector<std::unique_ptr<virtio_rtc::Clock>> clocks;
  clocks.push_back(virtio_rtc::host_utc());
  clocks.push_back(virtio_rtc::host_monotonic());
  VMM_STEP("--rtc", auto rtc, virtio_rtc::Rtc::create(std::move(clocks)));
  return add(config.id.empty() ? "__rtc" : config.id, config, std::move(rtc));
}

}  // namespace vmm::reference
