// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/base/error.h"
#include "vmm/vhost_user/protocol.h"

namespace vmm::vhost_user {

/// MessageError::kRefused, which names what the back end refused.
[[nodiscard]] Error refusal_of(FrontendCode request);

}  // namespace vmm::vhost_user
