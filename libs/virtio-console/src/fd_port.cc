// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_console/fd_port.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace vmm::virtio_console {
namespace {

// Else the end of the other side would be told again and again while the guest has no room.
constexpr event_manager::EventSet kOnce = event_manager::kReadable | sys_util::kOneShot;

}  // namespace

std::size_t FdOutput::write(std::span<const std::byte> bytes) {
  const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
  if (written >= 0) return static_cast<std::size_t>(written);
  return errno == EAGAIN || errno == EINTR ? 0 : bytes.size();
}

Result<std::unique_ptr<FdInput>> FdInput::create(event_manager::EventLoop& loop, int fd,
                                                 ConsoleInput& console) {
  VMM_TRY(auto no_waiting, sys_util::NonBlocking::create(fd, "console input: fcntl"));
  std::unique_ptr<FdInput> input(new FdInput(fd, console));
  input->no_waiting_ = std::move(no_waiting);
  input->self_ = std::make_shared<FdInput*>(input.get());
  auto watch = loop.add(fd, kOnce, [raw = input.get()](event_manager::EventSet) { raw->pump(); });
  if (!watch) {
    if (watch.error().is_os(EPERM)) return input;
    return fail(watch.error());
  }
  input->watch_ = std::move(*watch);
  // The worker says so; what it posts may come when the input has gone.
  console.set_on_space([poster = loop.poster(), self = input->self_] {
    (void)poster.post([self] {
      if (*self != nullptr && (*self)->watch_) {
        (void)(*self)->watch_.modify(kOnce);
      }
    });
  });
  return input;
}

FdInput::~FdInput() {
  console_.set_on_space(nullptr);
  if (self_ != nullptr) *self_ = nullptr;
}

void FdInput::pump() {
  std::array<std::byte, 1024> bytes;
  const std::size_t room = std::min(console_.space(), bytes.size());
  if (room == 0) return;
  const ssize_t got = ::read(fd_, bytes.data(), room);
  if (got > 0) (void)console_.enqueue(std::span(bytes).first(static_cast<std::size_t>(got)));
  const bool goes_on = got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
  if (!goes_on || !watch_.modify(kOnce)) watch_.reset();
}

}  // namespace vmm::virtio_console
