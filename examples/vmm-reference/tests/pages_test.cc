// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pages/pages.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>

#include "api_endpoints.h"
#include "option_keys.h"
#include "options.h"
#include "pages/contract.h"
#include "vm_json.h"

namespace vmm::reference {
namespace {

TEST_CASE("the files that are made of the tables are what the tables say", "[pages]") {
  for (const Page& page : all_pages()) {
    CAPTURE(page.path);
    std::ifstream file(std::string(VMM_SOURCES) + "/" + std::string(page.path));
    REQUIRE(file);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    CHECK(text == page.make());  // a difference: vmm-reference-pages renews the file
  }
}

// Nothing that cloud-hypervisor knows is an unknown name here: it is offered, or refused by name.
TEST_CASE("every name of cloud-hypervisor is known", "[pages]") {
  const auto options = all_options();
  for (const ContractOption& theirs : contract_options()) {
    CAPTURE(theirs.name);
    const auto option = std::ranges::find(options, theirs.name, &OptionInfo::name);
    REQUIRE(option != options.end());
    if (!option->offered) continue;
    for (const ContractName& name : theirs.keys) {
      CAPTURE(name.name);
      CHECK(std::ranges::count(keys_of(theirs.name), name.name, &OptionKey::name) == 1);
    }
  }
  for (const ContractName& theirs : contract_endpoints()) {
    CAPTURE(theirs.name);
    CHECK(std::ranges::count(kApiEndpoints, theirs.name, &ApiEndpoint::name) == 1);
  }
  const auto members = json_members();
  for (const ContractName& theirs : contract_members()) {
    CAPTURE(theirs.name);
    CHECK(std::ranges::count(members, theirs.name, &JsonMemberInfo::name) == 1);
  }
}

// The keys of the table are those that the options' parsers take.
TEST_CASE("every key of the table is taken or refused by its option", "[pages]") {
  for (const OptionInfo& option : all_options()) {
    if (!option.offered) continue;
    for (const OptionKey& key : keys_of(option.name)) {
      const std::vector<std::string> words{"--kernel", "k", "--" + std::string(option.name),
                                           std::string(key.name) + "=?"};
      CAPTURE(words);
      const auto got = parse_command_line(words);
      if (got.has_value()) continue;
      CHECK_THAT(got.error().message, !Catch::Contains("unknown key"));
      CHECK((got.error().message.find("not offered yet") == std::string::npos) == key.offered);
    }
  }
}

}  // namespace
}  // namespace vmm::reference
