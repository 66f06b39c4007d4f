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

Outcome<std::unique_ptr<IoThread>> IoThread::create(const std::string& name,
                                                    const std::vector<std::uint64_t>& cpus) {
  VMM_STEP(name, event_manager::EventLoop loop, event_manager::EventLoop::create());
  std::unique_ptr<IoThread> io(new IoThread(std::move(loop)));
  io->thread_ = std::thread([&io_loop = io->loop_, name, cpus] {
    sys_util::set_thread_name(name);
    pin_thread(name, cpus);
    if (const auto ran = io_loop.run(); !ran) {
      VMM_LOG(kError, "%s: %s", name.c_str(), to_string(ran.error()).c_str());
    }
  });
  return io;
}

IoThread::~IoThread() {
  loop_.post([this] { loop_.stop(); });
  thread_.join();
}

}  // namespace vmm::reference
