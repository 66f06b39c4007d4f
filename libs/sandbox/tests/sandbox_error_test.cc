// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sandbox/sandbox_error.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

namespace vmm::sandbox {
namespace {

TEST_CASE("each error has a message of its own", "[error]") {
  const std::string unknown = to_string(make_error(SandboxError{0}));
  std::set<std::string> messages = {unknown};
  for (const auto error :
       {SandboxError::kUnknownCall, SandboxError::kTooManyRules, SandboxError::kNoSeccomp,
        SandboxError::kNoLandlock, SandboxError::kOldLandlock, SandboxError::kBadArgument,
        SandboxError::kDivergedThread, SandboxError::kBadErrno}) {
    CHECK(messages.insert(to_string(make_error(error))).second);
    CHECK(is(make_error(error), error));
  }
  CHECK(unknown.find("unknown") != std::string::npos);
}

TEST_CASE("a thread that has diverged is told by its id, the largest too", "[error]") {
  for (const std::int32_t thread : {1, 4'194'304}) {
    const Error error = make_diverged_thread(thread);
    CHECK(is(error, SandboxError::kDivergedThread));
    CHECK(diverged_thread(error) == thread);
  }
  CHECK_FALSE(diverged_thread(make_error(SandboxError::kNoSeccomp)));
  CHECK_FALSE(diverged_thread(Error::os(1, "x")));
}

TEST_CASE("a bad rule is told by its index", "[error]") {
  for (const std::size_t index : {0u, 511u}) {
    const Error error = make_bad_rule(SandboxError::kBadErrno, index);
    CHECK(is(error, SandboxError::kBadErrno));
    CHECK(bad_rule(error) == index);
    CHECK_FALSE(diverged_thread(error));
  }
  CHECK_FALSE(bad_rule(make_error(SandboxError::kUnknownCall)));
  CHECK_FALSE(bad_rule(make_diverged_thread(7)));
  CHECK_FALSE(bad_rule(Error::os(4096, "x")));
}

}  // namespace
}  // namespace vmm::sandbox
