// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "event_line.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "vmm/sys_util/fd_flags.h"

namespace vmm::vhost_user_backend {
namespace {

Result<UniqueFd> make_nowhere() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return fail(Error::from_errno("eventfd"));
  return fd;
}

}  // namespace

Result<EventLine> EventLine::create() {
  VMM_TRY(UniqueFd line, make_nowhere());
  return EventLine(std::move(line));
}

Result<void> EventLine::connect(const UniqueFd& target) {
  VMM_TRY_DO(sys_util::set_nonblocking(target.get(), "vring descriptor: fcntl"));
  if (::dup3(target.get(), line_.get(), O_CLOEXEC) < 0) return fail(Error::from_errno("dup3"));
  return {};
}

void EventLine::disconnect() {
  const auto nowhere = make_nowhere();
  if (nowhere) (void)::dup3(nowhere->get(), line_.get(), O_CLOEXEC);
}

void EventLine::signal() const {
  const std::uint64_t one = 1;
  (void)!::write(line_.get(), &one, sizeof(one));
}

}  // namespace vmm::vhost_user_backend
