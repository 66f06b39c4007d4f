// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// vmm-reference-pages [FOLDER]: writes the files that are made of the tables of vmm-reference into
// the sources in FOLDER; without one, lists them.
#include <cstdio>
#include <fstream>
#include <string>

#include "pages.h"

int main(int argc, char** argv) {
  for (const vmm::reference::Page& page : vmm::reference::all_pages()) {
    if (argc < 2) {
      std::printf("%s\n", std::string(page.path).c_str());
      continue;
    }
    const std::string path = std::string(argv[1]) + "/" + std::string(page.path);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << page.make();
    if (!file.flush()) {
      std::fprintf(stderr, "vmm-reference-pages: %s: cannot be written\n", path.c_str());
      return 1;
    }
  }
  return 0;
}
