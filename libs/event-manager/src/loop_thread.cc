// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/loop_thread.h"

#include <pthread.h>

#include <utility>

namespace vmm::event_manager {

Result<std::unique_ptr<LoopThread>> LoopThread::create(const std::string& name) {
  VMM_TRY(EventLoop loop, EventLoop::create());
  auto thread = std::unique_ptr<LoopThread>(new LoopThread(std::move(loop)));
  thread->thread_ = std::thread([raw = thread.get(), name] {
    ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
    (void)raw->loop_.run();
  });
  return thread;
}

LoopThread::~LoopThread() {
  loop_.post([this] { loop_.stop(); });
  thread_.join();
}

}  // namespace vmm::event_manager
