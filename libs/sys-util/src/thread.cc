// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/thread.h"

#include <pthread.h>

#include <memory>

namespace vmm::sys_util {
namespace {

using Function = std::function<void()>;

void* run_thread(void* function) {
  const std::unique_ptr<Function> own(static_cast<Function*>(function));
  (*own)();
  return nullptr;
}

}  // namespace

Result<Thread> Thread::start(std::function<void()> function) {
  auto own = std::make_unique<Function>(std::move(function));
  Id id{};
  if (const int error = ::pthread_create(&id, nullptr, &run_thread, own.get()); error != 0) {
    return fail(Error::os(error, "start a thread"));
  }
  (void)own.release();  // the thread's now
  return Thread(id);
}

Thread& Thread::operator=(Thread&& other) noexcept {
  if (this == &other) return *this;
  join();
  id_ = other.id_;
  joinable_ = std::exchange(other.joinable_, false);
  return *this;
}

void Thread::join() {
  if (std::exchange(joinable_, false)) (void)::pthread_join(id_, nullptr);
}

}  // namespace vmm::sys_util
