// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_tree_json.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

namespace vmm::reference {
namespace {

namespace json = boost::json;

void put(json::object& tree, const std::string& id, json::value parent, json::array children,
         json::value bdf) {
  tree[id] = json::object{{"id", id},
                          {"resources", json::array{}},
                          {"parent", std::move(parent)},
                          {"children", std::move(children)},
                          {"pci_bdf", std::move(bdf)}};
}

}  // namespace

std::string device_tree_json(const std::vector<PlacedDevice>& devices) {
  json::object tree;
  for (const PlacedDevice& device : devices) {
    if (!device.virtio) {
      put(tree, device.id, nullptr, {}, json::value(device.bdf));
      continue;
    }
    const std::string transport = "_virtio-pci-" + device.id;
    put(tree, transport, nullptr, {json::value(device.id)}, json::value(device.bdf));
    put(tree, device.id, json::value(transport), {}, nullptr);
  }
  return json::serialize(tree);
}

}  // namespace vmm::reference
