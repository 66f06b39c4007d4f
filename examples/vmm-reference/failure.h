// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "vmm/base/result.h"

namespace vmm::reference {

/// Why the program ends without having run the VM to its end: one line for the user, and the
/// exit code that goes with it.
struct Failure {
  enum class Kind {
    kRuntime,  ///< exit code 1
    kUsage,    ///< the command line is wrong: exit code 2
  };

  Kind kind = Kind::kRuntime;
  std::string message;

  [[nodiscard]] int exit_code() const { return kind == Kind::kUsage ? 2 : 1; }
};

[[nodiscard]] inline Failure usage(std::string message) {
  return {Failure::Kind::kUsage, std::move(message)};
}
[[nodiscard]] inline Failure runtime(std::string message) {
  return {Failure::Kind::kRuntime, std::move(message)};
}
/// "context: operation: cause" for the operating system's errors; "context: cause" for those of a
/// library, whose texts are whole phrases.
[[nodiscard]] inline Failure runtime(std::string_view context, const Error& error) {
  const bool is_os = error.domain() == kOsDomain;
  return runtime(std::string(context) + ": " +
                 (is_os ? to_string(error) : std::string(error.domain().message(error.code()))));
}

/// What a step of the reference VMM returns.
template <class T>
using Outcome = Result<T, Failure>;

}  // namespace vmm::reference

/// VMM_STEP("create the VM", auto vm, system.create_vm()); declares vm, or returns a Failure that
/// starts with the context.
#define VMM_STEP(context, decl, ...) \
  VMM_STEP_INTERNAL(VMM_INTERNAL_CONCAT(vmm_step_, __COUNTER__), context, decl, __VA_ARGS__)
#define VMM_STEP_INTERNAL(tmp, context, decl, ...)                                     \
  auto tmp = (__VA_ARGS__);                                                            \
  if (!tmp.has_value()) [[unlikely]]                                                   \
    return ::vmm::fail(::vmm::reference::runtime(context, ::vmm::Error(tmp.error()))); \
  decl = *std::move(tmp)
/// The same for a step without a value.
#define VMM_STEP_DO(context, ...)                                                             \
  do {                                                                                        \
    auto vmm_step = (__VA_ARGS__);                                                            \
    if (!vmm_step.has_value()) [[unlikely]]                                                   \
      return ::vmm::fail(::vmm::reference::runtime(context, ::vmm::Error(vmm_step.error()))); \
  } while (false)
