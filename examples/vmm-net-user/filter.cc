// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "filter.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <optional>

#include "vmm/sandbox/forbidden_call.h"
#include "vmm/sandbox/seccomp_filter.h"

namespace vmm::net_user {
namespace {

using sandbox::equals;
using sandbox::Refusal;
using sandbox::Rule;
using sandbox::without;

constexpr const char* kHint = "please report it; --seccomp=false does without filters";

// What libslirp and the C library make of a guest's packets: sockets of the Internet's families,
// and the host's resolv.conf, read anew as it changes.
constexpr std::array kCalls{
    Rule{"read"}, Rule{"write"}, Rule{"close"}, Rule{"poll"}, Rule{"ppoll"},
    Rule{.call = "openat", .arguments = {without(2, O_ACCMODE | O_CREAT)}}, Rule{"fstat"},
    Rule{"newfstatat"}, Rule{"lseek"}, Rule{"fcntl"},
    Rule{.call = "ioctl", .arguments = {equals(1, FIONREAD)}},
    // Of GLib's log: whether it is a terminal, and who writes.
    Rule{.call = "ioctl", .arguments = {equals(1, TCGETS)}}, Rule{"getpid"},
    Rule{.call = "socket", .arguments = {equals(0, AF_INET)}},
    Rule{.call = "socket", .arguments = {equals(0, AF_INET6)}}, Rule{"bind"}, Rule{"connect"},
    Rule{"listen"}, Rule{"accept"}, Rule{"accept4"}, Rule{"shutdown"}, Rule{"getsockname"},
    Rule{"getpeername"}, Rule{"getsockopt"}, Rule{"setsockopt"}, Rule{"sendto"}, Rule{"sendmsg"},
    Rule{"recvfrom"}, Rule{"recvmsg"}, Rule{"readv"}, Rule{"writev"}, Rule{"getrandom"},
    Rule{"clock_gettime"}, Rule{"gettimeofday"},
    Rule{.call = "mmap", .arguments = {without(2, PROT_EXEC)}},
    Rule{.call = "mprotect", .arguments = {without(2, PROT_EXEC)}}, Rule{"munmap"}, Rule{"mremap"},
    Rule{"madvise"}, Rule{"brk"}, Rule{"futex"}, Rule{"rt_sigreturn"}, Rule{"restart_syscall"},
    Rule{"exit_group"}};

std::optional<Refusal> refusal_of(std::string_view mode) {
  if (mode == "true") return Refusal::kTrap;
  if (mode == "log") return Refusal::kLog;
  if (mode == "errno") return Refusal::kErrno;
  return std::nullopt;
}

}  // namespace

bool is_filter_mode(std::string_view text) { return text == "false" || refusal_of(text); }

Result<void> enter_filter(std::string_view mode) {
  const auto refusal = refusal_of(mode);
  if (!refusal) return {};
  VMM_TRY_DO(sandbox::SeccompFilter::check_kernel());
  VMM_TRY_DO(sandbox::tell_of_forbidden_calls({.hint = kHint}));
  VMM_TRY(const auto filter, sandbox::SeccompFilter::compile(kCalls, *refusal));
  return filter.install();
}

}  // namespace vmm::net_user
