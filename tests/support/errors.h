// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <set>
#include <string_view>

#include "vmm/base/error.h"

namespace vmm {

/// Whether it is this error.
template <class E>
bool is(const Error& error, E wanted) {
  return error == make_error(wanted);
}

/// Whether it failed with this error.
template <class R, class E>
bool is_error(const R& result, E wanted) {
  return !result && is(result.error(), wanted);
}

/// Checks that each error from `first` to `last`, behind which there is none, has words of its own.
template <class E>
void check_words(E last, E first = E{}) {
  const ErrorDomain& domain = make_error(last).domain();
  const std::int32_t end = static_cast<std::int32_t>(last) + 1;
  const std::string_view unknown = domain.message(end);
  CHECK(unknown.starts_with("unknown"));
  std::set<std::string_view> words{unknown};
  for (auto code = static_cast<std::int32_t>(first); code < end; ++code) {
    CAPTURE(code);
    CHECK(words.insert(domain.message(code)).second);
  }
}

}  // namespace vmm
