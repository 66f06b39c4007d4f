// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Driver and device on two threads, asleep unless they are notified: a lost notification hangs.

#include <atomic>
#include <catch2/catch.hpp>
#include <semaphore>
#include <thread>

#include "rig.h"

namespace vmm::virtio_queue {
namespace {

constexpr std::uint32_t kMessages = 20000;

struct Doorbells {
  std::counting_semaphore<> kick{0};
  std::counting_semaphore<> interrupt{0};
  std::atomic<bool> stop{false};
};

void device(Queue& queue, Doorbells& bells) {
  InlineChain<8> chain;
  const auto echo = [](Chain& request) -> std::optional<std::uint32_t> {
    const auto number = request.reader().read_obj<Le64>();
    if (!number) return 0;
    return request.writer().write_obj(Le64(number->get() * 3)) ? 8 : 0;
  };
  while (!bells.stop) {
    const Served served = queue.process(chain, 16, echo);
    if (served.notify) bells.interrupt.release();
    if (!served.more) bells.kick.acquire();
  }
}

class Client {
 public:
  Client(driver::Driver& driver, MemoryView memory, Doorbells& bells)
      : driver_(driver), memory_(memory), bells_(bells) {
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) free_.push_back(slot);
  }
  /// How many answers were right.
  std::uint32_t run() {
    std::uint32_t right = 0;
    while (received_ < kMessages) {
      send();
      for (std::uint32_t n = 1; n != 0;) {
        n = receive(&right);
        if (n == 0 && driver_.enable_interrupts()) n = 1;
      }
      driver_in_flight() != 0 ? bells_.interrupt.acquire() : void();
    }
    return right;
  }

 private:
  static constexpr std::uint64_t kSlots = 6;

  [[nodiscard]] std::uint64_t driver_in_flight() const { return kSlots - free_.size(); }
  void send() {
    while (!free_.empty() && sent_ < kMessages) {
      const std::uint64_t slot = free_.back();
      const std::uint64_t at = kBuffers + 64 * slot;
      if (!memory_.write(GuestAddress(at), Le64(sent_))) return;
      const auto token = driver_.add(std::vector{readable(at, 8), writable(at + 32, 8)});
      if (!token) break;
      free_.pop_back();
      slots_[*token] = {slot, sent_++};
      if (driver_.publish()) bells_.kick.release();
    }
  }
  std::uint32_t receive(std::uint32_t* right) {
    std::uint32_t count = 0;
    for (;;) {
      const auto used = driver_.reap();
      if (!used || !*used) return count;
      const Sent sent = slots_[(*used)->token];
      const auto answer = memory_.read<Le64>(GuestAddress(kBuffers + 64 * sent.slot + 32));
      *right += (*used)->written == 8 && answer && answer->get() == sent.number * 3 ? 1 : 0;
      free_.push_back(sent.slot);
      ++received_;
      ++count;
    }
  }

  struct Sent {
    std::uint64_t slot;
    std::uint64_t number;
  };
  driver::Driver& driver_;
  MemoryView memory_;
  Doorbells& bells_;
  std::vector<std::uint64_t> free_;
  std::array<Sent, 16> slots_{};
  std::uint64_t sent_ = 0;
  std::uint32_t received_ = 0;
};

TEST_CASE("two threads exchange messages and no notification is lost", "[threads]") {
  const bool packed = GENERATE(false, true);
  const bool event_idx = GENERATE(false, true);
  const bool in_order = GENERATE(false, true);
  CAPTURE(packed, event_idx, in_order);
  Rig rig({.size = 16, .packed = packed, .event_idx = event_idx, .in_order = in_order});
  Doorbells bells;
  std::thread other([&] { device(rig.queue, bells); });
  CHECK(Client(rig.driver, rig.view(), bells).run() == kMessages);
  bells.stop = true;
  bells.kick.release();
  other.join();
}

}  // namespace
}  // namespace vmm::virtio_queue
