// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_platform/node_plan.h"

#include "tests/rig.h"

using namespace vmm;
using namespace vmm::vfio_platform;
using namespace vmm::vfio_platform::testing;

namespace {

constexpr Counts kCounts{.registers = 2, .interrupts = 1};

NodePlan plan_of(std::vector<Property> properties, std::span<const std::string_view> allowed = {}) {
  properties.push_back(property("compatible", literal("arm,pl330\0", 10)));
  return plan_node({.name = "dma@a003e00", .properties = std::move(properties), .children = {}},
                   kCounts, allowed);
}

enum class Fate { kCopied, kNeeded, kMalformed, kUnused, kGone };

Fate fate_of(const NodePlan& plan, const std::string& name) {
  for (const Property& copied : plan.copied) {
    if (copied.name == name) return Fate::kCopied;
  }
  for (const Need& need : plan.needs) {
    if (need.property != name) continue;
    return need.reason == Need::Reason::kMalformed ? Fate::kMalformed : Fate::kNeeded;
  }
  const bool unused = std::ranges::find(plan.unused, name) != plan.unused.end();
  return unused ? Fate::kUnused : Fate::kGone;
}

}  // namespace

TEST_CASE("each property is copied, needed, left out or not known", "[plan]") {
  struct Row {
    const char* name;
    std::string_view value;
    Fate fate;
  };
  const std::string_view cell("\0\0\0\1", 4);
  for (const Row& row : {
           Row{"dma-coherent", "", Fate::kCopied},
           Row{"reg-shift", cell, Fate::kCopied},
           Row{"clock-frequency", cell, Fate::kCopied},
           Row{"local-mac-address", "\x52\x54\x22\x33\x44\x55", Fate::kCopied},
           Row{"phy-mode", literal("rgmii\0", 6), Fate::kCopied},
           Row{"dma-channel-mask", literal("\0\0\0\1\0\0\0\2", 8), Fate::kCopied},
           Row{"reg-names", literal("core\0wrap\0", 10), Fate::kCopied},
           Row{"interrupt-names", literal("irq\0", 4), Fate::kCopied},

           Row{"clocks", cell, Fate::kNeeded},
           Row{"clock-names", literal("apb\0", 4), Fate::kNeeded},
           Row{"resets", cell, Fate::kNeeded},
           Row{"power-domains", cell, Fate::kNeeded},
           Row{"phy-handle", cell, Fate::kNeeded},
           Row{"memory-region", cell, Fate::kNeeded},
           Row{"vcc-supply", cell, Fate::kNeeded},
           Row{"cs-gpios", cell, Fate::kNeeded},
           Row{"reset-gpio", cell, Fate::kNeeded},
           Row{"gpios", cell, Fate::kNeeded},

           Row{"reg", cell, Fate::kGone},
           Row{"interrupts", cell, Fate::kGone},
           Row{"interrupts-extended", cell, Fate::kGone},
           Row{"interrupt-parent", cell, Fate::kGone},
           Row{"phandle", cell, Fate::kGone},
           Row{"linux,phandle", cell, Fate::kGone},
           Row{"status", literal("okay\0", 5), Fate::kGone},
           Row{"name", literal("dma\0", 4), Fate::kGone},
           Row{"iommus", cell, Fate::kGone},
           Row{"pinctrl-0", cell, Fate::kGone},
           Row{"pinctrl-names", literal("default\0", 8), Fate::kGone},
           Row{"assigned-clocks", cell, Fate::kGone},

           Row{"vendor,magic", cell, Fate::kUnused},
           Row{"clock", cell, Fate::kUnused},
           Row{"dma-coherent-not", "", Fate::kUnused},

           Row{"dma-coherent", cell, Fate::kMalformed},
           Row{"reg-shift", "", Fate::kMalformed},
           Row{"reg-shift", literal("\0\0\0\1\0\0\0\2", 8), Fate::kMalformed},
           Row{"dma-channel-mask", "abcde", Fate::kMalformed},
           Row{"local-mac-address", "\x52\x54", Fate::kMalformed},
           Row{"phy-mode", "rgmii", Fate::kMalformed},
           Row{"phy-mode", literal("\0", 1), Fate::kMalformed},
           Row{"phy-mode", literal("a\0\0", 3), Fate::kMalformed},
           Row{"phy-mode", literal("rg\x01mii\0", 7), Fate::kMalformed},
           Row{"reg-names", literal("core\0", 5), Fate::kMalformed},
           Row{"interrupt-names", literal("a\0b\0", 4), Fate::kMalformed},
       }) {
    CAPTURE(row.name, row.value.size());
    const NodePlan plan = plan_of({property(row.name, row.value)});
    CHECK(fate_of(plan, row.name) == row.fate);
    CHECK(fate_of(plan, "compatible") == Fate::kCopied);
  }
}

TEST_CASE("what is allowed is copied, unless it names other nodes", "[plan]") {
  const std::array<std::string_view, 3> allowed{"vendor,magic", "clocks", "reg"};
  const NodePlan plan =
      plan_of({property("vendor,magic", "x"), property("clocks", "abcd"), property("reg", "abcd")},
              allowed);
  CHECK(fate_of(plan, "vendor,magic") == Fate::kCopied);
  CHECK(fate_of(plan, "clocks") == Fate::kNeeded);
  CHECK(fate_of(plan, "reg") == Fate::kGone);
}

TEST_CASE("a node without compatible, or with a broken one, needs one", "[plan]") {
  const NodePlan none = plan_node({.name = "x", .properties = {}, .children = {}}, kCounts);
  CHECK(none.needs == std::vector<Need>{{"compatible", Need::Reason::kMissing}});
  const NodePlan broken = plan_node(
      {.name = "x", .properties = {property("compatible", "arm,pl330")}, .children = {}}, kCounts);
  CHECK(broken.needs == std::vector<Need>{{"compatible", Need::Reason::kMalformed}});
  CHECK(to_string(broken.needs[0]) == "compatible (is malformed)");
  CHECK(to_string(none.needs[0]) == "compatible (is not there)");
  CHECK(to_string(Need{"clocks", Need::Reason::kReference}) ==
        "clocks (names other nodes of the host)");
}

TEST_CASE("children are told, not copied", "[plan]") {
  const NodePlan plan =
      plan_node({.name = "x", .properties = {}, .children = {"mdio", "bad name"}}, kCounts);
  CHECK(plan.unused == std::vector<std::string>{"mdio/"});
}

TEST_CASE("names of nodes are made of what a name may have", "[plan][hostile]") {
  for (const auto& [host, guest] : {std::pair("dma@a003e00", "dma"),
                                    {"ethernet", "ethernet"},
                                    {"", "device"},
                                    {"@1", "device"},
                                    {"1dma@2", "device"},
                                    {"a/b\n\xff@3", "ab"},
                                    {"a-name-that-is-much-too-long@5", "a-name-that-is-much-"}}) {
    CAPTURE(host);
    CHECK(plan_node({.name = host, .properties = {}, .children = {}}, kCounts).name == guest);
  }
}
