// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/virtio_console/console.h"
#include "vmm/virtio_console/port.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_console {

/// One of the ports of a MultiportConsole.
struct PortOptions {
  ConsoleOutput* output = nullptr;  ///< required; borrowed
  std::string name{};               ///< what the driver knows it by; empty: it has no name
  bool console = false;             ///< a terminal, and not a channel for a program
  bool connected = true;            ///< somebody of the host is there; see set_connected()
  std::size_t capacity = 4096;      ///< bytes of input that wait for the driver
};

/// The console device with several ports: virtio 1.3, 5.3 with VIRTIO_CONSOLE_F_MULTIPORT. Linux
/// makes /dev/vportNpM of a port, and names it in /sys/class/virtio-ports; one that is a console is
/// hvcN.
///
/// A port's input waits until a program of the guest has it open; of a console the driver says so
/// by itself. A driver without the feature has port 0 alone, which is always open.
///
/// Its state is which ports are open, and what the driver knows of them: a device that is stopped
/// to go on later, here or elsewhere, closes them and opens them again.
///
/// Threads: as VirtioDevice; input(), is_open(), set_on_open() and set_connected() from any thread.
class MultiportConsole final : public virtio_device::VirtioDevice,
                               private virtio_device::StateOwner {
 public:
  static constexpr std::uint16_t kQueueSize = Console::kQueueSize;  ///< of each queue, at most
  static constexpr std::size_t kMaxPorts = 31;                      ///< with two queues each
  static constexpr std::size_t kMaxNameBytes = 128;                 ///< of a port's name

  /// Port N is the Nth of the list. Errors: EINVAL for none or more than kMaxPorts, a port without
  /// an output, a capacity outside of [1, Console::kMaxCapacity], and a name that is longer than
  /// kMaxNameBytes or has a NUL; those of eventfd(2).
  static Result<std::shared_ptr<MultiportConsole>> create(std::span<const PortOptions> ports);
  ~MultiportConsole() override;

  /// How many ports there are. Constant.
  [[nodiscard]] std::size_t port_count() const;
  /// Where the input of a port is put; as long as the device. Precondition: port < port_count().
  [[nodiscard]] ConsoleInput& input(std::size_t port);
  /// Whether a program of the guest has the port open. Precondition: port < port_count().
  [[nodiscard]] bool is_open(std::size_t port) const;
  /// Calls `on_open` when is_open() changes, by the worker or by whoever starts or resets the
  /// device: it must not block. Empty: nothing is called, but that a call of the one before may
  /// still be under way. Precondition: port < port_count().
  void set_on_open(std::size_t port, std::function<void(bool open)> on_open);
  /// Tells the driver whether somebody of the host is there: without one, programs of the guest
  /// read an end, and cannot write. Precondition: port < port_count().
  void set_connected(std::size_t port, bool connected);

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kConsole;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return queue_sizes_; }
  [[nodiscard]] std::uint64_t features() const override {
    return kFeatureMultiport | kFeatureEmergencyWrite | virtio_queue::kFeatureRingReset;
  }
  [[nodiscard]] std::size_t config_bytes() const override;
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;
  [[nodiscard]] virtio_device::StateOwner* state_owner() override { return this; }

 private:
  class Ports;

  explicit MultiportConsole(std::shared_ptr<Ports> ports);
  [[nodiscard]] std::vector<std::byte> save_state() override;
  /// Errors: EINVAL.
  Result<void> load_state(std::span<const std::byte> state) override;

  std::shared_ptr<Ports> ports_;
  std::vector<std::uint16_t> queue_sizes_;

  friend class MultiportWorker;
};

}  // namespace vmm::virtio_console
