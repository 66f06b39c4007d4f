// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nvme_migration.h"
#include "nvme_spec.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vfio_user/device.h"
#include "vmm/vfio_user/dma_space.h"
#include "vmm/vfio_user/interrupts.h"

namespace vmm::nvme {

/// An NVM Express controller with one namespace of 512-byte blocks, in a file. The example of a
/// vfio-user device: registers in BAR 0, queues and data in the client's memory, MSI-X and a pin.
///
/// It does one command after the other, when a doorbell is written; a doorbell costs at most as
/// many as a queue has entries. What a driver may not do fails the command; a queue that cannot be
/// reached is fatal for the controller, until it is enabled again.
///
/// Threads: that of the session.
class Controller final : public vfio_user::Device {
 public:
  static constexpr std::uint16_t kIoQueues = 8;
  static constexpr std::uint16_t kVectors = kIoQueues + 1;
  static constexpr std::uint32_t kMaxEntries = 256;        ///< of a queue
  static constexpr std::uint32_t kMaxAdminEntries = 4096;  ///< of the admin queues
  static constexpr unsigned kMaxEvents = 4;                ///< that are asked for at once
  static constexpr unsigned kMaxTransferShift = 5;         ///< 2^5 pages
  static constexpr unsigned kBlockShift = 9;
  static constexpr std::uint64_t kBarBytes = 0x4000;
  static constexpr std::uint32_t kTableOffset = 0x2000;    ///< of MSI-X
  static constexpr std::uint32_t kPendingOffset = 0x3000;  ///< the same

  /// `bytes` is the file's size; what is behind its last whole block is left alone.
  Controller(UniqueFd file, std::uint64_t bytes, const std::string& serial);

  vfio::DeviceInfo info() const override;
  vfio_user::ServedRegion region(std::uint32_t index) const override;
  vfio::IrqInfo irq(std::uint32_t index) const override;
  Result<void> read(std::uint32_t region, std::uint64_t offset,
                    std::span<std::byte> bytes) override;
  Result<void> write(std::uint32_t region, std::uint64_t offset,
                     std::span<const std::byte> bytes) override;
  Result<void> reset() override;
  void attached(vfio_user::DmaSpace& dma, vfio_user::Interrupts& interrupts) override;
  void detached() override;
  void unmasked(std::uint32_t index, std::uint32_t number) override;
  vfio_user::Migration* migration() override { return &migration_; }

  // For ControllerMigration: nvme_migration.cc

  /// What was written is on the disk, and no command is done until go_on().
  /// Errors: those of fdatasync(2).
  Result<void> hold();
  void go_on();
  [[nodiscard]] ControllerState get_state() const;
  /// Errors: EINVAL for a state of another disk, or one that makes no sense; nothing has changed.
  Result<void> set_state(const ControllerState& state);

 private:
  struct Submissions {
    bool exists = false;
    std::uint64_t base = 0;
    std::uint32_t entries = 0;
    std::uint32_t head = 0;
    std::uint32_t tail = 0;  // the driver's
    std::uint16_t completions = 0;
  };
  struct Completions {
    bool exists = false;
    std::uint64_t base = 0;
    std::uint32_t entries = 0;
    std::uint32_t head = 0;  // the driver's
    std::uint32_t tail = 0;
    bool phase = true;
    bool interrupts = false;
    std::uint16_t vector = 0;

    [[nodiscard]] bool is_full() const { return (tail + 1) % entries == head; }
  };
  /// What a command ends with.
  struct Outcome {
    Status status = Status::kSuccess;
    std::uint32_t result = 0;
    bool later = false;  // no completion now
  };

  // nvme_controller.cc: registers and queues
  void write_register(std::uint64_t offset, std::uint32_t value);
  void set_mask(std::uint32_t mask);
  void configure(std::uint32_t value);
  void enable();
  void stop();
  void ring(std::uint64_t offset, std::uint32_t value);
  void run(std::uint16_t queue);
  void interrupt(const Completions& queue);
  void raise_pin();
  bool complete(Submissions& queue, std::uint16_t number, std::uint16_t id, Outcome outcome);
  Outcome execute(std::uint16_t queue, const Command& command);

  // nvme_admin.cc
  Outcome admin(const Command& command);
  Outcome identify(const Command& command);
  Outcome create_completions(const Command& command);
  Outcome create_submissions(const Command& command);
  Outcome delete_completions(const Command& command);
  Outcome delete_submissions(const Command& command);
  Outcome feature(const Command& command);

  // nvme_io.cc
  Outcome io(const Command& command);
  Outcome transfer(const Command& command, bool to_file);

  UniqueFd file_;
  std::uint64_t blocks_;
  std::string serial_;
  std::array<std::byte, 256> config_{};
  vfio_user::DmaSpace* dma_ = nullptr;                    // while a client is there
  vfio_user::Interrupts* interrupts_ = nullptr;           // the same
  std::array<std::uint32_t, 16> registers_{};             // those below 0x40, as they are read
  std::array<Submissions, kIoQueues + 1> submissions_{};  // 0: admin
  std::array<Completions, kIoQueues + 1> completions_{};
  std::uint32_t masked_ = 0;  // vectors that the driver has masked, of the pin
  unsigned events_ = 0;       // commands that wait for an event, of which there are none
  bool is_held_ = false;
  std::vector<std::byte> buffer_;
  ControllerMigration migration_{*this};
};

}  // namespace vmm::nvme
