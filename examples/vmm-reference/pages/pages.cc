// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pages.h"

namespace vmm::reference {

const std::vector<Page>& all_pages() {
  static const std::vector<Page> pages{
      {"compat", "docs/cloud-hypervisor-compat.md", &compat_page},
      {"bash", "examples/vmm-reference/completion/vmm-reference.bash", &bash_completion},
      {"zsh", "examples/vmm-reference/completion/_vmm-reference", &zsh_completion},
      {"fish", "examples/vmm-reference/completion/vmm-reference.fish", &fish_completion}};
  return pages;
}

}  // namespace vmm::reference
