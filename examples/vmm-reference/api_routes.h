// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "http_message.h"
#include "vm_control.h"

namespace vmm::reference {

/// The endpoints of the API: what each takes, does and answers. docs/api.md is their list.
///
/// Belongs to the thread of `control`.
class ApiRoutes {
 public:
  /// `end` ends the process once the answer is on its way. Borrows `control`.
  ApiRoutes(VmControl& control, std::string version, std::function<void()> end)
      : control_(control), version_(std::move(version)), end_(std::move(end)) {}

  HttpAnswer answer(HttpRequest request);

  /// The control thread waits for the opener, which changes the VM meanwhile: only what needs no
  /// turn may be answered, and that from what was known when it began.
  void set_busy(bool busy);
  [[nodiscard]] bool busy() const { return before_.has_value(); }
  /// Whether a request has to wait for the calls before it: all that do something to the VM, or
  /// look at its devices.
  [[nodiscard]] static bool has_turn(const HttpRequest& request);
  /// The answer to one more when very many wait.
  [[nodiscard]] static HttpAnswer too_many_wait();

  /// What an endpoint answers: JSON, or nothing (204).
  using Answer = CallResult<std::optional<std::string>>;

  // What endpoints use.

  [[nodiscard]] VmControl& control() { return control_; }
  [[nodiscard]] const std::string& version() const { return version_; }
  void end() { end_(); }
  [[nodiscard]] CallResult<VmControl::Info> vm_info() const {
    if (!before_) return control_.info();
    if (!*before_) return fail(before_->error());
    return **before_;
  }

 private:
  VmControl& control_;
  std::string version_;
  std::function<void()> end_;
  std::optional<CallResult<VmControl::Info>> before_;  // while busy: as it was then
};

}  // namespace vmm::reference
