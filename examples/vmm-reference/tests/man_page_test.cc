// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>

#include "options.h"

namespace {

TEST_CASE("the manual page has the text of --help", "[options][man]") {
  std::ifstream file(VMM_MAN_PAGE);
  REQUIRE(file);
  const std::string page(std::istreambuf_iterator<char>(file), {});
  std::string help;
  for (const char letter : vmm::reference::help_text()) {
    if (letter == '-') help += '\\';
    help += letter;
  }
  const auto at = page.find(".nf\n");
  REQUIRE(at != std::string::npos);
  CHECK(page.substr(at + 4, help.size()) == help);  // a difference: see the page on how to renew it
}

}  // namespace
