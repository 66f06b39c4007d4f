// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "io_thread.h"

#include <pthread.h>
#include <sched.h>

#include "vmm/base/log.h"
#include "vmm/sys_util/thread_name.h"

namespace vmm::reference {
namespace {

void pin_thread(const std::string& name, const std::vector<std::uint64_t>& cpus) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const std::uint64_t cpu : cpus) {
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  if (const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set); error != 0) {
    VMM_LOG(kWarn, "%s: CPU affinity: %s", name.c_str(), os_message(error).data());
  }
}

}  // namespace

Outcome<std::unique_ptr<IoThread>> IoThread::create(ThreadKind kind, const std::string& name,
                                                    const std::vector<std::uint64_t>& cpus) {
  VMM_TRY_DO(prepare_filter(kind));
  VMM_STEP(name, event_manager::EventLoop loop, event_manager::EventLoop::create());
  std::unique_ptr<IoThread> io(new IoThread(std::move(loop)));
  Outcome<void> ready;
  io->thread_ = std::thread([self = io.get(), kind, name, cpus, &ready] {
    sys_util::set_thread_name(name);
    pin_thread(name, cpus);
    ready = enter_filter(kind);
    self->standing_.release();
    if (const auto ran = self->loop_.run(); !ran) {
      VMM_LOG(kError, "%s: %s", name.c_str(), to_string(ran.error()).c_str());
    }
  });
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
