// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cassert>
#include <new>
#include <type_traits>
#include <utility>

#include "vmm/base/error.h"

namespace vmm {

/// Carries an error into any Result with a compatible error type; made by fail().
template <class E>
struct Unexpected {
  E error;  ///< goes into the Result
};

/// Makes what any Result whose error type E converts to takes as its error: `return fail(error);`.
template <class E>
[[nodiscard]] constexpr Unexpected<std::decay_t<E>> fail(E&& error) {
  return {std::forward<E>(error)};
}

/// Asks for a Result whose value's memory is not written first; see Result(Uninitialized).
struct Uninitialized {};

namespace detail {

struct Unit {};  // what a Result<void> holds

template <class V, class E,
          bool kTrivial = std::is_trivially_copyable_v<V> && std::is_trivially_copyable_v<E>>
struct ResultStorage {
  union {
    V value;
    E error;
  };
  bool ok;
  constexpr explicit ResultStorage(std::in_place_index_t<0>, auto&&... args)
      : value(std::forward<decltype(args)>(args)...), ok(true) {}
  constexpr explicit ResultStorage(std::in_place_index_t<1>, auto&& arg)
      : error(std::forward<decltype(arg)>(arg)), ok(false) {}
  explicit ResultStorage(Uninitialized) : ok(true) { ::new (static_cast<void*>(&value)) V; }
};

template <class V, class E>
struct ResultStorage<V, E, false> {
  union {
    V value;
    E error;
  };
  bool ok;
  constexpr explicit ResultStorage(std::in_place_index_t<0>, auto&&... args)
      : value(std::forward<decltype(args)>(args)...), ok(true) {}
  constexpr explicit ResultStorage(std::in_place_index_t<1>, auto&& arg)
      : error(std::forward<decltype(arg)>(arg)), ok(false) {}
  ResultStorage(ResultStorage&& other) noexcept : ok(other.ok) {
    if (ok) {
      ::new (static_cast<void*>(&value)) V(std::move(other.value));
    } else {
      ::new (static_cast<void*>(&error)) E(std::move(other.error));
    }
  }
  ResultStorage& operator=(ResultStorage&& other) noexcept {
    if (this != &other) {
      this->~ResultStorage();
      ::new (static_cast<void*>(this)) ResultStorage(std::move(other));
    }
    return *this;
  }
  ~ResultStorage() {
    if (ok) {
      value.~V();
    } else {
      error.~E();
    }
  }
};

}  // namespace detail

/// A value of type T, or the reason E why there is none.
///
/// The names are those of std::expected (C++23) and only the subset below is
/// offered, and Uninitialized besides, so that little stands in the way of an
/// alias once every supported compiler has a usable <expected>. Unlike
/// libstdc++ 12's, the class itself is [[nodiscard]], and it is trivially
/// copyable when T and E are.
template <class T, class E = Error>
class [[nodiscard]] Result {
  using Value = std::conditional_t<std::is_void_v<T>, detail::Unit, T>;

 public:
  using value_type = T;  ///< T, void included
  using error_type = E;  ///< why there is no value

  constexpr Result()
    requires std::is_void_v<T>
      : s_(std::in_place_index<0>) {}
  /// Makes the value in its place: for one that is large to move.
  template <class... Args>
    requires std::is_constructible_v<Value, Args...>
  constexpr explicit Result(std::in_place_t, Args&&... args)
      : s_(std::in_place_index<0>, std::forward<Args>(args)...) {}
  /// Holds a value; implicit, so that a function may return a T.
  template <class U = Value>
    requires(std::is_convertible_v<U, Value> && !std::is_same_v<std::remove_cvref_t<U>, Result>)
  constexpr Result(U&& value)  // NOLINT(google-explicit-constructor)
      : s_(std::in_place_index<0>, std::forward<U>(value)) {}
  /// Holds an error; implicit, so that a function may return what fail() made.
  template <class F>
    requires std::is_constructible_v<E, F>
  constexpr Result(Unexpected<F> e)  // NOLINT(google-explicit-constructor)
      : s_(std::in_place_index<1>, E(std::move(e.error))) {}

  /// A value with the memory's old content, for plain structures that somebody else is about to
  /// fill in completely: large ones are neither zeroed nor copied. The caller must not let the
  /// result out before that, or assigns an error. The one thing here that std::expected lacks.
  explicit Result(Uninitialized)
    requires(std::is_trivially_copyable_v<Value> &&
             std::is_trivially_default_constructible_v<Value>)
      : s_(Uninitialized{}) {}

  ///@{
  /// Whether there is a value, not an error.
  [[nodiscard]] constexpr bool has_value() const { return s_.ok; }
  constexpr explicit operator bool() const { return s_.ok; }
  ///@}

  ///@{
  /// The value. Precondition: has_value(), which debug builds assert.
  constexpr Value& operator*() & {
    assert(s_.ok);
    return s_.value;
  }
  constexpr const Value& operator*() const& {
    assert(s_.ok);
    return s_.value;
  }
  constexpr Value&& operator*() && {
    assert(s_.ok);
    return std::move(s_.value);
  }
  constexpr Value* operator->() {
    assert(s_.ok);
    return &s_.value;
  }
  constexpr const Value* operator->() const {
    assert(s_.ok);
    return &s_.value;
  }
  ///@}

  ///@{
  /// The error. Precondition: !has_value(), which debug builds assert.
  [[nodiscard]] constexpr const E& error() const& {
    assert(!s_.ok);
    return s_.error;
  }
  [[nodiscard]] constexpr E&& error() && {
    assert(!s_.ok);
    return std::move(s_.error);
  }
  ///@}

 private:
  detail::ResultStorage<Value, E> s_;
};

}  // namespace vmm

#define VMM_INTERNAL_CONCAT2(a, b) a##b
#define VMM_INTERNAL_CONCAT(a, b) VMM_INTERNAL_CONCAT2(a, b)
#define VMM_INTERNAL_TRY(tmp, decl, ...)        \
  auto tmp = (__VA_ARGS__);                     \
  if (!tmp.has_value()) [[unlikely]]            \
    return ::vmm::fail(std::move(tmp).error()); \
  decl = *std::move(tmp)

/// VMM_TRY(auto x, f()); declares x from f()'s value, or returns f()'s error.
#define VMM_TRY(decl, ...) \
  VMM_INTERNAL_TRY(VMM_INTERNAL_CONCAT(vmm_try_, __COUNTER__), decl, __VA_ARGS__)

/// VMM_TRY_DO(f()); returns f()'s error, and goes on otherwise.
#define VMM_TRY_DO(...)                               \
  do {                                                \
    auto vmm_try = (__VA_ARGS__);                     \
    if (!vmm_try.has_value()) [[unlikely]]            \
      return ::vmm::fail(std::move(vmm_try).error()); \
  } while (false)
