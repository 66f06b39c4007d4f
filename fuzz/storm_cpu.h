// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// CPUs of a guest that means no good, each a thread: what they do to registers and memory at one
// time is what this is for. Nothing of it is checked but that the device outlives it.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "storm_rig.h"
#include "vmm/base/endian.h"
#include "vmm/virtio_pci/layout.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::storm {

using virtio_pci::Common;

/// A CPU of the guest.
class Cpu {
 public:
  Cpu(Rig& rig, std::uint64_t seed) : rig_(rig), caller_(rig.mmio), random_(seed) {}

  /// Something that a driver does, or would not.
  void step() {
    switch (below(64)) {
      case 0:
      case 1:
        return start();
      case 2:
        return set<std::uint8_t>(Common::kDeviceStatus, 0);
      case 3:
        return set<std::uint8_t>(Common::kDeviceStatus, static_cast<std::uint8_t>(below(256)));
      case 4:
        return restart_queue(static_cast<std::uint16_t>(below(3)));
      case 5:
        return set_config<std::uint16_t>(pci::kCommand, static_cast<std::uint16_t>(below(8)));
      case 6:
        return move_bar();
      case 7:
        return set_config<std::uint16_t>(0x40 + below(0x60), static_cast<std::uint16_t>(random_()));
      case 8:
        return write<std::uint32_t>(virtio_pci::kTablePart.offset + 4 * below(20),
                                    static_cast<std::uint32_t>(random_()));
      case 9:
        return msix(static_cast<std::uint16_t>(below(4) << 14));
      case 10:
        return write<std::uint32_t>(virtio_pci::kConfigPart.offset + 4 * below(16),
                                    static_cast<std::uint32_t>(random_()));
      case 11:
        (void)read<std::uint32_t>(virtio_pci::kConfigPart.offset + 4 * below(16));
        (void)read<std::uint8_t>(virtio_pci::kIsrPart.offset);
        return (void)read<std::uint64_t>(virtio_pci::kPendingPart.offset);
      case 12:
        return set<std::uint16_t>(static_cast<Common>(2 * below(30)),
                                  static_cast<std::uint16_t>(below(4)));
      case 13:
        return scribble();
      default:
        return offer(static_cast<std::uint16_t>(below(4)));
    }
  }

  /// As a driver does it, up to DRIVER_OK; what others do meanwhile may be in its way.
  void start() {
    set_config<std::uint16_t>(pci::kCommand, 6);
    find();
    for (const unsigned status : {0u, 1u, 3u}) set(Common::kDeviceStatus, narrow(status));
    std::uint64_t features = 0;
    for (const std::uint32_t word : {0u, 1u}) {
      set<std::uint32_t>(Common::kDeviceFeatureSelect, word);
      features |= std::uint64_t{get<std::uint32_t>(Common::kDeviceFeature)} << (32 * word);
    }
    // Rings are split ones here.
    features &= ~virtio_queue::kFeaturePacked & ~(below(4) == 0 ? random_() & 0xffff'ffff : 0);
    features |= std::uint64_t{1} << 32;
    for (const std::uint32_t word : {0u, 1u}) {
      set<std::uint32_t>(Common::kDriverFeatureSelect, word);
      set<std::uint32_t>(Common::kDriverFeature, static_cast<std::uint32_t>(features >> 32 * word));
    }
    set<std::uint8_t>(Common::kDeviceStatus, 0xb);
    const auto queues = std::min<unsigned>(get<std::uint16_t>(Common::kNumQueues), 6);
    for (unsigned queue = 0; queue < queues; ++queue) {
      set_up(static_cast<std::uint16_t>(queue));
    }
    msix(1 << 15);
    set<std::uint8_t>(Common::kDeviceStatus, 0xf);
  }

 private:
  static constexpr std::uint64_t kPage = 8 * pci::kConfigBytes;  // of slot 1
  static constexpr std::uint16_t kSize = 16;
  static constexpr std::uint64_t kBuffers = 0x1'0000;

  static std::uint8_t narrow(unsigned value) { return static_cast<std::uint8_t>(value); }
  static std::uint64_t ring(std::uint16_t queue) { return 0x1000 + 0x1000 * std::uint64_t{queue}; }
  std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(random_() % end); }

  template <class T>
  T config(std::uint64_t at) {
    std::array<std::byte, sizeof(T)> data{};
    rig_.ecam->read(kPage + at, data);
    return load_le<T>(data.data());
  }
  template <class T>
  void set_config(std::uint64_t at, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    rig_.ecam->write(kPage + at, data);
  }
  template <class T>
  T read(std::uint64_t at) {
    std::array<std::byte, sizeof(T)> data{};
    (void)caller_.read(GuestAddress(bar_ + at), data);
    return load_le<T>(data.data());
  }
  template <class T>
  void write(std::uint64_t at, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    if (rig_.doorbells.ring(bar_ + at)) return;
    (void)caller_.write(GuestAddress(bar_ + at), data);
  }
  template <class T>
  T get(Common reg) {
    return read<T>(static_cast<std::uint64_t>(reg));
  }
  template <class T>
  void set(Common reg, T value) {
    write<T>(static_cast<std::uint64_t>(reg), value);
  }
  void find() {
    const auto low = config<std::uint32_t>(pci::kBar0);
    const auto high = config<std::uint32_t>(pci::kBar0 + 4);
    bar_ = std::uint64_t{high} << 32 | (low & ~std::uint32_t{15});
  }
  void move_bar() {
    const bool low = below(2) == 0;
    const std::uint64_t base = (low ? Rig::kLow : Rig::kHigh).base.raw();
    const std::uint64_t to = base + virtio_pci::kRegistersBytes * below(4);
    set_config(pci::kBar0, static_cast<std::uint32_t>(to));
    set_config(pci::kBar0 + 4, static_cast<std::uint32_t>(to >> 32));
    find();
  }
  void msix(std::uint16_t control) {
    auto at = config<std::uint8_t>(pci::kCapabilities);
    for (int i = 0; at != 0 && at != 0xff && i < 48; ++i) {
      if (config<std::uint8_t>(at) == pci::kCapabilityMsix) {
        return set_config<std::uint16_t>(at + 2u, control);
      }
      at = config<std::uint8_t>(at + 1u);
    }
  }
  void address(Common low, std::uint64_t value) {
    write(static_cast<std::uint64_t>(low), static_cast<std::uint32_t>(value));
    write(static_cast<std::uint64_t>(low) + 4, static_cast<std::uint32_t>(value >> 32));
  }
  void clear(std::uint16_t queue) {
    poke(ring(queue) + 0x400, Le32(0));
    poke(ring(queue) + 0x800, Le32(0));
  }
  void set_up(std::uint16_t queue) {
    clear(queue);
    set<std::uint16_t>(Common::kQueueSelect, queue);
    set<std::uint16_t>(Common::kQueueSize, kSize);
    const bool away = below(16) == 0;  // in the memory that comes and goes
    const std::uint64_t at = away ? Rig::kRamBytes + ring(queue) : ring(queue);
    address(Common::kQueueDescLow, at);
    address(Common::kQueueDriverLow, at + 0x400);
    address(Common::kQueueDeviceLow, at + 0x800);
    set<std::uint16_t>(Common::kQueueMsixVector, static_cast<std::uint16_t>(queue + 1u));
    set<std::uint16_t>(Common::kQueueEnable, 1);
  }
  void restart_queue(std::uint16_t queue) {
    set<std::uint16_t>(Common::kQueueSelect, queue);
    set<std::uint16_t>(Common::kQueueReset, 1);
    if (below(4) != 0) set_up(queue);
  }

  template <class T>
  void poke(std::uint64_t at, T value) {
    (void)rig_.ram.snapshot()->view().write(GuestAddress(at), value);
  }
  template <class T>
  T peek(std::uint64_t at) {
    const auto read = rig_.ram.snapshot()->view().template read<T>(GuestAddress(at));
    return read ? *read : T{};
  }
  /// One chain more: half of them as a disk has them, the others of any form.
  void offer(std::uint16_t queue) {
    const std::uint64_t at = ring(queue);
    const auto avail = peek<Le16>(at + 0x402).get();
    const auto used = peek<Le16>(at + 0x802).get();
    const bool full = static_cast<std::uint16_t>(avail - used) >= kSize;
    if (full && below(256) != 0) return;  // which would be an index that jumps
    const bool disk = below(2) == 0;
    const std::uint32_t type = below(16);
    const std::uint32_t head = below(kSize);
    const std::uint32_t parts = disk ? 3 : 1 + below(4);
    const std::uint32_t writable_from = disk ? 1 + (type & 1) : below(parts + 1);
    for (std::uint32_t part = 0; part < parts; ++part) {
      const std::uint32_t index = (head + part) % kSize;
      const std::uint64_t where = below(64) == 0 ? random_() : kBuffers + 64 * below(0xb00);
      const std::uint32_t any = below(8) == 0 ? below(70000) : kLengths[below(8)];
      const bool next = part + 1 != parts;
      const bool write = part >= writable_from;
      poke(at + 16 * index, Le64(where));
      poke(at + 16 * index + 8, Le32(disk ? kOfDisk[part] : any));
      poke(at + 16 * index + 12,
           Le16(static_cast<std::uint16_t>((next ? virtio_queue::kDescNext : 0) |
                                           (write ? virtio_queue::kDescWrite : 0))));
      poke(at + 16 * index + 14, Le16(static_cast<std::uint16_t>((index + 1) % kSize)));
      // What many headers begin with; then a sector.
      poke(where, Le32(type));
      poke(where + 8, Le64(below(8)));
    }
    poke(at + 0x404 + 2 * (avail % kSize), Le16(static_cast<std::uint16_t>(head)));
    poke(at + 0x402, Le16(static_cast<std::uint16_t>(avail + 1)));
    write<std::uint16_t>(virtio_pci::kNotifyPart.offset + 4 * queue, queue);
  }
  void scribble() {
    for (std::uint32_t i = below(8); i != 0; --i) poke(8 * below(0x7000 / 8), Le64(random_()));
    // So that what follows is not refused at once.
    for (std::uint16_t queue = 0; queue < 4; ++queue) clear(queue);
  }

  static constexpr std::array<std::uint32_t, 8> kLengths{1, 4, 8, 16, 20, 44, 512, 4096};
  static constexpr std::array<std::uint32_t, 3> kOfDisk{16, 512, 1};

  Rig& rig_;
  vm_device::MmioCaller caller_;
  std::mt19937_64 random_;
  std::uint64_t bar_ = Rig::kHigh.base.raw();
};

/// Steps of several CPUs at one time, and of a host.
template <class Host>
void rage(Rig& rig, std::uint64_t seed, std::chrono::milliseconds time, Host&& host) {
  std::atomic<bool> over{false};
  std::vector<std::thread> cpus;
  for (std::uint64_t i = 0; i < 3; ++i) {
    cpus.emplace_back([&rig, &over, seed, i] {
      Cpu cpu(rig, seed * 16 + i);
      while (!over.load()) cpu.step();
    });
  }
  std::mt19937_64 random(seed);
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) host(static_cast<std::uint32_t>(random()));
  over.store(true);
  for (std::thread& cpu : cpus) cpu.join();
}

}  // namespace vmm::storm
