// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sandbox/seccomp_filter.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

#include "thread_label.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/file_io.h"

namespace vmm::sandbox {
namespace {

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

constexpr const char* kCompiling = "compile a filter of system calls";

std::uint32_t action_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kTrap:
      return SCMP_ACT_TRAP;
    case Refusal::kErrno:
      return SCMP_ACT_ERRNO(EPERM);
    case Refusal::kLog:
      return SCMP_ACT_LOG;
  }
  return SCMP_ACT_TRAP;
}

Result<void> check(int answer) {
  if (answer < 0) return fail(Error::os(-answer, kCompiling));
  return {};
}

Result<void> add(void* context, const Rule& rule, Refusal refusal) {
  const int number = seccomp_syscall_resolve_name(rule.call);
  if (number == __NR_SCMP_ERROR) return fail(SandboxError::kUnknownCall);
  if (number < 0) return {};  // of another architecture
  std::array<scmp_arg_cmp, 2> compares{};
  unsigned count = 0;
  for (const Argument& argument : rule.arguments) {
    if (argument.mask == 0) continue;
    compares[count++] = {.arg = argument.index,
                         .op = SCMP_CMP_MASKED_EQ,
                         .datum_a = argument.mask,
                         .datum_b = argument.value};
  }
  std::uint32_t action = SCMP_ACT_ALLOW;
  if (rule.error != 0) action = SCMP_ACT_ERRNO(static_cast<std::uint32_t>(rule.error));
  if (action == action_of(refusal)) return {};  // which libseccomp does not take
  return check(seccomp_rule_add_array(context, action, number, count, compares.data()));
}

// Of a call with several rules the first counts: libseccomp keeps the higher priority.
Result<void> set_priority(void* context, const Rule& rule, std::uint8_t priority) {
  const int number = seccomp_syscall_resolve_name(rule.call);
  return number < 0 ? Result<void>{} : check(seccomp_syscall_priority(context, number, priority));
}

}  // namespace

std::size_t count_calls(std::span<const Rule> rules) {
  std::vector<std::string_view> calls;
  for (const Rule& rule : rules) {
    if (rule.error == 0) calls.emplace_back(rule.call);
  }
  std::ranges::sort(calls);
  const auto rest = std::ranges::unique(calls);
  return calls.size() - rest.size();
}

Result<SeccompFilter> SeccompFilter::compile(std::span<const Rule> rules, Refusal refusal) {
  if (rules.size() > kMaxRules) return fail(SandboxError::kTooManyRules);
  const Context context(seccomp_init(action_of(refusal)), &seccomp_release);
  if (context == nullptr) return fail(Error::os(ENOMEM, kCompiling));
  std::uint8_t priority = 255;
  for (const Rule& rule : rules) {
    VMM_TRY_DO(add(context.get(), rule, refusal));
    VMM_TRY_DO(set_priority(context.get(), rule, priority));
    if (priority != 0) --priority;
  }

  const UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return fail(Error::from_errno(kCompiling));
  VMM_TRY_DO(check(seccomp_export_bpf(context.get(), file.get())));
  const off_t bytes = ::lseek(file.get(), 0, SEEK_END);
  if (bytes < 0) return fail(Error::from_errno(kCompiling));
  const auto size = static_cast<std::size_t>(bytes);
  static_assert(sizeof(sock_filter) == sizeof(Instruction));
  if (size % sizeof(sock_filter) != 0 || size / sizeof(sock_filter) > BPF_MAXINSNS) {
    return fail(SandboxError::kTooManyRules);
  }
  std::vector<Instruction> code(size / sizeof(sock_filter));
  VMM_TRY_DO(sys_util::pread_exact(file.get(), std::as_writable_bytes(std::span(code)), 0));
  return SeccompFilter(std::move(code));
}

Result<void> SeccompFilter::check_kernel() {
  const std::uint32_t action = SECCOMP_RET_TRAP;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) return {};
  return fail(SandboxError::kNoSeccomp);
}

Result<void> SeccompFilter::install() const {
  // The kernel only reads them.
  auto* const filter = reinterpret_cast<sock_filter*>(const_cast<Instruction*>(code_.data()));
  const sock_fprog program{.len = static_cast<unsigned short>(code_.size()), .filter = filter};
  (void)::prctl(PR_GET_NAME, detail::thread_label.data(), 0, 0, 0);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail(Error::from_errno("PR_SET_NO_NEW_PRIVS"));
  }
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0) return {};
  if (errno == ENOSYS) return fail(SandboxError::kNoSeccomp);
  return fail(Error::from_errno("SECCOMP_SET_MODE_FILTER"));
}

}  // namespace vmm::sandbox
