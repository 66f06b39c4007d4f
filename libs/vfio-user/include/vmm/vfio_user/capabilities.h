// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "vmm/base/result.h"
#include "vmm/vfio_user/protocol.h"
#include "vmm/vfio_user/user_error.h"

namespace vmm::vfio_user {

/// What a side says of itself in kVersion. The defaults are what counts when it says nothing.
struct Capabilities {
  std::uint32_t max_msg_fds = 1;                       ///< that it takes with one message
  std::uint32_t max_data_xfer_size = kMaxData;         ///< bytes
  std::uint32_t max_dma_maps = kMaxDmaMaps;            ///< at the same time
  std::uint64_t pgsizes = 4096;                        ///< of DMA mappings, or-ed
  std::optional<std::uint64_t> migration_pgsize = {};  ///< versions before 0.9.2 say it
  bool write_multiple = false;                         ///< kRegionWriteMulti
  bool twin_socket = false;                            ///< commands of the server elsewhere
  std::optional<std::uint32_t> twin_socket_fd = {};    ///< which descriptor; in a reply

  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

/// What this library can do on both sides.
[[nodiscard]] Capabilities our_capabilities();

/// Reads the JSON of kVersion, at most kMaxVersionData bytes with a NUL at the end, nested at most
/// 8 deep. What nobody here knows is passed over. Numbers are taken as far as we can count.
/// Errors: kBadJson, also for a number where something else should be, or negative ones.
Result<Capabilities, UserError> parse_capabilities(std::span<const std::byte> text);

/// The JSON for kVersion, without the NUL. twin_socket is left out where it is false.
[[nodiscard]] std::string to_json(const Capabilities& capabilities);

}  // namespace vmm::vfio_user
