// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A front end, and the other end of its conversation.

#include <optional>
#include <utility>

#include "raw_peer.h"
#include "vmm/vhost_user/frontend.h"

namespace vmm::vhost_user {

inline constexpr std::uint64_t kNoAck = ~bit(ProtocolFeature::kReplyAck);

/// A back end that answers what the test wrote down before.
struct Scripted {
  Scripted() : Scripted(socket_pair()) {}
  explicit Scripted(std::pair<UniqueFd, UniqueFd> ends) : peer(std::move(ends.first)) {
    answer(FrontendCode::kGetFeatures, to_bytes(kFeatureProtocolFeatures | 1));
    answer(FrontendCode::kGetProtocolFeatures, to_bytes((std::uint64_t{1} << 22) - 1));
    frontend.emplace(*Frontend::create(*Connection::adopt(std::move(ends.second))));
    for (int i = 0; i < 3; ++i) (void)peer.receive();
  }
  void answer(FrontendCode code, const Bytes& payload, std::size_t fds = 0,
              std::uint32_t flags = kVersion | kReply) {
    peer.send({.request = static_cast<std::uint32_t>(code),
               .flags = flags,
               .size = static_cast<std::uint32_t>(payload.size())},
              payload, fds);
  }
  void agree(std::uint64_t features) {
    REQUIRE(frontend->negotiate(features));
    (void)peer.receive();
  }

  RawPeer peer;
  std::optional<Frontend> frontend;
};

}  // namespace vmm::vhost_user
