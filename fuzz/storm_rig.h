// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A virtio device on a PCI segment with threads of its own, for CPUs that are threads as well:
// storm_cpu.h.

#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/event_manager/loop_thread.h"
#include "vmm/pci/config_access.h"
#include "vmm/pci/segment.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/virtio_pci/pci_transport.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_device/doorbell.h"
#include "vmm/vm_device/msi_vectors.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::storm {

/// Doorbells as KVM has them: a write that one takes rings an eventfd.
class Doorbells final : public vm_device::Doorbells {
 public:
  Result<void> add(const vm_device::Doorbell& doorbell) override {
    const MutexLock lock(mutex_);
    if (!all_.emplace(doorbell.address.raw(), doorbell.fd).second) {
      return fail(Error::os(EEXIST, "add a doorbell"));
    }
    return {};
  }
  void remove(const vm_device::Doorbell& doorbell) override {
    const MutexLock lock(mutex_);
    all_.erase(doorbell.address.raw());
  }
  /// Whether there was one.
  bool ring(std::uint64_t address) {
    const MutexLock lock(mutex_);
    const auto found = all_.find(address);
    return found != all_.end() && sys_util::signal_shared(found->second);
  }

 private:
  Mutex mutex_;
  std::map<std::uint64_t, int> all_ VMM_GUARDED_BY(mutex_);
};

/// Vectors that are eventfds, read by whoever routes them.
class Vectors final : public vm_device::MsiVectors {
 public:
  explicit Vectors(std::uint16_t count) {
    for (std::uint16_t i = 0; i < count; ++i) events_.push_back(*sys_util::EventFd::create());
  }
  Result<void> route(std::uint16_t vector,
                     const std::optional<vm_device::MsiMessage>& message) override {
    if (message) clear(vector);
    return {};
  }
  void trigger(std::uint16_t vector) override {
    if (vector < events_.size()) (void)sys_util::signal_shared(events_[vector].fd());
  }
  [[nodiscard]] bool pending(std::uint16_t vector) const override {
    if (vector >= events_.size()) return false;
    pollfd event{.fd = events_[vector].fd(), .events = POLLIN, .revents = 0};
    return ::poll(&event, 1, 0) == 1;
  }
  void clear(std::uint16_t vector) override {
    if (vector < events_.size()) (void)events_[vector].take();
  }
  [[nodiscard]] int trigger_fd(std::uint16_t vector) const override {
    return vector < events_.size() ? events_[vector].fd() : -1;
  }

 private:
  std::vector<sys_util::EventFd> events_;
};

class VectorSource final : public vm_device::MsiVectorSource {
 public:
  Result<std::unique_ptr<vm_device::MsiVectors>> create_vectors(std::uint16_t count) override {
    return std::unique_ptr<vm_device::MsiVectors>(std::make_unique<Vectors>(count));
  }
};

class Line final : public vm_device::IrqLine {
 public:
  void set(bool asserted) override { level_.store(asserted); }

 private:
  std::atomic<bool> level_{false};
};

/// The board, without a device at first.
class Rig {
 public:
  static constexpr std::uint64_t kRamBytes = 0x4'0000;
  static constexpr std::uint64_t kMoreBytes = 0x1'0000;  ///< comes and goes, behind the RAM
  static constexpr AddressRange kLow{.base = GuestAddress(0xc000'0000), .size = 0x1000'0000};
  static constexpr AddressRange kHigh{.base = GuestAddress(0x10'0000'0000), .size = 0x10'0000'0000};

  /// `memory` is what the device sees, where that is not the guest's own.
  explicit Rig(std::shared_ptr<virtio_device::VirtioDevice> device,
               const vm_memory::GuestMemory* memory = nullptr)
      : device_(std::move(device)), seen_(memory == nullptr ? &ram : memory) {}

  /// The device comes, to where it always is.
  void plug() {
    transport_ = *virtio_pci::PciTransport::create({.device = device_,
                                                    .memory = *seen_,
                                                    .workers = workers_,
                                                    .doorbells = doorbells,
                                                    .vectors = &vectors_,
                                                    .queue_features = kQueueFeatures,
                                                    .behind_iommu = seen_ != &ram});
    (void)segment->add(transport_, {.slot = std::uint8_t{1}});
  }
  /// It goes, whatever it is doing.
  void unplug() {
    (void)segment->remove(1);
    transport_.reset();
  }

  vm_memory::GuestMemory ram = make_ram();
  Doorbells doorbells;
  vm_device::MmioBus mmio;
  Line line;
  pci::IntxLines intx{{&line}};
  std::shared_ptr<pci::Segment> segment =
      *pci::Segment::create({.number = 0,
                             .buses = {.mmio = mmio},
                             .windows = {.memory32 = kLow, .memory64 = kHigh},
                             .intx = &intx});
  std::shared_ptr<pci::Ecam> ecam = std::make_shared<pci::Ecam>(segment);

 private:
  static constexpr std::uint64_t kQueueFeatures = virtio_device::TransportCore::kQueueFeatures;

  static vm_memory::GuestMemory make_ram() {
    const vm_memory::RegionConfig config{.base = GuestAddress(0), .bytes = kRamBytes};
    return *vm_memory::GuestMemory::create({&config, 1});
  }

  std::shared_ptr<virtio_device::VirtioDevice> device_;
  const vm_memory::GuestMemory* seen_;
  VectorSource vectors_;
  std::array<std::unique_ptr<event_manager::LoopThread>, 2> threads_{
      *event_manager::LoopThread::create("storm0"), *event_manager::LoopThread::create("storm1")};
  virtio_device::LoopWorkers workers_{{&threads_[0]->loop(), &threads_[1]->loop()}};
  std::shared_ptr<virtio_pci::PciTransport> transport_;
};

}  // namespace vmm::storm
