// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_platform/node_plan.h"

#include <algorithm>
#include <utility>

#include "property_rules.h"

namespace vmm::vfio_platform {
namespace {

using detail::Treatment;

constexpr std::size_t kMaxName = 20;  // leaves room for a unit address in the 31 of a node

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

// A node's name begins with a letter (devicetree specification 0.4, 2.2.1).
std::string base_name(std::string_view name) {
  std::string base(name.substr(0, std::min(name.find('@'), kMaxName)));
  std::erase_if(base, [](char c) { return !is_name_character(c); });
  const bool begins =
      !base.empty() && (base[0] < '0' || base[0] > '9') && base[0] != '-' && base[0] != '_';
  return begins ? base : "device";
}

// Drivers look for a part by the place of its name.
bool fits(const Property& property, Counts counts) {
  const std::size_t strings = detail::count_strings(property.value);
  if (property.name == "reg-names") return strings == counts.registers;
  if (property.name == "interrupt-names") return strings == counts.interrupts;
  return true;
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

class Planner {
 public:
  Planner(Counts counts, std::span<const std::string_view> allowed)
      : counts_(counts), allowed_(allowed) {}

  void add(const Property& property) {
    if (!is_printable(property.name)) return;  // no tree has such a one
    const detail::Rule rule = detail::rule_for(property.name);
    switch (rule.treatment) {
      case Treatment::kCopied:
        return copy(property, rule.shape);
      case Treatment::kReference:
        return plan_.needs.push_back({property.name, Need::Reason::kReference});
      case Treatment::kUnknown:
        if (is_allowed(property.name)) return plan_.copied.push_back(property);
        return plan_.unused.push_back(property.name);
      case Treatment::kMade:
      case Treatment::kHosts:
        return;
    }
  }
  NodePlan finish(const HostNode& node) {
    plan_.name = base_name(node.name);
    for (const std::string& child : node.children) {
      if (is_printable(child)) plan_.unused.push_back(child + "/");
    }
    std::ranges::sort(plan_.copied, {}, &Property::name);
    const auto is_compatible = [](const auto& entry) { return entry == "compatible"; };
    if (std::ranges::none_of(plan_.copied, is_compatible, &Property::name) &&
        std::ranges::none_of(plan_.needs, is_compatible, &Need::property)) {
      plan_.needs.push_back({"compatible", Need::Reason::kMissing});
    }
    return std::move(plan_);
  }

 private:
  void copy(const Property& property, detail::Shape shape) {
    if (detail::has_shape(shape, property.value) && fits(property, counts_)) {
      return plan_.copied.push_back(property);
    }
    plan_.needs.push_back({property.name, Need::Reason::kMalformed});
  }
  [[nodiscard]] bool is_allowed(std::string_view name) const {
    return std::ranges::find(allowed_, name) != allowed_.end();
  }

  const Counts counts_;
  const std::span<const std::string_view> allowed_;
  NodePlan plan_;
};

}  // namespace

std::string to_string(const Need& need) {
  switch (need.reason) {
    case Need::Reason::kReference:
      return need.property + " (names other nodes of the host)";
    case Need::Reason::kMalformed:
      return need.property + " (is malformed)";
    case Need::Reason::kMissing:
      return need.property + " (is not there)";
  }
  return need.property;
}

NodePlan plan_node(const HostNode& node, Counts counts, std::span<const std::string_view> allowed) {
  Planner planner(counts, allowed);
  for (const Property& property : node.properties) planner.add(property);
  return planner.finish(node);
}

}  // namespace vmm::vfio_platform
