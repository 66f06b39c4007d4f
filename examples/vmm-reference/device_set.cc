// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_set.h"

#include "balloon_device.h"
#include "disk_device.h"
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
  for (const NetConfig& net : config.nets) {
    VMM_TRY(NetDevice made, make_net(net));
    const std::vector<std::vector<std::uint64_t>> any_cpu(made.device->queue_pairs());
    VMM_TRY_DO(set.add(set.id_or(net.device, "net"), net.device, std::move(made.device), any_cpu));
    if (made.process) set.net_processes_.push_back(std::move(made.process));
  }
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
