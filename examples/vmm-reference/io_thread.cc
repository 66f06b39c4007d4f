// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "io_thread.h"

#include "host_cpus.h"
#include "vmm/base/log.h"
#include "vmm/sys_util/thread_name.h"

namespace vmm::reference {

Outcome<std::unique_ptr<IoThread>> IoThread::create(ThreadKind kind, const std::string& name,
                                                    const std::vector<std::uint64_t>& cpus) {
  VMM_TRY_DO(prepare_filter(kind));
  VMM_STEP(name, event_manager::EventLoop loop, event_manager::EventLoop::create());
  std::unique_ptr<IoThread> io(new IoThread(std::move(loop)));
  Outcome<void> ready;
  VMM_STEP(name, io->thread_, sys_util::Thread::start([self = io.get(), kind, name, cpus, &ready] {
             sys_util::set_thread_name(name);
             ready = run_on(cpus, name + ": queue_affinity");
             if (ready) ready = enter_filter(kind);
             self->standing_.release();
             if (const auto ran = self->loop_.run(); !ran) {
               VMM_LOG(kError, "%s: %s", name.c_str(), to_string(ran.error()).c_str());
             }
           }));
  io->standing_.acquire();
  if (!ready) return fail(std::move(ready).error());
  return io;
}

void IoThread::pause() {
  loop_.post([this] {
    standing_.release();
    go_on_.acquire();
  });
  standing_.acquire();
}

IoThread::~IoThread() {
  loop_.post([this] { loop_.stop(); });
  thread_.join();
}

}  // namespace vmm::reference
