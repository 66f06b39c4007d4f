// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vfio-user-nvme: an NVMe disk for a VM of another program.

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "daemon_options.h"
#include "nvme_controller.h"
#include "vmm/base/log.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vfio_user/server.h"

namespace {

using namespace vmm;

constexpr const char* kName = "vfio-user-nvme";

struct Options {
  daemon::Socket socket;
  std::string path;
  std::uint64_t mebibytes = 0;  // of memory, instead of a file
  std::string serial = "cpp-vmm-1";
  bool help = false;
};

std::vector<daemon::Option> all_options(Options& options) {
  std::vector<daemon::Option> all = daemon::socket_options(options.socket);
  const auto text = [](std::string& to) {
    return [&to](std::string_view value) {
      to = value;
      return !value.empty();
    };
  };
  all.push_back({"file", "PATH", "the disk's bytes", text(options.path)});
  all.push_back({"memory", "MIB", "a disk of so much memory instead, empty at first",
                 [&](std::string_view value) {
                   return daemon::parse_number(value, options.mebibytes) &&
                          options.mebibytes != 0 && options.mebibytes <= 1 << 20;
                 }});
  all.push_back(
      {"serial", "TEXT", "what the guest calls it (at most 20 bytes)", [&](std::string_view value) {
         options.serial = value;
         return !value.empty() && value.size() <= 20;
       }});
  all.push_back(
      {"help", nullptr, "this text", [&](std::string_view) { return options.help = true; }});
  return all;
}

struct Disk {
  UniqueFd file;
  std::uint64_t bytes = 0;
};

Result<Disk> open_disk(const Options& options) {
  if (options.mebibytes != 0) {
    const std::uint64_t bytes = options.mebibytes << 20;
    VMM_TRY(auto memory, sys_util::MemFd::create(bytes));
    return Disk{.file = std::move(memory).release(), .bytes = bytes};
  }
  UniqueFd file(::open(options.path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0) return fail(Error::from_errno("open --file"));
  if (!S_ISREG(status.st_mode)) return fail(Error::os(EINVAL, "open --file"));
  return Disk{.file = std::move(file), .bytes = static_cast<std::uint64_t>(status.st_size)};
}

Result<void> serve(const Options& options) {
  VMM_TRY(auto loop, event_manager::EventLoop::create());
  VMM_TRY(const daemon::SignalWatch signals, daemon::SignalWatch::create(loop));
  VMM_TRY(auto disk, open_disk(options));
  const auto controller =
      std::make_shared<nvme::Controller>(std::move(disk.file), disk.bytes, options.serial);
  const bool connected = options.socket.fd >= 0 && !daemon::listens(options.socket.fd);
  std::optional<Error> failure;
  vfio_user::Server server(
      loop, {.make_device = [&]() -> Result<std::shared_ptr<vfio_user::Device>> {
               return std::shared_ptr<vfio_user::Device>(controller);
             },
             .max_clients = 1,
             .session = {},
             .on_end =
                 [&](const std::optional<Error>& error) {
                   if (connected) {
                     failure = error;
                     loop.stop();
                   } else if (error) {
                     VMM_LOG(kWarn, "the client is dismissed: %s", to_string(*error).c_str());
                   }
                 }});
  if (connected) {
    VMM_TRY_DO(server.serve(UniqueFd(options.socket.fd)));
  } else {
    VMM_TRY(auto listener, daemon::open_listener(options.socket));
    VMM_TRY_DO(server.listen(std::move(listener)));
  }
  VMM_TRY_DO(loop.run());
  if (failure) return fail(*failure);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  daemon::log_to_stderr();
  Options options;
  const auto all = all_options(options);
  const auto mistake = daemon::parse(all, argc, argv);
  if (mistake) return daemon::complain(kName, *mistake, daemon::kMisused);
  if (options.help) {
    daemon::print_help(kName, all);
    return 0;
  }
  if (!daemon::is_complete(options.socket)) {
    return daemon::complain(kName, "one of --socket-path and --fd is needed", daemon::kMisused);
  }
  if (options.path.empty() == (options.mebibytes == 0)) {
    return daemon::complain(kName, "one of --file and --memory is needed", daemon::kMisused);
  }
  const auto served = serve(options);
  if (!served) return daemon::complain(kName, to_string(served.error()), daemon::kFailed);
  return 0;
}
