// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string_view>

#include "api_routes.h"

namespace vmm::reference {

/// vm.add-*: the body describes a device of the list `section` of a configuration; descriptors that
/// came with it are the queues of a network device. 200 with {id, bdf}, or 204 before the boot.
ApiRoutes::Answer add_device(ApiRoutes& routes, HttpRequest& request, std::string_view section);
/// vm.remove-device: {id}.
ApiRoutes::Answer remove_device(ApiRoutes& routes, HttpRequest& request);

}  // namespace vmm::reference
