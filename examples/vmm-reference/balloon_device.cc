// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "balloon_device.h"

namespace vmm::reference {

Outcome<std::shared_ptr<virtio_balloon::Balloon>> make_balloon(const BalloonConfig& config) {
  VMM_STEP("--balloon", auto balloon,
           virtio_balloon::Balloon::create({.target = config.size,
                                            .deflate_on_oom = config.deflate_on_oom,
                                            .page_reporting = config.free_page_reporting}));
  return balloon;
}

}  // namespace vmm::reference
