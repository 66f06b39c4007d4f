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
#include "vmm/base/log.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/file_io.h"

namespace vmm::sandbox {
namespace {

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

constexpr const char* kCompiling = "compile a filter of system calls";
constexpr int kMaxErrno = 4094;  // libseccomp takes no larger one

std::uint32_t action_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kTrap:
      return SCMP_ACT_TRAP;
    case Refusal::kErrno:
      return SCMP_ACT_ERRNO(EPERM);
    case Refusal::kLog:
      return SCMP_ACT_LOG;
    case Refusal::kTrace:
      return SCMP_ACT_TRACE(0);
    case Refusal::kKillThread:
      return SCMP_ACT_KILL_THREAD;
    case Refusal::kKillProcess:
      return SCMP_ACT_KILL_PROCESS;
  }
  return SCMP_ACT_TRAP;
}

scmp_compare operator_of(Compare compare) {
  switch (compare) {
    case Compare::kMasked:
      return SCMP_CMP_MASKED_EQ;
    case Compare::kEqual:
      return SCMP_CMP_EQ;
    case Compare::kNotEqual:
      return SCMP_CMP_NE;
    case Compare::kLess:
      return SCMP_CMP_LT;
    case Compare::kAtMost:
      return SCMP_CMP_LE;
    case Compare::kAtLeast:
      return SCMP_CMP_GE;
    case Compare::kGreater:
      return SCMP_CMP_GT;
  }
  return SCMP_CMP_EQ;
}

/// The comparisons of one rule, as libseccomp wants them.
struct Comparisons {
  std::array<scmp_arg_cmp, Rule::kMaxArguments> list{};
  unsigned count = 0;
};

Result<Comparisons, SandboxError> comparisons_of(const Rule& rule) {
  Comparisons out;
  unsigned seen = 0;  // a bit for each argument
  for (const Argument& argument : rule.arguments) {
    const bool is_masked = argument.compare == Compare::kMasked;
    if (is_masked && argument.mask == 0) continue;
    const unsigned bit = 1u << (argument.index & 31u);
    if (argument.index >= Rule::kMaxArguments || (seen & bit) != 0) {
      return fail(SandboxError::kBadArgument);
    }
    seen |= bit;
    out.list[out.count++] = {.arg = argument.index,
                             .op = operator_of(argument.compare),
                             .datum_a = is_masked ? argument.mask : argument.value,
                             .datum_b = is_masked ? argument.value : 0};
  }
  return out;
}

Result<void> check(int answer) {
  if (answer < 0) return fail(Error::os(-answer, kCompiling));
  return {};
}

/// What is wrong with a rule by itself.
Result<void, SandboxError> check(const Rule& rule) {
  VMM_TRY_DO(comparisons_of(rule));
  if (rule.error < 0 || rule.error > kMaxErrno) return fail(SandboxError::kBadErrno);
  if (seccomp_syscall_resolve_name(rule.call) == __NR_SCMP_ERROR) {
    return fail(SandboxError::kUnknownCall);
  }
  return {};
}

/// Precondition: check().
Result<void> add(void* context, const Rule& rule, Refusal refusal) {
  VMM_TRY(const Comparisons compares, comparisons_of(rule));
  const int number = seccomp_syscall_resolve_name(rule.call);
  if (number < 0) return {};  // of another architecture
  std::uint32_t action = SCMP_ACT_ALLOW;
  if (rule.error != 0) action = SCMP_ACT_ERRNO(static_cast<std::uint32_t>(rule.error));
  if (action == action_of(refusal)) return {};  // which libseccomp does not take
  return check(
      seccomp_rule_add_array(context, action, number, compares.count, compares.list.data()));
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
  // libseccomp would end only the thread.
  VMM_TRY_DO(
      check(seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)));
  std::uint8_t priority = 255;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    if (const auto sound = check(rule); !sound) return fail(make_bad_rule(sound.error(), i));
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

Result<void> SeccompFilter::install() const { return install_with(0); }

Result<void> SeccompFilter::install_for_all_threads() const {
  return install_with(SECCOMP_FILTER_FLAG_TSYNC);
}

Result<void> SeccompFilter::install_with(unsigned long flags) const {
  // The kernel only reads them.
  auto* const filter = reinterpret_cast<sock_filter*>(const_cast<Instruction*>(code_.data()));
  const sock_fprog program{.len = static_cast<unsigned short>(code_.size()), .filter = filter};
  (void)::prctl(PR_GET_NAME, detail::thread_label.data(), 0, 0, 0);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail(Error::from_errno("PR_SET_NO_NEW_PRIVS"));
  }
  const long answer = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (answer == 0) return {};
  if (answer > 0) {  // the first thread that the kernel could not put behind the filter
    VMM_LOG(kError, "thread %ld has filters of system calls that this one has not", answer);
    return fail(make_diverged_thread(static_cast<std::int32_t>(answer)));
  }
  if (errno == ENOSYS) return fail(SandboxError::kNoSeccomp);
  return fail(Error::from_errno("SECCOMP_SET_MODE_FILTER"));
}

}  // namespace vmm::sandbox
