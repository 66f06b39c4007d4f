// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmm::reference {

/// A file of the sources that is made of the code's tables.
struct Page {
  std::string_view name;  ///< what vmm-reference-pages calls it
  std::string_view path;  ///< in the sources
  std::string (*make)();
};

/// docs/cloud-hypervisor-compat.md.
[[nodiscard]] std::string compat_page();
/// Completions of the command line.
[[nodiscard]] std::string bash_completion();
[[nodiscard]] std::string zsh_completion();
[[nodiscard]] std::string fish_completion();

/// All of them.
[[nodiscard]] const std::vector<Page>& all_pages();

}  // namespace vmm::reference
