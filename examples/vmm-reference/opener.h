// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <semaphore>
#include <type_traits>
#include <utility>

#include "failure.h"
#include "vmm/base/mutex.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/thread.h"

namespace vmm::reference {

/// What a thread does while it waits for the opener: it runs a loop. Nothing there may ask the
/// opener.
struct Meanwhile {
  event_manager::EventLoop& loop;
  std::function<void()> begin;  ///< before the opener has got its work
  std::function<void()> end;    ///< when it has ended
};

/// The thread that opens what a VM needs of the host: files, taps, sockets, devices. It has filters
/// and rules of its own, so that the control thread, which reads what API clients and consoles
/// send, need not be able to. The control thread waits for it, and with it its loop, which may be
/// used here therefore: it is a place to run code, not one that runs beside others. All that goes
/// on beside it is what `Meanwhile` says.
///
/// One a process, while there is one.
class Opener {
 public:
  /// Failures: those of its filter.
  static Outcome<std::unique_ptr<Opener>> start();
  Opener(const Opener&) = delete;
  Opener& operator=(const Opener&) = delete;
  ~Opener();

  /// nullptr: there is none, or this is its thread; whoever asks does its work itself.
  [[nodiscard]] static Opener* to_be_asked();
  /// For the calling thread, from now on; nullptr: it only waits. Borrowed.
  static void set_meanwhile(const Meanwhile* meanwhile);
  /// Runs `function` there, and returns when it has ended. From any thread, one at a time: others
  /// wait for those before. When it has not ended seconds after somebody has asked the process to
  /// end, the thread that has called start() ends the process: with 0, and leaving its files.
  void run(const std::function<void()>& function);

 private:
  Opener() = default;
  void main();
  void wait(const Meanwhile* meanwhile);

  Mutex asking_;
  std::binary_semaphore asked_{0};
  std::binary_semaphore done_{0};
  const std::function<void()>* function_ = nullptr;  // nullptr, when asked: the end
  std::optional<event_manager::Poster> waiting_;     // whose loop is to be woken at the end
  Outcome<void> ready_;
  sys_util::Thread thread_;
};

/// The result of `function`, which ran on the opener.
template <class F>
auto opening(F&& function) -> std::invoke_result_t<F> {
  using Value = std::invoke_result_t<F>;
  Opener* const opener = Opener::to_be_asked();
  if (opener == nullptr) return function();
  if constexpr (std::is_void_v<Value>) {
    opener->run([&] { function(); });
  } else {
    std::optional<Value> value;
    opener->run([&] { value.emplace(function()); });
    return *std::move(value);
  }
}

/// `thing`, whose end is the opener's business, whoever lets go of it last.
template <class T>
std::shared_ptr<T> ended_by_opener(std::shared_ptr<T> thing) {
  T* const address = thing.get();
  return {address, [thing = std::move(thing)](T*) mutable { opening([&] { thing.reset(); }); }};
}

}  // namespace vmm::reference
