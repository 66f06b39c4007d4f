// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/base/endian.h"

namespace vmm::virtio_balloon {

/// The configuration space: 5.5.4.
struct Config {
  Le32 num_pages;
  Le32 actual;
  Le32 free_page_hint_cmd_id;
  Le32 poison_val;
};
static_assert(sizeof(Config) == 16);

}  // namespace vmm::virtio_balloon
