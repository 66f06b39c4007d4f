// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "opener.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <utility>

#include "crash_terminal.h"
#include "end_request.h"
#include "thread_filters.h"
#include "vmm/base/log.h"
#include "vmm/sys_util/thread_name.h"

namespace vmm::reference {
namespace {

constinit std::atomic<Opener*> g_opener{nullptr};
constinit thread_local bool g_is_opener = false;
constinit thread_local bool g_looks_for_ends = false;
constinit thread_local const Meanwhile* g_meanwhile = nullptr;

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLook{500};
// What waits for another process gives up sooner.
constexpr std::chrono::seconds kGrace{5};

[[noreturn]] void end_at_once() {
  VMM_LOG(kWarn, "the host is in the middle of something and does not come back: the VMM ends");
  restore_terminal();
  ::_exit(0);
}

}  // namespace

Outcome<std::unique_ptr<Opener>> Opener::start() {
  std::unique_ptr<Opener> opener(new Opener);
  VMM_STEP("opener", opener->thread_,
           sys_util::Thread::start([self = opener.get()] { self->main(); }));
  opener->done_.acquire();
  if (!opener->ready_) return fail(opener->ready_.error());
  g_opener.store(opener.get());
  g_looks_for_ends = true;
  return opener;
}

Opener::~Opener() {
  g_opener.store(nullptr);
  function_ = nullptr;
  asked_.release();
  thread_.join();
}

Opener* Opener::to_be_asked() { return g_is_opener ? nullptr : g_opener.load(); }

void Opener::set_meanwhile(const Meanwhile* meanwhile) { g_meanwhile = meanwhile; }

void Opener::run(const std::function<void()>& function) {
  const Meanwhile* const meanwhile = g_meanwhile;
  if (meanwhile != nullptr) meanwhile->begin();
  {
    const MutexLock lock(asking_);
    function_ = &function;
    if (meanwhile != nullptr) waiting_ = meanwhile->loop.poster();
    asked_.release();
    wait(meanwhile);
  }
  if (meanwhile != nullptr) meanwhile->end();
}

// The signals that end the process are for the control loop, which does not get to it.
void Opener::wait(const Meanwhile* meanwhile) {
  if (!g_looks_for_ends && meanwhile == nullptr) return done_.acquire();
  auto last = Clock::time_point::max();
  while (!done_.try_acquire()) {
    const auto now = Clock::now();
    if (!end_is_asked()) {
      last = Clock::time_point::max();
    } else if (last == Clock::time_point::max()) {
      last = now + kGrace;
    } else if (now >= last) {
      end_at_once();
    }
    if (meanwhile == nullptr) {
      if (done_.try_acquire_for(kLook)) return;
    } else if (!meanwhile->loop.run_once(kLook)) {
      return done_.acquire();
    }
  }
}

void Opener::main() {
  sys_util::set_thread_name("opener");
  g_is_opener = true;
  ready_ = enter_filter(ThreadKind::kOpener);
  done_.release();
  for (;;) {
    asked_.acquire();
    if (function_ == nullptr) return;
    (*function_)();
    const auto waiting = std::exchange(waiting_, std::nullopt);  // the next one's after this
    done_.release();
    if (waiting) waiting->wake();
  }
}

}  // namespace vmm::reference
