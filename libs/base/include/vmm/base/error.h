// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cerrno>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/base/detail/language.h"

namespace vmm {

/// Names a family of error codes; one constexpr object per library.
struct ErrorDomain {
  std::string_view name;                           ///< of the library; static storage
  std::string_view (*message)(std::int32_t code);  ///< never empty; static storage

  /// Domains of one name are the same. Addresses do not tell: a program with hidden symbols has its
  /// own object of what a shared library has, too.
  friend constexpr bool operator==(const ErrorDomain& a, const ErrorDomain& b) {
    return &a == &b || a.name == b.name;
  }
};

/// The text of an errno value, for example "No such file or directory".
std::string_view os_message(std::int32_t code);

/// Errors of the operating system; the code is an errno value.
inline constexpr ErrorDomain kOsDomain{"os", &os_message};

/// A control-path error: what was attempted, and the code that came back.
///
/// Three words, trivially copyable, never allocates. `what` has static storage duration and names
/// the operation ("KVM_CREATE_VM", "open /dev/kvm"). Guest-driven code does not use this type but
/// an enum of its library; such an enum becomes an Error through its make_error() overload.
class Error {
 public:
  /// `domain` and `what` are kept as pointers: both have static storage duration.
  constexpr Error(const ErrorDomain& domain, std::int32_t code, const char* what)
      : domain_(&domain), what_(what), code_(code) {}
  /// From a library's error enum, through its make_error() found by argument-dependent lookup.
  template <class Enum>
    requires requires(Enum e) {
      { make_error(e) } -> std::same_as<Error>;
    }
  constexpr Error(Enum e) : Error(make_error(e)) {}  // NOLINT(google-explicit-constructor)

  /// From errno; must be called before anything else can change errno.
  [[nodiscard]] static Error from_errno(const char* what) { return {kOsDomain, errno, what}; }
  /// From an errno value that the caller names.
  [[nodiscard]] static constexpr Error os(std::int32_t code, const char* what) {
    return {kOsDomain, code, what};
  }

  /// Whether it came from the operating system with this errno value.
  [[nodiscard]] constexpr bool is_os(std::int32_t code) const {
    return code_ == code && *domain_ == kOsDomain;
  }
  /// Whether both are the same error, whatever was attempted: `error == VfioError::kOverlap`. A
  /// library some of whose errors tell more (a thread, an architecture) has an is() of its own.
  friend constexpr bool operator==(const Error& a, const Error& b) {
    return a.code_ == b.code_ && *a.domain_ == *b.domain_;
  }
  /// The operation that failed; static storage.
  [[nodiscard]] constexpr const char* what() const { return what_; }
  /// An errno value or a library's enumerator.
  [[nodiscard]] constexpr std::int32_t code() const { return code_; }
  /// Whose code() it is, to be compared by ==; its message() makes the text.
  [[nodiscard]] constexpr const ErrorDomain& domain() const { return *domain_; }

 private:
  const ErrorDomain* domain_;
  const char* what_;
  std::int32_t code_;
};

/// "what: message" in one line, for people.
std::string to_string(const Error& error);

}  // namespace vmm
