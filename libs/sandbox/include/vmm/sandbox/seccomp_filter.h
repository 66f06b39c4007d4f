// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/sandbox/sandbox_error.h"

// Which system calls a thread may make. See seccomp(2).

namespace vmm::sandbox {

/// What becomes of a system call that a filter does not allow.
enum class Refusal : std::uint8_t {
  kTrap,         ///< SIGSYS: the process ends
  kErrno,        ///< it fails with EPERM
  kLog,          ///< it is made, and the kernel's log tells of it
  kTrace,        ///< a tracer is told (ptrace(2)); without one it fails with ENOSYS
  kKillThread,   ///< the thread ends, as if by SIGSYS; what it held stays held
  kKillProcess,  ///< the process ends, as if by SIGSYS, which no handler sees
};

/// How an argument is compared, as an unsigned number of 64 bits.
enum class Compare : std::uint8_t {
  kMasked,  ///< (argument & mask) == value
  kEqual,
  kNotEqual,
  kLess,
  kAtMost,
  kAtLeast,
  kGreater,
};

/// What one argument has to be. As it stands, with a mask of 0, everything passes.
struct Argument {
  std::uint8_t index = 0;              ///< 0 to 5
  std::uint64_t mask = 0;              ///< of kMasked
  std::uint64_t value = 0;             ///< what it is compared with
  Compare compare = Compare::kMasked;  ///< with `value`, as unsigned 64-bit numbers
};

/// A system call that is allowed, when its arguments are all these. Several rules for one call
/// allow what any of them allows. A rule compares an argument once.
struct Rule {
  /// Of a system call.
  static constexpr std::size_t kMaxArguments = 6;

  const char* call = "";  ///< its name: "epoll_pwait"
  /// All must hold; unused ones are as they stand.
  std::array<Argument, kMaxArguments> arguments{};
  /// It is not allowed, but fails with this errno value (1 to 4094), whatever the filter does with
  /// other calls: for those that a library tries and can do without. Such a rule is the only one
  /// for its call.
  int error = 0;
};

/// An argument that is exactly this.
constexpr Argument equals(std::uint8_t index, std::uint64_t value) {
  return {.index = index, .mask = ~std::uint64_t{0}, .value = value};
}
/// An argument that has none of these bits.
constexpr Argument without(std::uint8_t index, std::uint64_t bits) {
  return {.index = index, .mask = bits, .value = 0};
}
/// An argument whose bits under the mask are these.
constexpr Argument masked(std::uint8_t index, std::uint64_t mask, std::uint64_t value) {
  return {.index = index, .mask = mask, .value = value};
}
/// An argument that compares like this: compared(2, Compare::kAtMost, 4096).
constexpr Argument compared(std::uint8_t index, Compare compare, std::uint64_t value) {
  return {.index = index, .value = value, .compare = compare};
}
/// A call that fails: ENOSYS, as if the kernel had it not.
constexpr Rule failing(const char* call, int error) {
  return {.call = call, .arguments = {}, .error = error};
}
/// One request of ioctl(2), of which the kernel takes 32 bits.
constexpr Rule ioctl_of(std::uint64_t request) {
  return {.call = "ioctl",
          .arguments = {Argument{.index = 1, .mask = 0xffff'ffff, .value = request}}};
}
/// A request of ioctl(2) of this type: the second byte of its number.
constexpr Rule ioctls_of(std::uint8_t type) {
  return {.call = "ioctl",
          .arguments = {Argument{
              .index = 1, .mask = 0xff00, .value = static_cast<std::uint64_t>(type) << 8}}};
}

/// How many system calls the rules allow, whatever their arguments.
[[nodiscard]] std::size_t count_calls(std::span<const Rule> rules);

/// A compiled filter, for any number of threads.
class SeccompFilter {
 public:
  /// The most that compile() takes.
  static constexpr std::size_t kMaxRules = 512;

  /// The kernel looks for a call in the order of the rules, which counts for those whose arguments
  /// are compared: others it knows by heart (Linux 5.11). Calls that another architecture has and
  /// this one has not are passed over. System calls of other ABIs than the process's own (on
  /// x86_64: those of i386 and x32) end it, whatever becomes of other calls.
  /// Takes a tenth of a millisecond. Errors: kUnknownCall, kBadArgument and kBadErrno, of which
  /// bad_rule() tells the rule; kTooManyRules; ENOMEM and others of libseccomp.
  static Result<SeccompFilter> compile(std::span<const Rule> rules, Refusal refusal);

  /// Puts the calling thread, and those that it begins later, behind the filter, for good; the
  /// filters that it had count as well. Neither can gain rights by execve(2) any more.
  /// Errors: kNoSeccomp; those of prctl(2) and seccomp(2).
  Result<void> install() const;
  /// The same for all threads of the process at once, those that run included: all or none.
  /// Errors: as install(); kDivergedThread when a thread has filters that the calling one has not.
  Result<void> install_for_all_threads() const;
  /// Whether the kernel has filters at all. Errors: kNoSeccomp.
  static Result<void> check_kernel();

  /// Instructions of the program.
  [[nodiscard]] std::size_t instructions() const { return code_.size(); }

 private:
  using Instruction = std::uint64_t;  // of struct sock_filter, as bytes

  explicit SeccompFilter(std::vector<Instruction> code) : code_(std::move(code)) {}
  [[nodiscard]] Result<void> install_with(unsigned long flags) const;

  std::vector<Instruction> code_;
};

}  // namespace vmm::sandbox
