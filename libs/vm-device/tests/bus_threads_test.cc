// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Accesses from several threads while devices come and go. Worth most under ThreadSanitizer.

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "vmm/vm_device/bus.h"

namespace {

using namespace vmm;
using namespace vmm::vm_device;

/// Counts calls that come when it has been removed.
class Mortal final : public BusDevice {
 public:
  explicit Mortal(std::atomic<int>& late) : late_(late) {}
  ~Mortal() override { alive_.store(false); }

  void read(std::uint64_t, std::span<std::byte> data) override {
    use();
    data[0] = std::byte{1};
  }
  void write(std::uint64_t, std::span<const std::byte>) override { use(); }

  void bury() {
    plain_ = 1;
    alive_.store(false);
  }

 private:
  void use() {
    // Would race with the write behind remove(); ThreadSanitizer sees that.
    asm volatile("" : : "r"(plain_));
    if (!alive_.load()) ++late_;
  }

  int plain_ = 0;
  std::atomic<bool> alive_{true};
  std::atomic<int>& late_;
};

constexpr GuestAddress kPlace(0x1000);
constexpr GuestAddress kOther(0x9000);

TEST_CASE("no access reaches a device after remove has returned", "[bus][threads]") {
  MmioBus bus;
  std::atomic<int> late{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> hits{0};
  const auto other = std::make_shared<Mortal>(late);

  std::vector<std::thread> vcpus;
  for (int i = 0; i < 3; ++i) {
    vcpus.emplace_back([&] {
      MmioCaller caller(bus);
      std::array<std::byte, 4> data{};
      while (!stop.load()) {
        if (caller.read(kPlace, data).has_value()) ++hits;
        (void)caller.write(kOther, data);
      }
    });
  }
  std::thread neighbour([&] {  // changes elsewhere must not disturb
    while (!stop.load()) {
      if (bus.add(GuestAddress(0x5000), 4, other).has_value()) {
        (void)bus.move(GuestAddress(0x5000), GuestAddress(0x6000));
        (void)bus.remove(GuestAddress(0x6000));
      }
    }
  });

  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(600);
  const auto late_end = end + std::chrono::seconds(60);
  int rounds = 0;
  while (Clock::now() < end || (hits.load() == 0 && Clock::now() < late_end)) {
    auto device = std::make_shared<Mortal>(late);
    Mortal* const raw = device.get();
    if (!bus.add(kPlace, 8, std::move(device)).has_value()) break;
    std::this_thread::yield();
    auto removed = bus.remove(kPlace);
    if (!removed.has_value()) break;
    raw->bury();
    removed->reset();  // destroyed here: a late access would be use after free
    ++rounds;
  }
  stop.store(true);
  for (auto& vcpu : vcpus) vcpu.join();
  neighbour.join();
  CHECK(late.load() == 0);
  CHECK(rounds > 0);
  CHECK(hits.load() > 0);
}

/// Stays in its access until told to leave.
class Slow final : public BusDevice {
 public:
  void read(std::uint64_t, std::span<std::byte> data) override {
    inside.store(true);
    while (!leave.load()) std::this_thread::yield();
    data[0] = std::byte{1};
    done.store(true);
  }
  void write(std::uint64_t, std::span<const std::byte>) override {}

  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  std::atomic<bool> done{false};
};

TEST_CASE("remove waits for an access that is under way, and only for its own device",
          "[bus][threads]") {
  MmioBus bus;
  const auto slow = std::make_shared<Slow>();
  const auto other = std::make_shared<Slow>();
  REQUIRE(bus.add(kPlace, 4, slow));
  REQUIRE(bus.add(kOther, 4, other));
  std::thread vcpu([&] {
    MmioCaller caller(bus);
    std::array<std::byte, 1> data{};
    (void)caller.read(kPlace, data);
  });
  while (!slow->inside.load()) std::this_thread::yield();

  CHECK(bus.remove(kOther).has_value());  // does not hang
  CHECK(bus.add(kOther, 4, other).has_value());
  bool removed = false;
  bool finished_first = false;
  std::atomic<bool> returned{false};
  std::thread remover([&] {
    removed = bus.remove(kPlace).has_value();
    finished_first = slow->done.load();
    returned.store(true);
  });
  // The place is free as soon as remove() has begun to wait.
  while (!bus.add(kPlace, 4, other).has_value()) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK_FALSE(returned.load());
  slow->leave.store(true);
  remover.join();
  vcpu.join();
  CHECK(removed);
  CHECK(finished_first);
}

TEST_CASE("two threads inside one device can both ask for its removal", "[bus][threads]") {
  MmioBus bus;
  std::atomic<int> inside{0};
  std::atomic<int> removed{0};
  class Suicidal final : public BusDevice {
   public:
    Suicidal(MmioBus& bus, std::atomic<int>& inside, std::atomic<int>& removed)
        : bus_(bus), inside_(inside), removed_(removed) {}
    void read(std::uint64_t, std::span<std::byte>) override {
      ++inside_;
      while (inside_.load() < 2) std::this_thread::yield();
      auto kept = bus_.remove(kPlace);
      if (kept.has_value()) ++removed_;
    }
    void write(std::uint64_t, std::span<const std::byte>) override {}

   private:
    MmioBus& bus_;
    std::atomic<int>& inside_;
    std::atomic<int>& removed_;
  };
  const auto device = std::make_shared<Suicidal>(bus, inside, removed);
  REQUIRE(bus.add(kPlace, 4, device));
  std::vector<std::thread> vcpus;
  for (int i = 0; i < 2; ++i) {
    vcpus.emplace_back([&] {
      MmioCaller caller(bus);
      std::array<std::byte, 1> data{};
      (void)caller.read(kPlace, data);
    });
  }
  for (auto& vcpu : vcpus) vcpu.join();
  CHECK(removed.load() == 1);
}

}  // namespace
