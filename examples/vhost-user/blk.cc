// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-blk: a disk image for a VM of another program.

#include "vmm/virtio_blk/blk.h"

#include <cerrno>
#include <chrono>
#include <thread>

#include "daemon_program.h"
#include "vmm/block/open_image.h"

namespace {

using namespace vmm;
using vhost_user_daemon::parse_number;

struct DiskOptions {
  std::string path;
  block::OpenOptions image;
  virtio_blk::BlkOptions device;
};

bool set_format(std::string_view name, DiskOptions& options) {
  if (name == "raw") options.image.format = block::ImageFormat::kRaw;
  if (name == "qcow2") options.image.format = block::ImageFormat::kQcow2;
  if (name == "vhd") options.image.format = block::ImageFormat::kVhd;
  if (name == "vhdx") options.image.format = block::ImageFormat::kVhdx;
  return options.image.format.has_value();
}

// A process that was killed may hold the image's lock for a moment longer than it lives: until the
// kernel has ended its I/O.
Result<std::unique_ptr<block::Image>> open_patiently(const DiskOptions& options) {
  constexpr std::chrono::milliseconds kRetry{20};
  constexpr std::chrono::seconds kPatience{5};
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    auto image = block::open_image(options.path, options.image);
    const bool locked = !image && image.error().is_os(EAGAIN);
    if (!locked || std::chrono::steady_clock::now() >= end) return image;
    std::this_thread::sleep_for(kRetry);
  }
}

}  // namespace

int main(int argc, char** argv) {
  DiskOptions options;
  const auto flag = [](bool& to) { return [&to](std::string_view) { return to = true; }; };
  vhost_user_daemon::Program program{
      .name = "vhost-user-blk",
      .type = "block",
      .features = {"blk-file", "read-only"},
      .options = {{"blk-file", "PATH", "the image or block device",
                   [&](std::string_view value) {
                     options.path = value;
                     return !value.empty();
                   }},
                  {"read-only", nullptr, "the guest cannot write", flag(options.image.readonly)},
                  {"format", "raw|qcow2|vhd|vhdx", "of the image; else a guess that is not trusted",
                   [&](std::string_view value) { return set_format(value, options); }},
                  {"direct", nullptr, "go past the host's page cache", flag(options.image.direct)},
                  {"num-queues", "N", "queues, with a thread each (default 1)",
                   [&](std::string_view value) {
                     return parse_number(value, options.device.queues) &&
                            options.device.queues != 0;
                   }},
                  {"queue-size", "N", "entries of a queue (default 128)",
                   [&](std::string_view value) {
                     return parse_number(value, options.device.queue_size);
                   }},
                  {"serial", "TEXT", "of the disk, at most 20 bytes",
                   [&](std::string_view value) {
                     options.device.serial = value;
                     return true;
                   }}},
      .make_device = {}};
  program.make_device =
      [&](event_manager::EventLoop&) -> Result<std::shared_ptr<virtio_device::VirtioDevice>> {
    VMM_TRY(auto image, open_patiently(options));
    program.threads = options.device.queues;
    VMM_TRY(auto disk, virtio_blk::Blk::create(std::move(image), options.device));
    return std::shared_ptr<virtio_device::VirtioDevice>(std::move(disk));
  };
  return vhost_user_daemon::run(program, argc, argv);
}
