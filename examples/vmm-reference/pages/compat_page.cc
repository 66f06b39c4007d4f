// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api_endpoints.h"
#include "contract.h"
#include "event_monitor.h"
#include "option_keys.h"
#include "options.h"
#include "pages.h"
#include "vm_json.h"

// What is offered is read from the tables that the program itself uses; contract.cc has the names
// that cloud-hypervisor knows, and how we differ where we do.

namespace vmm::reference {
namespace {

constexpr std::string_view kIntroduction =
    "# cloud-hypervisor's names, one by one\n"
    "\n"
    "What `vmm-reference` makes of each option, key, endpoint, JSON member and event of "
    "cloud-hypervisor.\n"
    "`vmm-reference-pages` writes this page from the tables that the program itself uses; a test "
    "fails\n"
    "when they differ. To renew it, at the top of the sources:\n"
    "`build/plain/examples/vmm-reference/vmm-reference-pages .`\n"
    "\n"
    "| word | what it means |\n"
    "|---|---|\n"
    "| same | grammar, default and meaning are theirs |\n"
    "| differs | it is there; the remark says what is different |\n"
    "| not offered yet | refused by name: exit code 2 on the command line, 400 for a member of a "
    "configuration, 500 for an endpoint; an event is never told |\n"
    "| ours | they do not have it |\n"
    "\n"
    "What differs beyond single names: [the command line](vmm-reference.md), [the API](api.md).\n";

enum class Status { kSame, kDiffers, kLater, kOurs };

std::string_view text_of(Status status) {
  constexpr std::array<std::string_view, 4> kTexts{"same", "differs", "not offered yet", "ours"};
  return kTexts[static_cast<std::size_t>(status)];
}

Status status_of(bool offered, std::string_view remark) {
  if (!offered) return Status::kLater;
  return remark.empty() ? Status::kSame : Status::kDiffers;
}

// One table of the page.
class Table {
 public:
  Table(std::string_view title, std::string_view column) {
    text_ = "\n## " + std::string(title) + "\n\n| " + std::string(column) +
            " | status | remark |\n|---|---|---|\n";
  }
  void add(std::string_view name, Status status, std::string_view remark) {
    text_ += "| `" + std::string(name) + "` | " + std::string(text_of(status)) + " | " +
             std::string(remark) + " |\n";
    ++counts_[static_cast<std::size_t>(status)];
  }
  [[nodiscard]] std::string text() const {
    std::string sums;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] == 0) continue;
      sums += (sums.empty() ? "" : ", ") + std::to_string(counts_[i]) + " " +
              std::string(text_of(static_cast<Status>(i)));
    }
    return text_ + "\n" + sums + ".\n";
  }

 private:
  std::string text_;
  std::array<unsigned, 4> counts_{};
};

template <class Range, class Projection>
auto find_by(const Range& range, std::string_view name, Projection projection) {
  const auto found = std::ranges::find(range, name, projection);
  return found == std::ranges::end(range) ? nullptr : &*found;
}

// The remark of a key, and which text of it is taken although it is not offered.
std::string remark_on(const OptionKey* key, std::string_view remark) {
  std::string text;
  if (key != nullptr && !key->offered && !key->taken.empty()) {
    text = "`" + std::string(key->taken) + "` is taken";
  }
  if (!text.empty() && !remark.empty()) text += "; ";
  return text + std::string(remark);
}

bool is_offered(const OptionKey* key) { return key != nullptr && key->offered; }

void add_keys(Table& table, const OptionInfo& option, std::span<const ContractName> theirs) {
  const std::string prefix = "--" + std::string(option.name) + " ";
  const auto keys = keys_of(option.name);
  for (const ContractName& name : theirs) {
    const OptionKey* const key = find_by(keys, name.name, &OptionKey::name);
    table.add(prefix + std::string(name.name), status_of(is_offered(key), name.remark),
              remark_on(key, name.remark));
  }
  for (const OptionKey& key : keys) {
    if (find_by(theirs, key.name, &ContractName::name) != nullptr) continue;
    if (key.offered) table.add(prefix + std::string(key.name), Status::kOurs, "");
  }
}

std::string options_table() {
  Table table("Options and their keys", "option, key");
  const std::vector<OptionInfo> options = all_options();
  for (const ContractOption& theirs : contract_options()) {
    const OptionInfo* const option = find_by(options, theirs.name, &OptionInfo::name);
    const bool offered = option != nullptr && option->offered;
    table.add("--" + std::string(theirs.name), status_of(offered, theirs.remark), theirs.remark);
    if (offered) add_keys(table, *option, theirs.keys);
  }
  for (const OptionInfo& option : options) {
    if (find_by(contract_options(), option.name, &ContractOption::name) != nullptr) continue;
    table.add("--" + std::string(option.name), Status::kOurs, "");
  }
  return table.text();
}

std::string endpoints_table() {
  Table table("Endpoints", "endpoint");
  for (const ContractName& theirs : contract_endpoints()) {
    const ApiEndpoint* const endpoint = find_by(kApiEndpoints, theirs.name, &ApiEndpoint::name);
    const bool offered = endpoint != nullptr && endpoint->offered;
    table.add(theirs.name, status_of(offered, theirs.remark), theirs.remark);
  }
  for (const ApiEndpoint& endpoint : kApiEndpoints) {
    if (find_by(contract_endpoints(), endpoint.name, &ContractName::name) != nullptr) continue;
    table.add(endpoint.name, Status::kOurs, "");
  }
  return table.text();
}

// A member is what its key is.
void add_member(Table& table, const JsonMemberInfo& member) {
  const ContractOption* const theirs =
      find_by(contract_options(), member.option, &ContractOption::name);
  const auto options = all_options();
  const OptionInfo* const option = find_by(options, member.option, &OptionInfo::name);
  if (theirs == nullptr || option == nullptr) return table.add(member.name, Status::kOurs, "");
  const bool is_value = member.key.empty();
  const ContractName* const name =
      is_value ? nullptr : find_by(theirs->keys, member.key, &ContractName::name);
  const OptionKey* const key =
      is_value ? nullptr : find_by(keys_of(member.option), member.key, &OptionKey::name);
  const OptionKey* const socket = find_by(keys_of(member.option), "socket", &OptionKey::name);
  const bool no_socket = is_value && member.name.ends_with(".mode") && !is_offered(socket) &&
                         find_by(theirs->keys, "socket", &ContractName::name) != nullptr;
  std::string remark(name != nullptr ? name->remark : theirs->remark);
  if (no_socket) remark = "`Socket` is not offered yet; " + remark;
  if (!is_value && name == nullptr) {
    if (is_offered(key)) table.add(member.name, Status::kOurs, "");
    return;
  }
  const bool offered = member.offered && option->offered && (is_value || is_offered(key));
  table.add(member.name, status_of(offered, remark), remark_on(key, remark));
}

std::string members_table() {
  Table table("Members of the JSON configuration", "member");
  const auto members = json_members();
  for (const JsonMemberInfo& member : members) {
    if (!member.option.empty()) add_member(table, member);
  }
  for (const ContractName& theirs : contract_members()) {
    const JsonMemberInfo* const member = find_by(members, theirs.name, &JsonMemberInfo::name);
    const bool offered = member != nullptr && member->offered;
    table.add(theirs.name, status_of(offered, theirs.remark), theirs.remark);
  }
  return table.text();
}

std::string events_table() {
  Table table("Events", "event");
  const auto told = [](const ContractName& theirs) {
    return std::ranges::any_of(event_names(), [&](const EventName& name) {
      return theirs.name == std::string(name.source) + "." + std::string(name.name);
    });
  };
  for (const ContractName& theirs : contract_events()) {
    table.add(theirs.name, status_of(told(theirs), theirs.remark), theirs.remark);
  }
  return table.text();
}

}  // namespace

std::string compat_page() {
  return std::string(kIntroduction) + options_table() + endpoints_table() + members_table() +
         events_table();
}

}  // namespace vmm::reference
