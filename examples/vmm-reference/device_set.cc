// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_set.h"

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
  return features & queue_features_mask;
}

void DeviceSlot::pause() const {
  for (const auto& thread : threads) thread->pause();
}

void DeviceSlot::resume() const {
  for (const auto& thread : threads) thread->resume();
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

void DeviceSet::fit_console(const Console& console) {
  const sys_util::WindowSize size = console.window_size();
  if (console_ == nullptr || size == sys_util::WindowSize()) return;
  console_->resize({.columns = size.columns, .rows = size.rows});
}

Outcome<DeviceSet> DeviceSet::create(const VmConfig& config, const Host& host) {
  DeviceSet set(host.device_events);
  if (host.console.present()) VMM_TRY_DO(set.add_console(config.console_device, host.console));
  set.groups_ = make_rate_limit_groups(config);
  for (const DiskConfig& disk : config.disks) VMM_TRY_DO(set.add(disk));
  for (const NetConfig& net : config.nets) VMM_TRY_DO(set.add(net));
  VMM_TRY_DO(set.add_rng(config.rng));
  for (const GenericVhostUserConfig& generic : config.generics) VMM_TRY_DO(set.add(generic));
  for (const FsConfig& fs : config.file_systems) VMM_TRY_DO(set.add(fs));
  for (const PmemConfig& pmem : config.pmems) VMM_TRY_DO(set.add(pmem));
  if (config.vsock) VMM_TRY_DO(set.add(*config.vsock));
  VMM_TRY(set.hot_memory_, HotMemory::create(config));
  if (set.hot_memory_ != nullptr) VMM_TRY_DO(set.add_fixed("__mem", {}, set.hot_memory_->device()));
  if (config.balloon) {
    set.set_pinned(!config.host_devices.empty());
    VMM_TRY(set.balloon_, make_balloon(*config.balloon, set.reclaim_));
    const DeviceConfig& device = config.balloon->device;
    VMM_TRY_DO(set.add_fixed(device.id.empty() ? "__balloon" : device.id, device, set.balloon_));
  }
  if (config.watchdog) VMM_TRY_DO(set.add_watchdog(host.events));
  if (config.rtc) VMM_TRY_DO(set.add_rtc(*config.rtc));
  return set;
}

Outcome<void> DeviceSet::add(ThreadKind kind, std::string id, const DeviceConfig& config,
                             std::shared_ptr<virtio_device::VirtioDevice> device,
                             const std::vector<std::vector<std::uint64_t>>& queue_cpus) {
  auto observed = std::make_shared<ObservedDevice>(id, std::move(device), *device_events_);
  DeviceSlot slot{
      .id = std::move(id), .config = config, .process = nullptr, .device = observed, .threads = {}};
  slot.observed = std::move(observed);
  for (std::size_t i = 0; i < queue_cpus.size(); ++i) {
    const std::string name = queue_cpus.size() == 1 ? slot.id : slot.id + "_q" + std::to_string(i);
    VMM_TRY(auto thread, IoThread::create(kind, name, queue_cpus[i]));
    slot.threads.push_back(std::move(thread));
  }
  if (paused_) slot.pause();
  slots_.push_back(std::move(slot));
  return {};
}

Outcome<void> DeviceSet::add_fixed(std::string id, const DeviceConfig& config,
                                   std::shared_ptr<virtio_device::VirtioDevice> device) {
  VMM_TRY_DO(add(ThreadKind::kDevice, std::move(id), config, std::move(device)));
  slots_.back().stays = true;
  return {};
}

void DeviceSet::pause() {
  paused_ = true;
  if (watchdog_ != nullptr) watchdog_->pause();
  for (const DeviceSlot& slot : slots_) slot.pause();
}

void DeviceSet::resume() {
  paused_ = false;
  if (watchdog_ != nullptr) watchdog_->resume();
  for (const DeviceSlot& slot : slots_) slot.resume();
}

// A thread that stands still would not end.
void DeviceSet::remove(const std::string& id) {
  for (const DeviceSlot& slot : slots_) {
    if (paused_ && slot.id == id) slot.resume();
  }
  std::erase_if(slots_, [&id](const DeviceSlot& slot) { return slot.id == id; });
  std::erase_if(pmems_, [&id](const PmemFile& pmem) { return pmem.id == id; });
}

Outcome<void> DeviceSet::add(const DiskConfig& config) {
  if (!config.vhost_socket.empty()) {
    VMM_TRY(auto remote, make_remote_disk(config));
    return add_remote(config.device.id, config.device, std::move(remote));
  }
  VMM_TRY(auto disk, make_disk(config, groups_));
  VMM_TRY_DO(
      add(ThreadKind::kDisk, config.device.id, config.device, disk, disk_queue_cpus(config)));
  slots_.back().disk = std::move(disk);
  return {};
}

Outcome<void> DeviceSet::add(const NetConfig& config) {
  if (!config.vhost_socket.empty()) {
    VMM_TRY(auto remote, make_remote_net(config));
    return add_remote(config.device.id, config.device, std::move(remote));
  }
  VMM_TRY(NetDevice made, make_net(config));
  // With the kernel's packets, what is left for threads of ours is hardly ever anything.
  const std::vector<std::vector<std::uint64_t>> any_cpu(config.vhost ? 1u
                                                                     : made.device->queue_pairs());
  VMM_TRY_DO(add(ThreadKind::kNet, config.device.id, config.device, made.device, any_cpu));
  if (!config.vhost) slots_.back().net = std::move(made.device);
  slots_.back().process = std::move(made.process);
  return {};
}

Outcome<void> DeviceSet::add(const GenericVhostUserConfig& config) {
  VMM_TRY(auto remote, make_remote_generic(config));
  return add_remote(config.device.id, config.device, std::move(remote));
}

Outcome<void> DeviceSet::add(const FsConfig& config) {
  const auto window = config.dax ? std::make_shared<KvmWindow>() : nullptr;
  VMM_TRY(auto remote, make_remote_fs(config, window));
  VMM_TRY_DO(add_remote(config.device.id, config.device, std::move(remote)));
  slots_.back().window = window;
  return {};
}

Outcome<void> DeviceSet::add(const PmemConfig& config) {
  VMM_TRY(PmemFile pmem, open_pmem(config));
  VMM_TRY_DO(add(ThreadKind::kDevice, config.device.id, config.device, pmem.device));
  pmems_.push_back(std::move(pmem));
  return {};
}

Outcome<void> DeviceSet::add_remote(std::string id, const DeviceConfig& config,
                                    std::shared_ptr<RemoteDevice> device) {
  const std::uint64_t mask = device->ring_features();
  VMM_TRY_DO(add(ThreadKind::kPeer, std::move(id), config, device));
  slots_.back().queue_features_mask = mask;
  slots_.back().remote = std::move(device);
  return {};
}

Outcome<void> DeviceSet::add_console(const DeviceConfig& config, Console& console) {
  console_output_ = std::make_unique<HostConsole>(console);
  VMM_STEP("--console", console_,
           virtio_console::Console::create(
               {.output = console_output_.get(), .capacity = 4096, .size = {}}));
  fit_console(console);
  return add_fixed("__console", config, console_);
}

Outcome<void> DeviceSet::add_rng(const RngConfig& config) {
  VMM_STEP("--rng: " + config.source, auto rng, virtio_rng::Rng::open(config.source));
  return add_fixed(config.device.id.empty() ? "__rng" : config.device.id, config.device,
                   std::move(rng));
}

Outcome<void> DeviceSet::add(const VsockConfig& config) {
  VMM_TRY(auto vsock, make_vsock(config));
  return add(config.vhost ? ThreadKind::kDevice : ThreadKind::kPeer, config.device.id,
             config.device, std::move(vsock));
}

// A guest that has fallen silent is started anew.
Outcome<void> DeviceSet::add_watchdog(VmEvents& events) {
  VMM_STEP("--watchdog", watchdog_,
           virtio_watchdog::Watchdog::create(
               {.timeout = virtio_watchdog::Watchdog::kDefaultTimeout,
                .on_expiry = [&events] { events.report(VmEnd::kReset); }}));
  return add_fixed("__watchdog", {}, watchdog_);
}

Outcome<void> DeviceSet::add_rtc(const DeviceConfig& config) {
  std::vector<std::unique_ptr<virtio_rtc::Clock>> clocks;
  clocks.push_back(virtio_rtc::host_utc());
  clocks.push_back(virtio_rtc::host_monotonic());
  VMM_STEP("--rtc", auto rtc, virtio_rtc::Rtc::create(std::move(clocks)));
  return add_fixed(config.id.empty() ? "__rtc" : config.id, config, std::move(rtc));
}

}  // namespace vmm::reference
