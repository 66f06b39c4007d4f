// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "api_routes.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "api_device_routes.h"
#include "api_endpoints.h"
#include "device_tree_json.h"
#include "json_text.h"
#include "vm_json.h"
#include "vmm/base/log.h"

namespace vmm::reference {
namespace {

namespace json = boost::json;

using Answer = ApiRoutes::Answer;
constexpr std::string_view kPrefix = "/api/v1/";

Answer nothing(const CallResult<void>& done) {
  if (!done) return fail(done.error());
  return std::optional<std::string>();
}

Answer ping(ApiRoutes& routes, HttpRequest&) {
  return std::optional(json::serialize(json::object{{"build_version", "v" + routes.version()},
                                                    {"version", routes.version()},
                                                    {"pid", ::getpid()},
                                                    {"features", json::array{"kvm", "io_uring"}}}));
}

// 200 without content, unlike the others.
Answer shut_vmm_down(ApiRoutes& routes, HttpRequest&) {
  routes.control().finish();
  routes.end();
  return std::optional(std::string());
}

Answer info(ApiRoutes& routes, HttpRequest&) {
  VMM_TRY(const VmControl::Info vm, routes.vm_info());
  const std::string tree =
      vm.devices ? ",\"device_tree\":" + device_tree_json(*vm.devices) : std::string();
  return std::optional(
      "{\"config\":" + vm_json(vm.config) + ",\"state\":\"" + std::string(name_of(vm.state)) +
      "\",\"memory_actual_size\":" + std::to_string(vm.actual_memory) + tree + "}");
}

Answer counters(ApiRoutes& routes, HttpRequest&) {
  VMM_TRY(const Vm* const vm, routes.control().inspect(VmCall::kCounters));
  json::object all;
  for (const Vm::Counters& device : vm->counters()) {
    json::object numbers;
    for (const auto& [name, number] : device.numbers) numbers[name] = number;
    all[device.id] = std::move(numbers);
  }
  return std::optional(json::serialize(all));
}

Answer create(ApiRoutes& routes, HttpRequest& request) {
  auto config = parse_vm_json(request.body);
  if (!config) return fail(bad_request(config.error().message));
  return nothing(routes.control().create(*std::move(config)));
}

// Endpoints without anything but their name.
template <CallResult<void> (VmControl::*kCall)()>
Answer plain(ApiRoutes& routes, HttpRequest&) {
  return nothing((routes.control().*kCall)());
}

// The whole numbers of a body; those that are absent or null stay empty.
CallResult<void> read_numbers(
    const json::object& object,
    std::initializer_list<std::pair<const char*, std::optional<std::uint64_t>*>> numbers) {
  for (const auto& [name, number] : numbers) {
    const json::value* value = find_member(object, name);
    if (value == nullptr) continue;
    *number = whole_number(*value);
    if (!*number) return fail(bad_request(std::string(name) + ": not a whole number"));
  }
  return {};
}

CallResult<json::object> object_of(const HttpRequest& request) {
  auto object = parse_json_object(request.body);
  if (!object) return fail(bad_request(object.error().message));
  return *std::move(object);
}

Answer resize(ApiRoutes& routes, HttpRequest& request) {
  VMM_TRY(const json::object object, object_of(request));
  VmSizes sizes{};
  VMM_TRY_DO(read_numbers(object, {{"desired_vcpus", &sizes.vcpus},
                                   {"desired_ram", &sizes.ram_bytes},
                                   {"desired_balloon", &sizes.balloon_bytes}}));
  return nothing(routes.control().resize(sizes));
}

Answer resize_disk(ApiRoutes& routes, HttpRequest& request) {
  VMM_TRY(const json::object object, object_of(request));
  std::optional<std::uint64_t> bytes;
  VMM_TRY_DO(read_numbers(object, {{"desired_size", &bytes}}));
  const json::value* name = find_member(object, "id");
  const auto id = name == nullptr ? std::nullopt : plain_string(*name);
  if (!id || !bytes) return fail(bad_request("id, a string, and desired_size are required"));
  return nothing(routes.control().resize_disk(*id, *bytes));
}

/// What an endpoint does. Those that add a device have it in common: add_device().
struct Handler {
  std::string_view name;
  Answer (*answer)(ApiRoutes& routes, HttpRequest& request);
};

constexpr std::array kHandlers{
    Handler{"vmm.ping", &ping},
    Handler{"vmm.shutdown", &shut_vmm_down},
    Handler{"vm.info", &info},
    Handler{"vm.counters", &counters},
    Handler{"vm.create", &create},
    Handler{"vm.delete", &plain<&VmControl::remove>},
    Handler{"vm.boot", &plain<&VmControl::boot>},
    Handler{"vm.pause", &plain<&VmControl::pause>},
    Handler{"vm.resume", &plain<&VmControl::resume>},
    Handler{"vm.shutdown", &plain<&VmControl::shutdown>},
    Handler{"vm.reboot", &plain<&VmControl::reboot>},
    Handler{"vm.power-button", &plain<&VmControl::press_power_button>},
    Handler{"vm.nmi", &plain<&VmControl::inject_nmi>},
    Handler{"vm.resize", &resize},
    Handler{"vm.resize-disk", &resize_disk},
    Handler{"vm.remove-device", &remove_device},
};

constexpr bool is_handled(const ApiEndpoint& endpoint) {
  return !endpoint.offered || !endpoint.section.empty() ||
         std::ranges::count(kHandlers, endpoint.name, &Handler::name) == 1;
}
static_assert(std::ranges::all_of(kApiEndpoints, is_handled));

Answer call(const ApiEndpoint& endpoint, ApiRoutes& routes, HttpRequest& request) {
  if (!endpoint.offered) {
    return fail(CallFailure{.message = std::string(endpoint.name) + ": not offered yet"});
  }
  if (!endpoint.section.empty()) return add_device(routes, request, endpoint.section);
  return std::ranges::find(kHandlers, endpoint.name, &Handler::name)->answer(routes, request);
}

// The general phrase first, the cause last.
HttpAnswer failed(CallFailure::Kind kind, std::initializer_list<std::string_view> causes) {
  json::array all{"Error from API"};
  for (const std::string_view cause : causes) all.emplace_back(cause);
  return {.status = static_cast<unsigned>(kind), .body = json::serialize(all)};
}

const ApiEndpoint* find_endpoint(std::string_view target) {
  if (!target.starts_with(kPrefix)) return nullptr;
  const auto* const found =
      std::ranges::find(kApiEndpoints, target.substr(kPrefix.size()), &ApiEndpoint::name);
  return found == kApiEndpoints.end() ? nullptr : found;
}

}  // namespace

HttpAnswer ApiRoutes::answer(HttpRequest request) {
  using Kind = CallFailure::Kind;
  const ApiEndpoint* const endpoint = find_endpoint(request.target);
  if (endpoint == nullptr) {
    return failed(Kind::kNotFound, {"There is no such endpoint"});
  }
  if (request.method != endpoint->method) {
    return failed(Kind::kBadRequest, {"The endpoint is called by another method"});
  }
  if (request.body.empty() == (endpoint->body == ApiEndpoint::Body::kRequired)) {
    return failed(Kind::kBadRequest,
                  {request.body.empty() ? "The request needs a body" : "Unexpected request body"});
  }
  VMM_LOG(kDebug, "API: %s", std::string(endpoint->name).c_str());
  Answer answer = call(*endpoint, *this, request);
  if (!answer) {
    VMM_LOG(kInfo, "API: %s: %s", std::string(endpoint->name).c_str(),
            answer.error().message.c_str());
    const std::string_view what = endpoint->call ? failure_of(*endpoint->call) : "The VMM failed";
    return failed(answer.error().kind, {what, answer.error().message});
  }
  if (!*answer) return {};
  return {.status = 200, .body = **std::move(answer)};
}

void ApiRoutes::set_busy(bool busy) {
  before_.reset();
  if (busy) before_.emplace(control_.info());
}

bool ApiRoutes::has_turn(const HttpRequest& request) {
  const ApiEndpoint* const endpoint = find_endpoint(request.target);
  return endpoint != nullptr && !endpoint->at_any_time && request.method == endpoint->method;
}

HttpAnswer ApiRoutes::too_many_wait() {
  return failed(CallFailure::Kind::kInternal, {"Too many requests wait for their turn"});
}

}  // namespace vmm::reference
