// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "daemon_program.h"

#include <cstdio>
#include <optional>

#include "vmm/base/log.h"
#include "vmm/event_manager/loop_thread.h"
#include "vmm/vhost_user_backend/daemon.h"
#include "vmm/vhost_user_backend/device_backend.h"

namespace vmm::vhost_user_daemon {
namespace {

using vhost_user_backend::Daemon;
using vhost_user_backend::DeviceBackend;

using daemon::kFailed;
using daemon::kMisused;

struct Common {
  daemon::Socket socket;
  bool print_capabilities = false;
  bool help = false;
};

void print_capabilities(const Program& program) {
  std::printf("{\n  \"type\": \"%s\",\n  \"features\": [", program.type);
  const char* separator = "";
  for (const char* const feature : program.features) {
    std::printf("%s\n    \"%s\"", separator, feature);
    separator = ",";
  }
  std::printf("%s]\n}\n", program.features.empty() ? "" : "\n  ");
}

std::vector<Option> all_options(Program& program, Common& common) {
  std::vector<Option> options = daemon::socket_options(common.socket);
  options.insert(
      options.end(),
      {
          {"print-capabilities", nullptr, "say in JSON what this program can do",
           [&](std::string_view) { return common.print_capabilities = true; }},
          {"help", nullptr, "this text", [&](std::string_view) { return common.help = true; }},
      });
  options.insert(options.end(), program.options.begin(), program.options.end());
  return options;
}

Result<void> begin(Daemon& server, event_manager::EventLoop& loop, const Common& common,
                   std::optional<Error>& failure) {
  if (common.socket.fd >= 0 && !daemon::listens(common.socket.fd)) {
    server.on_end([&](const std::optional<Error>& error) {
      failure = error;
      loop.stop();
    });
    return server.serve(UniqueFd(common.socket.fd));
  }
  server.on_end([](const std::optional<Error>& error) {
    if (error) VMM_LOG(kWarn, "the front end is dismissed: %s", to_string(*error).c_str());
  });
  VMM_TRY(auto listener, daemon::open_listener(common.socket));
  return server.listen(std::move(listener));
}

Result<void> serve(Program& program, const Common& common) {
  VMM_TRY(auto loop, event_manager::EventLoop::create());
  VMM_TRY(const daemon::SignalWatch signals, daemon::SignalWatch::create(loop));
  VMM_TRY(auto device, program.make_device(loop));
  std::vector<std::unique_ptr<event_manager::LoopThread>> threads(program.threads);
  std::vector<event_manager::EventLoop*> loops;
  for (auto& thread : threads) {
    VMM_TRY(thread, event_manager::LoopThread::create(program.name));
    loops.push_back(&thread->loop());
  }
  virtio_device::LoopWorkers workers(loops);
  VMM_TRY(const auto backend, DeviceBackend::create({.device = device,
                                                     .workers = workers,
                                                     .control = loop,
                                                     .iommu = true,
                                                     .extension = program.extension}));
  Daemon server(loop, *backend);
  std::optional<Error> failure;
  VMM_TRY_DO(begin(server, loop, common, failure));
  VMM_TRY_DO(loop.run());
  if (failure) return fail(*failure);
  return {};
}

}  // namespace

int run(Program& program, int argc, char** argv) {
  daemon::log_to_stderr();
  Common common;
  const std::vector<Option> options = all_options(program, common);
  const auto mistake = daemon::parse(options, argc, argv);
  if (common.print_capabilities) {
    print_capabilities(program);
    return 0;
  }
  if (mistake) return daemon::complain(program.name, *mistake, kMisused);
  if (common.help) {
    daemon::print_help(program.name, options);
    return 0;
  }
  if (!daemon::is_complete(common.socket)) {
    return daemon::complain(program.name, "one of --socket-path and --fd is needed", kMisused);
  }
  const Result<void> served = serve(program, common);
  if (!served) return daemon::complain(program.name, to_string(served.error()), kFailed);
  return 0;
}

}  // namespace vmm::vhost_user_daemon
