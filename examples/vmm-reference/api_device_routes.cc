// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "api_device_routes.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config_devices.h"
#include "json_text.h"
#include "vm_json.h"

namespace vmm::reference {
namespace {

namespace json = boost::json;

CallResult<HotDevice> read_device(std::string_view section, const std::string& body) {
  VmConfig vm;
  if (const auto parsed = add_device_json(section, body, vm); !parsed) {
    return fail(bad_request(parsed.error().message));
  }
  std::optional<HotDevice> device;
  for_each_device(vm, [&device](auto& one, DeviceSort) { device = std::move(one); });
  if (!device) return fail(bad_request(std::string(section) + ": not a device that may come"));
  return *std::move(device);
}

// Each is a queue pair of a tap that is open. Other devices have no use for them: they are closed.
CallResult<void> give_descriptors(HotDevice& device, std::vector<UniqueFd> fds) {
  if (fds.empty()) return {};
  auto* net = std::get_if<NetConfig>(&device);
  if (net == nullptr) return {};
  if (net->user || !net->tap.empty() || !net->vhost_socket.empty()) {
    return fail(
        bad_request("--net: descriptors are queues of a tap, and nothing else goes with them"));
  }
  if (fds.size() * 2 != net->num_queues) {
    return fail(bad_request("--net: as many descriptors as half of num_queues are needed"));
  }
  for (UniqueFd& fd : fds) net->fds.push_back(fd.release());
  return {};
}

}  // namespace

ApiRoutes::Answer add_device(ApiRoutes& routes, HttpRequest& request, std::string_view section) {
  VMM_TRY(HotDevice device, read_device(section, request.body));
  VMM_TRY_DO(give_descriptors(device, std::move(request.fds)));
  VMM_TRY(const auto added, routes.control().add_device(device));
  if (!added) return std::optional<std::string>();
  return std::optional(json::serialize(json::object{{"id", added->id}, {"bdf", added->bdf}}));
}

ApiRoutes::Answer remove_device(ApiRoutes& routes, HttpRequest& request) {
  const auto object = parse_json_object(request.body);
  if (!object) return fail(bad_request(object.error().message));
  const json::value* const name = find_member(*object, "id");
  const auto id = name == nullptr ? std::nullopt : plain_string(*name);
  if (!id) return fail(bad_request("id, a string, is required"));
  VMM_TRY_DO(routes.control().remove_device(*id));
  return std::optional<std::string>();
}

}  // namespace vmm::reference
