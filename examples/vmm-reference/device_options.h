// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The options of virtio devices.

#include <string>

#include "config.h"
#include "failure.h"

namespace vmm::reference {

/// Each takes the value of one option and puts what it says into `vm`; a failure names option and
/// key.
Outcome<void> parse_transport(const std::string& text, VmConfig& vm);
Outcome<void> parse_console(const std::string& text, VmConfig& vm);
Outcome<void> parse_disk(const std::string& text, VmConfig& vm);
Outcome<void> parse_net(const std::string& text, VmConfig& vm);
Outcome<void> parse_fs(const std::string& text, VmConfig& vm);
Outcome<void> parse_generic_vhost_user(const std::string& text, VmConfig& vm);
Outcome<void> parse_rng(const std::string& text, VmConfig& vm);
Outcome<void> parse_pmem(const std::string& text, VmConfig& vm);
Outcome<void> parse_vsock(const std::string& text, VmConfig& vm);
Outcome<void> parse_balloon(const std::string& text, VmConfig& vm);
Outcome<void> parse_rtc(const std::string& text, VmConfig& vm);
Outcome<void> parse_platform(const std::string& text, VmConfig& vm);
/// After parse_platform(), which says how many segments there are.
Outcome<void> parse_pci_segment(const std::string& text, VmConfig& vm);
Outcome<void> parse_rate_limit_group(const std::string& text, VmConfig& vm);

/// What holds between devices, and between them and the rest: unique ids, segments, queues against
/// vCPUs, groups that exist, the balloon against RAM.
Outcome<void> check_devices(const VmConfig& vm);

}  // namespace vmm::reference
