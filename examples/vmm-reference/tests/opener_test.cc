// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "opener.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

using namespace vmm::reference;
using vmm::event_manager::EventLoop;

namespace {

/// Notes which thread ends it.
struct Ending {
  explicit Ending(std::thread::id& by) : by_(by) {}
  ~Ending() { by_ = std::this_thread::get_id(); }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;

 private:
  std::thread::id& by_;
};

}  // namespace

TEST_CASE("opener: what is ended by it ends there, whoever lets go of it last", "[opener]") {
  auto opener = Opener::start();
  REQUIRE(opener);
  const auto there = opening([] { return std::this_thread::get_id(); });
  REQUIRE(there != std::this_thread::get_id());

  std::thread::id ended_by;
  auto thing = ended_by_opener(std::make_shared<Ending>(ended_by));
  std::thread([last = std::move(thing)]() mutable { last.reset(); }).join();
  CHECK(ended_by == there);

  // On the opener itself there is nobody to wait for.
  ended_by = {};
  opening([&] { ended_by_opener(std::make_shared<Ending>(ended_by)).reset(); });
  CHECK(ended_by == there);
}

TEST_CASE("opener: without one, whoever lets go of a thing ends it", "[opener]") {
  std::thread::id ended_by;
  ended_by_opener(std::make_shared<Ending>(ended_by)).reset();
  CHECK(ended_by == std::this_thread::get_id());
}

TEST_CASE("opener: who waits for it does meanwhile what it has said", "[opener]") {
  auto opener = Opener::start();
  REQUIRE(opener);
  auto loop = *EventLoop::create();
  std::string told;
  const Meanwhile meanwhile{
      .loop = loop, .begin = [&] { told += "begin "; }, .end = [&] { told += "end "; }};
  Opener::set_meanwhile(&meanwhile);
  const auto here = std::this_thread::get_id();
  std::atomic<bool> answered{false};
  const bool done = opening([&] {
    const auto called = loop.poster().call([&] {
      if (std::this_thread::get_id() == here) told += "answered ";
      answered = true;
    });
    return called.has_value() && answered.load();
  });
  CHECK(done);  // the opener has got its answer while it was waited for
  CHECK(told == "begin answered end ");

  // Others only wait.
  told.clear();
  std::thread([] { opening([] {}); }).join();
  CHECK(told.empty());

  // It looks up from the loop now and then, and waits on.
  CHECK(opening([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    return true;
  }));

  for (int i = 0; i < 1000; ++i) opening([] {});
  Opener::set_meanwhile(nullptr);
  told.clear();
  opening([] {});
  CHECK(told.empty());
}
