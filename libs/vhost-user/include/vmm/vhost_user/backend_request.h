// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <utility>
#include <variant>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user/connection.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/vhost_user/payload.h"

namespace vmm::vhost_user {

/// The requests of a back end on its channel. Numbers are in their range; whether a queue, an
/// object or a shared memory region exists is for others to say.
namespace backend_request {

/// A miss or a refused access.
struct Iotlb {
  IotlbMessage message;
};
struct ConfigChange {};
struct VringHostNotifier {
  std::uint32_t index = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;
  UniqueFd fd;  ///< empty: there is no notifier any more
};
struct VringCall {
  std::uint32_t index = 0;
};
struct VringErr {
  std::uint32_t index = 0;
};
struct SharedObjectAdd {
  SharedObjectId id;
};
struct SharedObjectRemove {
  SharedObjectId id;
};
struct SharedObjectLookup {
  SharedObjectId id;
};
struct ShmemMap {
  ShmemArea area;
  UniqueFd fd;
};
struct ShmemUnmap {
  ShmemArea area;
};

}  // namespace backend_request

using BackendRequest =
    std::variant<backend_request::Iotlb, backend_request::ConfigChange,
                 backend_request::VringHostNotifier, backend_request::VringCall,
                 backend_request::VringErr, backend_request::SharedObjectAdd,
                 backend_request::SharedObjectRemove, backend_request::SharedObjectLookup,
                 backend_request::ShmemMap, backend_request::ShmemUnmap>;
static_assert(std::variant_size_v<BackendRequest> ==
              static_cast<std::size_t>(BackendCode::kShmemUnmap));

/// What a message of a back end asks for. Takes its descriptors, but those of a bad message.
/// Errors: kReplyFlag; those of one message.
Result<BackendRequest, MessageError> parse_backend(Message message);

/// Does what a back end asks for. Threads: those of FrontendChannel.
class BackendRequestHandler {
 public:
  /// An error is told to the back end if it wants to know. For SharedObjectLookup the answer is the
  /// object's descriptor; else it is not looked at.
  virtual Result<UniqueFd> handle(BackendRequest& request) = 0;

 protected:
  ~BackendRequestHandler() = default;
};

/// The front end's end of the back end's channel: reads requests, has them done, and answers. A
/// back end that breaks the protocol ends it, and nothing more.
///
/// Threads: one at a time.
class FrontendChannel {
 public:
  /// `handler` outlives the channel.
  FrontendChannel(Connection connection, BackendRequestHandler& handler)
      : connection_(std::move(connection)), handler_(handler) {}

  /// Serves the next request, if it is there. Errors: those of Connection; MessageError.
  Result<Connection::Event> serve();
  [[nodiscard]] int fd() const { return connection_.fd(); }

 private:
  Connection connection_;
  BackendRequestHandler& handler_;
};

}  // namespace vmm::vhost_user
