// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The devices of a configuration that may come and go: how they get in and out.

#include <string>
#include <variant>

#include "config.h"
#include "failure.h"
#include "vmm/base/result.h"

namespace vmm::reference {

/// A device that may come and go.
using HotDevice = std::variant<DiskConfig, NetConfig, GenericVhostUserConfig, FsConfig, PmemConfig,
                               VsockConfig, HostDeviceConfig, UserDeviceConfig>;

/// Why the user does not get what he asked for, in one line.
struct DeviceRefusal {
  enum class Kind {
    kInvalid,    ///< the device cannot be as it was described
    kUnknown,    ///< there is no device of that id
    kDuplicate,  ///< there is one already: of that id, or the same one of the host
    kFailed,     ///< something else went wrong
  };

  Kind kind = Kind::kFailed;
  std::string message;
};

/// Whether no device of the host is there twice, by whichever paths, and the paths of Landlock's
/// rules are there. Runs where files can be looked at.
Outcome<void> check_host_paths(const VmConfig& vm);
/// Adds a device to a configuration whose devices have names, and gives it an id if it has none;
/// the result is that. Refusals: kInvalid, kDuplicate; kFailed for a second vsock. Nothing has
/// changed then.
Result<std::string, DeviceRefusal> add_device(VmConfig& vm, HotDevice device);

/// Takes a device out of the configuration.
/// Refusals: kUnknown; kInvalid for one that is there for good.
Result<void, DeviceRefusal> remove_device(VmConfig& vm, const std::string& id);

/// Closes the descriptors that a device has in its configuration, which is over.
void close_descriptors(const NetConfig& net);
void close_descriptors(const HotDevice& device);

/// What all devices have.
[[nodiscard]] const DeviceConfig& common_of(const HotDevice& device);

}  // namespace vmm::reference
