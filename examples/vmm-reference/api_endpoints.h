// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "http_message.h"
#include "vm_state.h"

namespace vmm::reference {

/// An endpoint of the API: its name behind /api/v1/ and how it is called.
struct ApiEndpoint {
  enum class Body : std::uint8_t { kNone, kRequired };

  std::string_view name;
  HttpRequest::Method method = HttpRequest::Method::kPut;
  Body body = Body::kNone;
  std::optional<VmCall> call{};   ///< of the VM
  std::string_view section = "";  ///< of vm.add-*: the list of the configuration
  bool offered = true;            ///< false: it answers that it is not
  bool at_any_time = false;       ///< answered while a call before it is carried out
};

namespace detail {

constexpr ApiEndpoint adding(std::string_view name, std::string_view section) {
  return {.name = name,
          .body = ApiEndpoint::Body::kRequired,
          .call = VmCall::kAddDevice,
          .section = section};
}

constexpr ApiEndpoint not_offered(std::string_view name) {
  return {.name = name, .body = ApiEndpoint::Body::kRequired, .offered = false};
}

}  // namespace detail

/// All endpoints.
inline constexpr std::array kApiEndpoints{
    ApiEndpoint{.name = "vmm.ping", .method = HttpRequest::Method::kGet, .at_any_time = true},
    ApiEndpoint{.name = "vmm.shutdown"},
    ApiEndpoint{.name = "vm.info",
                .method = HttpRequest::Method::kGet,
                .call = VmCall::kInfo,
                .at_any_time = true},
    ApiEndpoint{
        .name = "vm.counters", .method = HttpRequest::Method::kGet, .call = VmCall::kCounters},
    ApiEndpoint{.name = "vm.create", .body = ApiEndpoint::Body::kRequired, .call = VmCall::kCreate},
    ApiEndpoint{.name = "vm.delete", .call = VmCall::kDelete},
    ApiEndpoint{.name = "vm.boot", .call = VmCall::kBoot},
    ApiEndpoint{.name = "vm.pause", .call = VmCall::kPause},
    ApiEndpoint{.name = "vm.resume", .call = VmCall::kResume},
    ApiEndpoint{.name = "vm.shutdown", .call = VmCall::kShutdown},
    ApiEndpoint{.name = "vm.reboot", .call = VmCall::kReboot},
    ApiEndpoint{.name = "vm.power-button", .call = VmCall::kPowerButton},
    ApiEndpoint{.name = "vm.nmi", .call = VmCall::kNmi},
    ApiEndpoint{.name = "vm.resize", .body = ApiEndpoint::Body::kRequired, .call = VmCall::kResize},
    ApiEndpoint{.name = "vm.resize-disk",
                .body = ApiEndpoint::Body::kRequired,
                .call = VmCall::kResizeDisk},
    detail::adding("vm.add-device", "devices"),
    detail::adding("vm.add-disk", "disks"),
    detail::adding("vm.add-fs", "fs"),
    detail::adding("vm.add-generic-vhost-user", "generic_vhost_user"),
    detail::adding("vm.add-net", "net"),
    detail::adding("vm.add-pmem", "pmem"),
    detail::adding("vm.add-user-device", "user_devices"),
    detail::adding("vm.add-vsock", "vsock"),
    ApiEndpoint{.name = "vm.remove-device",
                .body = ApiEndpoint::Body::kRequired,
                .call = VmCall::kRemoveDevice},
    detail::not_offered("vm.add-gpu"),
    detail::not_offered("vm.add-vdpa"),
    detail::not_offered("vm.coredump"),
    detail::not_offered("vm.receive-migration"),
    detail::not_offered("vm.resize-zone"),
    detail::not_offered("vm.restore"),
    detail::not_offered("vm.send-migration"),
    detail::not_offered("vm.snapshot"),
};

}  // namespace vmm::reference
