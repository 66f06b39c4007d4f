// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/result.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>

namespace vmm {
namespace {

enum class Small : std::uint8_t { kA, kB };

constexpr ErrorDomain kSmallDomain{"small", [](std::int32_t code) {
                                     return std::string_view(code == 0 ? "it was A" : "it was B");
                                   }};
constexpr Error make_error(Small e) {
  return {kSmallDomain, static_cast<std::int32_t>(e), "do the small thing"};
}

static_assert(std::is_trivially_copyable_v<Result<std::uint32_t, Small>>);
static_assert(sizeof(Result<std::uint32_t, Small>) == 8);
static_assert(sizeof(Error) == 24);

Result<int, Small> half(int n) {
  if (n % 2 != 0) return fail(Small::kB);
  return n / 2;
}

Result<int> quarter(int n) {
  VMM_TRY(const int first, half(n));  // Small becomes Error by itself
  VMM_TRY(const int second, half(first));
  return second;
}

Result<void> check(int n) {
  VMM_TRY_DO(quarter(n));
  return {};
}

TEST_CASE("a result carries its value or its error through VMM_TRY", "[result]") {
  CHECK(*quarter(8) == 2);
  const Result<int> bad = quarter(6);
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().domain().name == "small");
  CHECK(to_string(bad.error()) == "do the small thing: it was B");
  CHECK(check(4).has_value());
  CHECK_FALSE(check(3).has_value());
}

// As it is in a program with hidden symbols beside a shared library: a domain's second object.
constexpr ErrorDomain kOtherSmallDomain{"small", kSmallDomain.message};
constexpr ErrorDomain kOtherOsDomain{"os", &os_message};

TEST_CASE("which error it is does not depend on where its domain's object is", "[error]") {
  CHECK(Error(kOtherOsDomain, ENOENT, "open").is_os(ENOENT));
  CHECK_FALSE(Error(kOtherOsDomain, ENOENT, "open").is_os(EIO));
  CHECK_FALSE(Error(kSmallDomain, ENOENT, "open").is_os(ENOENT));
  const Error error = quarter(6).error();
  CHECK(error == Small::kB);
  CHECK(error != Small::kA);
  CHECK(error == Error(kOtherSmallDomain, 1, "do something else"));
  CHECK(error != Error::os(1, "do the small thing"));
}

TEST_CASE("a result moves values that cannot be copied", "[result]") {
  Result<std::unique_ptr<int>> from = std::make_unique<int>(7);
  Result<std::unique_ptr<int>> to = std::move(from);
  REQUIRE(to.has_value());
  CHECK(**to == 7);
  to = fail(Error::os(ENOENT, "open x"));
  REQUIRE_FALSE(to.has_value());
  CHECK(to.error().is_os(ENOENT));
}

struct Plain {
  std::uint64_t words[40];
};
static_assert(std::is_constructible_v<Result<Plain>, Uninitialized>);
static_assert(!std::is_convertible_v<Uninitialized, Result<Plain>>);
static_assert(!std::is_constructible_v<Result<std::unique_ptr<int>>, Uninitialized>);

// As a call that fills a structure in, or not.
Result<Plain> filled(bool well) {
  Result<Plain> result{Uninitialized()};
  if (well) {
    for (std::uint64_t& word : result->words) word = 7;
  } else {
    result = fail(Error::os(EIO, "fill in"));
  }
  return result;
}

TEST_CASE("a result can be filled in in place, or become an error", "[result]") {
  const Result<Plain> good = filled(true);
  REQUIRE(good.has_value());
  CHECK(good->words[0] == 7);
  CHECK(good->words[39] == 7);
  const Result<Plain> bad = filled(false);
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().is_os(EIO));
}

TEST_CASE("an error names what was attempted and the cause", "[error]") {
  errno = EACCES;
  CHECK(to_string(Error::from_errno("open /dev/kvm")) == "open /dev/kvm: Permission denied");
  CHECK(to_string(Error::os(123456, "x")) == "x: unknown error");
}

}  // namespace
}  // namespace vmm
