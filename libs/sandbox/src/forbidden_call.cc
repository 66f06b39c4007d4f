// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sandbox/forbidden_call.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "thread_label.h"

namespace vmm::sandbox {
namespace {

constinit LastWords g_words;

/// A line without allocation, for a signal handler. What does not fit is cut off.
class Line {
 public:
  Line& add(std::string_view text) {
    const std::size_t bytes = std::min(text.size(), text_.size() - used_);
    std::memcpy(text_.data() + used_, text.data(), bytes);
    used_ += bytes;
    return *this;
  }
  Line& add(std::uint32_t number, int base) {
    std::array<char, 12> digits{};
    const auto done = std::to_chars(digits.data(), digits.data() + digits.size(), number, base);
    return add({digits.data(), static_cast<std::size_t>(done.ptr - digits.data())});
  }
  void print() const { (void)!::write(STDERR_FILENO, text_.data(), used_); }

 private:
  std::array<char, 400> text_{};
  std::size_t used_ = 0;
};

// What of ioctl(2) was asked for.
std::uint32_t request_of(const void* context) {
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<std::uint32_t>(registers.gregs[REG_RSI]);
#elif defined(__aarch64__)
  return static_cast<std::uint32_t>(registers.regs[1]);
#else
  static_cast<void>(registers);
  return 0;
#endif
}

// The name is not looked up: that allocates. `scmp_sys_resolver N` or ausyscall tells it.
void tell_and_die(int number, siginfo_t* info, void* context) {
  Line line;
  line.add("the sandbox ends the program: thread ").add(detail::thread_label.data());
  line.add(" made the system call ").add(static_cast<std::uint32_t>(info->si_syscall), 10);
  if (info->si_syscall == SYS_ioctl) {
    line.add(" (ioctl, request 0x").add(request_of(context), 16).add(")");
  }
  line.add(", which its filter forbids; ").add(g_words.hint).add("\r\n").print();
  if (g_words.before_the_end != nullptr) g_words.before_the_end();
  // SA_RESETHAND and SA_NODEFER: the signal has its default effect now. A filter that forbids this
  // call sends it as well.
  (void)::raise(number);
}

}  // namespace

Result<void> tell_of_forbidden_calls(const LastWords& words) {
  g_words = words;
  struct sigaction action{};
  action.sa_sigaction = &tell_and_die;
  action.sa_flags = static_cast<int>(SA_SIGINFO | SA_RESETHAND | SA_NODEFER);
  sigemptyset(&action.sa_mask);
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return fail(Error::from_errno("sigaction"));
  return {};
}

}  // namespace vmm::sandbox
