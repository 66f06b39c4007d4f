// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "vmm/base/address_range.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::virtio_pmem {

/// Makes what the guest wrote to the memory durable.
///
/// Threads: the device's worker; it may block.
class Flusher {
 public:
  virtual ~Flusher() = default;
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  /// All that was written before the call is durable afterwards.
  virtual Result<void> flush() = 0;

 protected:
  Flusher() = default;
};

/// fsync(2) of a file that is mapped shared into the guest.
[[nodiscard]] std::unique_ptr<Flusher> make_file_flusher(UniqueFd file);
/// Does nothing: for memory that is not kept.
[[nodiscard]] std::unique_ptr<Flusher> make_no_flusher();

/// The persistent memory device: virtio 1.3, 5.19. It tells the driver where the memory is and
/// serves flush requests. The memory itself is the VMM's: it maps a file into the guest.
///
/// Flushes that wait at the same time are served by one flush(), on the worker's thread. A request
/// that is none is answered with kFailed, where it has room for an answer.
///
/// Threads: as VirtioDevice; place() before the driver is there.
class Pmem final : public virtio_device::VirtioDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 64;  ///< the most entries of the queue
  /// Requests that one flush() may answer.
  static constexpr std::size_t kBatch = 16;

  ///@{
  /// What a request is answered with, 0 or -1: 5.19.7.2.1.
  static constexpr std::uint32_t kDone = 0;
  static constexpr std::uint32_t kFailed = 0xffff'ffff;
  ///@}

  /// Errors: EINVAL for nullptr.
  static Result<std::shared_ptr<Pmem>> create(std::unique_ptr<Flusher> flusher);

  /// Says where the guest sees the memory. Until then it has none.
  void place(const AddressRange& range);
  /// What place() said last; 0 bytes before.
  [[nodiscard]] AddressRange range() const;

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kPmem;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override;
  [[nodiscard]] std::size_t config_bytes() const override;
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override {}

 private:
  static constexpr std::array<std::uint16_t, 1> kQueueSizes{kQueueSize};

  explicit Pmem(std::unique_ptr<Flusher> flusher) : flusher_(std::move(flusher)) {}

  std::unique_ptr<Flusher> flusher_;
  mutable Mutex mutex_;
  AddressRange range_ VMM_GUARDED_BY(mutex_){};
};

}  // namespace vmm::virtio_pmem
