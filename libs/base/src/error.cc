// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/error.h"

#include <cstring>

namespace vmm {

std::string_view os_message(std::int32_t code) {
  const char* text = ::strerrordesc_np(code);
  return text != nullptr ? text : "unknown error";
}

std::string to_string(const Error& error) {
  const std::string_view cause = error.domain().message(error.code());
  const std::string_view what = error.what();
  std::string text;
  text.reserve(what.size() + 2 + cause.size());
  text.append(what);
  if (!what.empty()) text.append(": ");
  return text.append(cause);
}

}  // namespace vmm
