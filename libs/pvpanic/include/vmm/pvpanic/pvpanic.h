// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "vmm/base/result.h"
#include "vmm/pci/endpoint.h"
#include "vmm/pci/function.h"

namespace vmm::pvpanic {

/// What a guest tells of its end; the values are bits of the device's register.
enum class Event : std::uint8_t {
  kPanicked = 1 << 0,     ///< its kernel has panicked
  kCrashLoaded = 1 << 1,  ///< it has, and runs a kernel that saves a dump
};

/// The pvpanic device as a PCI function (1b36:0011): one register of a byte, the first of BAR 0.
/// It reads as the events that the device takes, and the guest writes those that happen.
///
/// A guest may write as often as it likes; each event is told once in the life of the device.
class Pvpanic final : public pci::Function, private pci::EndpointDevice {
 public:
  /// @{
  static constexpr std::uint16_t kVendorId = 0x1b36;  ///< as the guest's kernel finds the device
  static constexpr std::uint16_t kDeviceId = 0x0011;
  /// @}
  static constexpr std::uint32_t kClassCode = 0x08'80'00;  ///< a system peripheral of another kind
  /// Of BAR 0, in memory.
  static constexpr std::uint64_t kBarBytes = 4096;
  /// The events that the register offers.
  static constexpr std::uint8_t kEvents =
      static_cast<std::uint8_t>(Event::kPanicked) | static_cast<std::uint8_t>(Event::kCrashLoaded);

  /// `on_event` is called on the thread of the vCPU that writes, and must not wait for it;
  /// without one nobody is told.
  /// Errors: none that a caller can cause.
  static Result<std::shared_ptr<Pvpanic>> create(std::function<void(Event)> on_event);

  Result<void> attach(const pci::Attachment& attachment) override;
  void detach() override { endpoint_.detach(); }
  void read_config(std::uint16_t offset, std::span<std::byte> data) override {
    endpoint_.read_config(offset, data);
  }
  /// Forwards to the endpoint; see pci::Function.
  void write_config(std::uint16_t offset, std::span<const std::byte> data) override {
    endpoint_.write_config(offset, data);
  }
  void retry_bars() override { endpoint_.retry_bars(); }

 private:
  explicit Pvpanic(std::function<void(Event)> on_event);

  void read_bar(std::uint8_t bar, std::uint64_t offset, std::span<std::byte> data) override;
  void write_bar(std::uint8_t bar, std::uint64_t offset, std::span<const std::byte> data) override;
  void bar_moved(std::uint8_t, std::optional<GuestAddress>) override {}
  void before_config_read(pci::ConfigSpace&, std::uint16_t, std::size_t) override {}
  void after_config_write(pci::ConfigSpace&, std::uint16_t, std::size_t) override {}

  const std::function<void(Event)> on_event_;
  std::atomic<std::uint8_t> told_{0};
  pci::Endpoint endpoint_;
};

}  // namespace vmm::pvpanic
