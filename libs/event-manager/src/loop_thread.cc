// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/loop_thread.h"

#include <utility>

#include "vmm/base/log.h"
#include "vmm/sys_util/thread_name.h"

namespace vmm::event_manager {

Result<std::unique_ptr<LoopThread>> LoopThread::create(const std::string& name) {
  VMM_TRY(EventLoop loop, EventLoop::create());
  auto thread = std::unique_ptr<LoopThread>(new LoopThread(std::move(loop)));
  VMM_TRY(thread->thread_, sys_util::Thread::start([raw = thread.get(), name] {
            sys_util::set_thread_name(name);
            const auto ran = raw->loop_.run();
            if (!ran) {
              VMM_LOG(kError, "thread %s: %s", name.c_str(), to_string(ran.error()).c_str());
            }
          }));
  return thread;
}

LoopThread::~LoopThread() {
  loop_.post([this] { loop_.stop(); });
  thread_.join();
}

}  // namespace vmm::event_manager
