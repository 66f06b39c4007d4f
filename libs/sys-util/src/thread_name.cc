// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/thread_name.h"

#include <sys/prctl.h>

#include <array>

namespace vmm::sys_util {
namespace {
constexpr std::size_t kNameBytes = 16;  // the final zero included
}

void set_thread_name(std::string_view name) {
  std::array<char, kNameBytes> text{};
  name.copy(text.data(), kNameBytes - 1);
  ::prctl(PR_SET_NAME, text.data());  // cannot fail
}

std::string thread_name() {
  std::array<char, kNameBytes> text{};
  ::prctl(PR_GET_NAME, text.data());
  return text.data();
}

}  // namespace vmm::sys_util
