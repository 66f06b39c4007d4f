// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Back ends that hang, that answer at the last moment, that change what they share with the driver.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <thread>

#include "remote_machine.h"
#include "soon.h"

namespace {

using namespace vmm;
using vhost_user_frontend::Machine;
using vhost_user_frontend::RemoteOptions;

TEST_CASE("a back end that hangs holds up nobody for long, and is left", "[remote][hostile]") {
  RemoteOptions options = Machine::options();
  options.answer_patience = std::chrono::milliseconds(1000);
  Machine machine(false, false, options);
  REQUIRE(machine.start());
  machine.echo->fill_config(std::byte{7});
  std::array<std::byte, 12> config{};
  // The back end tells of the change when it gets to it.
  REQUIRE(soon([&] {
    (void)machine.core->config_generation();
    machine.core->read_config(0, config);
    return config[11] == std::byte{7};
  }));
  std::promise<void> end;
  machine.back_end->hang(end.get_future().share());
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) {
    config = {};
    (void)machine.core->config_generation();
    machine.core->read_config(0, config);
    CHECK(config[11] == std::byte{7});  // as it was
  }
  machine.core->write_config(3, config);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  end.set_value();
  CHECK(machine.echo_of("b") == "b");  // by the next connection
  CHECK(machine.core->status() == 15);
}

TEST_CASE("a back end that always answers at the last moment is left", "[remote][hostile]") {
  constexpr std::chrono::milliseconds kAnswer{700};
  RemoteOptions options = Machine::options();
  options.answer_patience = std::chrono::milliseconds(1000);
  options.resumable = false;
  Machine machine(false, false, options);
  REQUIRE(machine.start());
  // What is asked for as long as it answers is asked by CPUs of the guest, one after the other.
  int slow = 0;
  for (int i = 0; i < 6 && machine.core->status() == 15; ++i) {
    std::promise<void> end;
    machine.back_end->hang(end.get_future().share());
    std::thread later([&] {
      std::this_thread::sleep_for(kAnswer);
      end.set_value();
    });
    const auto begin = std::chrono::steady_clock::now();
    (void)machine.core->config_generation();
    slow += std::chrono::steady_clock::now() - begin > kAnswer / 2 ? 1 : 0;
    later.join();
  }
  CHECK(slow <= 3);
  CHECK(soon([&] { return machine.core->status() != 15; }));
}

TEST_CASE("a driver's reset does not wait for a back end that hangs", "[remote][hostile]") {
  RemoteOptions options = Machine::options();
  options.answer_patience = std::chrono::milliseconds(1000);
  Machine machine(false, false, options);
  REQUIRE(machine.start());
  std::promise<void> end;
  machine.back_end->hang(end.get_future().share());
  const auto begin = std::chrono::steady_clock::now();
  machine.core->set_status(0);
  CHECK(machine.core->status() == 0);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  end.set_value();
  REQUIRE(machine.start());
  CHECK(machine.echo_of("b") == "b");
}

// The back end has the kicks' open files as well, and with them their flags.
TEST_CASE("a back end that makes kicks blocking holds up no vCPU", "[remote][hostile]") {
  Machine machine;
  REQUIRE(machine.start());
  CHECK(machine.echo_of("a") == "a");
  const int kick = machine.core->kick_fd(0);
  const auto fill = [kick](std::uint64_t value) {
    std::uint64_t old = 0;
    (void)!::read(kick, &old, sizeof(old));
    if (value != 0) REQUIRE(::write(kick, &value, sizeof(value)) == sizeof(value));
    REQUIRE(::fcntl(kick, F_SETFL, ::fcntl(kick, F_GETFL) & ~O_NONBLOCK) == 0);
  };
  const auto in_time = [&](const std::function<void()>& work, const std::function<void()>& help) {
    auto done = std::async(std::launch::async, work);
    const bool ready = done.wait_for(std::chrono::seconds(30)) == std::future_status::ready;
    if (!ready) help();
    return ready;
  };
  std::uint64_t one = 1;
  fill(0);
  CHECK(in_time([&] { machine.core->set_status(0); },
                [&] { (void)!::write(kick, &one, sizeof(one)); }));
  REQUIRE(machine.start());
  fill(~std::uint64_t{0} - 1);
  CHECK(in_time([&] { machine.core->kick(0); }, [&] { (void)!::read(kick, &one, sizeof(one)); }));
  REQUIRE(machine.start());  // the counter is of use again
  CHECK(machine.echo_of("b") == "b");
}

}  // namespace
