// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Single register accesses of the serial port, the PL031 and the i8042. The rows with "locked" go
// through the thread-safe device, byte span and all, as a bus does.

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <span>

#include "bench.h"
#include "vmm/vm_superio/fd_sink.h"
#include "vmm/vm_superio/i8042.h"
#include "vmm/vm_superio/pl031.h"
#include "vmm/vm_superio/serial.h"

namespace {

using namespace vmm;
using namespace vmm::vm_superio;

class NoLine final : public vm_device::IrqLine {
 public:
  void set(bool) override {}
};

/// Raises an eventfd on each rising edge, as an irqfd does.
class EventFdTrigger final : public vm_device::IrqTrigger {
 public:
  EventFdTrigger() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  void trigger() override {
    const std::uint64_t one = 1;
    bench::keep(::write(fd_.get(), &one, sizeof(one)));
  }

 private:
  UniqueFd fd_;
};

/// A 4 KiB ring in memory.
class RingSink final : public ByteSink {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    for (const std::byte byte : bytes) ring_[at_++ % ring_.size()] = byte;
    return bytes.size();
  }

 private:
  std::array<std::byte, 4096> ring_{};
  std::size_t at_ = 0;
};

constexpr std::uint64_t kData = 0;
constexpr std::uint64_t kIer = 1;
constexpr std::uint64_t kIir = 2;
constexpr std::uint64_t kLsr = 5;
constexpr std::uint8_t kThreInterrupt = 2;

VMM_BENCH(bench) {
  NoLine line;
  NullSink null;
  RingSink ring;
  FdSink devnull(UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)));

  SerialCore plain(line, null);
  bench.run("vm-superio/serial_write_thr_sink", [&] { plain.write(kData, 'a'); });
  SerialCore memory(line, ring);
  bench.run("vm-superio/serial_write_thr_mem", [&] { memory.write(kData, 'a'); });
  bench.run("vm-superio/serial_poll_lsr_write_thr_mem", [&] {
    bench::keep(memory.read(kLsr));
    memory.write(kData, 'a');
  });
  SerialCore file(line, devnull);
  bench.run("vm-superio/serial_write_thr_devnull_file", [&] { file.write(kData, 'a'); });
  bench.run("vm-superio/serial_read_lsr", [&] { bench::keep(plain.read(kLsr)); });
  bench.run("vm-superio/serial_state_save", [&] { bench::keep(plain.state()); });
}

VMM_BENCH(bench) {
  NoLine line;
  NullSink null;
  SerialCore quiet(line, null);
  quiet.write(kIer, kThreInterrupt);
  bench.run("vm-superio/serial_write_thr_irq_noop_iir", [&] {
    quiet.write(kData, 'a');
    bench::keep(quiet.read(kIir));
  });
  EventFdTrigger trigger;
  vm_device::EdgeLine edge(trigger);
  SerialCore loud(edge, null);
  loud.write(kIer, kThreInterrupt);
  bench.run("vm-superio/serial_write_thr_irq_eventfd_iir", [&] {
    loud.write(kData, 'a');
    bench::keep(loud.read(kIir));
  });

  SerialCore input(line, null);
  std::array<std::byte, SerialCore::kFifoSize> bytes{};
  bench.run("vm-superio/serial_rx_64B_enqueue_then_read_lsr_rbr", bytes.size(), [&] {
    bench::keep(input.enqueue(bytes));
    while ((input.read(kLsr) & 1) != 0) bench::keep(input.read(kData));
  });

  Serial locked(line, null);
  std::array<std::byte, 1> byte = {std::byte{'a'}};
  bench.run("vm-superio/locked_serial_write_thr", [&] { locked.write(kData, byte); });
  bench.run("vm-superio/locked_serial_read_lsr", [&] { locked.read(kLsr, byte); });
}

VMM_BENCH(bench) {
  HostClock clock;
  Pl031 rtc(clock);
  bench.run("vm-superio/rtc_pl031_read_dr", [&] { bench::keep(rtc.read_register(0)); });
  bench.run("vm-superio/rtc_pl031_write_imsc", [&] { rtc.write_register(0x10, 1); });

  I8042 keyboard([] {});
  bench.run("vm-superio/i8042_read", [&] { bench::keep(keyboard.read_byte(4)); });
}

}  // namespace
