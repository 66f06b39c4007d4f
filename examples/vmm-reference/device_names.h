// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "config.h"
#include "failure.h"

namespace vmm::reference {

/// Gives an id to each device that has none and may be one of several: _disk0, _net1, ..., counted
/// over all of them and on from where it was, passing over those that are taken. The VMM's own
/// __rng and the like, of which there is one each, are not in the configuration.
void name_devices(VmConfig& vm);

/// Gives a network device without an address a random one that no maker of hardware has: it keeps
/// that for as long as it is in a configuration. Failures: the kernel has no random bytes.
Outcome<void> give_mac(NetConfig& net);
Outcome<void> give_macs(VmConfig& vm);

}  // namespace vmm::reference
